"""How much of each ray lies in a binary mask: exact lengths through its voxels, nothing interpolated.

The traversal from voxel face to voxel face is that of J. Amanatides and A. Woo, A fast voxel traversal algorithm for
ray tracing, Eurographics 1987; the lengths are R. L. Siddon's, Medical Physics 12(2), 1985.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.projection.projector import KERNEL_LOCK


def mask_thickness(mask: Volume, beam: ConeBeam) -> np.ndarray:
    """(rows, columns) float32 mm of each ray, from source to pixel, within the voxels of the mask that are not 0."""
    to_index = np.linalg.inv(mask.ijk_to_ras)
    gradient = to_index[:3, :3]
    source = gradient @ beam.source + to_index[:3, 3] + 0.5  # voxel n then reaches from n to n + 1
    pixel00 = gradient @ beam.pixel00 + to_index[:3, 3] + 0.5
    share = np.zeros(beam.size, dtype=np.float64)
    step_c, step_r = gradient @ beam.e_c * beam.pitch[0], gradient @ beam.e_r * beam.pitch[1]
    inside = np.ascontiguousarray(mask.array != 0)
    with KERNEL_LOCK:
        _trace(inside, source, pixel00, step_c, step_r, share)
    return (share * np.linalg.norm(beam.pixel_centers() - beam.source, axis=-1)).astype(np.float32)


@njit(nogil=True, cache=True, parallel=True)
def _trace(mask, source, pixel00, step_c, step_r, share):
    """Fills share (rows, columns) with the part, 0 to 1, of the way from source to pixel in the mask [k, j, i]."""
    shape = (mask.shape[2], mask.shape[1], mask.shape[0])
    for row in prange(share.shape[0]):
        voxel = np.empty(3, np.int64)
        move = np.empty(3, np.int64)
        next_face, per_voxel = np.empty(3), np.empty(3)
        for column in range(share.shape[1]):
            ray = pixel00 + step_c * column + step_r * row - source
            enter, leave = 0.0, 1.0
            for a in range(3):
                if ray[a] != 0:
                    first, second = -source[a] / ray[a], (shape[a] - source[a]) / ray[a]
                    enter, leave = max(enter, min(first, second)), min(leave, max(first, second))
                elif not 0 <= source[a] < shape[a]:
                    leave = -1.0
            if leave <= enter:
                continue
            for a in range(3):
                voxel[a] = min(max(int(math.floor(source[a] + ray[a] * enter)), 0), shape[a] - 1)
                if ray[a] == 0:
                    move[a], next_face[a], per_voxel[a] = 0, math.inf, math.inf
                    continue
                move[a] = 1 if ray[a] > 0 else -1
                per_voxel[a] = abs(1 / ray[a])
                next_face[a] = (voxel[a] + (ray[a] > 0) - source[a]) / ray[a]
            at, total = enter, 0.0
            while at < leave:
                axis = 0
                for a in range(1, 3):
                    if next_face[a] < next_face[axis]:
                        axis = a
                until = min(next_face[axis], leave)
                if mask[voxel[2], voxel[1], voxel[0]]:
                    total += max(until - at, 0.0)
                at = max(until, at)
                voxel[axis] += move[axis]
                if not 0 <= voxel[axis] < shape[axis]:
                    break
                next_face[axis] += per_voxel[axis]
            share[row, column] = total
