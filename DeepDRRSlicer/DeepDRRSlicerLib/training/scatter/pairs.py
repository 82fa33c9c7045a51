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
from DeepDRRSlicerLib.learning.scatter_inputs import CELLS, NAMES, scatter_inputs, square_view
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.physics.exposure import inverse_square
from DeepDRRSlicerLib.physics.primary import detected, open_detected
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum
from DeepDRRSlicerLib.projection.projector import make_projector
from DeepDRRSlicerLib.training.scatter.bodies import body
from DeepDRRSlicerLib.training.scatter.real_bodies import real_body
from DeepDRRSlicerLib.training.scatter.views import View, shutters, view
from DeepDRRSlicerLib.transport.depths import depths_of, matter_of
from DeepDRRSlicerLib.transport.montecarlo import follow_photons

PER_FILE = 20
_SETTINGS = "pairs.json"
_LEAST_REMOVED = 0.02  # of the photons: views that miss the body teach nothing


@dataclass(frozen=True)
class PairSettings:
    """seed: of the pairs, which are numbered from 0. histories: photons followed for each.

    cts: files of real CTs, relative to a folder of data. ct_share: of the pairs that are of them, if there are any.
    """

    seed: int = 0
    count: int = 2000
    histories: int = 200_000
    cts: tuple[str, ...] = ()
    ct_share: float = 0.25


@dataclass(frozen=True, eq=False)
class Pair:
    """inputs: float32 (maps, cells, cells). estimate, scatter, error: float32 (cells, cells), over the open field's
    signal on the central ray. spread: variance over mean of the scatter, over that of the open field."""

    inputs: np.ndarray
    estimate: np.ndarray
    scatter: np.ndarray
    error: np.ndarray
    spread: float


def pair(settings: PairSettings, index: int, data: Path | None = None) -> Pair:
    """A pair of a random body and view. data: folder of the CTs. Raises InputError where one cannot be read."""
    generator = np.random.default_rng((settings.seed, index))
    while True:
        if settings.cts and generator.random() < settings.ct_share:
            volume = real_body(generator, tuple(str(Path(data or ".") / name) for name in settings.cts))
        else:
            volume = body(generator)[1]
        chosen = view(generator, matter_of(volume).points(), volume.corners_ras(), CELLS)
        made = pair_of(volume, chosen, settings.histories, seed=int(generator.integers(2**31)))
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
    if (share * (1 - transmission)).sum() < _LEAST_REMOVED * share.sum():
        return None
    cells = square_view(chosen.beam)
    inputs, estimate = scatter_inputs(
        chosen.beam, transmission, areas, volume.materials, share, depths_of(matter_of(volume), cells), chosen.kvp,
        spectrum, detector,
    )  # fmt: skip
    tally = follow_photons(volume, cells, spectrum, detector, histories, seed, field=share, threads=threads)
    reference = flat * inverse_square(cells.sid)
    return Pair(
        inputs,
        estimate,
        (tally.scatter / reference).astype(np.float32),
        (tally.scatter_error / reference).astype(np.float32),
        float(tally.variances[1].sum() / tally.scatter.sum() / (flat_variance / flat)),
    )


def make_pairs(
    folder: Path,
    settings: PairSettings,
    data: Path | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int], None] = lambda done: None,
) -> int:
    """Writes the pairs that the folder lacks, until all are there or it is asked to stop; returns how many there are.

    data: folder of the CTs that the settings name. Raises InputError where the folder holds pairs of other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / _SETTINGS
    stated = asdict(settings) | {"cts": list(settings.cts)}
    del stated["count"]  # more may be added
    if record.exists():
        if json.loads(record.read_text())["made_with"] != stated:
            raise InputError(f"{folder} holds pairs of other settings; choose an empty folder.")
    else:
        record.write_text(json.dumps({"made_with": stated}, indent=1))
    done = 0
    for first in range(0, settings.count, PER_FILE):
        numbers = range(first, min(first + PER_FILE, settings.count))
        path = folder / f"pairs_{first:06d}.npz"
        if not path.exists():
            made = []
            for number in numbers:
                if should_stop():
                    return done
                made.append(pair(settings, number, data))
            part = path.with_suffix(f".{os.getpid()}.part")
            with open(part, "wb") as file:
                np.savez(
                    file,
                    names=np.array(NAMES),
                    inputs=np.stack([p.inputs for p in made]),
                    estimate=np.stack([p.estimate for p in made]),
                    scatter=np.stack([p.scatter for p in made]),
                    error=np.stack([p.error for p in made]),
                    spread=np.array([p.spread for p in made]),
                )
            os.replace(part, path)
        done += len(numbers)
        progress(done)
    return done


@dataclass(frozen=True, eq=False)
class Pairs:
    """All pairs of a folder. inputs: (n, maps, cells, cells). estimate, scatter: (n, cells, cells). events: (n,), how
    many arrivals of equal size would bring a scatter of 1 in a cell with as much noise."""

    inputs: np.ndarray
    estimate: np.ndarray
    scatter: np.ndarray
    events: np.ndarray


def read_pairs(folder: Path) -> Pairs:
    """Raises InputError where the folder holds none, or they lack an input."""
    paths = sorted(Path(folder).glob("pairs_*.npz"))
    if not paths:
        raise InputError(f"There are no training pairs in {folder}; make them first.")
    parts = []
    for path in paths:
        with np.load(path, allow_pickle=False) as loaded:
            names = loaded["names"].tolist()
            if not set(NAMES) <= set(names):
                raise InputError(f"The pairs in {folder} are of another version; make them anew in an empty folder.")
            inputs = loaded["inputs"][:, [names.index(name) for name in NAMES]]
            scatter, error = loaded["scatter"], loaded["error"]
            variance = np.maximum((error.astype(np.float64) ** 2).sum(axis=(1, 2)), 1e-30)
            events = (scatter.sum(axis=(1, 2)) / variance).astype(np.float32)
            parts.append((inputs, loaded["estimate"], scatter, events))
    return Pairs(*(np.concatenate(part) for part in zip(*parts, strict=True)))
