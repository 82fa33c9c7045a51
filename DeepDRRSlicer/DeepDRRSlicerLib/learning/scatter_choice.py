"""The ways to find scatter, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.simulation.scatter import ScatterModel
from DeepDRRSlicerLib.simulation.scatter_montecarlo import HISTORIES, MonteCarloScatter

SCATTER = ("none", "network", "montecarlo")


def scatter_model(
    choice: str,
    histories: int = HISTORIES,
    seed: int = 0,
    threads: int | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> ScatterModel | None:
    """The model of a name of SCATTER; None for "none", and always the same object for "network".

    histories, seed, threads, progress: of the Monte Carlo, see MonteCarloScatter. Raises InputError where the network
    cannot be read.
    """
    if choice == "none":
        return None
    if choice == "network":
        return _network()
    if choice == "montecarlo":
        return MonteCarloScatter(histories, seed, threads, progress)
    raise InputError(f"There is no scatter {choice!r}; choose {', '.join(SCATTER)}.")


@cache
def _network() -> ScatterModel:
    from DeepDRRSlicerLib.learning.scatter import NetworkScatter

    return NetworkScatter()
