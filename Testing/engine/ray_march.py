"""The judge: a plain float64 ray march with trilinear samples, written without regard to speed."""

import numpy as np


def trilinear(array_kji, index_ijk):
    """Samples (n,) at index positions (n, 3) in i, j, k; zero outside the array."""
    size = np.array(array_kji.shape[::-1])
    low = np.floor(index_ijk).astype(int)
    w = index_ijk - low
    value = np.zeros(len(index_ijk))
    for corner in np.ndindex(2, 2, 2):
        voxel = low + corner
        inside = ((voxel >= 0) & (voxel < size)).all(axis=1)
        weight = np.prod([w[:, a] if corner[a] else 1 - w[:, a] for a in range(3)], axis=0)
        i, j, k = np.where(inside[:, None], voxel, 0).T
        value += np.where(inside, weight * array_kji[k, j, i], 0)
    return value


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
