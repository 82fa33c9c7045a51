"""What the scatter network is told of a view: maps on coarse cells, the same in training as in a live picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.physics.detector import Detector
from DeepDRRSlicerLib.physics.spectrum import Spectrum
from DeepDRRSlicerLib.simulation.cells import to_cells

CELLS = 32  # along the longer side of the detector
NAMES = (
    "log transmission", "transmission", "share of the field", "light matter", "bone", "air gap", "cell",
    "source-image distance", "mean energy", "tube voltage", "efficiency at 30 keV", "at 60 keV", "at 100 keV",
)  # fmt: skip
_FAINTEST = 1e-4  # transmission
_HEAVY = ("bone", "spongiosa", "hydroxyapatite")


def scatter_inputs(
    transmission: np.ndarray,
    area_density: np.ndarray,
    materials: Sequence[str],
    share: np.ndarray,
    gap: np.ndarray,
    cells: ConeBeam,
    kvp: float,
    spectrum: Spectrum,
    detector: Detector,
) -> np.ndarray:
    """float32 (NAMES, rows, columns) of the cells.

    transmission: (pixel rows, pixel columns), primary signal over open field. area_density: (materials, ...) g/cm2
    likewise. share: likewise, 0 to 1, of the tube's photons that pass the shutters. gap: (rows, columns) mm from the
    body to the detector. cells: the view in cells.
    """
    size = cells.size
    open_share = to_cells(share, size)
    within = open_share > 0.02
    seen = np.where(within, 1 / np.maximum(open_share, 0.02), 0)  # means over the open part of a cell
    passed = np.clip(to_cells(transmission * share, size) * seen, 0, 1)
    heavy = [m for m, name in enumerate(materials) if name in _HEAVY]
    light = [m for m in range(len(materials)) if m not in heavy]
    matter = [
        to_cells(area_density[chosen].sum(axis=0) * share, size) * seen if chosen else np.zeros(size)
        for chosen in (light, heavy)
    ]
    numbers = (
        cells.pitch[0] / 10,
        cells.sid / 1000,
        spectrum.mean_energy / 50,
        kvp / 100,
        *detector.efficiency(np.array([30.0, 60.0, 100.0])),
    )
    maps = [
        -np.log(np.maximum(passed, _FAINTEST)) / 5 * within,
        passed,
        open_share,
        matter[0] / 30,
        matter[1] / 5,
        gap / 300,
        *(np.full(size, number) for number in numbers),
    ]
    return np.stack(maps).astype(np.float32)


def removed(inputs: np.ndarray) -> np.ndarray:
    """Share of the photons sent to the whole detector that the object takes away: float, of inputs (..., maps, r, c).

    Scatter grows from nothing with it, and so does the network's answer, which is multiplied by it.
    """
    taken = inputs[..., NAMES.index("share of the field"), :, :] * (1 - inputs[..., NAMES.index("transmission"), :, :])
    return taken.mean(axis=(-1, -2))
