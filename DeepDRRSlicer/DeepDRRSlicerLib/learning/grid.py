"""The grid that the network works on: the CT's own axes, put in the order of the body, at one spacing.

The axes of the storage are permuted and flipped to come as near as they can to superior, anterior, right, so that all
48 ways to store the same voxels are the same to the network. What is left of an oblique CT is a turned body, which it
also sees in training. Everything is separable and done plane by plane: the CT is never copied as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np

from DeepDRRSlicerLib.anatomy.ct import LOWEST_HU
from DeepDRRSlicerLib.anatomy.volume import Volume, spacing

HIGHEST_HU = 3071  # where a 12-bit CT clips; metal on an extended scale is still metal there


@dataclass(frozen=True)
class Axis:
    """One axis of the CT and of the working grid: n and coarse voxels, `step` and `coarse_step` mm apart.

    Both have the same middle.
    """

    n: int
    step: float
    coarse: int
    coarse_step: float

    def places(self) -> np.ndarray:
        """Index in the working grid, as a fraction, of each of the n voxels."""
        mm = (np.arange(self.n) - (self.n - 1) / 2) * self.step
        return mm / self.coarse_step + (self.coarse - 1) / 2

    def means(self) -> np.ndarray:
        """Weights float32 [coarse, n], rows summing to 1, of the voxels in each working voxel.

        A triangle as wide as the coarser of the two spacings: means without aliasing downwards, linear upwards.
        """
        width = max(self.step, self.coarse_step) / self.coarse_step
        distance = np.abs(np.arange(self.coarse)[:, None] - self.places()[None, :])
        weights = np.clip(1 - distance / width, 0, None)
        outside = weights.sum(axis=1) == 0  # beyond the outermost voxel's centre, within the voxel
        weights[outside] = distance[outside] == distance[outside].min(axis=1, keepdims=True)
        return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)

    def neighbours(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The working voxels (lower, upper) around each of the n voxels, and the share float32 of the upper one."""
        places = np.clip(self.places(), 0, self.coarse - 1)
        lower = np.minimum(places.astype(int), max(self.coarse - 2, 0))
        return lower, np.minimum(lower + 1, self.coarse - 1), (places - lower).astype(np.float32)


@dataclass(frozen=True)
class WorkingGrid:
    """How a CT is turned and resampled. order: storage axis of S, A, R; flips: which of them run the other way."""

    order: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    axes: tuple[Axis, Axis, Axis]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels of the working grid."""
        k, j, i = (axis.coarse for axis in self.axes)
        return k, j, i

    def turned(self, array: np.ndarray) -> np.ndarray:
        """A view of an array of the CT's shape with its axes in the order S, A, R, each rising."""
        steps = tuple(slice(None, None, -1 if flip else None) for flip in self.flips)
        return array.transpose(self.order)[steps]


def working_grid(volume: Volume, step: float) -> WorkingGrid:
    """The grid of `step` mm over the whole CT, its outer voxel borders included."""
    columns = volume.ijk_to_ras[:3, :3] / spacing(volume.ijk_to_ras)
    best = max(permutations(range(3)), key=lambda ijk: round(sum(abs(columns[r, i]) for r, i in enumerate(ijk)), 6))
    order, flips, axes = [], [], []
    for ras in (2, 1, 0):
        ijk = best[ras]
        n, own = volume.size[ijk], float(volume.spacing[ijk])
        order.append(2 - ijk)
        flips.append(bool(columns[ras, ijk] < 0))
        axes.append(Axis(n, own, max(1, int(np.ceil(n * own / step - 1e-6))), step))
    return WorkingGrid((order[0], order[1], order[2]), (flips[0], flips[1], flips[2]), (axes[0], axes[1], axes[2]))


def resampled_rows(turned: np.ndarray, grid: WorkingGrid, first: int, end: int) -> np.ndarray:
    """float32 [end - first, a, r]: planes `first` to `end` of the working grid, from a turned CT in HU.

    Values are clipped to -1024..3071 HU before they are averaged.
    """
    along, rows, columns = (axis.means() for axis in grid.axes)
    columns = np.ascontiguousarray(columns.T)
    part = along[first:end]
    result = np.zeros((end - first, *grid.shape[1:]), dtype=np.float32)
    for k in np.flatnonzero(part.any(axis=0)):
        plane = np.clip(turned[k], LOWEST_HU, HIGHEST_HU).astype(np.float32)
        small = rows @ plane @ columns
        for row in np.flatnonzero(part[:, k]):
            result[row] += part[row, k] * small
    return result


def resampled(volume: Volume, step: float) -> np.ndarray:
    """float32 [s, a, r]: the whole CT in HU on its working grid of `step` mm."""
    grid = working_grid(volume, step)
    return resampled_rows(grid.turned(volume.array), grid, 0, grid.shape[0])
