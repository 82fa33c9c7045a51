"""Samples for the refiner: blocks of `own_grid`, and what the first network says of them."""

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from DeepDRRSlicerLib.learning.device import cpu
from DeepDRRSlicerLib.learning.inference import placed, tile
from DeepDRRSlicerLib.learning.refinement import about, between
from DeepDRRSlicerLib.learning.weights import load_trained
from DeepDRRSlicerLib.training.decomposition.own_grid import blocks

BLOCKS = 4  # of each window: neighbours by number


def refiner_sample(config: dict, seed: int, weights: Path, index: int) -> tuple[np.ndarray, ...]:
    """Probabilities float16 [class, d, h, w], hu float32 [d, h, w], about float32 [4], labels and weight of a block.

    Labels and weight are smaller by `margin` on all sides. config: as for `own_grid.blocks`. weights: of the first
    network. Depends on all of these, the seed and the index alone.
    """
    window = _window(json.dumps(config, sort_keys=True), seed, weights, index // BLOCKS)
    return tuple(array[index % BLOCKS] for array in window)


@lru_cache(maxsize=2)
def _window(config: str, seed: int, weights: Path, index: int) -> tuple[np.ndarray, ...]:
    found = blocks(json.loads(config), seed, index, BLOCKS)
    network = _network(weights)
    divisor, place = network.config.divisor, cpu()
    coarse = tile(
        network, place, torch.from_numpy(found.coarse), [-(-n // divisor) * divisor for n in found.coarse.shape]
    )
    ends = np.cumsum(found.hu.shape[1:])[:-1]
    probabilities = [between(coarse, np.split(places, ends)).half().numpy() for places in found.places]
    told = about(found.steps, found.noise).numpy()
    return np.stack(probabilities), found.hu, np.stack([told] * BLOCKS), found.labels, found.weight


@lru_cache(maxsize=1)
def _network(weights: Path):
    return placed(load_trained(weights).network, cpu())
