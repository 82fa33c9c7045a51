"""Scatter by the network: in milliseconds, on the CPU, without torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.learning.scatter_inputs import part_of_square, scatter_inputs, square_view
from DeepDRRSlicerLib.learning.scatter_network import ScatterNetwork, shipped_network
from DeepDRRSlicerLib.physics.exposure import inverse_square
from DeepDRRSlicerLib.physics.primary import open_detected
from DeepDRRSlicerLib.simulation.cells import to_pixels
from DeepDRRSlicerLib.simulation.scatter import Irradiated, Scatter
from DeepDRRSlicerLib.transport.depths import Matter, depths_of, matter_of

_NOTHING = 1e-5  # of the open field: what rounding alone takes from the beam


@dataclass(frozen=True, eq=False)
class NetworkScatter:
    """network: as trained; the one that ships by default. Raises InputError where that cannot be read."""

    network: ScatterNetwork = field(default_factory=shipped_network)
    name: str = "network"
    _known: dict[int, tuple[MaterialVolume, Matter]] = field(default_factory=dict, repr=False)

    @property
    def key(self) -> str:
        """What decides the picture."""
        return f"{self.name} {self.network.digest}"

    def scatter(self, view: Irradiated, should_stop: Callable[[], bool] = lambda: False) -> Scatter:
        """As ScatterModel; too quick to be stopped."""
        cells = square_view(view.beam)
        inputs, estimate = scatter_inputs(
            view.beam, view.transmission, view.area_density, view.materials, view.share,
            depths_of(self._matter(view.volume), cells), view.kvp, view.spectrum, view.detector,
        )  # fmt: skip
        flat, flat_variance = open_detected(view.spectrum, view.detector)
        scale = flat * inverse_square(cells.sid)
        found = self.network(inputs, estimate) * np.float32(scale)
        mean = to_pixels(found, view.beam.size, part_of_square(view.beam))
        # The energies that scatter deposits spread as those of the open field do, within some per cent.
        variance = mean * np.float32(flat_variance / flat)
        return Scatter(mean, variance, {"network": self.network.digest}, self._warning(inputs, estimate))

    def _warning(self, inputs: np.ndarray, estimate: np.ndarray) -> str:
        """A sentence where the view is a stranger to the network; without an object there is no scatter to doubt."""
        outside = self.network.outside(inputs) if estimate.max() > _NOTHING else ()
        if not outside:
            return ""
        return (
            f"The scatter may be off, because the network knows no such view ({', '.join(outside)}); compare it with "
            "the Monte Carlo."
        )

    def _matter(self, volume: MaterialVolume) -> Matter:
        """Where the patient is; the last one is remembered."""
        known = self._known.get(0)
        if known is None or known[0] is not volume:
            known = self._known[0] = volume, matter_of(volume)
        return known[1]
