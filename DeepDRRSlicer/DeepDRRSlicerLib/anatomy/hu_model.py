"""From HU to matter: the first material model, continuous and monotone.

Between two anchors a voxel is a mixture whose partial densities are linear in HU. The attenuation is then linear in HU
at every energy, as the HU scale itself is, so that the mixture has the HU it came from. Anchors: HU of ICRU-44 tissues
at a 120 kVp CT beam (tungsten, 6 mm Al + 0.2 mm Cu, behind 20 cm water, mean 78.9 keV), computed with spekpy and
xraylib; water, which defines the scale, is an anchor of its own. Above cortical bone, HU + 1000 grows in proportion to
the density of bone of fixed composition, up to the metal threshold, where a 12-bit CT clips: what lies there says
nothing about the metal but that it is metal.

The metal is titanium: most implants are (screws, plates, stems; nitinol stents are half titanium), and as clipped
voxels bloom over the metal's border, the lighter of the usual metals errs less than steel, which attenuates three
times as much.

Air: the noise of air around -1000 HU cannot average out, because densities are not negative. Without a dead zone it
adds about 1 % of water on every path outside the patient and draws the field of view into the image. So up to -975 HU
a voxel is air, and from -945 HU on it follows the straight line again.
"""

from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.anatomy.ct import LOWEST_HU
from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.anatomy.table_lookup import looked_up
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.physics.basis import basis_of

AIR_HU, AIR_DENSITY = -1000.0, 0.001205
LUNG_HU, LUNG_DENSITY = -741.0, 0.26
BONE_HU, BONE_DENSITY = 1577.0, 1.92
TITANIUM_DENSITY = 4.54
NOISE_END_HU, AIR_END_HU = -975.0, -945.0


@dataclass(frozen=True)
class Anchor:
    """Partial densities in g/cm3, as (material, density) pairs, and volume fractions likewise, at one HU."""

    hu: float
    densities: tuple[tuple[str, float], ...]
    fractions: tuple[tuple[str, float], ...]


def _pure(hu: float, material: str, density: float) -> Anchor:
    return Anchor(hu, ((material, density),), ((material, 1.0),))


def _tissue_anchors() -> tuple[Anchor, ...]:
    lung = (AIR_END_HU - AIR_HU) / (LUNG_HU - AIR_HU)
    return (
        _pure(NOISE_END_HU, "air", AIR_DENSITY),
        Anchor(
            AIR_END_HU,
            (("air", (1 - lung) * AIR_DENSITY), ("lung", lung * LUNG_DENSITY)),
            (("air", 1 - lung), ("lung", lung)),
        ),
        _pure(LUNG_HU, "lung", LUNG_DENSITY),
        _pure(-77.0, "adipose", 0.95),
        _pure(0.0, "water", 1.0),
        _pure(53.0, "soft tissue", 1.06),
        _pure(BONE_HU, "bone", BONE_DENSITY),
    )


@dataclass(frozen=True)
class HUModel:
    """A piecewise linear map from HU to partial densities.

    tissues: anchors in rising HU, the last one cortical bone. metal_threshold: HU where metal begins (default: just
    below 3071, the clip of 12 bits). metal_ramp: HU over which dense bone turns into pure metal. metal, metal_density:
    a name of the physics tables and its g/cm3. Raises InputError when the numbers are not in rising order.
    """

    tissues: tuple[Anchor, ...] = _tissue_anchors()
    metal_threshold: float = 3000.0
    metal_ramp: float = 71.0
    metal: str = "titanium"
    metal_density: float = TITANIUM_DENSITY

    def __post_init__(self):
        hu = [anchor.hu for anchor in self.anchors]
        if not all(a < b for a, b in zip(hu, hu[1:], strict=False)) or not np.isfinite(hu).all():
            raise InputError(
                f"The metal threshold of {self.metal_threshold:g} HU with a ramp of {self.metal_ramp:g} HU does not "
                f"lie above bone; choose a threshold above {self.tissues[-1].hu:g} HU and a ramp above 0."
            )
        if not 0 < self.metal_density < 30:
            raise InputError(f"A metal of {self.metal_density:g} g/cm3 does not exist; give its density in g/cm3.")

    @property
    def anchors(self) -> tuple[Anchor, ...]:
        """All anchors in rising HU, dense bone and metal included."""
        bone = self.tissues[-1]
        scale = (self.metal_threshold - AIR_HU) / (bone.hu - AIR_HU)
        dense = tuple((name, density * scale) for name, density in bone.densities)
        return (
            *self.tissues,
            Anchor(self.metal_threshold, dense, bone.fractions),
            _pure(self.metal_threshold + self.metal_ramp, self.metal, self.metal_density),
        )

    @property
    def materials(self) -> tuple[str, ...]:
        """Names of the columns of `hu_to_partial_densities` and `hu_to_fractions`, in the order of rising HU."""
        return tuple(dict.fromkeys(name for anchor in self.anchors for name, _ in anchor.densities))


def hu_to_partial_densities(hu, model: HUModel = HUModel()) -> np.ndarray:
    """float64 [..., m] in g/cm3 of each of `model.materials` (air included, as matter) for HU [...]."""
    return _interpolated(hu, model, lambda anchor: anchor.densities)


def hu_to_density(hu, model: HUModel = HUModel()) -> np.ndarray:
    """float64 [...] in g/cm3 for HU [...]."""
    return hu_to_partial_densities(hu, model).sum(-1)


def hu_to_fractions(hu, model: HUModel = HUModel()) -> np.ndarray:
    """float64 [..., m]: share of each of `model.materials` in the voxel's volume, summing to 1, for HU [...].

    "Lung" is inflated lung (0.26 g/cm3), and bone denser than cortical is still bone alone.
    """
    return _interpolated(hu, model, lambda anchor: anchor.fractions)


def _interpolated(hu, model: HUModel, quantity) -> np.ndarray:
    anchors = model.anchors
    table = np.array([[dict(quantity(anchor)).get(name, 0.0) for name in model.materials] for anchor in anchors])
    knots = [anchor.hu for anchor in anchors]
    return np.stack([np.interp(hu, knots, column) for column in table.T], axis=-1)


def decompose(volume: Volume, model: HUModel = HUModel()) -> MaterialVolume:
    """The traced channels of a CT as `ct.read_ct` or `ct.as_ct` give it, by a table with one entry per integer HU.

    The channels are those of physics.basis: the materials of the model, few of them standing for many. Air is not among
    them: spectra are quoted without an air path, and air that counted would show the borders of the CT. Channels that
    occur nowhere are left out, and the result is cropped to the box of voxels above -900 HU, one voxel wider on each
    side (where the CT has one). Works slab by slab: needs little memory besides the result. Densities are rounded to
    65535 steps of the highest that occurs (at most 1/131070 of it).
    Raises InputError when no voxel is above -900 HU.
    """
    highest = int(np.ceil(model.metal_threshold + model.metal_ramp))
    channels, table = channel_table(np.arange(LOWEST_HU, highest + 1), model)
    return looked_up(volume, lambda window: table_index(volume.array[window], highest), channels, table)


def channel_table(hu, model: HUModel = HUModel()) -> tuple[tuple[str, ...], np.ndarray]:
    """The traced channels, and float64 [n, channel] in g/cm3 of each for HU [n]."""
    solid = [name for name in model.materials if name != "air"]
    columns = [model.materials.index(name) for name in solid]
    basis = basis_of(solid)
    return basis.channels, hu_to_partial_densities(hu, model)[..., columns] @ basis.matrix


def table_index(hu: np.ndarray, highest: int) -> np.ndarray:
    """Row of a table with one entry per integer HU, from LOWEST_HU to `highest`, for each voxel."""
    if hu.dtype.kind == "f":
        hu = np.rint(hu)
    return np.clip(hu, LOWEST_HU, highest).astype(np.intp) - LOWEST_HU
