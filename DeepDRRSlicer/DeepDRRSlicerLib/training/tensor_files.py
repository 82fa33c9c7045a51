"""Writing weights and checkpoints: safetensors with JSON in the header, never pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from DeepDRRSlicerLib.dataset.atomic import write_whole
from DeepDRRSlicerLib.learning.weights import Trained, joined

if TYPE_CHECKING:
    import torch


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], header: dict) -> Path:
    """A safetensors file, whole or not at all, that `learning.weights.read_tensors` reads. Raises OSError."""
    from safetensors.torch import save

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return write_whole(path, [save(plain, {"header": json.dumps(header, sort_keys=True)})])


def write_trained(path: Path, trained: Trained) -> Path:
    """A network and its refiner for use, their weights in half precision. Raises OSError."""
    import torch

    tensors = {name: tensor.to(torch.float16) for name, tensor in joined(trained.network, trained.refiner).items()}
    header = {
        "network": trained.network.config.to_dict(),
        "refiner": trained.refiner.config.to_dict(),
        "spacing": trained.spacing,
        "classes": list(trained.classes),
    }
    return write_tensors(path, tensors, header)
