"""Scatter as the simulator wants it: one protocol, which the Monte Carlo and the network both keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.physics.detector import Detector
from DeepDRRSlicerLib.physics.spectrum import Spectrum

if TYPE_CHECKING:
    from DeepDRRSlicerLib.projection.tools import Tool


@dataclass(frozen=True, eq=False)
class Irradiated:
    """All that scatter depends on, of one view.

    volume, tools: what stands in the beam. area_density: (materials, rows, columns) g/cm2 in the picture's pixels;
    transmission: (rows, columns) of the primary signal; share: likewise, of the tube's photons that pass the shutters.
    """

    volume: MaterialVolume
    tools: tuple[Tool, ...]
    beam: ConeBeam
    area_density: np.ndarray
    materials: Sequence[str]
    transmission: np.ndarray
    share: np.ndarray
    kvp: float
    spectrum: Spectrum
    detector: Detector


@dataclass(frozen=True, eq=False)
class Scatter:
    """What scatter brings to the detector, before the grid. mean, variance: float32 (rows, columns) keV and keV2 per
    mm2 of detector and mAs. details: for the metadata; warning: a sentence, where the answer should not be trusted."""

    mean: np.ndarray
    variance: np.ndarray
    details: dict[str, Any] = field(default_factory=dict)
    warning: str = ""


class ScatterModel(Protocol):
    """A way to find scatter. name: "network" or "montecarlo"; key: equal for models that give the same picture."""

    name: str
    key: str

    def scatter(self, view: Irradiated, should_stop: Callable[[], bool] = lambda: False) -> Scatter:
        """The scatter of a view. Raises InputError where it cannot be had, Stopped on request."""
        ...


@dataclass(frozen=True, eq=False)
class CoarselyIrradiated:
    """As Irradiated, in means over the cells of a CoarseScatterModel.

    matter: (1 + groups, *cells) share, and g/cm2 of each group of materials times share. transmission: (*cells), times
    share.
    """

    volume: MaterialVolume
    beam: ConeBeam
    matter: np.ndarray
    transmission: np.ndarray
    kvp: float
    spectrum: Spectrum
    detector: Detector


@dataclass(frozen=True, eq=False)
class CoarseScatter:
    """As Scatter, of which it holds the cells that to_pixels makes an image of. mean: (*cells). ratio: keV, variance
    over mean, everywhere."""

    mean: np.ndarray
    ratio: float
    details: dict[str, Any] = field(default_factory=dict)
    warning: str = ""


@runtime_checkable
class CoarseScatterModel(Protocol):
    """A ScatterModel that looks at nothing but means over coarse cells. size: rows and columns of cells."""

    name: str
    key: str
    size: tuple[int, int]

    def part(self, beam: ConeBeam) -> tuple[float, float]:
        """Of the cells' height and width that the picture takes up, as simulation.cells has it."""
        ...

    def groups(self, materials: Sequence[str]) -> np.ndarray:
        """float32 (groups, materials), 1 where a material belongs to a group."""
        ...

    def coarse_scatter(self, view: CoarselyIrradiated) -> CoarseScatter:
        """As `scatter`; too quick to be stopped."""
        ...
