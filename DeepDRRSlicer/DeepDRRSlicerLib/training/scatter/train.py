"""Training the scatter network in pieces: from the pairs of a folder, for so many minutes.

Targets are noisy: a pair costs half a second, and noise averages out over thousands of them. Cells are like counts,
whose noise grows as the root of their mean, so the loss is that of Poisson's distribution; it is least at the mean. A
view weighs as the number of events to be expected of it (that found would favour what chance made small), up to where
the network's own error is larger than the noise. A step depends on the state and its number alone: pieces add up to
what one run would have given.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.learning import require
from DeepDRRSlicerLib.learning.scatter_inputs import NAMES
from DeepDRRSlicerLib.learning.scatter_network import SHIPPED
from DeepDRRSlicerLib.learning.weights import read_tensors
from DeepDRRSlicerLib.training import curves
from DeepDRRSlicerLib.training.scatter.pairs import Pairs, read_pairs
from DeepDRRSlicerLib.training.tensor_files import write_tensors

if TYPE_CHECKING:
    import torch

    from DeepDRRSlicerLib.training.scatter.model import ScatterModel

CHECKPOINT = "checkpoint.safetensors"
_MOMENTS = ("exp_avg", "exp_avg_sq")
_DECAY = 0.02  # of the weights, as AdamW has it
_SAVE_SECONDS = 120.0
_LOG_STEPS = 50
_STEEPEST = 1.0  # longer gradients are shortened to this
_SHARE = NAMES.index("share of the field")
_COVERED = 0.25  # weight of a cell behind the shutters
_OWN_ERROR = 0.06  # of the network, relative: more events than that can tell are no use
_CHECKED = 0.06  # share of the pairs that are kept to judge by
_QUANTILES = (0.001, 0.999)  # of the training views, between which a view counts as known


@dataclass(frozen=True)
class ScatterSettings:
    """widths: maps at each level of the network. average: share that the running mean of the weights keeps."""

    seed: int = 0
    steps: int = 4000
    batch: int = 16
    learning_rate: float = 2e-3
    warm_up: int = 100
    average: float = 0.998
    widths: tuple[int, ...] = (16, 32, 48, 64)

    def learning_rate_at(self, step: int) -> float:
        """Rises over the first steps, then falls as a cosine to a hundredth."""
        rising = min(1.0, (step + 1) / self.warm_up)
        return self.learning_rate * rising * (0.505 + 0.495 * np.cos(np.pi * min(1.0, step / self.steps)))


@dataclass
class State:
    """A training between two steps. averaged: the weights that one uses, a running mean of the model's."""

    settings: ScatterSettings
    model: ScatterModel
    averaged: ScatterModel
    optimizer: torch.optim.Optimizer
    step: int


def train_scatter(
    pairs: Path,
    folder: Path,
    settings: ScatterSettings,
    minutes: float,
    resume: bool = False,
    report: Callable[[str], None] = print,
    start: Path | None = None,
) -> bool:
    """One piece of a training; True when all its steps are done. Leaves checkpoint, weights, log and plot in `folder`.

    pairs: folder made by training.scatter.pairs. start: weights to begin with. Raises InputError where the folders do
    not hold what they should.
    """
    require()
    import torch

    end = time.monotonic() + 60 * minutes
    found = read_pairs(pairs)
    judged = max(1, int(_CHECKED * len(found.inputs)))
    range_ = np.quantile(found.inputs.mean(axis=(2, 3)), _QUANTILES, axis=0)
    arrays = (found.inputs, found.estimate, found.scatter, _emphasis(found))
    learned = [torch.from_numpy(array[judged:]) for array in arrays]
    checked = [torch.from_numpy(array[:judged]) for array in arrays]
    if resume:
        state = _loaded(folder / CHECKPOINT, settings)
    else:
        if (folder / CHECKPOINT).exists():
            raise InputError(f"'{folder}' holds a training already; add --resume to go on, or choose another folder.")
        state = _new(settings)
        if start is not None:
            _begin_with(state, start)
    folder.mkdir(parents=True, exist_ok=True)
    curves.entries(folder, state.step)
    losses, saved = [], time.monotonic()
    while state.step < settings.steps and time.monotonic() < end:
        losses.append(_step(state, *learned))
        if state.step % _LOG_STEPS == 0 or state.step == settings.steps:
            found = _judge(state, *checked) if state.step % (10 * _LOG_STEPS) == 0 else {}
            loss = sum(losses) / len(losses)
            curves.append(folder, {"step": state.step, "loss": loss, **found})
            report(f"step {state.step} of {settings.steps}: loss {loss:.4f} {found or ''}")
            losses = []
        if time.monotonic() - saved > _SAVE_SECONDS:
            _save(folder, state, range_)
            saved = time.monotonic()
    _save(folder, state, range_)
    curves.plot(folder, ())
    return state.step >= settings.steps


def _new(settings: ScatterSettings, step: int = 0) -> State:
    import torch

    from DeepDRRSlicerLib.training.scatter.model import ScatterModel

    torch.manual_seed(settings.seed)
    model, averaged = ScatterModel(settings.widths), ScatterModel(settings.widths)
    averaged.load_state_dict(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=_DECAY)
    return State(settings, model, averaged.requires_grad_(False), optimizer, step)


def _step(state: State, inputs, estimate, scatter, emphasis) -> float:
    """Learns from a batch of views, each turned and mirrored at random; returns the loss before."""
    import torch

    settings = state.settings
    generator = np.random.default_rng((settings.seed, state.step))
    chosen = torch.from_numpy(generator.integers(0, len(inputs), settings.batch))
    turns, mirrored = int(generator.integers(4)), generator.random() < 0.5
    maps, guess, target = (
        torch.rot90(array[chosen], turns, (-2, -1)).flip((-1,) if mirrored else ())
        for array in (inputs, estimate, scatter)
    )
    for group in state.optimizer.param_groups:
        group["lr"] = settings.learning_rate_at(state.step)
    loss = _loss(state.model(maps, guess), target, maps[:, _SHARE], emphasis[chosen])
    state.optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.model.parameters(), _STEEPEST)
    state.optimizer.step()
    keep = min(settings.average, (state.step + 1) / (state.step + 10))
    with torch.no_grad():
        for mean, now in zip(state.averaged.parameters(), state.model.parameters(), strict=True):
            mean.lerp_(now, 1 - keep)
    state.step += 1
    return loss.item()


def _emphasis(pairs: Pairs) -> np.ndarray:
    """float32 (n,) weights of the views, about 1: of the events that views alike would have."""
    about = pairs.inputs.mean(axis=(2, 3))
    about = np.column_stack([np.ones(len(about)), about, about**2]).astype(np.float64)
    found = np.log(np.maximum(pairs.events * pairs.scatter.sum(axis=(1, 2)), 1.0))
    expected = np.exp(about @ np.linalg.lstsq(about, found, rcond=None)[0])
    weights = expected / (1 + expected * _OWN_ERROR**2)
    return (weights / weights.mean()).astype(np.float32)


def _loss(answer, target, share, emphasis):
    """Poisson's deviance, relative to the scatter of the view; what the shutters cover counts for a part."""
    import torch

    weight = _COVERED + (1 - _COVERED) * share
    answer = answer.clamp(min=1e-12)
    size = (answer * weight).sum(dim=(1, 2)).detach()
    deviance = answer - target + torch.xlogy(target, target) - target * torch.log(answer)
    return (emphasis * (deviance * weight).sum(dim=(1, 2)) / size).mean()


def _judge(state: State, inputs, estimate, scatter, emphasis) -> dict:
    """On views never trained on: loss, and error and bias of the mean scatter in the field, the noise among them."""
    import torch

    with torch.no_grad():
        answer = state.averaged(inputs, estimate)
        loss = _loss(answer, scatter, inputs[:, _SHARE], emphasis)
    share = inputs[:, _SHARE]
    ratio = (answer * share).sum(dim=(1, 2)) / (scatter * share).sum(dim=(1, 2)) - 1
    return {"checked": round(float(loss), 4), "error": round(float(ratio.abs().median()), 4),
            "bias": round(float(ratio.median()), 4)}  # fmt: skip


def _save(folder: Path, state: State, range_: np.ndarray) -> None:
    tensors = {f"model.{name}": tensor for name, tensor in state.model.state_dict().items()}
    tensors |= {f"averaged.{name}": tensor for name, tensor in state.averaged.state_dict().items()}
    for name, parameter in state.model.named_parameters():
        for moment in _MOMENTS:
            if parameter in state.optimizer.state:
                tensors[f"{moment}.{name}"] = state.optimizer.state[parameter][moment]
    settings = asdict(state.settings)
    write_tensors(folder / CHECKPOINT, tensors, {"step": state.step, "settings": settings})
    header = {
        "settings": settings,
        "step": state.step,
        "range": {"lowest": range_[0].tolist(), "highest": range_[1].tolist()},
    }
    write_tensors(folder / SHIPPED, state.averaged.state_dict(), header)


def _begin_with(state: State, path: Path) -> None:
    """The weights of a file instead of random ones. Raises InputError where they do not fit."""
    tensors, _ = read_tensors(path)
    try:
        for model in (state.model, state.averaged):
            model.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(f"The weights in '{path}' do not fit the settings; choose others.") from error


def _loaded(path: Path, settings: ScatterSettings) -> State:
    import torch

    tensors, header = read_tensors(path)
    try:
        kept = ScatterSettings(**header["settings"] | {"widths": tuple(header["settings"]["widths"])})
        if kept != settings:
            raise InputError(
                f"'{path.parent}' holds a training with other settings; leave them as they were, or start in another "
                "folder."
            )
        state = _new(settings, int(header["step"]))
        for model, part in ((state.model, "model"), (state.averaged, "averaged")):
            model.load_state_dict(
                {n.removeprefix(f"{part}."): t for n, t in tensors.items() if n.startswith(f"{part}.")}
            )
        for name, parameter in state.model.named_parameters():
            if f"{_MOMENTS[0]}.{name}" not in tensors:  # saved before the first step
                continue
            moments = {moment: tensors[f"{moment}.{name}"] for moment in _MOMENTS}
            state.optimizer.state[parameter] = {"step": torch.tensor(float(state.step)), **moments}
    except (KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"'{path}' is no checkpoint of this version; start in another folder.") from error
    return state
