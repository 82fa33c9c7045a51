"""What the scatter network is told of a view: maps on coarse cells, the same in training as in a live picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.learning.scatter_estimate import estimate, shares_of
from DeepDRRSlicerLib.physics.detector import Detector
from DeepDRRSlicerLib.physics.spectrum import Spectrum
from DeepDRRSlicerLib.simulation.cells import to_cells
from DeepDRRSlicerLib.transport.depths import Depths, exit_gap

CELLS = 32  # along each side of the square that holds the detector
NAMES = (
    "log transmission", "transmission", "share of the field", "light matter", "heavy matter", "air gap",
    "distance of the matter", "depth of the matter", "log estimate", "cell", "source-image distance", "mean energy",
    "tube voltage", "efficiency at 30 keV", "at 60 keV", "at 100 keV",
)  # fmt: skip
_FAINTEST = 1e-4  # transmission
_LEAST_ESTIMATE = 1e-5
_LIGHT = ("air", "lung", "adipose", "water", "soft tissue", "soft tissue TG-195", "muscle", "blood", "PMMA", "PEEK")


def square_view(beam: ConeBeam) -> ConeBeam:
    """A view in CELLS x CELLS cells: the square about the middle of the detector, whose longer side it has."""
    rows, columns = beam.size
    pitch = max(rows * beam.pitch[1], columns * beam.pitch[0]) / CELLS
    corner = beam.detector_center - (CELLS - 1) / 2 * pitch * (beam.e_c + beam.e_r)
    return ConeBeam(beam.source, corner, beam.e_c, beam.e_r, (pitch, pitch), (CELLS, CELLS))


def part_of_square(beam: ConeBeam) -> tuple[float, float]:
    """Of the height and of the width of its square that a detector takes up, in the middle."""
    sides = beam.size[0] * beam.pitch[1], beam.size[1] * beam.pitch[0]
    return sides[0] / max(sides), sides[1] / max(sides)


def scatter_inputs(
    beam: ConeBeam,
    transmission: np.ndarray,
    area_density: np.ndarray,
    materials: Sequence[str],
    share: np.ndarray,
    depths: Depths,
    kvp: float,
    spectrum: Spectrum,
    detector: Detector,
) -> tuple[np.ndarray, np.ndarray]:
    """float32 (NAMES, rows, columns) of the cells, and the estimate (rows, columns) that the answer multiplies.

    beam: the view. transmission: (pixel rows, pixel columns), primary signal over open field. area_density: (materials,
    ...) g/cm2 likewise. share: likewise, 0 to 1, of the tube's photons that pass the shutters. depths: where the body
    stands, in the rays of square_view; a detector that is no square counts as one with shutters.
    """
    cells, part = square_view(beam), part_of_square(beam)
    open_share = to_cells(share, cells.size, part)
    within = open_share > 0.02
    seen = np.where(within, 1 / np.maximum(open_share, 0.02), 0)  # means over the open part of a cell
    passed = np.where(within, np.clip(to_cells(transmission * share, cells.size, part) * seen, 0, 1), 1)
    light = [m for m, name in enumerate(materials) if name in _LIGHT]
    heavy = [m for m in range(len(materials)) if m not in light]
    matter = [
        to_cells(area_density[chosen].sum(axis=0) * share, cells.size, part) * seen if chosen else np.zeros(cells.size)
        for chosen in (light, heavy)
    ]
    guess = estimate(passed, open_share, depths, cells.pitch[0], cells.sid)
    numbers = (
        cells.pitch[0] / 10,
        cells.sid / 1000,
        spectrum.mean_energy / 50,
        kvp / 100,
        *detector.efficiency(np.array([30.0, 60.0, 100.0])),
    )
    distance, depth = _moments(depths, cells)
    maps = [
        -np.log(np.maximum(passed, _FAINTEST)) / 5,
        passed * within,
        open_share,
        matter[0] / 30,
        matter[1] / 5,
        exit_gap(depths, cells.sid) / 300,
        distance / 300,
        depth / 100,
        np.log(guess + _LEAST_ESTIMATE) / 5 + 1,
        *(np.full(cells.size, number) for number in numbers),
    ]
    return np.stack(maps).astype(np.float32), guess


def _moments(depths: Depths, cells: ConeBeam) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns) mm: mean distance of each ray's matter from the detector, and its spread in depth."""
    if len(depths.density) == 0:
        return np.full(cells.size, cells.sid / 2), np.zeros(cells.size)
    shares, distance = shares_of(depths), depths.distance[:, None, None]
    mean = (shares * distance).sum(axis=0)
    return mean, np.sqrt((shares * (distance - mean) ** 2).sum(axis=0))
