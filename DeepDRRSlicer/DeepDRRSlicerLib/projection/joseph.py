"""Joseph's method: planes of voxels across the axis that the ray crosses most often, bilinear within each plane.

P. M. Joseph, An improved algorithm for reprojecting rays through pixel images, IEEE TMI 1(3), 1982.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange


@njit(nogil=True, cache=True)
def _neighbours(position, n):
    """The first of the two voxels about a position, and both their weights.

    Beyond the outermost centres, where one of the two does not exist, its weight is 0: the density falls off there,
    and is 0 from one voxel beyond them, which rounding may reach.
    """
    first = math.floor(position)
    weight = np.float32(position - first)
    if first < 0:
        return 0, weight if first == -1 else np.float32(0), np.float32(0)
    if first > n - 2:
        return n - 2, np.float32(0), np.float32(1) - weight if first == n - 1 else np.float32(0)
    return int(first), np.float32(1) - weight, weight


@njit(nogil=True, cache=True)
def _march(density, strides, shape, axis, start, step, first, last, out):
    """Adds to out (materials,) the bilinear samples at planes first..last of one axis.

    density: flat float32, the materials of one voxel side by side; strides, shape: of i, j, k in it, at least two
    voxels each.
    start, step: index coordinates (i, j, k) on plane 0 and their change per plane.
    """
    b, c = (axis + 1) % 3, (axis + 2) % 3
    for plane in range(first, last + 1):
        i_b, b0, b1 = _neighbours(start[b] + step[b] * plane, shape[b])
        i_c, c0, c1 = _neighbours(start[c] + step[c] * plane, shape[c])
        at = plane * strides[axis] + i_b * strides[b] + i_c * strides[c]
        at_b, at_c = at + strides[b], at + strides[c]
        at_bc = at_b + strides[c]
        w00, w10, w01, w11 = b0 * c0, b1 * c0, b0 * c1, b1 * c1
        for m in range(out.shape[0]):
            out[m] += (
                w00 * density[at + m] + w10 * density[at_b + m] + w01 * density[at_c + m] + w11 * density[at_bc + m]
            )


@njit(nogil=True, cache=True, parallel=True)
def project_rows(density, index_to_ras, source, pixel00, step_c, step_r, bias, first_row, out):
    """Line integrals in density x mm into out (rows, columns, materials) for rows first_row, first_row + 1, ...

    source, pixel00, step_c, step_r: (3,) float64 in voxel indices (i, j, k). index_to_ras: 3x3, for lengths in mm.
    bias: (3,), the relative preference of each axis where a ray is equally steep along two.
    """
    n_rows, n_columns, n_m = out.shape
    shape = (density.shape[2], density.shape[1], density.shape[0])
    strides = (n_m, n_m * shape[0], n_m * shape[0] * shape[1])
    flat = density.reshape(-1)
    for row in prange(n_rows):
        start, step = np.empty(3), np.empty(3)
        total = np.empty(n_m, np.float32)
        for column in range(n_columns):
            total[:] = 0
            ray = pixel00 + step_c * column + step_r * (first_row + row) - source
            axis = 0
            for a in range(1, 3):
                if abs(ray[a]) * (1 + bias[a]) > abs(ray[axis]) * (1 + bias[axis]):
                    axis = a
            # Planes between source and detector, in front of which and behind which the ray is not part of the beam.
            begin, end = source[axis], source[axis] + ray[axis]
            low = max(0.0, math.ceil(min(begin, end)))
            high = min(shape[axis] - 1.0, math.floor(max(begin, end)))
            for a in range(3):
                step[a] = ray[a] / ray[axis]
                start[a] = source[a] - source[axis] * step[a]
                if a == axis:
                    continue
                # The array reaches one voxel beyond its outermost centres with weights that fall to zero.
                if step[a] != 0:
                    enter, leave = (-1 - start[a]) / step[a], (shape[a] - start[a]) / step[a]
                    low, high = max(low, math.ceil(min(enter, leave))), min(high, math.floor(max(enter, leave)))
                elif not -1 < start[a] < shape[a]:
                    high = low - 1
            if high >= low:
                _march(flat, strides, shape, axis, start, step, int(low), int(high), total)
                length = 0.0
                for a in range(3):
                    length += (
                        index_to_ras[a, 0] * step[0] + index_to_ras[a, 1] * step[1] + index_to_ras[a, 2] * step[2]
                    ) ** 2
                for m in range(n_m):
                    total[m] *= np.float32(math.sqrt(length))
            for m in range(n_m):
                out[row, column, m] = total[m]
