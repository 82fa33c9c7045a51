"""A reference image: one view whose scatter comes from following photons, as many as are asked for or as it takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from DeepDRRSlicerLib.simulation.radiograph import Radiograph
from DeepDRRSlicerLib.simulation.scatter import ScatterModel
from DeepDRRSlicerLib.simulation.technique import Technique
from DeepDRRSlicerLib.simulation.views import ViewRequest, ViewSimulator

PILOT = 100_000  # photons that tell how many are needed
MOST = 1_000_000_000  # photons that are followed at most, however small the error that is wanted
_MARGIN = 1.2  # for what the pilot does not know of its own error


@dataclass(frozen=True)
class Wanted:
    """How many photons are followed; or error: the standard error of a cell's scatter, over the mean, to stop at."""

    photons: int = 2_000_000
    error: float | None = None


@dataclass(frozen=True)
class Progress:
    """Photons followed of so many, 0 where that is not known yet, and the error of a cell so far, None before any."""

    done: int = 0
    total: int = 0
    error: float | None = None


def reference_image(
    views: ViewSimulator,
    request: ViewRequest,
    wanted: Wanted,
    model: Callable[[int, Callable[[int, float], None]], ScatterModel],
    should_stop: Callable[[], bool] = lambda: False,
    tell: Callable[[Progress], None] = lambda progress: None,
) -> Radiograph:
    """The picture of a request, its scatter replaced. The exposure is that of the picture as it is requested.

    So the brightness control is asked once, of the quick picture, and the photons are followed once.
    model: the Monte Carlo of so many photons, which tells after each part of them how many there were and the error
    of a cell. The metadata say how many were followed, and their error. Raises as ViewSimulator.simulate.
    """
    quick = views.simulate(request, should_stop)
    technique = technique_of(quick)

    def take(photons: int, total: int) -> Radiograph:
        tell(Progress(0, total))
        followed = model(photons, lambda done, error: tell(Progress(done, total, error)))
        acquisition = replace(request.acquisition, technique=technique, scatter=followed)
        return views.simulate(replace(request, acquisition=acquisition), should_stop)

    photons, taken = wanted.photons, None
    if wanted.error is not None:
        taken = take(PILOT, 0)
        error = taken.metadata["scatter"]["relative_error_of_a_cell"]
        photons = min(MOST, math.ceil(_MARGIN * PILOT * (error / wanted.error) ** 2))
    if taken is None or photons > PILOT:
        taken = take(photons, photons)
    return taken.with_metadata(exposure=quick.metadata["exposure"])


def technique_of(radiograph: Radiograph) -> Technique:
    """The technique with which a picture was taken."""
    told = radiograph.metadata["technique"]
    return Technique(
        kvp=told["kvp"],
        mas=told["mas"],
        filtration=told["filtration_mm"],
        mode=told["mode"],
        tube_current=told.get("tube_current_ma"),
        pulse_width=told.get("pulse_width_ms"),
        pulse_rate=told.get("pulse_rate_hz"),
        heel=told["heel"],
    )
