"""The one thread that owns the card's context; all others hand it their work, and wait."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from DeepDRRSlicerLib.projection.cuda.driver import DeviceError, Driver
from DeepDRRSlicerLib.projection.projector import Stopped

Result = TypeVar("Result")
ShouldStop = Callable[[], bool]
_LOOK = 0.003  # s between two looks at should_stop by a thread that waits
_PATIENCE = 5.0  # s for the work under way when the program ends


class _Job:
    """Work, and what became of it."""

    def __init__(self, work: Callable[[Any], Any]):
        self.work: Callable[[Any], Any] | None = work
        self.done = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self, driver: Driver | None) -> None:
        assert self.work is not None
        try:
            self.result = self.work(driver)
        except BaseException as error:  # whoever waits raises it
            self.error = error
        self.work = None  # what it holds may be memory of the card, which goes on this thread
        self.done.set()


class DeviceThread:
    """Opens a driver in a thread of its own, which then does what it is given, one after the other.

    name, device: of the driver. Raises DeviceError where the driver cannot be opened.
    """

    def __init__(self, open_driver: Callable[[], Driver]):
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()  # put() may be called by a destructor, at any time
        opened = _Job(lambda _: open_driver())
        self._thread = threading.Thread(target=self._run, args=(opened,), name="DeepDRRSlicer card", daemon=True)
        self._closed = False
        self._driver: Any = None  # once it is open
        self._thread.start()
        opened.done.wait()
        if opened.error is not None:
            raise opened.error
        self.name, self.device = opened.result.name, opened.result.device
        opened.result = None
        atexit.register(self.close)

    def call(self, work: Callable[[Driver, ShouldStop], Result], should_stop: ShouldStop = lambda: False) -> Result:
        """Returns or raises what work(driver, should_stop) does. Work may itself call.

        Raises Stopped within milliseconds where should_stop answers True, DeviceError where the thread was closed. Work
        that is under way then hears of it by its own should_stop, and nobody of its result.
        """
        if threading.current_thread() is self._thread:
            return work(self._driver, should_stop)
        gone = threading.Event()

        def unless_gone(driver):
            if gone.is_set():
                raise Stopped
            return work(driver, lambda: gone.is_set() or should_stop())

        job = _Job(unless_gone)
        self._put(job)
        try:
            while not job.done.wait(_LOOK):
                if should_stop():
                    raise Stopped
                if not self._thread.is_alive() and not job.done.is_set():
                    raise DeviceError("the card was let go of")
        except BaseException:
            gone.set()
            raise
        if job.error is not None:
            raise job.error
        return job.result

    def post(self, work: Callable[[Driver], object]) -> None:
        """Has work done without waiting, such as giving memory back; its errors are nobody's. From any thread."""
        if not self._closed:
            self._jobs.put(_Job(work))

    def close(self) -> None:
        """Ends the thread after what it has been given so far, and lets go of the context; does not wait for ever."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
            atexit.unregister(self.close)
        if threading.current_thread() is not self._thread:
            self._thread.join(_PATIENCE)

    def _put(self, job: _Job) -> None:
        if self._closed:
            raise DeviceError("the card was let go of")
        self._jobs.put(job)

    def _run(self, opened: _Job) -> None:
        opened.run(None)
        if opened.error is not None:
            return
        self._driver = opened.result
        while (job := self._jobs.get()) is not None:
            job.run(self._driver)
            del job  # what it returned may be memory of the card
        with contextlib.suppress(DeviceError):
            self._driver.close()
        self._driver = None


_open: dict[str, DeviceThread] = {}  # by the name of the driver
_opening = threading.Lock()


def shared_device(choice: str = "auto") -> DeviceThread:
    """The thread of this process for a driver of drivers.CHOICES, opened once. Raises DeviceError, InputError."""
    from DeepDRRSlicerLib.projection.cuda import drivers

    with _opening:
        names = drivers.names_of(choice)
        for name in names:
            if name in _open and not _open[name]._closed:
                return _open[name]
        device = DeviceThread(lambda: drivers.open_driver(choice))
        _open[device.name] = device
        return device


def _forget_in_child() -> None:
    """A forked process has neither the thread nor a context that works."""
    global _opening
    _open.clear()
    _opening = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
