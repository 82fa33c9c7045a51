"""A made-up chest: a CT to try things with where there is no other, drawn from ellipsoids, without any file.

Its parts have typical HU and are named, so that labels, materials and landmarks can be tried as well. It is the
likeness of nobody, and no measure of anything: sizes and densities are round numbers.
"""

import copy
from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.anatomy.landmarks import Landmark
from DeepDRRSlicerLib.anatomy.segmentation import Segment
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.errors import InputError

SIZE_MM = (380.0, 250.0, 320.0)  # of the volume, along R, A and S
AIR, LUNG, FAT, SOFT, BLOOD, DISC, MARROW, CORTEX = -1000.0, -820.0, -95.0, 45.0, 40.0, 70.0, 180.0, 650.0
VERTEBRAE = tuple(f"vertebra T{number}" for number in range(2, 13))
_PITCH = 27.0  # mm from one vertebra to the next
_TOP = 130.0  # S of the uppermost vertebra's middle
_SPINE_A = -68.0  # A of the middle of the vertebral bodies
_RIB_CAGE = (132.0, 88.0)  # half axes of the ribs' loops
PARTS = (*VERTEBRAE, "ribs", "sternum", "lung", "heart", "aorta", "liver")
COLOURS = {"lung": (0.3, 0.6, 0.9), "heart": (0.8, 0.2, 0.2), "aorta": (0.9, 0.3, 0.2), "liver": (0.6, 0.3, 0.2)}
_BONE = (0.95, 0.9, 0.7)


@dataclass(frozen=True, eq=False)
class Phantom:
    """ct: HU, int16. segments and landmarks: of its parts, in the same space."""

    ct: Volume
    segments: list[Segment]
    landmarks: list[Landmark]


def chest_phantom(voxel_mm: float = 2.0) -> Phantom:
    """The chest, head up, its middle at the origin of RAS; voxels at the border of a part hold a mixture.

    Raises InputError unless the voxels are between 0.5 and 10 mm.
    """
    if not 0.5 <= voxel_mm <= 10:
        raise InputError(f"Voxels of {voxel_mm} mm make no chest; choose 0.5 to 10 mm.")
    shape = [round(length / voxel_mm) for length in SIZE_MM]
    matrix = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    matrix[:3, 3] = -(np.array(shape) - 1) / 2 * voxel_mm
    canvas = _Canvas(shape, matrix, voxel_mm)
    _draw_trunk(canvas)
    _draw_bones(canvas)
    segments = [_segment(name, mask, matrix) for name, mask in canvas.masks.items()]
    landmarks = [Landmark(name, (0.0, _SPINE_A, _height(index))) for index, name in enumerate(VERTEBRAE)]
    return Phantom(Volume(np.rint(canvas.hu).astype(np.int16), matrix), segments, landmarks)


class _Canvas:
    """HU (k, j, i) to paint on, and the masks of the parts painted with a name; or a slab of another canvas."""

    def __init__(self, shape, matrix, voxel_mm):
        r, a, s = (matrix[axis, 3] + voxel_mm * np.arange(count, dtype=np.float32) for axis, count in enumerate(shape))
        self.r, self.a, self.s = r[None, None, :], a[None, :, None], s[:, None, None]
        self.voxel_mm = voxel_mm
        self.hu = np.full(shape[::-1], AIR, np.float32)
        self.masks = {name: np.zeros(shape[::-1], bool) for name in PARTS}

    def slab(self, low, high):
        """The part between two heights in mm, which shares its voxels."""
        part = copy.copy(self)
        rows = slice(*np.searchsorted(self.s[:, 0, 0], (low, high)))
        part.s, part.hu = self.s[rows], self.hu[rows]
        part.masks = {name: mask[rows] for name, mask in self.masks.items()}
        return part

    def paint(self, hu, distance, name=None):
        """Paint where a signed distance in mm, broadcast to the voxels, is negative; later parts cover earlier ones."""
        share = np.clip(0.5 - distance / np.float32(self.voxel_mm), 0, 1)
        self.hu += share * (np.float32(hu) - self.hu)
        inside = share > 0.5
        for other, mask in self.masks.items():
            if other == name:
                mask |= inside
            else:
                mask &= ~inside

    def ellipsoid(self, center, half_axes):
        """Signed distance to an ellipsoid, to first order; an infinite half axis makes a cylinder."""
        q = [(x - c) / h for x, c, h in zip((self.r, self.a, self.s), center, half_axes)]
        radius = np.sqrt(q[0] ** 2 + q[1] ** 2 + q[2] ** 2)
        slope = np.sqrt(sum((part / h) ** 2 for part, h in zip(q, half_axes)))
        return radius * (radius - 1) / np.maximum(slope, 1e-6)


def _draw_trunk(canvas):
    endless = np.inf
    canvas.paint(FAT, canvas.ellipsoid((0, 0, 0), (172, 112, endless)))
    canvas.paint(SOFT, canvas.ellipsoid((0, 0, 0), (158, 100, endless)))
    for side in (1, -1):
        canvas.paint(LUNG, canvas.ellipsoid((72 * side, 0, 20), (58, 76, 118)), "lung")
    canvas.paint(SOFT, canvas.ellipsoid((0, 5, 0), (26, 70, endless)))  # between the lungs
    canvas.paint(60, canvas.ellipsoid((48, 5, -112), (98, 82, 82)), "liver")
    canvas.paint(SOFT, canvas.ellipsoid((-72, 0, -118), (70, 78, 74)))  # spleen and stomach
    canvas.paint(BLOOD, canvas.ellipsoid((-22, 28, -8), (52, 44, 58)), "heart")
    canvas.paint(BLOOD, canvas.ellipsoid((-22, -42, 0), (12, 12, endless)), "aorta")
    trachea = np.maximum(canvas.ellipsoid((0, -12, 0), (8, 8, endless)), 45 - canvas.s)
    canvas.paint(AIR, trachea)


def _draw_bones(canvas):
    canvas.paint(DISC, canvas.ellipsoid((0, _SPINE_A, 0), (17, 14, np.inf)))
    whole = canvas
    for index, name in enumerate(VERTEBRAE):
        height = _height(index)
        canvas = whole.slab(height - 60, height + 25)  # ribs sink by 45 mm
        between = np.abs(canvas.s - height) - 11
        canvas.paint(CORTEX, np.maximum(canvas.ellipsoid((0, _SPINE_A, 0), (19, 16, np.inf)), between), name)
        canvas.paint(MARROW, np.maximum(canvas.ellipsoid((0, _SPINE_A, 0), (17, 14, np.inf)), between + 2), name)
        canvas.paint(CORTEX, canvas.ellipsoid((0, _SPINE_A - 26, height - 6), (3.5, 14, 7)), name)  # spinous process
        canvas.paint(CORTEX, canvas.ellipsoid((0, _SPINE_A - 17, height), (30, 4, 5)), name)  # transverse processes
        if index < 10:
            canvas.paint(CORTEX, _rib(canvas, height, 5.0), "ribs")
            canvas.paint(MARROW, _rib(canvas, height, 3.2), "ribs")
    whole.paint(MARROW + 120, whole.ellipsoid((0, 92, 40), (18, 6, 75)), "sternum")


def _rib(canvas, height, radius):
    """Distance to a pair of ribs: a loop around the chest that sinks to the front, open there and at the spine."""
    across = canvas.ellipsoid((0, 0, 0), (*_RIB_CAGE, np.inf))
    sunk = canvas.s - (height - 45 * (canvas.a + _RIB_CAGE[1]) / (2 * _RIB_CAGE[1]))
    gap = 20 - np.abs(canvas.r)
    return np.maximum(np.sqrt(across**2 + (0.9 * sunk) ** 2) - radius, gap)


def _height(index):
    return _TOP - _PITCH * index


def _segment(name, mask, matrix):
    """A Segment on the box of its mask."""
    used = [np.flatnonzero(mask.any(axis=axes)) for axes in ((0, 1), (0, 2), (1, 2))]  # along i, j, k
    low, high = [indices[0] for indices in used], [indices[-1] + 1 for indices in used]
    part = Volume(mask.astype(np.uint8), matrix).cropped(low, high)
    return Segment(name, Volume(np.ascontiguousarray(part.array), part.ijk_to_ras), COLOURS.get(name, _BONE))
