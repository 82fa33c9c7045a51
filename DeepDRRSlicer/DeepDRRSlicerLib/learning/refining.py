"""From layers of coarse probabilities, as they come, to labels of the CT's own voxels, by the refiner, in blocks."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import torch

from DeepDRRSlicerLib.anatomy.ct import LOWEST_HU
from DeepDRRSlicerLib.learning.device import Place
from DeepDRRSlicerLib.learning.grid import HIGHEST_HU, WorkingGrid
from DeepDRRSlicerLib.learning.noise import noise_of
from DeepDRRSlicerLib.learning.refinement import Refiner, about, between
from DeepDRRSlicerLib.projection.projector import Stopped

BLOCK = (32, 96, 96)  # voxels that are refined at once: bounds the memory
_CLEAR = 0.99  # where air is likelier than this on the coarse grid, nothing is to be refined


class Refining:
    """Labels a CT plane by plane while the first network works its way up.

    refiner: on the place, as `inference.placed` leaves it. turned: HU [s, a, r]. labels: uint8 of its shape, zeros, to
    be filled.
    """

    def __init__(
        self,
        refiner: Refiner,
        place: Place,
        grid: WorkingGrid,
        turned: np.ndarray,
        labels: np.ndarray,
        should_stop: Callable[[], bool],
    ):
        self._refiner, self._place, self._should_stop = refiner, place, should_stop
        self._turned, self._labels = turned, labels
        self._places = [axis.places().clip(0, axis.coarse - 1) for axis in grid.axes]
        self._planes = grid.shape[0]
        self._about = about([axis.step for axis in grid.axes], noise_of(turned))[None].to(place.device)
        self._done = 0
        self._first = 0  # of the layers of the coarse grid that are still needed
        self._layers = torch.empty((refiner.config.classes, 0, *grid.shape[1:]), device=place.device)

    def add(self, first: int, layer: np.ndarray) -> None:
        """Labels all planes whose surroundings are known now. layer: float32 [n, class, a, r]. Raises Stopped."""
        layers = torch.from_numpy(layer).to(self._place.device).transpose(0, 1)
        self._layers = torch.cat([self._layers, layers], dim=1)
        known = self._first + self._layers.shape[1]
        margin, n = self._refiner.config.margin, len(self._labels)
        ready = n if known == self._planes else int((self._places[0] <= known - 1).sum()) - margin
        for start in range(self._done, ready, BLOCK[0]):
            self._label(start, min(start + BLOCK[0], ready))
        if ready > self._done:
            self._done = ready
        needed = int(self._places[0][max(0, self._done - margin)]) if self._done < n else known
        if needed > self._first:
            self._layers, self._first = self._layers[:, needed - self._first :].clone(), needed

    def _label(self, start: int, end: int) -> None:
        rows, columns = (range(0, n, size) for n, size in zip(self._labels.shape[1:], BLOCK[1:]))
        for row, column in product(rows, columns):
            if self._should_stop():
                raise Stopped
            block = (slice(start, end), slice(row, row + BLOCK[1]), slice(column, column + BLOCK[2]))
            found = self._answer([range(*part.indices(n)) for part, n in zip(block, self._labels.shape)])
            if found is not None:
                self._labels[block] = found

    @torch.no_grad()
    def _answer(self, block: list[range]) -> np.ndarray | None:
        """Labels of a block; None where it is nothing but air."""
        margin = self._refiner.config.margin
        wide = [np.arange(part.start - margin, part.stop + margin) for part in block]
        wide = [index.clip(0, n - 1) for index, n in zip(wide, self._turned.shape)]  # the outermost voxels go on
        places = [place[index] for place, index in zip(self._places, wide)]
        places[0] = places[0] - self._first
        s, a, r = (slice(int(place.min()), int(np.ceil(place.max())) + 1) for place in places)
        if self._layers[0, s, a, r].min() > _CLEAR:
            return None
        box = tuple(slice(index[0], index[-1] + 1) for index in wide)
        hu = self._turned[box][np.ix_(*(index - index[0] for index in wide))]
        hu = hu.clip(LOWEST_HU, HIGHEST_HU).astype(np.float32)
        inputs = between(self._layers, places)[None], torch.from_numpy(hu)[None].to(self._place.device), self._about
        return self._refiner(*inputs)[0].argmax(0).to(torch.uint8).cpu().numpy()
