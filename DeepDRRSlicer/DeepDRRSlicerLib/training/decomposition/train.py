"""Training in pieces: from the settings, or from where the last piece ended, for so many minutes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from DeepDRRSlicerLib.anatomy.substances import CLASSES
from DeepDRRSlicerLib.dataset.atomic import write_whole
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.learning import require
from DeepDRRSlicerLib.learning.device import choose, limited_threads
from DeepDRRSlicerLib.learning.weights import SHIPPED, Trained, load_trained, read_tensors
from DeepDRRSlicerLib.training import curves
from DeepDRRSlicerLib.training.decomposition.feed import Feed, Sampler
from DeepDRRSlicerLib.training.decomposition.samples import SYNTHETIC, sample
from DeepDRRSlicerLib.training.decomposition.settings import REFINER, Settings
from DeepDRRSlicerLib.training.tensor_files import write_trained

START = "start.safetensors"  # a copy of the weights that a training began with
_SAVE_SECONDS = 120.0
_LOG_STEPS = 20


def sampler_of(settings: Settings, data: Path | None, folder: Path) -> Sampler:
    """Sample by number, as the settings want it. data: the folder of the CTs. folder: of the training.

    Raises InputError where the settings name no source of samples, or CTs without a folder.
    """
    config = settings.data | {"patch": settings.patch, "spacing": settings.spacing}
    mix = config.setdefault("mix", {SYNTHETIC: 1.0})
    if data is not None:
        config["folder"] = str(data)
    elif set(mix) != {SYNTHETIC}:
        raise InputError("The settings mix in real CTs; give their folder with --data, or other settings.")
    if settings.part == REFINER:
        from DeepDRRSlicerLib.learning.refinement import RefinerConfig
        from DeepDRRSlicerLib.training.decomposition.refiner_samples import refiner_sample

        config["margin"] = RefinerConfig.from_dict(settings.network).margin
        return partial(refiner_sample, config, settings.seed, folder / START)
    return partial(sample, config, settings.seed)


def train(
    sampler: Callable[[Settings], Sampler],
    settings: Settings,
    folder: Path,
    minutes: float,
    resume: bool = False,
    start: Path | None = None,
    device: str = "auto",
    report: Callable[[str], None] = print,
) -> bool:
    """One piece of a training; True when all its steps are done. Leaves checkpoint, weights, log and plot in `folder`.

    sampler: what makes samples by number, from the settings. resume: goes on from the checkpoint, with its settings,
    except how many steps there are. start: weights to begin with, of the same network; the refiner's training needs
    those of the network that it follows. report: hears a line now and
    then. Raises InputError where the folder holds a training already or none, or the disk refuses.
    """
    require()
    from DeepDRRSlicerLib.training.decomposition import trainer

    end = time.monotonic() + 60 * minutes
    place = choose(device)
    if resume:
        state = trainer.load_checkpoint(folder, place)
        state.settings = replace(state.settings, steps=settings.steps)
        if state.settings != settings:
            raise InputError(
                f"'{folder}' holds a training with other settings; leave --config and --seed as they were, or start "
                "in another folder."
            )
    else:
        if (folder / trainer.CHECKPOINT).exists():
            raise InputError(f"'{folder}' holds a training already; add --resume to go on, or choose another folder.")
        if start is None and settings.part == REFINER:
            raise InputError("The refiner is trained for a network that is there; give its weights with --start.")
        state = trainer.new_state(settings, place, None if start is None else read_tensors(start)[0])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if start is not None and not resume:
            write_whole(folder / START, [start.read_bytes()])
        curves.entries(folder, state.step)
        with limited_threads(), Feed(sampler(settings), settings) as feed:
            _steps(trainer, state, feed, folder, end, report)
        _save(trainer, state, folder)
        curves.plot(folder, CLASSES)
    except OSError as error:
        raise InputError(f"The folder '{folder}' cannot be written ({error}); free space or choose another.") from error
    return state.step >= settings.steps


def _steps(trainer, state, feed: Feed, folder: Path, end: float, report) -> None:
    settings = state.settings
    checks = None
    losses: list[float] = []
    saved = began = time.monotonic()
    try:
        while state.step < settings.steps and time.monotonic() < end:
            losses.append(trainer.train_step(state, feed.batch(state.step)))
            if state.step % _LOG_STEPS == 0:
                each = (time.monotonic() - began) / len(losses)
                loss = sum(losses) / len(losses)
                rate = settings.learning_rate_at(state.step)
                curves.append(folder, {"step": state.step, "loss": loss, "rate": rate, "seconds": each})
                report(f"step {state.step} of {settings.steps}: loss {loss:.4f}, {each:.2f} s a step")
                losses, began = [], time.monotonic()
            if settings.checks and (state.step % settings.check_every == 0 or state.step == settings.steps):
                checks = checks or feed.check()
                found = trainer.check(state, checks)
                curves.append(folder, {"step": state.step, **found})
                shown = ", ".join(f"{name} {dice:.3f}" for name, dice in zip(CLASSES, found["dice"]))
                report(f"step {state.step}: Dice {shown}")
                began = time.monotonic()
            if time.monotonic() - saved > _SAVE_SECONDS:
                _save(trainer, state, folder)
                saved = time.monotonic()
    except KeyboardInterrupt:
        report(f"Stopped after step {state.step}; add --resume to go on.")


def _save(trainer, state, folder: Path) -> None:
    trainer.save_checkpoint(folder, state)
    from DeepDRRSlicerLib.learning.refinement import untrained

    if state.settings.part == REFINER:
        trained = replace(load_trained(folder / START), refiner=state.averaged)
    else:
        trained = Trained(state.averaged, untrained(), state.settings.spacing, CLASSES)
    write_trained(folder / SHIPPED, trained)
