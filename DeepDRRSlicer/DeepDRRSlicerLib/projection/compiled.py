"""How kernels are compiled: by numba where it is installed, kept as plain Python where it is not.

Imported by the modules that hold kernels alone, which are themselves imported when something is projected. Kernels
release the interpreter lock, so that run_parts of projection.parallel can call them from several threads; numba's own
threads are not used. Without numba the same loops run as Python, about a hundred times slower.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from DeepDRRSlicerLib.projection.projector import Stopped

try:
    from numba import njit
    from numba.core import event
except ImportError:
    COMPILES = False

    def kernel(function):
        """The function itself: numba is missing."""
        return function

    @contextmanager
    def stoppable_compiling(should_stop: Callable[[], bool]) -> Iterator[None]:
        """Nothing: there is nothing to compile."""
        yield

else:
    COMPILES = True
    # Cached beside the source, or in the user's cache folder. Divisions are not checked for zero: kernels do that.
    kernel = njit(nogil=True, cache=True, error_model="numpy")

    @contextmanager
    def stoppable_compiling(should_stop: Callable[[], bool]) -> Iterator[None]:
        """Raises Stopped between two steps of the compiler, a second at most, where should_stop answers True.

        Only what is compiled by the present thread is stopped: another may be compiling what is still wanted.
        """
        with event.install_listener("numba:run_pass", _Stop(should_stop)):
            yield

    class _Stop(event.Listener):
        def __init__(self, should_stop):
            self._should_stop = should_stop
            self._thread = threading.get_ident()

        def on_start(self, event):
            if threading.get_ident() == self._thread and self._should_stop():
                raise Stopped

        def on_end(self, event):
            pass
