"""Chunks of histories on a card: the walk of transport/histories.py in CUDA (projection/cuda/kernels/photons.cu).

Random numbers belong to a history's number, so that chunks are the same photons as on the CPU. In double precision they
make the same collisions; in single precision, for cards that are slow in double, they agree within chance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from DeepDRRSlicerLib.projection.projector import Stopped

if TYPE_CHECKING:
    from DeepDRRSlicerLib.projection.cuda.driver import Driver

_THREADS = 128  # of a block
_MOST_BLOCKS = 4096
_PICTURES = 8
# Compute capabilities of cards with half as many units for double precision as for single, or all but as many.
_DOUBLE = {(8, 0), (9, 0), (10, 0), (10, 3)}
_SETUP = 64

Part = tuple[np.ndarray, ...]


class CardPhotons:
    """The body, tables and field of a run on one card. All methods are called by the thread that made the driver.

    arguments: what `histories.run` takes from source to spread. size: (rows, columns) of the tallies. dose_shape: of
    the dose, (0, 0, 0) for none. double: the precision; None is what suits the card. Raises DeviceError.
    """

    def __init__(self, driver: Driver, arguments: tuple, size, dose_shape, double: bool | None = None):
        (source, corner, e_c, e_r, normal, _, pitch, field, field_pitch, tube_energies, cumulative, density, highest,
         mean, deviation, to_index, to_ras, linear, total, compton, rayleigh, transfer, incoherent, coherent, response,
         spread) = arguments  # fmt: skip
        if double is None:
            double = driver.capability in _DOUBLE
        real = np.float64 if double else np.float32
        name = "photons_double" if double else "photons_float"
        self._driver, self._size, self._dose_shape = driver, tuple(size), tuple(dose_shape)
        self._kernel = driver.kernels("photons.cu", [name])[name]
        setup = np.concatenate([np.ravel(part) for part in
                                (source, corner, e_c, e_r, normal, pitch, field_pitch, to_index, to_ras)])  # fmt: skip
        setup = np.pad(setup, (0, _SETUP - len(setup)))
        tables = (total, compton, rayleigh, linear, response, spread, transfer, incoherent, coherent)
        reals = (setup, field, tube_energies, cumulative)
        self._given = [self._uploaded(np.asarray(array, real)) for array in reals]
        self._given += [self._uploaded(array) for array in (density, highest, mean, deviation)]
        self._given.append(self._uploaded(np.concatenate([np.ravel(table) for table in tables]).astype(real)))
        self._tallies = [driver.buffer(8 * _PICTURES * int(np.prod(self._size))), driver.buffer(8 * 4)]
        voxels = int(np.prod(self._dose_shape))
        self._tallies.append(driver.buffer(8 * max(1, voxels)))
        shape, materials, bins = density.shape[:3], density.shape[3], total.shape[1]
        self._numbers = tuple(np.int32(n) for n in (
            *field.shape, len(tube_energies), *shape, materials, bins, len(transfer), *self._size, voxels > 0,
        ))  # fmt: skip

    def free(self) -> None:
        """Gives the memory back at once."""
        for buffer in (*self._given, *self._tallies):
            buffer.free()

    def run(self, seed: int, first: int, count: int) -> Part:
        """Pictures, variances, walked, energies and dose of one chunk, as `histories.run` adds them up."""
        pictures = np.zeros((_PICTURES, *self._size))
        energies, dose = np.zeros(4), np.zeros(self._dose_shape)
        parts = (pictures, energies, dose)
        for buffer, part in zip(self._tallies, parts, strict=True):
            if part.size:
                self._driver.upload(part, buffer)
        blocks = min(_MOST_BLOCKS, -(-int(count) // _THREADS))
        self._driver.launch(
            self._kernel, (blocks, 1, 1), (_THREADS, 1, 1),
            (*self._given, *self._tallies, *self._numbers, *(np.uint64(n) for n in (seed, first, count))),
        )  # fmt: skip
        for buffer, part in zip(self._tallies, parts, strict=True):
            if part.size:
                self._driver.download(buffer, part)
        return pictures[:4], pictures[4:6], pictures[6:], energies, dose

    def _uploaded(self, array: np.ndarray):
        array = np.ascontiguousarray(array)
        buffer = self._driver.buffer(array.nbytes)
        self._driver.upload(array, buffer)
        return buffer


def chunks_on_card(
    choice: str,
    arguments: tuple,
    size,
    dose_shape,
    seed: int,
    chunks: list[tuple[int, int]],
    should_stop: Callable[[], bool],
):
    """Yields the parts of chunks (first, count), one after the other, from the card of this process.

    choice: of the driver, one of projection.cuda.drivers.CHOICES.
    Raises DeviceError where there is none or it cannot go on, and Stopped between chunks.
    """
    from DeepDRRSlicerLib.projection.cuda.device_thread import shared_device

    device = shared_device(choice)
    photons = device.call(lambda driver, _: CardPhotons(driver, arguments, size, dose_shape))
    try:
        for first, count in chunks:
            if should_stop():
                raise Stopped

            def part(_driver, _stop, first=first, count=count):
                return photons.run(seed, first, count)

            yield device.call(part, should_stop)
    finally:
        device.post(lambda _: photons.free())
