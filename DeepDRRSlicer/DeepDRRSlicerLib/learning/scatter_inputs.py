"""What the scatter network is told of a view: maps on coarse cells, the same in training as in a live picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.learning.scatter_estimate import Spread, estimate, shares_of, spread_of
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
_SHUT = 0.02  # share of the photons, of a cell that counts as outside the field
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


@dataclass(frozen=True, eq=False)
class Standing:
    """What stands in the beam, on the cells of square_view: all that the network is told but what the tube decides.

    open_share: (rows, columns) of the tube's photons that pass the shutters. maps: by name, (rows, columns).
    """

    cells: ConeBeam
    open_share: np.ndarray
    maps: dict[str, np.ndarray]
    spread: Spread


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
    standing = standing_of(beam, coarse_matter(beam, area_density, materials, share), depths)
    return inputs_of(standing, coarse(beam, transmission * share), kvp, spectrum, detector)


def coarse(beam: ConeBeam, image: np.ndarray) -> np.ndarray:
    """float32 (rows, columns) of the cells: means of the pixels (pixel rows, pixel columns)."""
    return to_cells(image, (CELLS, CELLS), part_of_square(beam))


def coarse_matter(beam: ConeBeam, area_density: np.ndarray, materials: Sequence[str], share: np.ndarray) -> np.ndarray:
    """float32 (3, rows, columns) of the cells: share, and light and heavy matter in g/cm2 times it."""
    sums = [share]
    for group in groups_of(materials):
        matter = np.zeros(beam.size, np.float32)
        for m in np.flatnonzero(group):
            matter += area_density[m]
        sums.append(matter * share)
    return np.stack([coarse(beam, image) for image in sums])


def groups_of(materials: Sequence[str]) -> np.ndarray:
    """float32 (2, materials): 1 for those that coarse_matter adds up to light and to heavy matter."""
    light = np.array([name in _LIGHT for name in materials], dtype=np.float32)
    return np.stack([light, 1 - light])


def standing_of(beam: ConeBeam, matter: np.ndarray, depths: Depths) -> Standing:
    """matter: from coarse_matter. depths: as for scatter_inputs."""
    cells = square_view(beam)
    open_share, light, heavy = matter
    distance, depth = _moments(depths, cells)
    maps = {
        "share of the field": open_share,
        "light matter": light * _per_share(open_share) / 30,
        "heavy matter": heavy * _per_share(open_share) / 5,
        "air gap": exit_gap(depths, cells.sid) / 300,
        "distance of the matter": distance / 300,
        "depth of the matter": depth / 100,
    }
    return Standing(cells, open_share, maps, spread_of(depths, cells.pitch[0], cells.sid))


def inputs_of(
    standing: Standing, transmitted: np.ndarray, kvp: float, spectrum: Spectrum, detector: Detector
) -> tuple[np.ndarray, np.ndarray]:
    """As scatter_inputs. transmitted: (rows, columns) of the cells, means of transmission times share."""
    cells, open_share = standing.cells, standing.open_share
    within = open_share > _SHUT
    passed = np.where(within, np.clip(transmitted * _per_share(open_share), 0, 1), 1)
    guess = estimate(passed, open_share, standing.spread)
    efficiency = detector.efficiency(np.array([30.0, 60.0, 100.0]))
    maps = standing.maps | {
        "log transmission": -np.log(np.maximum(passed, _FAINTEST)) / 5,
        "transmission": passed * within,
        "log estimate": np.log(guess + _LEAST_ESTIMATE) / 5 + 1,
        "cell": cells.pitch[0] / 10,
        "source-image distance": cells.sid / 1000,
        "mean energy": spectrum.mean_energy / 50,
        "tube voltage": kvp / 100,
        "efficiency at 30 keV": efficiency[0],
        "at 60 keV": efficiency[1],
        "at 100 keV": efficiency[2],
    }
    inputs = np.empty((len(NAMES), *cells.size), np.float32)
    for row, name in zip(inputs, NAMES, strict=True):
        row[:] = maps[name]
    return inputs, guess


def _per_share(open_share: np.ndarray) -> np.ndarray:
    """By which a mean over a cell becomes one over its open part; 0 where it is shut."""
    return np.where(open_share > _SHUT, 1 / np.maximum(open_share, _SHUT), 0).astype(np.float32)


def _moments(depths: Depths, cells: ConeBeam) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns) mm: mean distance of each ray's matter from the detector, and its spread in depth."""
    if len(depths.density) == 0:
        return np.full(cells.size, cells.sid / 2), np.zeros(cells.size)
    shares, distance = shares_of(depths), depths.distance[:, None, None]
    mean = (shares * distance).sum(axis=0)
    return mean, np.sqrt((shares * (distance - mean) ** 2).sum(axis=0))
