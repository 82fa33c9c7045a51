"""The figure of the documentation: scatter by both ways, a profile through it, and the picture without and with it.

`python -m DeepDRRSlicerLib.training.scatter.figures --data DIR -o FILE` takes the chest CT that the network was not
trained on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.anatomy.ct import read_ct
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.learning.scatter_choice import scatter_model
from DeepDRRSlicerLib.physics.collimation import Collimation
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.physics.grid import load_grid
from DeepDRRSlicerLib.simulation.acquisition import Acquisition
from DeepDRRSlicerLib.simulation.simulator import Simulator
from DeepDRRSlicerLib.simulation.technique import Technique
from DeepDRRSlicerLib.training.scatter.evaluate import smoothed
from DeepDRRSlicerLib.training.scatter.judged import CHEST

_SIZE, _PITCH = (256, 256), 1.2
_CELL = 8  # pixels
_WINDOW = (0.3, 6.5)  # -ln(signal / open field), black and white
_FIELD = (120.0, 145.0, 140.0, 110.0)  # mm: left, right, top, bottom


def pictures(data: Path, histories: int) -> dict[str, np.ndarray]:
    """float32 (rows, columns) keV per pixel, no noise, no grid: "none", "network", "montecarlo" and "open field"."""
    simulator = Simulator(read_ct(data / CHEST))
    device = load_device("mobile_carm")
    middle = tuple(simulator.ct.center_ras)
    beam = CArmPose(0, 0, middle, 1000, 750, _SIZE, (_PITCH, _PITCH)).beam()
    found = {}
    for name in ("none", "network", "montecarlo"):
        acquisition = Acquisition(
            device, load_detector("mobile_flat_panel"), Technique(80, 2.0, {"Al": 3.0}), Collimation(*_FIELD),
            load_grid("none"), scatter=scatter_model(name, histories),
        )  # fmt: skip
        taken = simulator.simulate(beam, acquisition)
        found |= {name: taken.signal, "open field": taken.open_field, "exposed": taken.exposed}
    return found


def draw(found: dict[str, np.ndarray], path: Path) -> None:
    """Writes the figure (PNG)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    scale = found["open field"].max() / 100
    maps = {name: (found[name] - found["none"]) / scale for name in ("montecarlo", "network")}
    reference = _on_cells(maps["montecarlo"])
    figure = Figure(figsize=(11, 7.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 3)
    lit = found["exposed"] > 0.5
    for axis, name, title in (
        (axes[0, 0], "none", "without scatter"),
        (axes[0, 1], "network", "with scatter by the network"),
        (axes[0, 2], "montecarlo", "with scatter by the Monte Carlo"),
    ):
        depth = -np.log(np.maximum(found[name] / found["open field"], 1e-3))
        axis.imshow(np.where(lit, depth, np.nan), cmap="gray", vmin=_WINDOW[0], vmax=_WINDOW[1])
        axis.set_title(title, fontsize=10)
    top = reference.max()
    for axis, image, title in (
        (axes[1, 0], reference, "scatter by the Monte Carlo, smoothed"),
        (axes[1, 1], maps["network"], "scatter by the network"),
    ):
        shown = axis.imshow(image, cmap="viridis", vmin=0, vmax=top, interpolation="bilinear")
        axis.set_title(title, fontsize=10)
    figure.colorbar(shown, ax=axes[1, 0], location="left", shrink=0.8, label="% of the open field")
    for axis in axes.flat[:5]:
        axis.set_axis_off()
    row = _SIZE[0] // 2
    across = (np.arange(_SIZE[1]) - (_SIZE[1] - 1) / 2) * _PITCH
    cells = (np.arange(len(reference)) - (len(reference) - 1) / 2) * _PITCH * _CELL
    profile = axes[1, 2]
    noisy = maps["montecarlo"].reshape(len(reference), _CELL, -1, _CELL).mean(axis=(1, 3))
    profile.plot(cells, noisy[row // _CELL], ".", color="0.6", label="Monte Carlo, a cell")
    profile.plot(cells, reference[row // _CELL], color="tab:blue", label="Monte Carlo, smoothed")
    profile.plot(across, maps["network"][row], color="tab:orange", label="network")
    profile.plot(across, found["none"][row] / scale, color="0.2", lw=0.8, label="primary")
    profile.set_xlabel("mm from the middle")
    profile.set_ylabel("% of the open field")
    profile.set_title("middle row", fontsize=10)
    profile.set_ylim(0, 2.2 * top)
    profile.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def _on_cells(image: np.ndarray) -> np.ndarray:
    rows, columns = (n // _CELL for n in image.shape)
    return smoothed(image.reshape(rows, _CELL, columns, _CELL).mean(axis=(1, 3)))


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder that holds chest_ct")
    parser.add_argument("-o", "--output", required=True, help="PNG")
    parser.add_argument("--histories", type=int, default=6_000_000, help="photons (default: %(default)s)")
    options = parser.parse_args()
    draw(pictures(Path(options.data), options.histories), Path(options.output))


if __name__ == "__main__":
    main()
