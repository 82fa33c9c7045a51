"""How good the scatter network is: every number of the model card, against the Monte Carlo.

`python -m DeepDRRSlicerLib.training.scatter.evaluate --data DIR -o DIR [--weights FILE]` makes the reference of each
view, in as many pieces as one likes, and writes numbers.json. The reference is smoothed by a Gaussian of SMOOTHED
cells, and so is what that took away, which is put back (Tukey's twicing: a surface of third degree stays as it is);
photons are followed until the noise that is left is NOISE of the view's mean scatter.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.learning.scatter_inputs import scatter_inputs, square_view
from DeepDRRSlicerLib.learning.scatter_network import ScatterNetwork, load_network, shipped_network
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.physics.exposure import inverse_square, open_field
from DeepDRRSlicerLib.physics.primary import detected, open_detected
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum
from DeepDRRSlicerLib.projection.projector import make_projector
from DeepDRRSlicerLib.simulation.cells import to_pixels
from DeepDRRSlicerLib.training.scatter.judged import Judged, judged_views
from DeepDRRSlicerLib.training.scatter.views import shutters
from DeepDRRSlicerLib.transport.depths import depths_of, matter_of
from DeepDRRSlicerLib.transport.montecarlo import follow_photons

SMOOTHED = 3.0  # cells, standard deviation
NOISE = 0.02  # of the mean scatter, root mean square over the field
_PILOT, _MOST = 400_000, 16_000_000  # histories
_MIDDLE = 0.25  # of the detector's sides, about the middle of the field


@dataclass(frozen=True, eq=False)
class Seen:
    """A judged view as the network sees it. primary: float32 (pixel rows, pixel columns), share likewise; scale: both
    are over the open field's signal on the central ray. field: bool (cells, cells)."""

    inputs: np.ndarray
    estimate: np.ndarray
    primary: np.ndarray
    share: np.ndarray
    field: np.ndarray


@dataclass(frozen=True, eq=False)
class Reference:
    """raw, error: (cells, cells) scatter over the open field's signal on the central ray, and its standard error.
    scatter: smoothed. noise: what chance has left in it, root mean square over the field, of its mean there.
    histories: photons followed."""

    raw: np.ndarray
    error: np.ndarray
    field: np.ndarray
    histories: int

    @cached_property
    def scatter(self) -> np.ndarray:
        return smoothed(self.raw)

    @cached_property
    def noise(self) -> float:
        left = variance_of_smoothed(self.error**2)[self.field].mean()
        return float(np.sqrt(left) / self.scatter[self.field].mean())


def seen(judged: Judged) -> Seen:
    """What the network is told of a view."""
    chosen, volume = judged.view, judged.volume
    spectrum, detector, share = tube_spectrum(chosen.kvp, chosen.filtration), *_detector_and_share(chosen)
    areas = make_projector(volume, threads=1).project([chosen.beam])[0]
    transmission = detected(areas, volume.materials, spectrum, detector)[0] / open_detected(spectrum, detector)[0]
    depths = depths_of(matter_of(volume), square_view(chosen.beam))
    inputs, estimate = scatter_inputs(
        chosen.beam, transmission, areas, volume.materials, share, depths, chosen.kvp, spectrum, detector
    )
    falling = open_field(chosen.beam) / inverse_square(chosen.beam.sid)
    field = inputs[2] > 0.5
    return Seen(inputs, estimate, (transmission * share * falling).astype(np.float32), share, field)


def reference(judged: Judged, threads: int | None = None) -> Reference:
    """What the Monte Carlo finds, with as many photons as it takes."""
    chosen = judged.view
    spectrum, detector, share = tube_spectrum(chosen.kvp, chosen.filtration), *_detector_and_share(chosen)
    cells = square_view(chosen.beam)
    field = _field(share, cells.size)
    scale = open_detected(spectrum, detector)[0] * inverse_square(cells.sid)
    histories = _PILOT
    while True:
        tally = follow_photons(
            judged.volume, cells, spectrum, detector, histories, judged.number, share, threads=threads
        )
        found = Reference(tally.scatter / scale, tally.scatter_error / scale, field, histories)
        if found.noise <= NOISE or histories == _MOST:
            return found
        histories = int(min(_MOST, histories * max(1.2, 1.1 * (found.noise / NOISE) ** 2)))


def smoothed(cells: np.ndarray) -> np.ndarray:
    """Cells (rows, columns), smoothed within the picture."""
    down, across = (_gaussian(n) for n in cells.shape)
    once = down @ cells @ across.T
    return once + down @ (cells - once) @ across.T


def variance_of_smoothed(variance: np.ndarray) -> np.ndarray:
    """Of independent cells with these variances."""
    down, across = (_gaussian(n) for n in variance.shape)
    down2, across2 = down @ down, across @ across
    return (
        4 * down**2 @ variance @ (across**2).T
        - 4 * (down * down2) @ variance @ (across * across2).T
        + down2**2 @ variance @ (across2**2).T
    )


def _gaussian(count: int) -> np.ndarray:
    """(count, count) weights whose rows add up to 1."""
    place = np.arange(count)
    weights = np.exp(-0.5 * ((place[:, None] - place) / SMOOTHED) ** 2)
    return weights / weights.sum(axis=1, keepdims=True)


def references(folder: Path, data: Path | None, report=print) -> list[tuple[Judged, Reference]]:
    """Of all views; those that the folder holds are read, the others made and kept there."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for judged in judged_views(data):
        path = folder / f"reference_{judged.number:03d}.npz"
        if not path.exists():
            made = reference(judged, threads=1)
            part = path.with_suffix(".part")
            with open(part, "wb") as file:
                np.savez(file, raw=made.raw, error=made.error, field=made.field, histories=made.histories)
            os.replace(part, path)
            report(f"{judged.number} {judged.name}: {made.histories} photons, noise {100 * made.noise:.1f} %")
        with np.load(path, allow_pickle=False) as stored:
            kept = Reference(stored["raw"], stored["error"], stored["field"], int(stored["histories"]))
        found.append((judged, kept))
    return found


def numbers_of(network: ScatterNetwork, view: Seen, truth: Reference) -> dict:
    """Of one view. error: mean distance over the field over the mean scatter there; centre, edge: bias there; ZNCC and
    mean absolute percentage error of primary plus scatter in the field; same for the estimate alone: `estimate`."""
    found, field = network(view.inputs, view.estimate), view.field
    mean = truth.scatter[field].mean()
    centre, edge = _regions(field)
    size, lit = view.primary.shape, view.share > 0.5
    pictures = [(view.primary + to_pixels(cells, size))[lit] for cells in (found, truth.scatter)]
    return {
        "error": float(np.abs(found - truth.scatter)[field].mean() / mean),
        "bias": float(found[field].mean() / mean - 1),
        "centre": float(found[centre].mean() / truth.raw[centre].mean() - 1),
        "edge": float(found[edge].mean() / truth.raw[edge].mean() - 1),
        "zncc": float(np.corrcoef(*pictures)[0, 1]),
        "mape": float(np.abs(pictures[0] / pictures[1] - 1).mean()),
        "ratio": float(mean / view.primary[lit].mean()),
        "estimate": float(np.abs(view.estimate * _fit(view, truth) - truth.scatter)[field].mean() / mean),
        "noise": truth.noise,
        "outside": list(network.outside(view.inputs)),
    }


def _fit(view: Seen, truth: Reference) -> float:
    return truth.scatter[view.field].mean() / view.estimate[view.field].mean()


def _regions(field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """bool (cells, cells): the middle of the field, and what lies within two cells of its border."""
    rows, columns = (np.flatnonzero(field.any(axis=axis)) for axis in (1, 0))
    centre, inner = np.zeros_like(field), np.zeros_like(field)
    for region, cut in ((centre, None), (inner, 2)):
        parts = []
        for places in (rows, columns):
            skipped = round((1 - _MIDDLE) / 2 * len(places)) if cut is None else cut
            parts.append(slice(places[0] + skipped, places[-1] + 1 - skipped))
        region[tuple(parts)] = True
    return centre & field, field & ~inner


def _detector_and_share(chosen):
    return load_detector(chosen.detector), shutters(chosen)


def _field(share, size) -> np.ndarray:
    rows, columns = (n // m for n, m in zip(share.shape, size, strict=True))
    return share.reshape(size[0], rows, size[1], columns).mean(axis=(1, 3)) > 0.5


def summary(views: list[dict]) -> dict:
    """Of the numbers of all views."""

    def of(name):
        return np.array([view[name] for view in views])

    return {
        "views": len(views),
        "mean error": float(of("error").mean()),
        "worst error": float(of("error").max()),
        "views above 10 %": int((of("error") > 0.1).sum()),
        "bias at the centre": float(of("centre").mean()),
        "bias at the edge": float(of("edge").mean()),
        "least ZNCC": float(of("zncc").min()),
        "mean MAPE": float(of("mape").mean()),
        "largest MAPE": float(of("mape").max()),
        "mean noise of the reference": float(of("noise").mean()),
        "most noise of the reference": float(of("noise").max()),
        "mean error of the estimate alone": float(of("estimate").mean()),
    }


def evaluate(network: ScatterNetwork, folder: Path, data: Path | None, report=print) -> dict:
    """numbers.json: the summary of all views, of each kind of body, and every view. Raises InputError."""
    views = []
    for judged, truth in references(folder, data, report):
        views.append({"number": judged.number, "body": judged.name} | numbers_of(network, seen(judged), truth))
    kinds = dict.fromkeys(view["body"] for view in views)
    return {
        "network": network.digest,
        "all": summary(views),
        "bodies": {kind: summary([view for view in views if view["body"] == kind]) for kind in kinds},
        "views": views,
    }


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder that holds chest_ct")
    parser.add_argument("-o", "--output", required=True, help="folder of the references and numbers.json")
    parser.add_argument("--weights", help="safetensors; those that ship, if left out")
    options = parser.parse_args()
    network = load_network(Path(options.weights)) if options.weights else shipped_network()
    found = evaluate(network, Path(options.output), Path(options.data) if options.data else None)
    (Path(options.output) / "numbers.json").write_text(json.dumps(found, indent=1))
    print(json.dumps({"all": found["all"], "bodies": found["bodies"]}, indent=1))


if __name__ == "__main__":
    main()
