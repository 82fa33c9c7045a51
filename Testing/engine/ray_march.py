"""The judge: a plain float64 ray march with trilinear samples, written without regard to speed."""

import numpy as np


def trilinear(array_kji, index_ijk):
    """Samples (n,) at index positions (n, 3) in i, j, k; zero outside the array."""
    padded = np.pad(np.asarray(array_kji, dtype=np.float64), 1)
    position = index_ijk + 1
    inside = ((position >= 0) & (position <= np.array(padded.shape[::-1]) - 1)).all(axis=1)
    position = np.where(inside[:, None], position, 0.0)
    low = np.minimum(np.floor(position).astype(int), np.array(padded.shape[::-1]) - 2)
    w = position - low
    value = np.zeros(len(position))
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod([w[:, a] if corner[a] else 1 - w[:, a] for a in range(3)], axis=0)
        i, j, k = (low[:, a] + corner[a] for a in range(3))
        value += weight * padded[k, j, i]
    return np.where(inside, value, 0.0)


def line_integrals(array_kji, ijk_to_ras, beam, rows_columns, step_mm=0.1):
    """Integrals (n,) in value x mm of the rays to pixels (n, 2) given as (row, column)."""
    to_index = np.linalg.inv(ijk_to_ras)
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(array_kji.shape[::-1]) + 1) - 1.0
    depth = np.linalg.norm(corners @ ijk_to_ras[:3, :3].T + ijk_to_ras[:3, 3] - beam.source, axis=1)
    distances = np.arange(max(0.0, depth.min() - 1e3 * 0.3), depth.max(), step_mm) + step_mm / 2
    result = []
    for row, column in rows_columns:
        target = beam.pixel_to_ras(column, row)
        direction = (target - beam.source) / np.linalg.norm(target - beam.source)
        points = beam.source + distances[:, None] * direction
        result.append(trilinear(array_kji, points @ to_index[:3, :3].T + to_index[:3, 3]).sum() * step_mm)
    return np.array(result)
