"""Which voxels of a CT belong to the body: couch, headrest, head frame, clothing and blankets do not.

The rule, on a copy of the CT with voxels of about 4 mm:
- Tissue is what is above -500 HU. What is thinner than about 1 cm (shells of the couch, headrest, cloth) is taken off
  for a moment, which parts the body from what it lies on. The largest piece left is body. So is each further piece of
  50 ml or more that is as large as a third of it (two legs), or has bone in it (an arm beside the chest).
- What was taken off comes back as far as the body's skin reaches, and farther away (an ear, fingers) where it hangs on
  the body and is no more than 15 ml.
- Air and lung belong to the body where the body is most of what encloses them, lung also where the scan cuts it open.
Where no piece left is half a litre, there is no body to tell from other objects (a phantom of beads, a specimen, a
mouse): then everything is kept. So is a phantom as large as a body, and a body that fills the whole field of view.
"""

from __future__ import annotations

import numpy as np

from DeepDRRSlicerLib.anatomy.table_lookup import on_all_cores
from DeepDRRSlicerLib.anatomy.volume import Volume

_GRID_MM = 4.0
_TISSUE_HU, _BONE_HU = -500.0, 250.0
_LUNG_HU = -950.0  # most of a lung lies above, most of the air outside below
_THIN_MM = 5.0  # half of what is taken off
_SKIN_MM = 4.0  # as far as the border of what is left may lie from the skin, beside _THIN_MM
_LEAST_BODY, _LEAST_PART, _MOST_APPENDAGE = 500.0, 50.0, 15.0  # ml
_ALIKE = 1 / 3  # of the largest piece
_LEAST_BONE = 0.005  # of the volume of an arm or a leg


def body_mask(volume: Volume) -> np.ndarray:
    """bool [k, j, i]: True where a voxel belongs to the body; True everywhere where there is none of half a litre.

    volume: HU. Takes about a second for 35 million voxels, and memory for one byte each.
    """
    factors = np.maximum(1, np.rint(_GRID_MM / volume.spacing)).astype(int)[::-1]
    coarse = _block_means(volume.array, factors)
    grid = _Grid(volume.spacing[::-1] * factors)
    body = _coarse_body(coarse, grid)
    if body is None:
        return np.ones(volume.array.shape, dtype=bool)
    result = np.empty(volume.array.shape, dtype=bool)
    columns, rows, _ = volume.size
    along_j, along_i = np.arange(rows) // factors[1], np.arange(columns) // factors[2]
    for k in range(len(result)):
        if k % factors[0] == 0:
            plane = body[k // factors[0]][along_j][:, along_i]
        result[k] = plane
    return result


def _block_means(array: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """float32 means over blocks of so many voxels along (k, j, i); those at the end may be smaller."""
    if (factors == 1).all():
        return array.astype(np.float32)
    starts = [np.arange(0, n, f) for n, f in zip(array.shape, factors, strict=True)]
    counts = [np.diff([*s, n]) for s, n in zip(starts, array.shape, strict=True)]

    def means(k):
        planes = array[k : k + factors[0]]
        total = planes.sum(axis=0, dtype=np.int64 if array.dtype.kind in "iu" else np.float64)
        total = np.add.reduceat(np.add.reduceat(total, starts[1], axis=0), starts[2], axis=1)
        return (total / (len(planes) * counts[1][:, None] * counts[2])).astype(np.float32)

    return np.stack(on_all_cores(means, starts[0].tolist()))


def _coarse_body(hu: np.ndarray, grid: _Grid) -> np.ndarray | None:
    tissue = hu > _TISSUE_HU
    cores, volumes = grid.pieces(grid.depth(tissue) > _THIN_MM)
    chosen = _body_pieces(cores, volumes, hu)
    if not chosen.any():
        return None
    core = chosen[cores]
    body = tissue & (grid.distance(core) <= _THIN_MM + _SKIN_MM)
    body |= _appendages(tissue & ~body, body, grid)
    body |= _inside(~tissue, body, tissue & ~body, hu, grid)
    body |= _surrounded(tissue & ~body, body, ~tissue & ~body, grid)
    return (grid.distance(body) <= grid.spacing.max()) & ~(tissue & ~body)


def _body_pieces(cores: np.ndarray, volumes: np.ndarray, hu: np.ndarray) -> np.ndarray:
    """bool for each label: whether that piece is body."""
    sizes = volumes.copy()
    sizes[0] = 0
    largest = sizes.max()
    if largest < _LEAST_BODY:
        return np.zeros(len(sizes), dtype=bool)
    voxels = np.maximum(np.bincount(cores.ravel(), minlength=len(sizes)), 1)
    bone = np.bincount(cores[hu > _BONE_HU], minlength=len(sizes)) / voxels
    alike = sizes >= _ALIKE * largest
    return alike | ((sizes >= _LEAST_PART) & (bone >= _LEAST_BONE))


def _appendages(rest: np.ndarray, body: np.ndarray, grid: _Grid) -> np.ndarray:
    """Small pieces of tissue that hang on the body."""
    labels, volumes = grid.pieces(rest)
    hanging = _contacts(labels, body, len(volumes)) > 0
    small = volumes <= _MOST_APPENDAGE
    small[0] = False
    return (hanging & small)[labels]


def _inside(empty: np.ndarray, body: np.ndarray, other: np.ndarray, hu: np.ndarray, grid: _Grid) -> np.ndarray:
    """Cavities that the body encloses, and lung at the border of the CT."""
    labels, volumes = grid.pieces(empty)
    n = len(volumes)
    lung = np.bincount(labels[hu > _LUNG_HU], minlength=n) > np.bincount(labels[hu <= _LUNG_HU], minlength=n)
    outermost = np.zeros(n, dtype=bool)
    for axis in range(3):
        for end in (0, -1):
            outermost[np.unique(np.take(labels, end, axis=axis))] = True
    enclosed = _contacts(labels, body, n) > _contacts(labels, other, n)
    filled = enclosed & (~outermost | lung)
    filled[0] = False
    return filled[labels]


def _surrounded(rest: np.ndarray, body: np.ndarray, outside: np.ndarray, grid: _Grid) -> np.ndarray:
    """Pieces of tissue with more of the body around them than of the air outside: vessels in a lung."""
    labels, volumes = grid.pieces(rest)
    within = _contacts(labels, body, len(volumes)) > _contacts(labels, outside, len(volumes))
    within[0] = False
    return within[labels]


def _contacts(labels: np.ndarray, mask: np.ndarray, n: int) -> np.ndarray:
    """How many faces each label shares with voxels of a mask."""
    found = np.zeros(n, dtype=np.int64)
    for axis in range(3):
        first, second = (np.moveaxis(array, axis, 0) for array in (labels, mask))
        found += np.bincount(first[1:][second[:-1]], minlength=n) + np.bincount(first[:-1][second[1:]], minlength=n)
    return found


class _Grid:
    """Distances and connected pieces on voxels of a spacing (k, j, i) in mm."""

    def __init__(self, spacing):
        self.spacing = np.asarray(spacing, dtype=float)
        self.voxel_ml = float(np.prod(self.spacing)) / 1000

    def depth(self, mask: np.ndarray) -> np.ndarray:
        """float32 mm from the middle of each voxel of a mask to its surface; a mask goes on beyond the borders."""
        return np.where(mask, self.distance(~mask), 0)

    def distance(self, mask: np.ndarray) -> np.ndarray:
        """float32 mm from the middle of each voxel to the surface of a mask, 0 inside; infinite where it is empty."""
        import SimpleITK

        if not mask.any():
            return np.full(mask.shape, np.inf, np.float32)
        image = SimpleITK.GetImageFromArray(mask.astype(np.uint8))
        image.SetSpacing(self.spacing[::-1].tolist())
        found = SimpleITK.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
        half = np.float32(self.spacing.min() / 2)  # it measures from the middles of the mask's outermost voxels
        return np.maximum(SimpleITK.GetArrayFromImage(found) - half, 0)

    def pieces(self, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(labels from 1 on, ml of each label, 0 included) of the pieces that hang together by faces."""
        import SimpleITK

        found = SimpleITK.ConnectedComponent(SimpleITK.GetImageFromArray(mask.astype(np.uint8)))
        labels = SimpleITK.GetArrayFromImage(found)
        return labels, np.bincount(labels.ravel()) * self.voxel_ml
