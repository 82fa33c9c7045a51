"""Pulsed fluoroscopy: pulses at a rate for as long as a pedal is held, each of the view that holds at its moment."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from DeepDRRSlicerLib.simulation.radiograph import Radiograph
from DeepDRRSlicerLib.simulation.simulator import Held
from DeepDRRSlicerLib.simulation.views import ViewRequest, ViewSimulator


@dataclass(frozen=True, eq=False)
class Pulse:
    """One exposed pulse. time: s from the first pulse of the train to its start."""

    radiograph: Radiograph
    time: float


class PulseTrain:
    """From one press of the pedal to its release. One thread runs it; another one steers it and collects its pulses.

    The view is taken when the pulse starts. Where it has just changed, the pulse is traced coarsely on all pixels, so
    that it follows a C-arm that moves; the next one at rest is fine. A computer that is too slow for the rate gives
    fewer pulses, never two at less than their distance: `achieved` tells how many.
    """

    def __init__(
        self,
        request: ViewRequest,
        rate: float,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Event, float], object] = lambda event, seconds: event.wait(seconds),
    ):
        self.rate = rate
        self._request = self._shown = request
        self._clock, self._wait = clock, wait
        self._released, self._ended = threading.Event(), threading.Event()
        self._exposed: deque[Pulse] = deque()
        self._starts: deque[float] = deque(maxlen=max(2, round(2 * rate)))  # of the last two seconds

    def follow(self, request: ViewRequest) -> None:
        """From the next pulse on, this is the view."""
        self._request = request

    def release(self) -> None:
        """The pulse under way is the last one."""
        self._released.set()

    @property
    def ended(self) -> bool:
        """Whether no further pulse will come."""
        return self._ended.is_set()

    @property
    def shows_newest(self) -> bool:
        """Whether the last pulse is of the newest view."""
        return self._shown is self._request

    @property
    def achieved(self) -> float:
        """Pulses per second of late; the rate until there are two."""
        starts = list(self._starts)
        return (len(starts) - 1) / (starts[-1] - starts[0]) if len(starts) > 1 else self.rate

    def collect(self) -> list[Pulse]:
        """The pulses exposed since the last call, in order: each of them is dose."""
        pulses = []
        while self._exposed:
            pulses.append(self._exposed.popleft())
        return pulses

    def run(self, views: ViewSimulator, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Exposes until the pedal is released; at least one pulse. Raises as ViewSimulator.pulse."""
        try:
            self._expose(views, should_stop)
        finally:
            self._ended.set()

    def _expose(self, views: ViewSimulator, should_stop: Callable[[], bool]) -> None:
        interval, held, last = 1.0 / self.rate, Held(), None
        first = self._clock()
        frame = self._request.acquisition.frame
        while True:
            begun, request = self._clock(), self._request
            # The first pulse shows a C-arm at rest, as the preview before it did.
            moved = last is not None and request is not last
            taken = replace(request.acquisition, frame=frame)
            radiograph, held = views.pulse(replace(request, acquisition=taken), held, moved, should_stop)
            self._starts.append(begun)
            self._exposed.append(Pulse(radiograph, begun - first))
            frame, last = frame + 1, request
            self._shown = request
            # From its start, not from when it was due: one that began late is not followed all the sooner.
            self._wait(self._released, max(0.0, begun + interval - self._clock()))
            if self._released.is_set() or should_stop():
                return
