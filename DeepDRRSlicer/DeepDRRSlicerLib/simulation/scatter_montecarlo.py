"""Scatter by following photons: the reference, in seconds to minutes a view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from DeepDRRSlicerLib.simulation.cells import to_pixels
from DeepDRRSlicerLib.simulation.scatter import Irradiated, Scatter

CELLS = 32  # along the longer side of the detector
HISTORIES = 2_000_000
_CHUNK = 250_000  # photons at most that are followed without a look at whether to stop: a second
_NOISY = 0.1  # standard error of a cell over the mean scatter, from which on the picture says so


@dataclass(frozen=True)
class MonteCarloScatter:
    """histories: photons that are followed. The picture is the same for the same seed, on any number of threads.

    backend: "auto" follows them on a card where there is one, which gives the same picture but for rounding and chance.

    progress: hears, on the thread that computes, how many photons were followed so far and the standard error of a cell
    over the mean scatter.
    """

    histories: int = HISTORIES
    seed: int = 0
    threads: int | None = None
    progress: Callable[[int, float], None] | None = field(default=None, compare=False)
    backend: str = "auto"
    name: str = "montecarlo"

    @property
    def key(self) -> str:
        """What decides the picture."""
        return f"{self.name} {self.histories} {self.seed}"

    def scatter(self, view: Irradiated, should_stop: Callable[[], bool] = lambda: False) -> Scatter:
        """As ScatterModel. Raises InputError without numba, or where the source lies in the CT; Stopped."""
        from DeepDRRSlicerLib.transport.body import coarsened
        from DeepDRRSlicerLib.transport.montecarlo import CHUNKS, coarse_view, follow_photons
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
            chunks=max(CHUNKS, -(-self.histories // _CHUNK)),
            progress=self._tell,
            backend=self.backend,
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
            {
                "histories": tally.histories,
                "relative_error_of_a_cell": tally.relative_error,
                "photons_followed_by": tally.backend,
            },
            warning,
        )

    def _tell(self, done: int, tally) -> None:
        if self.progress is not None:
            self.progress(done, tally.relative_error)
