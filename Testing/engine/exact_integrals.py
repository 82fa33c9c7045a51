"""The judge of projections: integrals through trilinear voxels in float64, exact to rounding, one ray at a time.

Between two neighbouring planes of voxels, of whichever axis, a trilinear density is a cubic along the ray, for which
Simpson's rule is exact.
"""

import numpy as np


def exact_integrals(array_kji, ijk_to_ras, beam, rows_columns):
    """Integrals (n,) in value x mm from the source to pixels (n, 2) given as (row, column).

    The value falls to zero one voxel beyond the outermost centres.
    """
    padded = np.pad(np.asarray(array_kji, np.float64), 1)
    size = np.array(padded.shape[::-1])
    strides = np.array([1, size[0], size[0] * size[1]])
    corners = [(c, np.array([c & 1, c >> 1 & 1, c >> 2]) @ strides) for c in range(8)]
    flat = padded.ravel()
    to_index = np.linalg.inv(ijk_to_ras)
    source = to_index[:3, :3] @ beam.source + to_index[:3, 3] + 1

    def at(points):
        low = np.clip(np.floor(points), 0, size - 2).astype(np.int64)
        w = np.clip(points - low, 0, 1)
        inside = ((points >= 0) & (points <= size - 1)).all(axis=1)
        first = low @ strides
        total = np.zeros(len(points))
        for c, offset in corners:
            weight = np.ones(len(points))
            for a in range(3):
                weight *= w[:, a] if c >> a & 1 else 1 - w[:, a]
            total += weight * flat[first + offset]
        return np.where(inside, total, 0.0)

    result = []
    for row, column in rows_columns:
        target = beam.pixel_to_ras(column, row)
        way = to_index[:3, :3] @ target + to_index[:3, 3] + 1 - source
        with np.errstate(divide="ignore", invalid="ignore"):
            planes = [(np.arange(n) - s) / d for n, s, d in zip(size, source, way)]
        places = np.concatenate([p[(p > 0) & (p < 1)] for p in planes] + [[0.0, 1.0]])
        places = np.unique(places)
        low, high = (source + places[:, None] * way for places in (places[:-1], places[1:]))
        near = ((np.maximum(low, high) >= -1) & (np.minimum(low, high) <= size)).all(axis=1)
        low, high, width = low[near], high[near], np.diff(places)[near]
        values = at(np.concatenate([low, (low + high) / 2, high])).reshape(3, -1)
        length = np.linalg.norm(target - beam.source)
        result.append((width * (values[0] + 4 * values[1] + values[2])).sum() / 6 * length)
    return np.array(result)
