"""The views that the scatter network is judged by: bodies that it was not trained on, a real CT among them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.anatomy.phantom import chest_phantom
from DeepDRRSlicerLib.geometry.carm import CArmPose, detector_axes
from DeepDRRSlicerLib.learning.scatter_inputs import CELLS
from DeepDRRSlicerLib.simulation.decomposition import THRESHOLD, never, unheard
from DeepDRRSlicerLib.training.scatter.real_bodies import ct_body
from DeepDRRSlicerLib.training.scatter.views import DETECTORS, FINE, View
from DeepDRRSlicerLib.transport.body import coarsened
from DeepDRRSlicerLib.transport.depths import matter_of

CHEST = "chest_ct/ct_1.5mm.nii.gz"  # below the folder of data; never trained on
COUNTS = {"chest CT": 18, "chest phantom": 10, "pelvis phantom": 12, "cylinders": 8, "slabs": 8}
_SEED = 7
_FILTERS = ({"Al": 3.0}, {"Al": 3.0, "Cu": 0.1}, {"Al": 3.0, "Cu": 0.3}, {"Al": 2.5, "Cu": 0.6})
_PRIMARY = (0.0, 180.0, 90.0, -90.0, 30.0, -30.0, 45.0, -45.0)


@dataclass(frozen=True, eq=False)
class Judged:
    """A view to judge by. number: of all."""

    number: int
    name: str
    volume: MaterialVolume
    view: View


def judged_views(data: Path | None) -> Iterator[Judged]:
    """All views, the same every time; without a folder of data those of the CT are left out, numbers stay.

    Raises InputError where the CT cannot be read.
    """
    number = 0
    for kind, (name, count) in enumerate(COUNTS.items()):
        volume = None
        for index in range(count):
            generator = np.random.default_rng((_SEED, kind, index))
            if name == "slabs":
                volume = water_slab(float(generator.uniform(60, 300)))
            elif name != "chest CT":
                volume = volume or _PHANTOMS[name]()
            elif data is not None:
                volume = volume or ct_body(str(data / CHEST))
            if volume is not None:
                yield Judged(number + index, name, volume, _view(generator, volume, name == "slabs"))
        number += count


def water_slab(thickness: float, width: float = 600.0, voxel: float = 10.0) -> MaterialVolume:
    """Water, its middle at the origin, lying across the beam of an AP view: whole voxels across, exact in depth."""
    across, deep = round(width / voxel), round(thickness / voxel)
    matrix = np.diag([voxel, thickness / deep, voxel, 1.0])
    matrix[:3, 3] = -0.5 * (np.diag(matrix)[:3] * (across - 1, deep - 1, across - 1))
    return MaterialVolume.from_density(("water",), np.ones((across, deep, across, 1), np.float32), matrix)


def _chest_phantom() -> MaterialVolume:
    return coarsened(THRESHOLD.decompose(chest_phantom(2.0).ct, never, unheard), 4.0)


def _pelvis_phantom() -> MaterialVolume:
    """A lower trunk: fat about muscle, a sacrum, hips of a shell and marrow, thighs, a bladder and gas in the bowel."""
    r, a, s, density, matrix = _canvas((400, 260, 320), 5.0)
    body = (np.abs(r / 185) ** 2.5 + np.abs(a / 115) ** 2.2 < 1) & (s > -100)
    thighs = ((np.abs(r) - 88) / 82) ** 2 + (a / 84) ** 2 < 1
    skin = body | (thighs & (s <= -60))
    inner = (np.abs(r / 158) ** 2.5 + np.abs(a / 92) ** 2.2 < 1) & (s > -100)
    inner |= (((np.abs(r) - 88) / 68) ** 2 + (a / 70) ** 2 < 1) & (s <= -60)
    density[skin] = (0.95, 0, 0)
    density[inner] = (0, 1.05, 0)
    ilium = ((np.abs(r) - 85) / 55) ** 2 + ((a + 15) / 48) ** 2 + ((s - 50) / 70) ** 2
    density[(ilium < 1) & (ilium > 0.72) & (np.abs(r) > 60)] = (0, 0.6, 0.9)
    femur = ((np.abs(r) - 100) / 17) ** 2 + (a / 17) ** 2
    shaft = s < -50
    density[(femur < 1) & shaft] = (0, 0.4, 1.3)
    density[(femur < 0.35) & shaft] = (0.95, 0, 0.05)
    head = ((np.abs(r) - 90) / 25) ** 2 + (a / 25) ** 2 + ((s + 25) / 25) ** 2
    density[head < 1] = (0, 0.75, 0.35)
    sacrum = (r / 48) ** 2 + ((a + 68) / 24) ** 2 + ((s - 40) / 62) ** 2
    density[sacrum < 1] = (0, 0.75, 0.3)
    lumbar = (r / 24) ** 2 + ((a + 45) / 19) ** 2
    density[(lumbar < 1) & (s > 95)] = (0, 0.75, 0.4)
    density[(r / 42) ** 2 + ((a - 25) / 36) ** 2 + ((s + 10) / 32) ** 2 < 1] = (0, 1.01, 0)
    for x, y, z, radius in ((-95, 35, 90, 26), (70, 55, 60, 20), (20, 60, 100, 30), (0, -35, 10, 16)):
        density[(r - x) ** 2 + (a - y) ** 2 + (s - z) ** 2 < radius**2] = 0
    return MaterialVolume.from_density(("adipose", "water", "bone"), density, matrix)


def _cylinders() -> MaterialVolume:
    """Two upright cylinders of PMMA, 16 and 10 cm wide, as dosimetry has them, with rods of aluminium and air."""
    r, a, s, density, matrix = _canvas((340, 220, 240), 4.0, channels=2)
    wide, narrow = (r + 60) ** 2 + a**2 < 80**2, (r - 95) ** 2 + (a - 20) ** 2 < 50**2
    density[(wide | narrow) & (np.abs(s) < 100)] = (1.19, 0)
    for x, y, radius, filling in ((-60, 0, 7, 0), (-110, 30, 12, 2.7), (-20, -35, 12, 0), (95, 20, 14, 2.7)):
        density[((r - x) ** 2 + (a - y) ** 2 < radius**2) & (np.abs(s) < 100)] = (0, filling)
    return MaterialVolume.from_density(("PMMA", "aluminium"), density, matrix)


_PHANTOMS = {"chest phantom": _chest_phantom, "pelvis phantom": _pelvis_phantom, "cylinders": _cylinders}


def _canvas(size, voxel, channels=3):
    """R, A, S (k, j, i) mm of the voxels of a box about the origin, no density (k, j, i, channels), and the matrix."""
    axes = [(np.arange(round(side / voxel)) - (round(side / voxel) - 1) / 2) * voxel for side in size]
    s, a, r = np.meshgrid(*reversed(axes), indexing="ij")
    matrix = np.diag([voxel, voxel, voxel, 1.0])
    matrix[:3, 3] = [axis[0] for axis in axes]
    return r, a, s, np.zeros((*r.shape, channels), dtype=np.float32), matrix


def _view(generator, volume: MaterialVolume, frontal: bool) -> View:
    """As C-arms are used: every usual direction, distance, technique and detector, with and without shutters."""
    side, sid = generator.uniform(180, 400), generator.uniform(900, 1200)
    primary = 0.0 if frontal else float(generator.choice(_PRIMARY))
    secondary = 0.0 if frontal else float(generator.choice([0.0, 0.0, 20.0, -20.0, 30.0]))
    points, corners = matter_of(volume).points(), volume.corners_ras()
    low, high = points.min(axis=0), points.max(axis=0)
    isocenter = (low + high) / 2 + generator.uniform(-0.2, 0.2, 3) * (high - low) * (not frontal)
    normal = detector_axes(primary, secondary)[2]
    behind, before = ((points - isocenter) @ normal).max(), -((corners - isocenter) @ normal).min()
    gap = min(generator.uniform(10, 350), sid - behind - before - 100)
    pixels = CELLS * FINE
    pose = CArmPose(
        primary, secondary, tuple(isocenter), sid, float(sid - behind - gap), (pixels, pixels), (side / pixels,) * 2
    )
    field = (side, side, side, side)
    if generator.random() < 0.5:
        field = tuple(float(part) * side / 2 for part in generator.uniform(0.35, 1.0, 4))
    return View(
        beam=pose.beam(),
        kvp=int(generator.integers(55, 121)),
        filtration=_FILTERS[generator.integers(len(_FILTERS))],
        detector=DETECTORS[generator.integers(len(DETECTORS))],
        field=field,
    )
