"""From samples to batches: made ahead by other processes, shuffled, mirrored and cut, all by number.

Batch n depends on the settings and n alone, so that a training that was ended goes on as if it had not.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from DeepDRRSlicerLib.training.decomposition.settings import Settings

FIRST_CHECK = 1_000_000_000  # samples from this number on are never trained on

Sample = tuple[np.ndarray, ...]  # what the network is given, then labels and weight
Sampler = Callable[[int], Sample]


@dataclass(frozen=True)
class Batch:
    """Voxels [b, k, j, i]: labels int64, weight float32 (0: not to be learnt), and float32 what the network is given.

    Inputs of the first network: HU, with NaN where no voxel is; of the refiner: see `refiner_samples`.
    """

    inputs: tuple[np.ndarray, ...]
    labels: np.ndarray
    weight: np.ndarray


class Feed(AbstractContextManager):
    """Batches by number, made ahead while others are being learnt.

    sampler: sample by number; it must be picklable if there are workers.
    """

    def __init__(self, sampler: Sampler, settings: Settings):
        self._sampler, self._settings = sampler, settings
        self._made: dict[int, Future] = {}
        self._pool: Executor | None = None
        if settings.workers:
            self._pool = _pool(settings.workers)

    def __exit__(self, *exception) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def batch(self, step: int) -> Batch:
        """Of the step with this number."""
        size = self._settings.batch
        return _stacked([self._item(draw) for draw in range(step * size, (step + 1) * size)])

    def check(self) -> list[Batch]:
        """The samples never trained on, one in each batch, as they are."""
        numbers = range(FIRST_CHECK, FIRST_CHECK + self._settings.checks)
        return [_stacked([self._sample(number)]) for number in numbers]

    def _item(self, draw: int) -> Sample:
        settings = self._settings
        length = settings.block * settings.repeats
        block, place = divmod(draw, length)
        order = np.random.default_rng((settings.seed, 1, block)).permutation(length)
        self._prepare(block)
        sample = self._sample(block * settings.block + int(order[place]) % settings.block)
        rng = np.random.default_rng((settings.seed, 2, draw))
        return cut(rng, settings.cut, mirrored(rng, sample))

    def _prepare(self, block: int) -> None:
        """Has this block and the next made, and forgets the ones before."""
        length = self._settings.block
        wanted = range(block * length, (block + 2) * length)
        self._made = {number: made for number, made in self._made.items() if number in wanted}
        if self._pool is not None:
            for number in wanted:
                if number not in self._made:
                    self._made[number] = self._pool.submit(_packed, self._sampler, number)

    def _sample(self, number: int) -> Sample:
        if number not in self._made:
            made: Future = Future()
            made.set_result(_packed(self._sampler, number))
            if number < FIRST_CHECK:
                self._made[number] = made
            return made.result()
        return self._made[number].result()


def mirrored(rng: np.random.Generator, sample: Sample) -> Sample:
    """The sample or its mirror image, left for right. Up and front stay: the grid's axes are the patient's."""
    step = int(rng.choice((-1, 1)))
    return tuple(array[..., ::step] if array.ndim > 2 else array for array in sample)


def cut(rng: np.random.Generator, share: float, sample: Sample) -> Sample:
    """Of some samples a slab of a few to all voxels alone is known, as of a CT with few slices or a tile at its end."""
    if rng.random() >= share:
        return sample
    hu, labels, weight = (array.copy() for array in sample)
    n = len(hu)
    thick = int(np.exp(rng.uniform(np.log(1), np.log(n))))
    first = int(rng.integers(0, n - thick + 1))
    for outside in (slice(0, first), slice(first + thick, n)):
        hu[outside] = np.nan
        weight[outside] = 0
    return hu, labels, weight


def _stacked(items: list[Sample]) -> Batch:
    *inputs, labels, weight = (np.stack(arrays) for arrays in zip(*items, strict=True))
    return Batch(
        tuple(array.astype(np.float32) for array in inputs), labels.astype(np.int64), weight.astype(np.float32)
    )


def _packed(sampler: Sampler, number: int) -> Sample:
    """Smaller to send and to keep."""
    *inputs, labels, weight = sampler(number)
    return *inputs, labels.astype(np.uint8), weight.astype(np.float16)


def _pool(workers: int) -> Executor:
    """Processes of one thread each: the cores belong to the network."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:  # the processes take over the environment as it is when they start, with the first work
        pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_leave_interrupts)
        pool.submit(int).result()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return pool


def _leave_interrupts() -> None:
    """Ctrl-C is the main process's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
