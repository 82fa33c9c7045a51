"""Scatter by the network: in milliseconds, on the CPU, without torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.learning.scatter_inputs import CELLS, scatter_inputs
from DeepDRRSlicerLib.learning.scatter_network import ScatterNetwork, shipped_network
from DeepDRRSlicerLib.physics.exposure import inverse_square
from DeepDRRSlicerLib.physics.primary import open_detected
from DeepDRRSlicerLib.simulation.cells import to_pixels
from DeepDRRSlicerLib.simulation.scatter import Irradiated, Scatter
from DeepDRRSlicerLib.transport.exit_gap import Occupancy, exit_gap, occupancy
from DeepDRRSlicerLib.transport.montecarlo import coarse_view

_OUTSIDE = "The view lies outside what the scatter network was trained on; the Monte Carlo tells how far it is off."


@dataclass(frozen=True, eq=False)
class NetworkScatter:
    """network: as trained; the one that ships by default. Raises InputError where that cannot be read."""

    network: ScatterNetwork = field(default_factory=shipped_network)
    name: str = "network"
    _known: dict[int, tuple[MaterialVolume, Occupancy]] = field(default_factory=dict, repr=False)

    @property
    def key(self) -> str:
        """What decides the picture."""
        return f"{self.name} {self.network.digest}"

    def scatter(self, view: Irradiated, should_stop: Callable[[], bool] = lambda: False) -> Scatter:
        """As ScatterModel; too quick to be stopped."""
        cells = coarse_view(view.beam, CELLS)
        inputs = scatter_inputs(
            view.transmission, view.area_density, view.materials, view.share, exit_gap(self._body(view.volume), cells),
            cells, view.kvp, view.spectrum, view.detector,
        )  # fmt: skip
        flat, flat_variance = open_detected(view.spectrum, view.detector)
        scale = flat * inverse_square(cells.sid)
        mean = to_pixels(self.network(inputs) * np.float32(scale), view.beam.size)
        # The energies that scatter deposits spread as those of the open field do, within some per cent.
        warning = _OUTSIDE if self.network.outside(inputs) else ""
        return Scatter(mean, mean * np.float32(flat_variance / flat), {"network": self.network.digest}, warning)

    def _body(self, volume: MaterialVolume) -> Occupancy:
        """Where the patient is; the last one is remembered."""
        known = self._known.get(0)
        if known is None or known[0] is not volume:
            known = self._known[0] = volume, occupancy(volume)
        return known[1]
