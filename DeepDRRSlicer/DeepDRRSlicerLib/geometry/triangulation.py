"""The point where rays of several views meet, as nearly as they do."""

from __future__ import annotations

import numpy as np

from DeepDRRSlicerLib.errors import InputError

_PARALLEL = 1e-6  # least squared sine, summed over rays, of angles to the direction that they have most in common


def nearest_to_rays(origins, through) -> tuple[np.ndarray, np.ndarray]:
    """(point (3,), distances (n,)) in mm: the point with the least sum of squared distances to n lines.

    origins, through: (n, 3) two points of each line, such as the source and a place on the detector. The distances are
    those of the point from each line. Raises InputError for fewer than two lines, and for lines that are parallel.
    """
    origins, through = np.atleast_2d(np.asarray(origins, float)), np.atleast_2d(np.asarray(through, float))
    ways = through - origins
    lengths = np.linalg.norm(ways, axis=1)
    if len(origins) < 2 or not (lengths > 0).all():
        raise InputError("A point in space needs rays of two views; mark it in a second view.")
    ways = ways / lengths[:, None]
    across = np.eye(3) - ways[:, :, None] * ways[:, None, :]  # (n, 3, 3): what of a vector is at a right angle to a ray
    matrix = across.sum(axis=0)
    if np.linalg.eigvalsh(matrix)[0] < _PARALLEL:
        raise InputError("The rays are parallel; mark the point in a view from another direction.")
    point = np.linalg.solve(matrix, np.einsum("nij,nj->i", across, origins))
    return point, np.linalg.norm(np.einsum("nij,nj->ni", across, point - origins), axis=1)
