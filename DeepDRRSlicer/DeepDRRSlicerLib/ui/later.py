"""Work that follows changes a moment later, once for many of them, so that what is waited for comes first."""

import time

import qt

_DELAY_MS = 8  # the picture of a new view is asked for first
_REST_MS = 40  # a hand moves faster than what follows it needs to


class Later:
    """Does `work` soon after it has been asked for, and not again before it has rested."""

    def __init__(self, parent, work):
        self._work = work
        self._ended = 0.0
        self._timer = qt.QTimer(parent)
        self._timer.setSingleShot(True)
        self._timer.setTimerType(qt.Qt.PreciseTimer)
        self._timer.connect("timeout()", self.do)

    @property
    def isWaiting(self):
        """Whether the work has been asked for and not been done."""
        return self._timer.isActive()

    def ask(self):
        """Have it done soon."""
        if not self._timer.isActive():
            rested = 1000.0 * (time.perf_counter() - self._ended)
            self._timer.start(int(max(_DELAY_MS, _REST_MS - rested)))

    def do(self):
        """Do it now."""
        self._timer.stop()
        self._work()
        self._ended = time.perf_counter()

    def cancel(self):
        """Do not do it."""
        self._timer.stop()
