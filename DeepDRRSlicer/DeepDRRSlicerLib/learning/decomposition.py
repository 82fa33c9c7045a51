"""What each voxel of a CT is made of, by the shipped network."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.anatomy.ct import LOWEST_HU, as_ct
from DeepDRRSlicerLib.anatomy.substances import CLASSES
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.learning import memory, require
from DeepDRRSlicerLib.learning.device import Place, choose, cpu, limited_threads
from DeepDRRSlicerLib.learning.grid import resampled_rows, working_grid
from DeepDRRSlicerLib.learning.thin_metal import mark_thin_metal
from DeepDRRSlicerLib.learning.tiles import OVERLAP, Tiling, make_tiling
from DeepDRRSlicerLib.learning.weights import Trained, load_trained, shipped

_NETWORK_SHARE = 0.95  # of the time, the refiner's included, as progress counts it
_TORCH_BYTES = 400 << 20  # what torch itself takes once it computes, and a block of the refiner
_MOST_BYTES = 1500 << 20  # more does not make it faster


def classify(
    volume: Volume,
    should_stop: Callable[[], bool] = lambda: False,
    progress: Callable[[float], None] = lambda fraction: None,
    device: str = "auto",
    weights: Path | None = None,
) -> np.ndarray:
    """Labels uint8 [k, j, i] on the CT's own grid, indices into `anatomy.substances.CLASSES`.

    volume: a CT in HU of any spacing, orientation and field of view; its array is not changed. should_stop: asked about
    every second. progress: hears fractions from 0 to 1. device: "auto", "cpu" or "cuda"; "auto" goes back to the CPU
    where the card's memory is too small. weights: another file than the shipped one. Raises Stopped on request, and
    InputError where torch is missing, the volume is no CT or too large for the memory, or the weights cannot be used.
    """
    require()
    labels_bytes = volume.array.size
    copied = not _is_clean(volume.array)
    free = memory.free_memory() - labels_bytes - copied * 2 * volume.array.size - _TORCH_BYTES
    memory.require_memory(0, free, "The network")
    ct = as_ct(volume, overwrite=not copied)
    trained = _load(weights or shipped())
    with limited_threads():
        place = choose(device)
        try:
            return _classify(ct, trained, place, free, should_stop, progress)
        except RuntimeError as error:  # CUDA's out-of-memory error is one of them
            if place.device == "cpu":
                raise
            if device == "cuda":
                raise InputError(f"CUDA failed ({_first_line(error)}); choose the device cpu.") from error
        return _classify(ct, trained, cpu(), free, should_stop, progress)


def _classify(ct: Volume, trained: Trained, place: Place, free: int, should_stop, progress) -> np.ndarray:
    from DeepDRRSlicerLib.learning.inference import placed, probabilities
    from DeepDRRSlicerLib.learning.refining import Refining

    grid = working_grid(ct, trained.spacing)
    network = placed(trained.network, place)
    tiling = plan(grid.shape, network, place, free)
    turned = grid.turned(ct.array)
    labels = np.zeros(ct.array.shape, dtype=np.uint8)
    refining = Refining(placed(trained.refiner, place), place, grid, turned, grid.turned(labels), should_stop)
    rows = partial(resampled_rows, turned, grid)
    heard = lambda fraction: progress(_NETWORK_SHARE * fraction)  # noqa: E731
    for first, layer in probabilities(network, place, tiling, rows, should_stop, heard):
        refining.add(first, layer)
    mark_thin_metal(ct.array, labels, ct.spacing[::-1])
    progress(1.0)
    return labels


def plan(shape: tuple[int, int, int], network, place: Place, free: int) -> Tiling:
    """The tiles of a working grid, for so many bytes of memory. Raises InputError where none are small enough."""
    from DeepDRRSlicerLib.learning.inference import bytes_per_tile_voxel

    tile, band = bytes_per_tile_voxel(network, place), 5 * 4 * network.config.classes + 8
    budget = min(free, _MOST_BYTES)
    tiling = make_tiling(shape, network.config.divisor, tile, band, budget)
    if tiling is None:  # a wide CT: its layers take more than one would like
        tiling = make_tiling(shape, network.config.divisor, tile, band, free)
    if tiling is None:
        side = 2 * OVERLAP
        least = side**3 * tile + side * shape[1] * shape[2] * band
        memory.require_memory(max(least, free + 1), free, "The network")  # which raises
    assert tiling is not None
    return tiling


def _is_clean(array: np.ndarray) -> bool:
    """Whether `as_ct` may work in the array itself without changing it."""
    return array.dtype == np.int16 and array.flags.writeable and int(array.min()) >= LOWEST_HU


@lru_cache(maxsize=1)
def _load(path: Path) -> Trained:
    trained = load_trained(path)
    if trained.classes != CLASSES:
        raise InputError(
            f"The weights in '{Path(path).name}' know the classes {', '.join(trained.classes)}, and this version of "
            f"the program {', '.join(CLASSES)}; take the weights that came with it."
        )
    return trained


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
