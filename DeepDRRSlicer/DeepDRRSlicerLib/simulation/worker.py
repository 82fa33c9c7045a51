"""One persistent thread that does the newest job and lets go of older ones."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from DeepDRRSlicerLib.projection.projector import Stopped
from DeepDRRSlicerLib.simulation.turns import short_turns


@dataclass(frozen=True)
class Outcome:
    """What became of a job: its ticket, whether it is the newest, and the result or exception that it ended with."""

    ticket: int
    newest: bool
    result: Any = None
    error: Exception | None = None


class LatestWorker:
    """Runs work(job, should_stop) in a thread of its own; the caller collects outcomes on its own thread.

    A submitted job replaces one that waits, and asks the one that runs to stop, whose outcome is then not handed out.
    With interrupt=False the one that runs may end, and its outcome says that it is not the newest: so a picture
    that follows a drag is never starved by the next movement, and nothing out of date can be taken for current.
    """

    def __init__(self, work: Callable[[Any, Callable[[], bool]], Any], name: str = "DeepDRRSlicer"):
        self._work = work
        self._changed = threading.Condition()
        self._waiting: tuple[int, Any] | None = None
        self._newest = 0
        self._wanted_from = 0  # older tickets are of no interest any more
        self._closed = False
        self._running = False
        self._outcome: Outcome | None = None  # until it is collected
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Any, interrupt: bool = True) -> int:
        """Makes this the newest job; returns its ticket."""
        with self._changed:
            if interrupt:
                self._let_go()
            else:
                self._newest += 1
            self._waiting = (self._newest, job)
            self._changed.notify()
            return self._newest

    def cancel(self) -> None:
        """Lets go of every job; none of them will have an outcome."""
        with self._changed:
            self._let_go()

    def collect(self) -> Outcome | None:
        """The latest outcome, once, as soon as there is one."""
        with self._changed:
            outcome, self._outcome = self._outcome, None
            return outcome and replace(outcome, newest=outcome.ticket == self._newest)

    @property
    def is_busy(self) -> bool:
        """Whether a job runs or waits."""
        return self._running or self._waiting is not None

    def close(self, patience: float | None = None) -> None:
        """Stops the running job and ends the thread.

        patience: s to wait for a job that does not listen, as while compiling; its thread then ends by itself, and
        nothing is heard of it. None waits for as long as it takes.
        """
        with self._changed:
            self._closed = True
            self._let_go()
            self._changed.notify()
        self._thread.join(patience)

    def _let_go(self) -> None:
        """Forgets the job that waits, makes the one that runs out of date, and drops an outcome not yet collected."""
        self._newest += 1
        self._wanted_from = self._newest
        self._waiting = None
        self._outcome = None

    def _is_old(self, ticket: int) -> bool:
        return ticket < self._wanted_from

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._waiting)
                if self._closed:
                    return
                if self._waiting is None:
                    continue
                ticket, job = self._waiting
                self._waiting, self._running = None, True
            try:
                with short_turns():
                    outcome = Outcome(ticket, True, self._work(job, partial(self._is_old, ticket)))
            except Stopped:
                continue
            except Exception as error:  # whatever it was, the caller's thread must hear of it and this one live on
                outcome = Outcome(ticket, True, error=error)
            finally:
                self._running = False
            with self._changed:
                if ticket >= self._wanted_from:
                    self._outcome = outcome
