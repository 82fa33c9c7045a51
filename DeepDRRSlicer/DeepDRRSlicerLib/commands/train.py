"""`deepdrr-slicer train`: makes the weights of a network anew, in pieces of a few minutes."""

from __future__ import annotations

import argparse
import signal
from dataclasses import replace
from pathlib import Path

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.learning.device import DEVICES


def add_parser(commands) -> None:
    """Registers the command and its options."""
    command = commands.add_parser(
        "train",
        help="train a network",
        description="Trains a network for some minutes and leaves a checkpoint, from which the same command with "
        "--resume goes on, its weights, a log and a plot.",
    )
    add = command.add_argument
    add("network", choices=("decomposition", "scatter"), help="which network")
    add("--data", metavar="DIR", help="folder of the CTs that the settings name (synthetic bodies need none)")
    add("--config", metavar="FILE", help="settings (JSON); fields left out are the usual ones")
    add("-o", "--output", metavar="DIR", help="folder (default: decomposition-training, scatter-training)")
    add("--minutes", type=float, default=8.0, metavar="N", help="end after so many (default: %(default)g)")
    add("--resume", action="store_true", help="go on from the checkpoint in the folder")
    add("--start", metavar="FILE", help="begin with these weights (safetensors) instead of random ones")
    add("--seed", type=int, metavar="N", help="of samples and first weights (default: that of the settings)")
    add("--device", choices=DEVICES, default="auto", help="where to compute (default: %(default)s)")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Trains and says where the weights are. Raises InputError."""
    from DeepDRRSlicerLib.training.decomposition.settings import read_settings
    from DeepDRRSlicerLib.training.decomposition.train import sampler_of, train

    if not options.minutes > 0:
        raise InputError(f"--minutes must be above 0, not {options.minutes:g}.")
    if options.resume and options.start:
        raise InputError("A training that is resumed has its weights; leave out --start or --resume.")
    data = None if options.data is None else Path(options.data)
    if data is not None and not data.is_dir():
        raise InputError(f"There is no folder '{data}' of CTs; check --data.")
    if options.seed is not None and options.seed < 0:
        raise InputError(f"--seed must be 0 or more, not {options.seed}.")
    folder = Path(options.output or f"{options.network}-training")
    if options.network == "scatter":
        _scatter(options, folder, data)
        return
    settings = read_settings(options.config)
    if options.seed is not None:
        settings = replace(settings, seed=options.seed)
    start = None if options.start is None else Path(options.start)
    before = signal.signal(signal.SIGTERM, _interrupt)  # as cluster schedulers ask a job to end
    try:
        done = train(
            lambda settings: sampler_of(settings, data, folder),
            settings,
            folder,
            options.minutes,
            options.resume,
            start,
            options.device,
            report=lambda line: print(line, flush=True),
        )
    finally:
        signal.signal(signal.SIGTERM, before)
    _say(folder, done)


def _scatter(options: argparse.Namespace, folder: Path, data: Path | None) -> None:
    """The scatter network: its pairs, then its training. Raises InputError."""
    from DeepDRRSlicerLib.training.scatter.run import make_network
    from DeepDRRSlicerLib.training.scatter.settings import read_settings

    if options.device not in ("auto", "cpu"):
        raise InputError("The scatter network is trained on the CPU; leave out --device.")
    start = None if options.start is None else Path(options.start)
    pairs, settings = read_settings(options.config)
    if options.seed is not None:
        pairs, settings = replace(pairs, seed=options.seed), replace(settings, seed=options.seed)
    _say(
        folder,
        make_network(
            folder, pairs, settings, options.minutes, options.resume, data, lambda line: print(line, flush=True), start
        ),
    )


def _say(folder: Path, done: bool) -> None:
    print(f"{folder}: {'finished' if done else 'not finished; run the same command with --resume to go on'}.")


def _interrupt(number, frame):
    raise KeyboardInterrupt
