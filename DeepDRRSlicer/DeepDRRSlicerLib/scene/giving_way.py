"""Long work in the background that leaves the computer to the pictures a person is waiting for."""

import os
import sys
import threading
import time

_NICENESS = 10  # of 19; the default is 0, which gets nine times as much
_LOOK_S = 0.01
_LONGEST_S = 0.5  # for which it waits each time it asks, so that a pedal held down delays it and no more


def giveWay():
    """Have the calling thread, and those it starts from now on, get what processor time others leave over.

    Linux alone has that for single threads; elsewhere nothing happens.
    """
    if sys.platform.startswith("linux"):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def givingWay(shouldStop, isBusy, longest=_LONGEST_S):
    """shouldStop, which answers late while isBusy() says that a picture is under way; longest: s, at most so late."""

    def ask():
        latest = time.monotonic() + longest
        while isBusy() and not shouldStop() and time.monotonic() < latest:
            time.sleep(_LOOK_S)
        return shouldStop()

    return ask
