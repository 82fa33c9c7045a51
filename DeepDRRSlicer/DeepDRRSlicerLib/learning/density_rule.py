"""How well a voxel's own HU fits each class: what refines the network's coarse answer to the CT's own grid.

The network answers on a coarser grid, where a thin cortex and the marrow beside it share a voxel. Times how well the HU
of a fine voxel fits each class, its probabilities say where exactly the border runs. The fit of a class is a trapezoid
over HU that falls to a small rest and not to zero (a voxel of noise inside muscle stays muscle), smeared with the CT's
own noise.
"""

from __future__ import annotations

import numpy as np

from DeepDRRSlicerLib.anatomy.ct import LOWEST_HU
from DeepDRRSlicerLib.learning.grid import HIGHEST_HU

# HU where the fit begins to rise, is whole, begins to fall, has fallen; in the order of the classes.
FITS = (
    (-2000, -1900, -900, -450),  # air
    (-1000, -930, -450, -150),  # lung
    (-250, -140, -65, 15),  # adipose
    (-80, 0, 100, 300),  # soft tissue
    (-60, 250, 2600, 3400),  # bone: marrow is fat, cortex as dense as it likes
    (60, 200, 2800, 3600),  # contrast
    (1200, 2600, 4000, 5000),  # metal
)
REST = 0.02  # what remains of the fit far from a class
NOISE_LIMITS = (5.0, 120.0)  # HU
_NEVER = 1e-3  # a class that is nowhere likelier than this cannot win: one of the seven has at least a seventh
_NEIGHBOUR = 3  # voxels; noise of a reconstruction is correlated over one or two


def fit_table(noise: float) -> np.ndarray:
    """float32 [class, HU + 1024] from REST to 1, for HU from -1024 to 3071. noise: standard deviation of a voxel."""
    hu = np.arange(LOWEST_HU, HIGHEST_HU + 1, dtype=np.float64)
    reach = int(4 * noise) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / noise) ** 2)
    kernel /= kernel.sum()
    wide = np.arange(LOWEST_HU - reach, HIGHEST_HU + reach + 1, dtype=np.float64)
    table = np.empty((len(FITS), len(hu)), dtype=np.float32)
    for row, corners in zip(table, FITS):
        row[:] = np.convolve(np.interp(wide, corners, (REST, 1, 1, REST)), kernel, mode="valid")
    return table


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


def refined_plane(coarse: np.ndarray, hu: np.ndarray, table: np.ndarray, rows, columns) -> np.ndarray:
    """Labels uint8 [y, x] of a plane of the CT, from the probabilities around it and its own HU.

    coarse: float32 [class, a, r] on the working grid, in this plane. hu: [y, x]. table: of `fit_table`. rows, columns:
    `Axis.neighbours` of the plane's axes.
    """
    index = np.clip(hu, LOWEST_HU, HIGHEST_HU).astype(np.intp) - LOWEST_HU
    row_low, row_high, row_share = rows
    low, high, share = columns
    best = np.full(hu.shape, -1, dtype=np.float32)
    labels = np.zeros(hu.shape, dtype=np.uint8)
    for number, (probability, fit) in enumerate(zip(coarse, table)):
        if probability.max() < _NEVER:
            continue
        wide = probability[:, low] * (1 - share) + probability[:, high] * share
        score = wide[row_low] * (1 - row_share[:, None])
        score += wide[row_high] * row_share[:, None]
        score *= fit.take(index)
        better = score > best
        np.copyto(best, score, where=better)
        labels[better] = number
    return labels
