"""The scatter network, in numpy: small enough that it needs no torch where it is used.

A U-Net on the coarse cells of scatter_inputs.py: two 3 x 3 convolutions at each of four levels, halved by 2 x 2 means
and doubled by repetition, rectified; the last layer is 1 x 1. The answer is the logarithm of the scatter over the quick
estimate of scatter_estimate.py, so that scatter is never negative, and nothing where nothing stands. Weights are named
`down.0.0.weight` and so on; training/scatter/model.py holds the same network in torch.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.learning.scatter_inputs import NAMES
from DeepDRRSlicerLib.physics.one_thread import product, weighted_sum

LEVELS = 4
BOUND = 4.0  # of the logarithm, either way
SHIPPED = "scatter.safetensors"


@dataclass(frozen=True, eq=False)
class ScatterNetwork:
    """tensors: weights by name, float32. header: how they were made. lowest, highest: (maps,) range of the mean of
    each input over the views that it was trained on."""

    tensors: dict[str, np.ndarray]
    header: dict
    lowest: np.ndarray
    highest: np.ndarray

    @cached_property
    def digest(self) -> str:
        """Tells one network from another, in 12 letters."""
        digest = hashlib.sha256()
        for name in sorted(self.tensors):
            digest.update(name.encode() + self.tensors[name].tobytes())
        return digest.hexdigest()[:12]

    def __call__(self, inputs: np.ndarray, estimate: np.ndarray) -> np.ndarray:
        """float32 (rows, columns) scatter, over the open field's signal on the central ray; never negative.

        inputs, estimate: float32 (maps, rows, columns) and (rows, columns) as scatter_inputs gives them.
        """
        maps, kept = inputs, []
        for level in range(LEVELS):
            if level:
                kept.append(maps)
                maps = _halved(maps)
            maps = self._pair(f"down.{level}", maps)
        for level in reversed(range(LEVELS - 1)):
            maps = np.concatenate([_doubled(maps), kept[level]])
            maps = self._pair(f"up.{level}", maps)
        weight, bias = self.tensors["last.weight"], self.tensors["last.bias"]
        answer = weighted_sum(weight[0, :, 0, 0], maps) + bias[0]
        return estimate * np.exp(np.clip(answer, -BOUND, BOUND))

    def outside(self, inputs: np.ndarray) -> tuple[str, ...]:
        """Names of the inputs that lie outside what the network was trained on."""
        means = inputs.mean(axis=(1, 2))
        beyond = (means < self.lowest) | (means > self.highest)
        return tuple(name for name, is_beyond in zip(NAMES, beyond, strict=True) if is_beyond)

    def _pair(self, name: str, maps: np.ndarray) -> np.ndarray:
        for layer in range(2):
            weight, bias = self.tensors[f"{name}.{layer}.weight"], self.tensors[f"{name}.{layer}.bias"]
            maps = np.maximum(_convolved(maps, weight) + bias[:, None, None], 0)
        return maps


def _convolved(maps: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """3 x 3 correlation of maps (c, rows, columns) with weights (n, c, 3, 3), zeros around."""
    channels, rows, columns = maps.shape
    padded = np.pad(maps, [(0, 0), (1, 1), (1, 1)])
    shifted = np.empty((channels, 3, 3, rows, columns), dtype=np.float32)
    for i in range(3):
        for j in range(3):
            shifted[:, i, j] = padded[:, i : i + rows, j : j + columns]
    return product(weight.reshape(len(weight), -1), shifted.reshape(channels * 9, -1)).reshape(-1, rows, columns)


def _halved(maps: np.ndarray) -> np.ndarray:
    channels, rows, columns = maps.shape
    return maps.reshape(channels, rows // 2, 2, columns // 2, 2).mean(axis=(2, 4))


def _doubled(maps: np.ndarray) -> np.ndarray:
    return maps.repeat(2, axis=1).repeat(2, axis=2)


def load_network(path: Path) -> ScatterNetwork:
    """The network of a safetensors file, which needs no package. Raises InputError for a file that is none of ours."""
    try:
        content = Path(path).read_bytes()
        begin = 8 + int.from_bytes(content[:8], "little")
        entries = json.loads(content[8:begin])
        header = json.loads(entries.pop("__metadata__")["header"])
        tensors = {name: _tensor(content[begin:], **entry) for name, entry in entries.items()}
        lowest, highest = (np.array(header["range"][end], dtype=np.float32) for end in ("lowest", "highest"))
        if lowest.shape != (len(NAMES),) or tensors["down.0.0.weight"].shape[1] != len(NAMES):
            raise ValueError("other inputs")
        return ScatterNetwork(tensors, header, lowest, highest)
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"'{Path(path).name}' holds no scatter network of this program; take the one that came with it."
        ) from error


def _tensor(content: bytes, dtype: str, shape: list[int], data_offsets: list[int]) -> np.ndarray:
    """float32 of an entry in the header of a safetensors file. Raises ValueError where it is none."""
    if dtype != "F32":
        raise ValueError(dtype)
    begin, end = data_offsets
    return np.frombuffer(content[begin:end], dtype="<f4").reshape(shape).astype(np.float32)


@cache
def shipped_network() -> ScatterNetwork:
    """The network that ships, read once. Raises InputError where it cannot be read."""
    with as_file(files("DeepDRRSlicerLib") / "data" / "networks" / SHIPPED) as path:
        return load_network(path)
