"""The patient's body as points, coarse enough to be asked while a C-arm is dragged."""

from __future__ import annotations

import numpy as np

_SKIN = -300.0  # HU
_INSIDE = 3  # points of the inside lie this many times as far apart as those of the surface


def body_points(hu: np.ndarray, ijk_to_ras: np.ndarray, spacing: float = 10.0) -> np.ndarray:
    """(n, 3) RAS mm of the largest body in a CT: its surface about every `spacing` mm, its inside every 3 `spacing`.

    hu: [k, j, i] Hounsfield units; above -300 is body. Every voxel about `spacing` mm apart is looked at, as it is, so
    that a point lies within half a spacing of the true surface, and neighbours at most its diagonal apart: the
    distance to the patient is told about `spacing` mm too large at most. Empty for a CT without a body.
    """
    matrix = np.asarray(ijk_to_ras, dtype=np.float64)
    steps = np.maximum(1, np.floor(spacing / np.linalg.norm(matrix[:3, :3], axis=0) + 1e-9)).astype(int)
    coarse = hu[:: steps[2], :: steps[1], :: steps[0]] > _SKIN
    return mask_points(coarse, matrix @ np.diag([*steps, 1.0]))


def mask_points(mask: np.ndarray, ijk_to_ras: np.ndarray) -> np.ndarray:
    """(n, 3) RAS mm: every surface voxel of the largest connected part of a mask [k, j, i], and each 27th inside."""
    body = largest_part(mask)
    padded = np.pad(body, 1)
    covered = padded.copy()
    for axis in range(3):
        covered &= np.roll(padded, 1, axis) & np.roll(padded, -1, axis)
    surface = body & ~covered[1:-1, 1:-1, 1:-1]
    surface[::_INSIDE, ::_INSIDE, ::_INSIDE] |= body[::_INSIDE, ::_INSIDE, ::_INSIDE]
    ijk = np.argwhere(surface)[:, ::-1]
    matrix = np.asarray(ijk_to_ras, dtype=np.float64)
    return ijk @ matrix[:3, :3].T + matrix[:3, 3]


def largest_part(mask: np.ndarray) -> np.ndarray:
    """The largest part of a mask [k, j, i] whose voxels touch by their faces; empty for an empty mask."""
    mask = np.asarray(mask, dtype=bool)
    number = np.full(mask.shape, -1)
    number[mask] = np.arange(np.count_nonzero(mask))
    pairs = []
    for axis in range(3):
        first, second = (np.moveaxis(number, axis, 0)[part] for part in (slice(None, -1), slice(1, None)))
        both = (first >= 0) & (second >= 0)
        pairs.append(np.stack([first[both], second[both]]))
    one, other = np.concatenate(pairs, axis=1)
    label = np.arange(np.count_nonzero(mask))
    while True:  # every pair hangs the larger of its two roots on the smaller, then all paths are shortened
        lowest, highest = np.minimum(label[one], label[other]), np.maximum(label[one], label[other])
        if np.array_equal(lowest, highest):
            break
        np.minimum.at(label, highest, lowest)
        while not np.array_equal(label, label[label]):
            label = label[label]
    found = np.zeros_like(mask)
    if len(label):
        found[mask] = label == np.bincount(label).argmax()
    return found
