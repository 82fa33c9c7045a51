"""The slab-driven kernels, compiled: see slab_geometry for the idea, slab_numpy for the same in plain numpy.

Each kernel works on a part of the image of its own and releases the interpreter lock.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from DeepDRRSlicerLib.projection.vectors import add_blends, blend_transposed, transpose

NAME = "cpu"
LINES = 32  # of the intermediate image that are summed together; their columns fill whole vector registers
_SLABS = 2  # that are summed together
_compiled = njit(nogil=True, cache=True, fastmath=True, error_model="numpy")


@_compiled
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


@_compiled
def _steps_within(start, step, low, high, count):
    """(first, end) of the steps 0 to count - 1 that lie in low to high, or one more at either end; step > 0."""
    first = max(0.0, math.ceil((low - start) / step - 1e-6))
    end = min(float(count), math.floor((high - start) / step + 1e-6) + 1)
    return (int(first), int(end)) if first < end else (0, 0)


@_compiled
def _occupied(extent, at, stride, rows):
    """(first, end) of the voxels that are not 0 in any of consecutive rows of the slab; (0, 0) where there is none."""
    first, end = 32767, 0
    for row in range(rows[0], rows[1]):
        low, high = extent[at + row * stride], extent[at + row * stride + 1]
        if low < high:
            first, end = min(first, low), max(end, high)
    return (first, end) if first < end else (0, 0)


@_compiled
def _tents(start, step, n, index, weight_a, weight_b):
    """For each sample the first of the two of n voxels about it, and both their weights.

    Beyond the outermost voxels the density falls to zero within one voxel. Free of branches, so that it vectorises.
    """
    last = float(n - 2)
    for c in range(index.shape[0]):
        x = start + step * c
        i = min(max(np.floor(x), 0.0), last)
        index[c] = np.int32(i)
        beside = np.float32(x - i)
        weight_a[c] = max(np.float32(0), np.float32(1) - abs(beside))
        weight_b[c] = max(np.float32(0), np.float32(1) - abs(beside - np.float32(1)))


@_compiled
def turn(rows, first, end, turned):
    """Copies planes k of uint16 rows (k, j, i) to turned (i, k, j); there are 8 voxels or more along i and j."""
    _, n_j, n_i = rows.shape
    plane = turned.shape[1] * n_j
    for k in range(first, end):
        for block in range(0, n_i, 8):
            i = min(block, n_i - 8)
            transpose(rows, k * n_j * n_i + i, n_i, turned, i * plane + k * n_j, plane, n_j)


@_compiled
def add_slabs(density, n_u, n_v, stride_w, stride_v, extent, e_w, e_v, groups, source, origin, step, lines, out):
    """Sums groups of slabs on up to LINES lines of the intermediate images, out (groups, lines, samples) float32.

    density: flat uint16, rows of n_u voxels (8 or more), n_v of them in a slab (2 or more), strides from slab to slab
    and from row to row. extent: flat int16, for each row the first voxel that is not 0 and the end; strides e_w, e_v.
    groups: slab indices (groups + 1,) that part them. source: (u, v, w). origin, step: (p, q) of the grid.
    lines: (first, end) of those to be summed. Lines and samples are multiples of 8.

    In each slab, rows of voxels are blended into the lines first, where neighbours in memory are treated alike. The
    block is then transposed, so that when columns are blended into samples, neighbours are treated alike again.
    """
    first_line, count, samples = lines[0], lines[1] - lines[0], out.shape[2]
    room = (n_u + 7) * LINES
    columns, total = np.zeros(_SLABS * room, np.float32), np.empty(LINES * samples, np.float32)
    places, row = np.empty(LINES, np.int64), np.empty(LINES, np.int32)
    row_a, row_b = np.empty(LINES, np.float32), np.empty(LINES, np.float32)
    index = np.zeros((_SLABS, samples), np.int32)
    weight_a, weight_b = np.empty((_SLABS, samples), np.float32), np.empty((_SLABS, samples), np.float32)
    lows, highs = np.empty(_SLABS, np.int64), np.empty(_SLABS, np.int64)
    for group in range(out.shape[0]):
        total[:] = 0
        for first_slab in range(groups[group], groups[group + 1], _SLABS):
            first, end = samples, 0
            for n in range(_SLABS):
                slab = first_slab + n
                height = slab - source[2]
                start_u, step_u = source[0] + origin[0] * height, step[0] * height
                start_v, step_v = source[1] + (origin[1] + step[1] * first_line) * height, step[1] * height
                lows[n], highs[n] = 0, 0
                if slab >= groups[group + 1]:
                    continue
                # Rows and voxels that these lines and samples reach.
                first_row = int(max(0.0, np.floor(start_v)))
                end_row = int(min(float(n_v), np.floor(start_v + step_v * (count - 1)) + 2))
                if first_row >= end_row:
                    continue
                low, high = _occupied(extent, slab * e_w, e_v, (first_row, end_row))
                low = max(low, int(max(0.0, np.floor(start_u))))
                high = min(high, int(min(float(n_u), np.floor(start_u + step_u * (samples - 1)) + 2)))
                if low >= high:
                    continue
                low = min(low, n_u - 8)  # at least one block of voxels
                high = max(high, low + 8)
                lows[n], highs[n] = low, high
                c, d = _steps_within(start_u, step_u, low - 1.0, float(high), samples)
                first, end = min(first, c), max(end, d)
                _tents(start_v, step_v, n_v, row[:count], row_a, row_b)
                for line in range(count):
                    places[line] = slab * stride_w + row[line] * stride_v + low
                for line in range(0, count, 8):
                    blend_transposed(
                        density, places, stride_v, row_a, row_b, line, (high - low + 7) // 8, n_u - 8 - low, columns,
                        n * room + line, LINES,
                    )  # fmt: skip
            if first >= end:
                continue
            for n in range(_SLABS):
                width = highs[n] - lows[n]
                if width == 0:
                    weight_a[n, first:end], weight_b[n, first:end] = 0, 0
                    continue
                height = first_slab + n - source[2]
                start_u, step_u = source[0] + origin[0] * height, step[0] * height
                _tents(
                    start_u - lows[n] + step_u * first, step_u, width, index[n, first:end], weight_a[n, first:end],
                    weight_b[n, first:end],
                )  # fmt: skip
            add_blends(columns, room, index, weight_a, weight_b, samples, first, end, total, _SLABS, LINES)
        for line in range(0, count, 8):
            transpose(total, line, LINES, out, (group * out.shape[1] + first_line + line) * samples, samples, samples)


@_compiled
def add_resampled(image, first_line, weight, lines, line_weights, runs, offsets, sample_weights, out):
    """Adds lines first_line, ... of an image (lines, samples), resampled and weighted, to out; see Resampling."""
    blended = np.empty(image.shape[1], np.float32)
    for r in range(out.shape[0]):
        line = lines[first_line + r]
        a, b, c, d = image[line], image[line + 1], image[line + 2], image[line + 3]
        w = line_weights[first_line + r] * np.float32(weight)
        w0, w1, w2, w3 = w[0], w[1], w[2], w[3]
        for n in range(blended.shape[0]):
            blended[n] = w0 * a[n] + w1 * b[n] + w2 * c[n] + w3 * d[n]
        for run in range(offsets.shape[0]):
            first, end = runs[run], runs[run + 1]
            target, at = out[r, first:end], first + offsets[run]
            a, b, c, d = blended[at:], blended[at + 1 :], blended[at + 2 :], blended[at + 3 :]
            u0, u1 = sample_weights[0, first:end], sample_weights[1, first:end]
            u2, u3 = sample_weights[2, first:end], sample_weights[3, first:end]
            for n in range(target.shape[0]):
                target[n] += u0[n] * a[n] + u1[n] * b[n] + u2[n] * c[n] + u3[n] * d[n]


@_compiled
def look_up(image, origin, step, towards, step_c, step_r, bias, lengths, factor, sign, rows, out):
    """Rows (first, end) of the detector image out (m, rows, columns) float32, from the intermediate image (m, q, p).

    Vectors are in the order u, v, w; lengths: 3x3, mm of one voxel along each. factor: (m,). Catmull-Rom weights.
    Pixels whose rays belong to another face are left alone; those beyond the image become 0. Cubic weights overshoot
    beside an edge: what falls below 0 there is 0.
    """
    n_m, lines, samples = image.shape
    n_columns = out.shape[2]
    flat = image.reshape(-1)
    at = np.empty(n_columns, np.int64)
    weight = np.empty((n_columns, 8), np.float32)
    length = np.empty(n_columns, np.float32)
    for row in range(rows[0], rows[1]):
        for c in range(n_columns):
            u = towards[0] + step_c[0] * c + step_r[0] * row
            v = towards[1] + step_c[1] * c + step_r[1] * row
            w = towards[2] + step_c[2] * c + step_r[2] * row
            steep = sign * w * (1 + bias[2])
            at[c] = -2
            if not (steep > 0 and steep >= abs(u) * (1 + bias[0]) and steep >= abs(v) * (1 + bias[1])):
                continue
            at[c] = -1
            p, q = u / w, v / w
            x, y = (p - origin[0]) / step[0], (q - origin[1]) / step[1]
            if not (x >= 1 and y >= 1 and x < samples - 2 and y < lines - 2):
                continue
            i, j = int(x), int(y)
            at[c] = (j - 1) * samples + i - 1
            for n, t in ((0, np.float32(x - i)), (4, np.float32(y - j))):
                t2 = t * t
                t3 = t2 * t
                weight[c, n] = t2 - np.float32(0.5) * (t3 + t)
                weight[c, n + 1] = np.float32(1.5) * t3 - np.float32(2.5) * t2 + np.float32(1)
                weight[c, n + 2] = np.float32(2) * t2 - np.float32(1.5) * t3 + np.float32(0.5) * t
                weight[c, n + 3] = np.float32(0.5) * (t3 - t2)
            mm2 = 0.0
            for a in range(3):
                mm2 += (lengths[a, 0] * p + lengths[a, 1] * q + lengths[a, 2]) ** 2
            length[c] = math.sqrt(mm2)
        for m in range(n_m):
            scale = np.float32(factor[m])
            plane = flat[m * lines * samples : (m + 1) * lines * samples]
            for c in range(n_columns):
                k = at[c]
                if k < 0:
                    if k == -1:
                        out[m, row, c] = 0
                    continue
                w = weight[c]
                a, b = plane[k : k + 4], plane[k + samples : k + samples + 4]
                d, e = plane[k + 2 * samples : k + 2 * samples + 4], plane[k + 3 * samples : k + 3 * samples + 4]
                total = np.float32(0)
                for n in range(4):
                    total += w[n] * (w[4] * a[n] + w[5] * b[n] + w[6] * d[n] + w[7] * e[n])
                out[m, row, c] = max(total, np.float32(0)) * scale * length[c]


@_compiled
def add_cut_slabs(density, n_u, n_v, stride_w, stride_v, slabs, source, towards, step_c, step_r, bias, lengths, factor,
                  sign, first_row, out):  # fmt: skip
    """Adds the slabs before the detector that some pixels lie before: ray by ray, each as far as its own pixel.

    density, strides: as in add_slabs, of one channel; the rest as in look_up; out: (rows, columns).
    """
    for r in range(out.shape[0]):
        row = first_row + r
        for c in range(out.shape[1]):
            u = towards[0] + step_c[0] * c + step_r[0] * row
            v = towards[1] + step_c[1] * c + step_r[1] * row
            w = towards[2] + step_c[2] * c + step_r[2] * row
            steep = sign * w * (1 + bias[2])
            if not (steep > 0 and steep >= abs(u) * (1 + bias[0]) and steep >= abs(v) * (1 + bias[1])):
                continue
            p, q = u / w, v / w
            end = source[2] + w
            total = np.float32(0)
            for slab in range(slabs[0], slabs[1]):
                if (slab - end) * sign > 0:
                    continue
                at_u, at_v = source[0] + p * (slab - source[2]), source[1] + q * (slab - source[2])
                if not (-1 < at_u < n_u and -1 < at_v < n_v):
                    continue
                i, a0, a1 = _neighbours(at_u, n_u)
                j, b0, b1 = _neighbours(at_v, n_v)
                at = slab * stride_w + j * stride_v + i
                total += b0 * (a0 * np.float32(density[at]) + a1 * np.float32(density[at + 1]))
                at += stride_v
                total += b1 * (a0 * np.float32(density[at]) + a1 * np.float32(density[at + 1]))
            mm2 = 0.0
            for a in range(3):
                mm2 += (lengths[a, 0] * p + lengths[a, 1] * q + lengths[a, 2]) ** 2
            out[r, c] += total * np.float32(math.sqrt(mm2) * factor)
