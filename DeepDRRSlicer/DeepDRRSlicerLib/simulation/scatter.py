"""Scatter as the simulator wants it: one protocol, which the Monte Carlo and the network both keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

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
