"""A mask on another grid, nearest neighbour, in RAS."""

from __future__ import annotations

import numpy as np

from DeepDRRSlicerLib.anatomy.volume import Volume, shifted_affine, transform_points


def box_in(grid: Volume, mask: Volume) -> tuple[np.ndarray, np.ndarray]:
    """(first, last) index (i, j, k) of the voxels of a grid that can lie inside a mask, or beyond the grid."""
    corners = transform_points(np.linalg.inv(grid.ijk_to_ras), mask.corners_ras())
    return np.floor(corners.min(axis=0) + 0.51).astype(int), np.ceil(corners.max(axis=0) - 0.51).astype(int)


def sampled(grid: Volume, mask: Volume, first, last) -> np.ndarray:
    """bool (k, j, i): which voxels of a grid, from index first to last, have their centre inside a mask."""
    to_mask = np.linalg.inv(mask.ijk_to_ras) @ shifted_affine(grid.ijk_to_ras, first)
    shape = tuple(int(n) for n in (last - first)[::-1] + 1)
    if shape == mask.array.shape and np.allclose(to_mask, np.eye(4), atol=1e-3):
        return mask.array != 0
    inside = np.zeros(shape, bool)
    along_i, along_j = np.arange(shape[2]), np.arange(shape[1])[:, None]
    for k, plane in enumerate(inside):
        at = [np.rint(row[0] * along_i + (row[1] * along_j + (row[2] * k + row[3]))).astype(int) for row in to_mask[:3]]
        there = np.logical_and.reduce([(index >= 0) & (index < n) for index, n in zip(at, mask.size, strict=True)])
        plane[there] = mask.array[tuple(index[there] for index in reversed(at))] != 0
    return inside
