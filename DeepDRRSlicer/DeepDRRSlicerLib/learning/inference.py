"""A network over a volume of any size: tile by tile, blended, in layers that are handed on as they are done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import torch

from DeepDRRSlicerLib.learning.device import Place
from DeepDRRSlicerLib.learning.network import MaterialNet
from DeepDRRSlicerLib.learning.tiles import Tiling
from DeepDRRSlicerLib.projection.projector import Stopped

Network = TypeVar("Network", bound=torch.nn.Module)


def placed(network: Network, place: Place) -> Network:
    """A copy of the network on a device and in its precision, in the memory layout that convolutions like best."""
    from copy import deepcopy

    dtype = torch.bfloat16 if place.half else torch.float32
    copied = deepcopy(network).to(place.device, dtype)
    return copied.to(memory_format=torch.channels_last_3d).eval()  # type: ignore[call-overload]  # not in its stubs


def bytes_per_tile_voxel(network: MaterialNet, place: Place) -> int:
    """Memory that one voxel of a tile takes at the peak.

    Full resolution: HU, windows, five arrays of `detail` channels, answer and its softmax; half: as many of widths[0].
    """
    config = network.config
    channels = 3 * (len(config.windows) + 1) + 5 * config.detail + 6 * config.widths[0] // 8
    return 4 * (2 + 3 * config.classes + 2 * len(config.windows)) + place.bytes * channels


def probabilities(
    network: MaterialNet,
    place: Place,
    tiling: Tiling,
    rows: Callable[[int, int], np.ndarray],
    should_stop: Callable[[], bool] = lambda: False,
    progress: Callable[[float], None] = lambda fraction: None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Layers (first, float32 [n, class, y, x]) of the probabilities over a volume, one after the other.

    network: from `placed`. rows: HU float32 [end - first, y, x] of planes (first, end) of the volume. progress: hears
    the fraction of tiles done. Raises Stopped on request, which is asked between tiles.
    """
    along, *across = tiling.cuts
    weights = [torch.from_numpy(cut.weights()).to(place.device) for cut in tiling.cuts]
    shape = (along.size, network.config.classes, across[0].n, across[1].n)
    total = torch.zeros(shape, dtype=torch.float32)
    done = 0
    for layer, first in enumerate(along.firsts):
        end = min(first + along.size, along.n)
        hu = torch.from_numpy(rows(first, end))
        for row, y in enumerate(across[0].firsts):
            for column, x in enumerate(across[1].firsts):
                if should_stop():
                    raise Stopped
                part = hu[:, y : y + across[0].size, x : x + across[1].size]
                answer = tile(network, place, part, [cut.size for cut in tiling.cuts])
                answer *= weights[0][layer, :, None, None]
                answer *= weights[1][row, :, None] * weights[2][column]
                d, h, w = part.shape
                window = total[:d, :, y : y + h, x : x + w].permute(1, 0, 2, 3)
                window += answer[:, :d, :h, :w].to("cpu")
                done += 1
                progress(done / tiling.tiles)
        finished = along.firsts[layer + 1] - first if layer + 1 < len(along.firsts) else end - first
        yield first, total[:finished].numpy().copy()
        total[: along.size - finished] = total[finished:].clone()
        total[along.size - finished :] = 0


@torch.no_grad()
def tile(network: MaterialNet, place: Place, hu: torch.Tensor, size) -> torch.Tensor:
    """Probabilities (class, *size) on the place of a tile whose HU begin it, and which is unknown beyond them.

    The mean of two answers, one to the tile's mirror image: left and right are the same to the network only nearly.
    """
    whole = torch.full(size, torch.nan, device=place.device)
    whole[tuple(slice(n) for n in hu.shape)] = hu.to(place.device)
    mirrored = network(whole[None].flip(-1))[0].softmax(dim=0).flip(-1)
    return (network(whole[None])[0].softmax(dim=0) + mirrored) / 2
