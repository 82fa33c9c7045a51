"""Training pairs: what the network is told of a view, and the scatter that the Monte Carlo finds there.

Pair i of a seed is the same wherever it is made. Pairs are written in files of a few, each whole or not at all, so
that the making can be stopped and gone on with at any time, also by several programs on one folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.learning.scatter_inputs import CELLS, scatter_inputs
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.physics.exposure import inverse_square
from DeepDRRSlicerLib.physics.primary import detected, open_detected
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum
from DeepDRRSlicerLib.projection.projector import make_projector
from DeepDRRSlicerLib.training.scatter.bodies import body
from DeepDRRSlicerLib.training.scatter.views import View, shutters, view
from DeepDRRSlicerLib.transport.exit_gap import exit_gap, occupancy
from DeepDRRSlicerLib.transport.montecarlo import coarse_view, follow_photons

PER_FILE = 20
_SETTINGS = "pairs.json"
_LEAST_REMOVED = 0.02  # of the photons: views that miss the body teach nothing


@dataclass(frozen=True)
class PairSettings:
    """seed: of the pairs, which are numbered from 0. histories: photons followed for each."""

    seed: int = 0
    count: int = 2000
    histories: int = 400_000


@dataclass(frozen=True, eq=False)
class Pair:
    """inputs: float32 (maps, cells, cells). scatter, error: float32 (cells, cells), over the open field's signal on the
    central ray. spread: variance over mean of the scatter, over that of the open field."""

    inputs: np.ndarray
    scatter: np.ndarray
    error: np.ndarray
    spread: float


def pair(seed: int, index: int, histories: int) -> Pair:
    """A pair of a random body and view."""
    generator = np.random.default_rng((seed, index))
    while True:
        _, volume = body(generator)
        extent = np.array(volume.size) * np.linalg.norm(volume.ijk_to_ras[:3, :3], axis=0) / 2
        made = pair_of(volume, view(generator, extent, CELLS), histories, seed=int(generator.integers(2**31)))
        if made is not None:
            return made


def pair_of(volume, chosen: View, histories: int, seed: int, threads: int | None = 1) -> Pair | None:
    """The pair of a volume and a view; None where the view misses the volume."""
    detector = load_detector(chosen.detector)
    spectrum = tube_spectrum(chosen.kvp, chosen.filtration)
    share = shutters(chosen)
    areas = make_projector(volume, threads=threads).project([chosen.beam])[0]
    flat, flat_variance = open_detected(spectrum, detector)
    transmission = detected(areas, volume.materials, spectrum, detector)[0] / flat
    if (share * (1 - transmission)).mean() < _LEAST_REMOVED:
        return None
    cells = coarse_view(chosen.beam, CELLS)
    gap = exit_gap(occupancy(volume), cells)
    tally = follow_photons(volume, cells, spectrum, detector, histories, seed, field=share, threads=threads)
    reference = flat * inverse_square(cells.sid)
    return Pair(
        scatter_inputs(transmission, areas, volume.materials, share, gap, cells, chosen.kvp, spectrum, detector),
        (tally.scatter / reference).astype(np.float32),
        (tally.scatter_error / reference).astype(np.float32),
        float(tally.variances[1].sum() / tally.scatter.sum() / (flat_variance / flat)),
    )


def make_pairs(
    folder: Path,
    settings: PairSettings,
    should_stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int], None] = lambda done: None,
) -> int:
    """Writes the pairs that the folder lacks, until all are there or it is asked to stop; returns how many there are.

    Raises InputError where the folder holds pairs of other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / _SETTINGS
    stated = {"seed": settings.seed, "histories": settings.histories}
    if record.exists():
        if json.loads(record.read_text())["made_with"] != stated:
            raise InputError(f"{folder} holds pairs of other settings; choose an empty folder.")
    else:
        record.write_text(json.dumps({"made_with": stated, "settings": asdict(settings)}, indent=1))
    done = 0
    for first in range(0, settings.count, PER_FILE):
        numbers = range(first, min(first + PER_FILE, settings.count))
        path = folder / f"pairs_{first:06d}.npz"
        if not path.exists():
            made = []
            for number in numbers:
                if should_stop():
                    return done
                made.append(pair(settings.seed, number, settings.histories))
            part = path.with_suffix(f".{os.getpid()}.part")
            with open(part, "wb") as file:
                np.savez(
                    file,
                    inputs=np.stack([p.inputs for p in made]),
                    scatter=np.stack([p.scatter for p in made]),
                    error=np.stack([p.error for p in made]),
                    spread=np.array([p.spread for p in made]),
                )
            os.replace(part, path)
        done += len(numbers)
        progress(done)
    return done


def read_pairs(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """inputs (n, maps, cells, cells) and scatter (n, cells, cells) of all pairs in a folder. Raises InputError."""
    paths = sorted(Path(folder).glob("pairs_*.npz"))
    if not paths:
        raise InputError(f"There are no training pairs in {folder}; make them first.")
    loaded = [np.load(path) for path in paths]
    return np.concatenate([f["inputs"] for f in loaded]), np.concatenate([f["scatter"] for f in loaded])
