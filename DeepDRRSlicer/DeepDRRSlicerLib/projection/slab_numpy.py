"""The kernels of slab_numba in plain numpy, for where numba is missing: the same sums, some twenty times slower.

Arguments and results are those of slab_numba; float32 is rounded in a different order.
"""

from __future__ import annotations

import numpy as np

from DeepDRRSlicerLib.projection.slab_geometry import cubic_weights

NAME = "cpu (numpy)"
LINES = 4096  # of the intermediate image that are summed together: all


def _tents(position, n):
    """The first of the two of n voxels about each position, and both their weights, which fall to 0 beyond them."""
    first = np.clip(np.floor(position), 0, n - 2).astype(np.intp)
    a, b = (np.maximum(0, 1 - np.abs(position - first - beside)).astype(np.float32) for beside in (0, 1))
    return first, a, b


def _slab(density, at, n_u, n_v, stride_v):
    """One slab (n_v, n_u) of the flat density."""
    item = density.itemsize
    return np.lib.stride_tricks.as_strided(density[at:], (n_v, n_u), (stride_v * item, item), writeable=False)


def turn(rows, first, end, turned):
    for k in range(first, end):
        turned[:, k] = rows[k].T


def add_slabs(density, n_u, n_v, stride_w, stride_v, extent, e_w, e_v, groups, source, origin, step, lines, out):
    lines, samples = np.arange(*lines), np.arange(out.shape[2])
    out = out[:, lines[0] : lines[-1] + 1]
    out[:] = 0
    for group, total in enumerate(out):
        for slab in range(groups[group], groups[group + 1]):
            height = slab - source[2]
            i, a, b = _tents(source[0] + (origin[0] + step[0] * samples) * height, n_u)
            j, c, d = _tents(source[1] + (origin[1] + step[1] * lines) * height, n_v)
            voxels = _slab(density, slab * stride_w, n_u, n_v, stride_v)[j[0] : j[-1] + 2]
            resampled = a * voxels[:, i] + b * voxels[:, i + 1]
            total += c[:, None] * resampled[j - j[0]] + d[:, None] * resampled[j - j[0] + 1]


def add_resampled(image, first_line, weight, lines, line_weights, runs, offsets, sample_weights, out):
    rows = slice(first_line, first_line + out.shape[0])
    first = np.arange(image.shape[1]) + np.repeat(offsets, np.diff(runs))
    blended = sum(line_weights[rows, n, None] * image[lines[rows] + n] for n in range(4))
    out += np.float32(weight) * sum(sample_weights[n] * blended[:, first + n] for n in range(4))


def _slopes(towards, step_c, step_r, bias, lengths, sign, first_row, shape):
    """(mine, p, q, mm, w) of the pixels of some rows; p, q and mm are 0 where the ray is not of this face."""
    columns = np.arange(shape[1])[None, :, None]
    rows = first_row + np.arange(shape[0])[:, None, None]
    ray = towards + step_c * columns + step_r * rows
    steep = np.abs(ray) * (1 + bias)
    mine = (sign * ray[..., 2] > 0) & (steep[..., 2] >= steep[..., 0]) & (steep[..., 2] >= steep[..., 1])
    slopes = np.where(mine[..., None], ray, 0) / np.where(mine, ray[..., 2], 1)[..., None]
    return mine, slopes[..., 0], slopes[..., 1], np.linalg.norm(slopes @ np.asarray(lengths).T, axis=-1), ray[..., 2]


def look_up(image, origin, step, towards, step_c, step_r, bias, lengths, factor, sign, rows, out):
    _, lines, samples = image.shape
    out = out[:, rows[0] : rows[1]]
    mine, p, q, length, _ = _slopes(towards, step_c, step_r, bias, lengths, sign, rows[0], out.shape[1:])
    out[:, mine] = 0
    x, y = (p - origin[0]) / step[0], (q - origin[1]) / step[1]
    seen = mine & (x >= 1) & (y >= 1) & (x < samples - 2) & (y < lines - 2)
    x, y, length = x[seen], y[seen], length[seen].astype(np.float32)
    i, j = x.astype(np.intp), y.astype(np.intp)
    along, across = cubic_weights(x - i), cubic_weights(y - j)
    for channel, plane, scale in zip(out, image, factor, strict=True):
        total = np.zeros(len(x), dtype=np.float32)
        for m in range(4):
            for n in range(4):
                total += across[m] * along[n] * plane[j - 1 + m, i - 1 + n]
        channel[seen] = np.maximum(total, 0) * np.float32(scale) * length


def add_cut_slabs(density, n_u, n_v, stride_w, stride_v, slabs, source, towards, step_c, step_r, bias, lengths, factor,
                  sign, first_row, out):  # fmt: skip
    mine, p, q, length, w = _slopes(towards, step_c, step_r, bias, lengths, sign, first_row, out.shape)
    total = np.zeros(out.shape, dtype=np.float32)
    for slab in range(*slabs):
        height = slab - source[2]
        i, a, b = _tents(source[0] + p * height, n_u)
        j, c, d = _tents(source[1] + q * height, n_v)
        voxels = _slab(density, slab * stride_w, n_u, n_v, stride_v)
        value = c * (a * voxels[j, i] + b * voxels[j, i + 1]) + d * (a * voxels[j + 1, i] + b * voxels[j + 1, i + 1])
        total += np.where(mine & ((slab - source[2] - w) * sign <= 0), value, 0)
    out += total * (length * factor).astype(np.float32)
