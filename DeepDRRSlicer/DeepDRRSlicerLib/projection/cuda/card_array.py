"""Arrays that stay on the card for as long as somebody holds them, and come to the host when they are asked for."""

from __future__ import annotations

import weakref
from collections import deque

import numpy as np

from DeepDRRSlicerLib.projection.cuda.device_thread import DeviceThread
from DeepDRRSlicerLib.projection.cuda.driver import Buffer, Driver


class CardArray:
    """float32 of a shape. buffer: where it is; it goes to `returned` once nobody holds the array any more."""

    def __init__(self, shape: tuple[int, ...], buffer: Buffer, device: DeviceThread, returned: deque[Buffer]):
        self.shape = shape
        self._buffer: Buffer | None = buffer
        self._device = device
        self._host: np.ndarray | None = None
        self._let_go = weakref.finalize(self, returned.append, buffer)
        self._let_go.atexit = False

    def on(self, device: DeviceThread) -> Buffer | None:
        """The buffer, for work on that card; None where the array is not there, or not any more."""
        return self._buffer if device is self._device else None

    def fetched(self) -> np.ndarray:
        """A copy on the host, the same for every caller, not to be written to. From any thread. Raises DeviceError."""
        if self._host is None:
            self._device.call(lambda driver, _: self._copy(driver))
        assert self._host is not None
        return self._host

    def leave(self, driver: Driver) -> None:
        """Makes room on the card; by its thread. Raises DeviceError."""
        self._copy(driver)
        self._buffer = None
        self._let_go()

    def _copy(self, driver: Driver) -> None:
        if self._host is None and self._buffer is not None:  # else another caller was first
            host = np.empty(self.shape, np.float32)
            driver.download(self._buffer, host)
            host.flags.writeable = False
            self._host = host


class CardArrays:
    """Makes arrays, of which at most `most` are on the card: where more are held, the oldest is brought to the host.

    To be used by the driver's thread.
    """

    def __init__(self, driver: Driver, device: DeviceThread, most: int):
        self._driver, self._device, self._most = driver, device, most
        self._returned: deque[Buffer] = deque()  # by destructors, on any thread
        self._made: list[weakref.ref[CardArray]] = []

    def new(self, shape: tuple[int, ...]) -> CardArray:
        """One of any content. Raises DeviceError."""
        there = [array for ref in self._made if (array := ref()) is not None and array.on(self._device) is not None]
        while len(there) >= self._most:
            there.pop(0).leave(self._driver)
        array = CardArray(shape, self._room(4 * int(np.prod(shape))), self._device, self._returned)
        self._made = [weakref.ref(each) for each in (*there, array)]
        return array

    def uploaded(self, values: np.ndarray) -> CardArray:
        """One with these values. Raises DeviceError."""
        array = self.new(values.shape)
        buffer = array.on(self._device)
        assert buffer is not None
        self._driver.upload(np.ascontiguousarray(values, np.float32), buffer)
        return array

    def _room(self, nbytes: int) -> Buffer:
        while self._returned:
            buffer = self._returned.pop()
            if buffer.nbytes == nbytes:
                return buffer
            buffer.free()
        return self._driver.buffer(nbytes)
