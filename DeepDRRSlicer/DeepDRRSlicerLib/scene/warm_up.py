"""Has the projector compiled in the background before the first picture is asked for, and can be stopped at it."""

import threading

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.projection.projector import Stopped, warm_up

_LOOK_S = 0.05  # how often a picture that waits asks whether it is still wanted


class WarmUp:
    """A thread that compiles, once; pictures wait for it, because what numba compiles for them cannot be stopped."""

    def __init__(self):
        self._thread = None
        self._stop = threading.Event()
        self._ready = threading.Event()  # for pictures without tools

    def start(self):
        """Begin, unless that has been done before."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="DeepDRRSlicer warm-up", daemon=True)
            self._thread.start()

    @property
    def isRunning(self):
        """Whether it is still going on."""
        return self._thread is not None and self._thread.is_alive()

    def wait(self, shouldStop):
        """Wait, on a thread of pictures, until they can be made. Raises Stopped where shouldStop() is True first."""
        while self.isRunning and not self._ready.wait(_LOOK_S):
            if shouldStop():
                raise Stopped

    def close(self, patience=0.0):
        """Have the thread end after the present step of the compiler; wait for that, but not longer than s.

        Should it outlive the wait, it ends by itself all the same, and touches nothing but numba's cache until then.
        """
        self._stop.set()
        if self._thread is not None:
            self._thread.join(patience)

    def _run(self):
        try:
            warm_up(self._stop.is_set, self._ready.set)
        except InputError:  # the first picture says what is wrong
            pass
        except Exception:
            # Stopped, by whichever class of that name: a Reload takes the library from under the thread.
            if not self._stop.is_set():
                raise
