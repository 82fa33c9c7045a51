"""Buffers of the card that stay from call to call, so that frame after frame asks for no memory."""

from __future__ import annotations

import numpy as np

from DeepDRRSlicerLib.projection.cuda.driver import Buffer, Driver


class KeptBuffers:
    """One buffer for each name, replaced where it is too small. To be used by the driver's thread."""

    def __init__(self, driver: Driver):
        self._driver = driver
        self._buffers: dict[str, Buffer] = {}

    @property
    def nbytes(self) -> int:
        return sum(buffer.nbytes for buffer in self._buffers.values())

    def buffer(self, name: str, nbytes: int) -> Buffer:
        """At least so many bytes, of any content."""
        kept = self._buffers.get(name)
        if kept is None or kept.nbytes < nbytes:
            if kept is not None:
                del self._buffers[name]
                kept.free()  # before the larger one is asked for
            self._buffers[name] = kept = self._driver.buffer(nbytes)
        return kept

    def uploaded(self, name: str, array: np.ndarray) -> Buffer:
        """The buffer, beginning with a copy of the array."""
        buffer = self.buffer(name, array.nbytes)
        self._driver.upload(array, buffer)
        return buffer

    def free(self) -> None:
        for buffer in self._buffers.values():
            buffer.free()
        self._buffers.clear()
