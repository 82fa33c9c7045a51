"""How a volume is cut into tiles that fit the memory, and how their answers are blended."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

OVERLAP = 28  # working voxels that neighbouring tiles share at least, where the answer goes over from one to the next
# Voxels along a side, and no more: a network that was trained on cubes of 48 voxels, whose deep layers see the border
# from everywhere, found a tenth less bone in tiles of 120.
LARGEST_TILE = 80


@dataclass(frozen=True)
class Cut:
    """One axis of n voxels in tiles of one size, some of which may reach beyond its end.

    firsts: where each tile begins.
    """

    n: int
    size: int
    firsts: tuple[int, ...]

    def weights(self) -> np.ndarray:
        """float32 [tile, size]: the part that each tile has in each of its voxels; over the tiles they sum to 1.

        From one tile to the next it goes over as the square of a cosine, over all that they share.
        """
        result = np.zeros((len(self.firsts), self.size))
        for number, first in enumerate(self.firsts):
            result[number, : min(self.size, self.n - first)] = 1
        for number in range(1, len(self.firsts)):
            first = self.firsts[number]
            shared = self.firsts[number - 1] + self.size - first
            rising = np.sin((np.arange(shared) + 0.5) / shared * (np.pi / 2)) ** 2
            result[number, :shared] *= rising
            result[number - 1, self.size - shared :] *= 1 - rising
        total = np.zeros(self.n + self.size)
        for weights, first in zip(result, self.firsts):
            total[first : first + self.size] += weights
        for weights, first in zip(result, self.firsts):
            weights /= np.maximum(total[first : first + self.size], np.finfo(np.float64).tiny)
        return result.astype(np.float32)


@dataclass(frozen=True)
class Tiling:
    """Cuts of the three axes; the tiles are all their combinations."""

    cuts: tuple[Cut, Cut, Cut]

    @property
    def tile_voxels(self) -> int:
        """Voxels of one tile."""
        return int(np.prod([cut.size for cut in self.cuts]))

    @property
    def tiles(self) -> int:
        """How many there are."""
        return int(np.prod([len(cut.firsts) for cut in self.cuts]))

    @property
    def band_voxels(self) -> int:
        """Voxels of a layer of tiles, in which answers are summed up."""
        return self.cuts[0].size * self.cuts[1].n * self.cuts[2].n


def cut_axis(n: int, count: int, divisor: int, overlap: int = OVERLAP) -> Cut:
    """`count` equal tiles, of a multiple of `divisor`, that cover n voxels and share at least `overlap`."""
    if count == 1:
        return Cut(n, -(-n // divisor) * divisor, (0,))
    size = -(-(n + (count - 1) * overlap) // count)
    size = -(-size // divisor) * divisor
    firsts = tuple(int(round(first)) for first in np.linspace(0, n - size, count))
    return Cut(n, size, firsts)


def make_tiling(
    shape: tuple[int, int, int],
    divisor: int,
    bytes_per_tile_voxel: int,
    bytes_per_band_voxel: int,
    budget: int,
    overlap: int = OVERLAP,
) -> Tiling | None:
    """The tiling with the least voxels to compute whose tile and band fit into `budget` bytes; None if none does."""
    options = [_cuts(n, divisor, overlap) for n in shape]
    best, least = None, None
    for cuts in product(*options):
        tiling = Tiling((cuts[0], cuts[1], cuts[2]))
        if tiling.tile_voxels * bytes_per_tile_voxel + tiling.band_voxels * bytes_per_band_voxel > budget:
            continue
        work = tiling.tile_voxels * tiling.tiles
        if least is None or work < least:
            best, least = tiling, work
    return best


def _cuts(n: int, divisor: int, overlap: int) -> list[Cut]:
    found = [cut_axis(n, 1, divisor)]
    for count in range(2, n // overlap + 1):
        cut = cut_axis(n, count, divisor, overlap)
        if cut.size < 2 * overlap or cut.size >= n:
            break
        found.append(cut)
    return [cut for cut in found if cut.size <= max(LARGEST_TILE, 2 * overlap)]
