"""Work that follows changes a moment later, once for many of them, so that what is waited for comes first."""

import time

import qt


class Later:
    """Does `work` after it has been asked for.

    delay, rest: ms from the request to the work, and from the end of the work to its next time, at least.
    """

    def __init__(self, parent, work, delay, rest):
        self._work, self._delay, self._rest = work, delay, rest
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
            self._timer.start(int(max(self._delay, self._rest - rested)))

    def do(self):
        """Do it now."""
        self._timer.stop()
        self._work()
        self._ended = time.perf_counter()

    def cancel(self):
        """Do not do it."""
        self._timer.stop()
