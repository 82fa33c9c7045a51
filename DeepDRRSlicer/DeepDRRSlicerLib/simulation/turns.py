"""How often threads of the interpreter take turns."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SHORT_S = 0.0001  # Python's default is fifty times as long
_lock = threading.Lock()
_inside = 0
_usual = 0.0


@contextmanager
def short_turns() -> Iterator[None]:
    """Inside, by any thread, a thread that waits for the interpreter gets it after a tenth of a millisecond.

    A picture is made in some hundred steps that each leave the interpreter for a moment; beside a window that is busy
    with a drag it would wait five milliseconds after every one of them.
    """
    global _inside, _usual
    with _lock:
        if _inside == 0:
            _usual = sys.getswitchinterval()
            sys.setswitchinterval(min(_usual, _SHORT_S))
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                sys.setswitchinterval(_usual)
