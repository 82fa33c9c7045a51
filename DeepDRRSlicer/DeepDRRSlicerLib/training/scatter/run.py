"""Pairs and training one after the other, in pieces of some minutes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.training.scatter.pairs import PER_FILE, PairSettings, make_pairs
from DeepDRRSlicerLib.training.scatter.train import CHECKPOINT, ScatterSettings, train_scatter

PAIRS = "pairs"


def make_network(
    folder: Path,
    pairs: PairSettings,
    settings: ScatterSettings,
    minutes: float,
    resume: bool = False,
    data: Path | None = None,
    report: Callable[[str], None] = print,
    start: Path | None = None,
) -> bool:
    """One piece of the work; True when all of it is done. Leaves the pairs in a folder of their own below `folder`.

    data: folder of the CTs that the settings name. start: weights to begin with; pairs that the folder has are then
    used. Raises InputError where it lacks a CT, and where the folder holds work that is not to be resumed, or of other
    settings.
    """
    begun = (folder / CHECKPOINT).exists() or ((folder / PAIRS).exists() and start is None)
    if begun and not resume:
        raise InputError(f"'{folder}' holds a training already; add --resume to go on, or choose another folder.")
    for name in pairs.cts:
        if data is None or not (data / name).is_file():
            raise InputError(f"The CT '{name}' that the settings name is missing; give its folder by --data.")
    end = time.monotonic() + 60 * minutes

    def late() -> bool:
        return time.monotonic() > end

    def tell(done: int) -> None:
        if done % (5 * PER_FILE) == 0 or done == pairs.count:
            report(f"{done} of {pairs.count} pairs")

    if make_pairs(folder / PAIRS, pairs, data, late, tell) < pairs.count:
        return False
    left = (end - time.monotonic()) / 60
    return train_scatter(folder / PAIRS, folder, settings, left, (folder / CHECKPOINT).exists(), report, start)
