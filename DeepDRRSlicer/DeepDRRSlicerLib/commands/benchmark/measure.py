"""Time of a call on the clock and on all processor cores together."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call: the least on the clock and the least of all threads together, over several calls."""

    clock: float
    cpu: float


def timed(
    function: Callable[[], Result], at_least: int = 3, seconds: float = 0.5, at_most: int = 20
) -> tuple[Timing, Result]:
    """(timing, result of the last call) of `at_least` calls, and more until `seconds` have passed.

    The least of each is what the program needs; what is above it, other programs took.
    """
    clocks: list[float] = []
    cpus: list[float] = []
    begin = time.perf_counter()
    while len(clocks) < at_least or (time.perf_counter() - begin < seconds and len(clocks) < at_most):
        clock, cpu = time.perf_counter(), time.process_time()
        result = function()
        clocks.append(time.perf_counter() - clock)
        cpus.append(time.process_time() - cpu)
    return Timing(1e3 * min(clocks), 1e3 * min(cpus)), result


def allocated(function: Callable[[], Result]) -> tuple[Result, float]:
    """(result, MB that its result still holds), as Python's allocators see it."""
    tracemalloc.start()
    try:
        result = function()
        gc.collect()
        return result, tracemalloc.get_traced_memory()[0] / 1e6
    finally:
        tracemalloc.stop()
