"""How noisy a CT is."""

from __future__ import annotations

import numpy as np

NOISE_LIMITS = (5.0, 120.0)  # HU
_NEIGHBOUR = 3  # voxels; noise of a reconstruction is correlated over one or two


def noise_of(turned: np.ndarray, planes: int = 12) -> float:
    """Standard deviation in HU of the noise of a CT [s, a, r], from soft tissue in a few planes.

    From the median difference between voxels a few apart, which edges do not move.
    """
    found = []
    for k in np.unique(np.linspace(0, len(turned) - 1, planes).astype(int)):
        plane = np.asarray(turned[k], dtype=np.float32)
        a, b = plane[:, :-_NEIGHBOUR], plane[:, _NEIGHBOUR:]
        found.append((a - b)[(abs(a) < 200) & (abs(b) < 200)])
    differences = np.concatenate(found)
    if len(differences) < 100:
        return NOISE_LIMITS[0]
    noise = float(np.median(abs(differences))) / (0.6745 * np.sqrt(2))
    return float(np.clip(noise, *NOISE_LIMITS))
