"""Scatter by the network: in milliseconds, on the CPU, without torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.learning.scatter_inputs import (
    CELLS,
    Standing,
    coarse,
    coarse_matter,
    groups_of,
    inputs_of,
    part_of_square,
    square_view,
    standing_of,
)
from DeepDRRSlicerLib.learning.scatter_network import ScatterNetwork, shipped_network
from DeepDRRSlicerLib.physics.exposure import inverse_square
from DeepDRRSlicerLib.physics.primary import open_detected
from DeepDRRSlicerLib.simulation.cells import to_pixels
from DeepDRRSlicerLib.simulation.scatter import CoarselyIrradiated, CoarseScatter, Irradiated, Scatter
from DeepDRRSlicerLib.transport.depths import Matter, depths_of, matter_of

_NOTHING = 1e-5  # of the open field: what rounding alone takes from the beam


class NetworkScatter:
    """network: as trained; the one that ships by default. Raises InputError where that cannot be read."""

    name = "network"
    size = (CELLS, CELLS)

    def __init__(self, network: ScatterNetwork | None = None):
        self.network = network or shipped_network()
        self._body: tuple[MaterialVolume, Matter] | None = None
        self._last: tuple[tuple, Standing] | None = None

    @property
    def key(self) -> str:
        """What decides the picture."""
        return f"{self.name} {self.network.digest}"

    def scatter(self, view: Irradiated, should_stop: Callable[[], bool] = lambda: False) -> Scatter:
        """As ScatterModel; too quick to be stopped."""
        standing = self._standing(
            (view.beam, view.area_density, view.share, view.volume),
            lambda: coarse_matter(view.beam, view.area_density, view.materials, view.share),
            view.volume,
        )
        found = self._found(standing, coarse(view.beam, view.transmission * view.share), view)
        mean = to_pixels(found.mean, view.beam.size, part_of_square(view.beam))
        return Scatter(mean, mean * np.float32(found.ratio), found.details, found.warning)

    def part(self, beam: ConeBeam) -> tuple[float, float]:
        return part_of_square(beam)

    def groups(self, materials: Sequence[str]) -> np.ndarray:
        return groups_of(materials)

    def coarse_scatter(self, view: CoarselyIrradiated) -> CoarseScatter:
        standing = self._standing((view.beam, view.matter, view.volume), lambda: view.matter, view.volume)
        return self._found(standing, view.transmission, view)

    def _found(
        self, standing: Standing, transmitted: np.ndarray, view: Irradiated | CoarselyIrradiated
    ) -> CoarseScatter:
        inputs, estimate = inputs_of(standing, transmitted, view.kvp, view.spectrum, view.detector)
        flat, flat_variance = open_detected(view.spectrum, view.detector)
        scale = flat * inverse_square(standing.cells.sid)
        found = self.network(inputs, estimate) * np.float32(scale)
        # The energies that scatter deposits spread as those of the open field do, within some per cent.
        ratio = flat_variance / flat
        return CoarseScatter(found, ratio, {"network": self.network.digest}, self._warning(inputs, estimate))

    def _warning(self, inputs: np.ndarray, estimate: np.ndarray) -> str:
        """A sentence where the view is a stranger to the network; without an object there is no scatter to doubt."""
        outside = self.network.outside(inputs) if estimate.max() > _NOTHING else ()
        if not outside:
            return ""
        return (
            f"The scatter may be off, because the network knows no such view ({', '.join(outside)}); compare it with "
            "the Monte Carlo."
        )

    def _standing(self, key: tuple, matter: Callable[[], np.ndarray], volume: MaterialVolume) -> Standing:
        """What stands in the beam; the last one is remembered, which another tube voltage leaves as it is.

        key: objects that it is made of, the beam first. matter: gives it as standing_of wants it.
        """
        last = self._last
        if last is None or len(last[0]) != len(key) or any(a is not b for a, b in zip(last[0], key, strict=True)):
            depths = depths_of(self._matter(volume), square_view(key[0]))
            self._last = last = key, standing_of(key[0], matter(), depths)
        return last[1]

    def _matter(self, volume: MaterialVolume) -> Matter:
        """Where the patient is; the last one is remembered."""
        if self._body is None or self._body[0] is not volume:
            self._body = volume, matter_of(volume)
        return self._body[1]
