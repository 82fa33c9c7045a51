"""Scatter by following photons: the reference, in seconds to minutes a view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from DeepDRRSlicerLib.simulation.cells import to_pixels
from DeepDRRSlicerLib.simulation.scatter import Irradiated, Scatter

CELLS = 32  # along the longer side of the detector
HISTORIES = 2_000_000
_NOISY = 0.1  # standard error of a cell over the mean scatter, from which on the picture says so


@dataclass(frozen=True)
class MonteCarloScatter:
    """histories: photons that are followed. The picture is the same for the same seed, on any number of threads."""

    histories: int = HISTORIES
    seed: int = 0
    threads: int | None = None
    name: str = "montecarlo"

    @property
    def key(self) -> str:
        """What decides the picture."""
        return f"{self.name} {self.histories} {self.seed}"

    def scatter(self, view: Irradiated, should_stop: Callable[[], bool] = lambda: False) -> Scatter:
        """As ScatterModel. Raises InputError without numba, or where the source lies in the CT; Stopped."""
        from DeepDRRSlicerLib.transport.body import coarsened
        from DeepDRRSlicerLib.transport.montecarlo import coarse_view, follow_photons
        from DeepDRRSlicerLib.transport.tool_voxels import with_tools

        tally = follow_photons(
            with_tools(coarsened(view.volume), view.tools),
            coarse_view(view.beam, CELLS),
            view.spectrum,
            view.detector,
            self.histories,
            self.seed,
            view.share,
            threads=self.threads,
            should_stop=should_stop,
        )
        warning = ""
        if tally.relative_error > _NOISY:
            warning = (
                f"The scatter is noisy ({100 * tally.relative_error:.0f} % in each of {CELLS} x {CELLS} cells); follow "
                "more photons."
            )
        size = view.beam.size
        return Scatter(
            to_pixels(tally.scatter, size),
            to_pixels(tally.variances[1], size),
            {"histories": tally.histories, "relative_error_of_a_cell": tally.relative_error},
            warning,
        )
