"""Work shared out to a few Python threads, for kernels that release the interpreter lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor


def available_cores() -> int:
    """Cores that this process may use; fewer than the machine has where an affinity says so (clusters, containers)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def run_parts(function: Callable, parts: Iterable, threads: int | None = None) -> list:
    """[function(part) for part in parts] on up to so many threads at once, all available cores if None.

    The first error in the order of the parts is raised, after the parts already begun have ended; parts not yet begun
    are left out. Threads that are idle cost nothing, and with one thread or one part none is started: the work is then
    done by the caller's thread.
    """
    parts = list(parts)
    threads = min(len(parts), available_cores() if threads is None else max(1, threads))
    if threads <= 1:
        return [function(part) for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(function, part) for part in parts]
        try:
            return [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            raise


def row_parts(first: int, end: int, rows: int) -> list[tuple[int, int]]:
    """(first, end) of strips of at most so many rows, one after the other, that cover range(first, end)."""
    return [(row, min(row + rows, end)) for row in range(first, end, rows)]
