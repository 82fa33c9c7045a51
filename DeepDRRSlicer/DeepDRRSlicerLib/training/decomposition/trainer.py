"""The training itself: a state, one step of it, and its files.

A step depends on the state and the step's number alone, so that pieces of a training add up to the same numbers as one
run (on the same machine, with the same number of threads).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.learning.device import Place
from DeepDRRSlicerLib.learning.network import MaterialNet, NetworkConfig
from DeepDRRSlicerLib.learning.refinement import Refiner, RefinerConfig
from DeepDRRSlicerLib.learning.weights import read_tensors, split
from DeepDRRSlicerLib.training.decomposition.feed import Batch
from DeepDRRSlicerLib.training.decomposition.loss import loss_of
from DeepDRRSlicerLib.training.decomposition.muon import Muon
from DeepDRRSlicerLib.training.decomposition.settings import PARTS, REFINER, Settings, settings_of
from DeepDRRSlicerLib.training.tensor_files import write_tensors

CHECKPOINT = "checkpoint.safetensors"
_MOMENTS = ("momentum", "exp_avg", "exp_avg_sq")
_MUON_RATE = 2.5  # of the learning rate, which is that of AdamW
_STEEPEST = 1.0  # longer gradients are shortened to this
_ENDS = ("head", "fit", "about")  # layers that are no kernels between a network's first and last


@dataclass
class State:
    """A training between two steps. averaged: the weights that one uses, a running mean of the network's."""

    settings: Settings
    place: Place
    network: nn.Module
    averaged: nn.Module
    optimizers: tuple[Muon, torch.optim.AdamW]
    step: int


def new_state(settings: Settings, place: Place, start: dict[str, torch.Tensor] | None = None) -> State:
    """The state before the first step, random from the seed or from tensors of a file of weights. Raises InputError."""
    torch.manual_seed(settings.seed)
    try:
        network = _built(settings)
        if start is not None:
            own = split(start)[PARTS.index(settings.part)]
            network.load_state_dict({name: tensor.float() for name, tensor in own.items()})
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"The network of the settings cannot be made ({_line(error)}); correct them.") from error
    divisor = network.config.divisor if isinstance(network, MaterialNet) else 1
    if settings.patch % divisor or len(settings.class_weights) != network.config.classes:
        raise InputError(
            f"A patch must be a multiple of {divisor} voxels, and class_weights {network.config.classes} numbers; "
            "correct the settings."
        )
    averaged = _built(settings)
    averaged.load_state_dict(network.state_dict())
    return _state(settings, place, network, averaged, 0)


def _built(settings: Settings) -> MaterialNet | Refiner:
    if settings.part == REFINER:
        return Refiner(RefinerConfig.from_dict(settings.network))
    return MaterialNet(NetworkConfig.from_dict(settings.network))


def _state(settings, place, network, averaged, step) -> State:
    network = network.to(place.device).to(memory_format=torch.channels_last_3d).train()
    averaged = averaged.to(place.device).to(memory_format=torch.channels_last_3d).eval().requires_grad_(False)
    hidden, others = [], []
    for name, parameter in network.named_parameters():
        (hidden if parameter.ndim > 1 and not name.startswith(_ENDS) else others).append(parameter)
    optimizers = (
        Muon(hidden, _MUON_RATE * settings.learning_rate, settings.weight_decay),
        torch.optim.AdamW(others, settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.0),
    )
    return State(settings, place, network, averaged, optimizers, step)


def train_step(state: State, batch: Batch) -> float:
    """Learns from a batch; returns the loss before."""
    settings, place = state.settings, state.place
    inputs = [torch.from_numpy(array).to(place.device) for array in batch.inputs]
    labels, weight = (torch.from_numpy(array).to(place.device) for array in (batch.labels, batch.weight))
    rate = settings.learning_rate_at(state.step)
    for optimizer, share in zip(state.optimizers, (_MUON_RATE, 1.0), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate * share
    with torch.autocast(place.device, dtype=torch.bfloat16, enabled=place.half):
        logits = state.network(*inputs)
    loss = loss_of(logits, labels, weight, torch.tensor(settings.class_weights, device=place.device))
    state.network.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(state.network.parameters(), _STEEPEST)
    for optimizer in state.optimizers:
        optimizer.step()
    keep = min(settings.average, (state.step + 1) / (state.step + 10))
    with torch.no_grad():
        for mean, now in zip(state.averaged.parameters(), state.network.parameters()):
            mean.lerp_(now, 1 - keep)
    state.step += 1
    return loss.item()


@torch.no_grad()
def check(state: State, batches: list[Batch]) -> dict[str, list[float]]:
    """How the averaged weights do on samples never trained on, by class.

    dice: of all voxels of the samples together. error: share of a class's voxels called another. NaN where there is
    none.
    """
    classes = state.network.config.classes
    confusion = np.zeros((classes, classes))
    for batch in batches:
        with torch.autocast(state.place.device, dtype=torch.bfloat16, enabled=state.place.half):
            logits = state.averaged(*(torch.from_numpy(array).to(state.place.device) for array in batch.inputs))
        found = logits.argmax(1).cpu().numpy()
        counts = np.bincount((batch.labels * classes + found).ravel(), batch.weight.ravel(), minlength=classes**2)
        confusion += counts.reshape(classes, classes)
    right, truth, answer = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        dice, error = 2 * right / (truth + answer), 1 - right / truth
    return {"dice": [round(float(v), 4) for v in dice], "error": [round(float(v), 4) for v in error]}


def save_checkpoint(folder: Path, state: State) -> Path:
    """Everything that `load_checkpoint` needs to go on, in one file. Raises OSError."""
    tensors = {f"network.{name}": tensor for name, tensor in state.network.state_dict().items()}
    tensors |= {f"averaged.{name}": tensor for name, tensor in state.averaged.state_dict().items()}
    for optimizer in state.optimizers:
        for name, parameter in state.network.named_parameters():
            if parameter in optimizer.state:
                kept = optimizer.state[parameter]
                tensors |= {f"{moment}.{name}": kept[moment] for moment in _MOMENTS if moment in kept}
    return write_tensors(folder / CHECKPOINT, tensors, {"step": state.step, "settings": state.settings.to_dict()})


def load_checkpoint(folder: Path, place: Place) -> State:
    """The state that was saved. Raises InputError where the file is not there or no checkpoint."""
    tensors, header = read_tensors(folder / CHECKPOINT)
    try:
        settings = settings_of(header["settings"])
        step = int(header["step"])
        networks = []
        for part in ("network", "averaged"):
            network = _built(settings)
            network.load_state_dict(_part(tensors, part))
            networks.append(network)
        state = _state(settings, place, *networks, step)
        muon, adam = state.optimizers
        for moment, optimizer in zip(_MOMENTS, (muon, adam, adam), strict=True):
            kept = _part(tensors, moment)
            for name, parameter in state.network.named_parameters():
                if name in kept:
                    optimizer.state[parameter][moment] = torch.empty_like(parameter).copy_(kept[name])
        for moments in adam.state.values():
            moments["step"] = torch.tensor(float(step))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"'{folder / CHECKPOINT}' is no checkpoint of this version ({_line(error)}); start in another folder."
        ) from error
    return state


def _part(tensors: dict, part: str) -> dict:
    return {name.removeprefix(f"{part}."): value for name, value in tensors.items() if name.startswith(f"{part}.")}


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
