"""The CTs that a model is judged on, and what is known of each."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.anatomy.ct import read_ct
from DeepDRRSlicerLib.anatomy.image_io import read_image, volume_from_sitk
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.training.decomposition.artefacts import LOWEST_HU
from DeepDRRSlicerLib.training.decomposition.bodies import PLACES
from DeepDRRSlicerLib.training.decomposition.body.canvas import CONTRAST_HU
from DeepDRRSlicerLib.training.decomposition.real_cts import BONE_IDS, VEIN_HU, VESSEL_IDS
from DeepDRRSlicerLib.training.decomposition.samples import synthetic_scan
from DeepDRRSlicerLib.training.decomposition.voxels import grown

CHEST = ("1.5 mm", "full resolution")
METAL_HU = 2000.0  # of the CTA's struts and wires at 1.5 mm; its plain contrast agent has 400
AORTA_REACH = 4.5  # mm around the aorta's label in which its stent lies
LEFT_OUT_MM = 15.0  # from the labels' bone
LARGEST_STRUT = 300  # voxels; the injected vein is one piece of 1200
WIRES = ((-15.0, 20.0), (200.0, 260.0))  # R and A in mm of the sternum


@dataclass(frozen=True, eq=False)
class Chest:
    """The chest CT: TotalSegmentator's bone, and vessels (its labels, and the injected vein) that hold contrast.

    left_out: dense voxels beside bone that its labels call nothing; most are bone, too (the heads of the ribs).
    """

    volume: Volume
    bone: np.ndarray
    vessels: np.ndarray
    left_out: np.ndarray

    def slab(self, low: float, high: float) -> "Chest":
        """The slices from S `low` to `high` in mm; slices lie along S."""
        inside = np.flatnonzero((self.heights() >= low) & (self.heights() <= high))
        first, end = int(inside[0]), int(inside[-1]) + 1
        size = self.volume.size
        part = self.volume.cropped((0, 0, first), (*size[:2], end))
        return Chest(part, *(mask[first:end] for mask in (self.bone, self.vessels, self.left_out)))

    def heights(self) -> np.ndarray:
        """S (mm) of each slice."""
        return self.volume.ijk_to_ras[2, 3] + self.volume.ijk_to_ras[2, 2] * np.arange(self.volume.size[2])


def chest(folder, resolution: str, full_ct=None) -> Chest:
    """The chest CT at one of the resolutions CHEST; full_ct: the file of the full resolution."""
    place = Path(folder) / "chest_ct"
    full = resolution == "full resolution"
    volume = read_ct(full_ct if full else place / "ct_1.5mm.nii.gz")
    name = "totalsegmentator_labels_fullres.nii.gz" if full else "totalsegmentator_labels_1.5mm.nii.gz"
    ids = volume_from_sitk(read_image(place / name)).array
    bone = np.isin(ids, BONE_IDS)
    vessels = np.isin(ids, VESSEL_IDS) & (volume.array > CONTRAST_HU) | (volume.array > VEIN_HU)
    left_out = (volume.array > CONTRAST_HU) & ~bone & (ids == 0) & grown(bone, LEFT_OUT_MM, volume.spacing[::-1])
    return Chest(volume, bone & ~(volume.array > VEIN_HU), vessels, left_out)


@dataclass(frozen=True, eq=False)
class Angiography:
    """The CTA: aorta by label, struts of its stent and wires of the sternum by HU and place."""

    volume: Volume
    aorta: np.ndarray
    stent: np.ndarray
    wires: np.ndarray


def angiography(folder) -> Angiography:
    """The CTA of the thorax with a stent graft."""
    import SimpleITK as sitk

    place = Path(folder) / "thorax_cta_stent"
    volume = read_ct(place / "ct_thorax_1.5mm.nii.gz")
    aorta = volume_from_sitk(read_image(place / "aorta_label_1.5mm.nii.gz")).array > 0
    image = sitk.GetImageFromArray(aorta.astype(np.uint8))
    image.SetSpacing(volume.spacing.tolist())
    far = sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True))
    bright = sitk.GetImageFromArray((volume.array > METAL_HU).astype(np.uint8))
    pieces = sitk.GetArrayFromImage(sitk.RelabelComponent(sitk.ConnectedComponent(bright, True)))
    small = np.bincount(pieces.ravel())[pieces] < LARGEST_STRUT
    metal = (pieces > 0) & small
    k, j, i = np.nonzero(metal)
    at = np.stack([i, j, k], 1) @ volume.ijk_to_ras[:3, :3].T + volume.ijk_to_ras[:3, 3]
    (r0, r1), (a0, a1) = WIRES
    wires = np.zeros(metal.shape, bool)
    wires[k, j, i] = (at[:, 0] > r0) & (at[:, 0] < r1) & (at[:, 1] > a0) & (at[:, 1] < a1)
    stent = metal & (far < AORTA_REACH) & ~wires
    return Angiography(volume, aorta & (volume.array < METAL_HU), stent, wires)


def skull(folder) -> Volume:
    """The head CT, whose bones have no labels."""
    return read_ct(Path(folder) / "skull_ct" / "ct_0.957x0.957x1.5mm.nii.gz")


def stranger(seed: int, number: int, voxels: int = 96, spacing: float = 2.0):
    """A synthetic body, each kind of place in its turn: volume, true labels uint8 and body mask [k, j, i].

    The mask is what lies inside the skin and the field of view.
    """
    place = list(PLACES)[number % (len(PLACES) - 1)]
    rng = np.random.default_rng([seed, number])
    hu, labels, _, skin = synthetic_scan(rng, (voxels,) * 3, spacing, place)
    matrix = np.diag([spacing, spacing, spacing, 1.0])
    return Volume(np.rint(hu).astype(np.int16), matrix), labels, (skin < 0) & (hu > LOWEST_HU)
