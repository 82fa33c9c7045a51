"""A driver (projection/cuda/driver.py) whose card is this processor. It is stricter than a card, and counts bytes."""

from __future__ import annotations

import ctypes
import time

import numpy as np

from DeepDRRSlicerLib.projection.cuda.driver import DeviceError
from host_cuda.compile import library

_GUARD = 64  # bytes on either side of a buffer that no kernel may change
_PATTERN = 0xA5
_LIMITS = (2**31 - 1, 65535, 65535)  # blocks of a grid
_MOST_THREADS = 1024


class HostBuffer:
    def __init__(self, owner: HostDriver, nbytes: int):
        owner._count(nbytes)
        self.nbytes, self._owner = nbytes, owner
        self._memory = np.full(nbytes + 2 * _GUARD, _PATTERN, np.uint8)

    @property
    def bytes(self) -> np.ndarray:
        if self._memory is None:
            raise AssertionError("a buffer was used after it was freed")
        return self._memory[_GUARD : _GUARD + self.nbytes]

    def check(self) -> None:
        outside = np.concatenate([self._memory[:_GUARD], self._memory[_GUARD + self.nbytes :]])
        assert (outside == _PATTERN).all(), "a kernel wrote beyond its buffer"

    def free(self) -> None:
        if self._memory is not None:
            self.check()
            self._memory = None
            self._owner._count(-self.nbytes)

    def __del__(self):
        if getattr(self, "_memory", None) is not None:
            self._owner._count(-self.nbytes)


class _Record(ctypes.Structure):
    _fields_ = [("texels", ctypes.c_void_p)] + [
        (name, ctypes.c_int) for name in ("n_i", "n_j", "n_k", "channels", "filtered", "fraction_bits", "truncated")
    ]


class HostTexture:
    def __init__(self, owner: HostDriver, texels: np.ndarray, filtered: bool, bits: int, truncated: bool):
        owner._count(texels.nbytes)
        self.nbytes, self._owner = texels.nbytes, owner
        self._texels = np.array(texels, order="C")
        n_k, n_j, n_i, channels = texels.shape
        self._record = _Record(self._texels.ctypes.data, n_i, n_j, n_k, channels, filtered, bits, truncated)

    @property
    def handle(self) -> int:
        if self._texels is None:
            raise AssertionError("a texture was used after it was freed")
        return ctypes.addressof(self._record)

    def free(self) -> None:
        if self._texels is not None:
            self._texels = None
            self._owner._count(-self.nbytes)

    def __del__(self):
        if getattr(self, "_texels", None) is not None:
            self._owner._count(-self.nbytes)


class HostKernel:
    def __init__(self, library_, entry):
        self.name, self.entry = entry.name, entry
        self._launch = getattr(library_, f"launch_{entry.name}")

    def run(self, grid, block, arguments) -> None:
        values = []  # kept until the kernel has read them
        for kind, argument in zip(self.entry.parameters, arguments, strict=True):
            if kind == "buffer":
                values.append(np.array([argument.bytes.ctypes.data], np.uint64))
            elif kind == "texture":
                values.append(np.array([argument.handle], np.uint64))
            else:
                values.append(np.array([argument]))
        pointers = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
        self._launch((ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block), pointers)


class HostDriver:
    """fraction_bits: of texture weights, 8 as in hardware, 0 for floats. truncated: not rounded to them.

    memory_bytes: what the card has; live_bytes: what is in use; most_bytes: ever. launches: names of kernels run.
    """

    name, device, capability = "host", "this processor", (9, 0)

    def __init__(self, fraction_bits: int = 8, truncated: bool = False, memory_bytes: int = 4 << 30):
        self._bits, self._truncated, self._memory = fraction_bits, truncated, memory_bytes
        self.live_bytes = self.most_bytes = 0
        self.launches: list[str] = []
        self._recording = None

    def _count(self, nbytes: int) -> None:
        if self.live_bytes + nbytes > self._memory:
            raise DeviceError("The card's memory is full.", out_of_memory=True)
        self.live_bytes += nbytes
        self.most_bytes = max(self.most_bytes, self.live_bytes)

    def memory(self) -> tuple[int, int]:
        return self._memory - self.live_bytes, self._memory

    def kernels(self, source: str, names):
        built, entries = library(source)
        return {name: HostKernel(built, entries[name]) for name in names}

    def buffer(self, nbytes: int) -> HostBuffer:
        assert isinstance(nbytes, int) and nbytes > 0
        return HostBuffer(self, nbytes)

    def upload(self, array: np.ndarray, target: HostBuffer, offset: int = 0) -> None:
        assert self._recording is None, "copies cannot be part of a graph"
        assert array.flags.c_contiguous and 0 <= offset and offset + array.nbytes <= target.nbytes
        target.bytes[offset : offset + array.nbytes] = array.reshape(-1).view(np.uint8)

    def download(self, source: HostBuffer, array: np.ndarray, offset: int = 0) -> None:
        assert self._recording is None, "copies cannot be part of a graph"
        assert array.flags.c_contiguous and array.flags.writeable
        assert 0 <= offset and offset + array.nbytes <= source.nbytes
        source.check()
        array.reshape(-1).view(np.uint8)[:] = source.bytes[offset : offset + array.nbytes]

    def texture(self, texels: np.ndarray, filtered: bool) -> HostTexture:
        assert texels.dtype == np.uint16 and texels.ndim == 4 and texels.shape[3] in (1, 2, 4)
        assert texels.flags.c_contiguous and max(texels.shape[:3]) <= 16384
        return HostTexture(self, texels, filtered, self._bits, self._truncated)

    def launch(self, kernel: HostKernel, grid, block, arguments) -> None:
        assert all(1 <= n <= most for n, most in zip(grid, _LIMITS, strict=True)), f"a grid of {grid}"
        assert min(block) >= 1 and np.prod(block) <= _MOST_THREADS and block[2] <= 64, f"a block of {block}"
        for kind, argument in zip(kernel.entry.parameters, arguments, strict=True):
            given = {HostBuffer: "buffer", HostTexture: "texture"}.get(type(argument)) or np.dtype(type(argument)).name
            assert given == kind, f"{kernel.name} takes a {kind}, not a {given}"
        self.launches.append(kernel.name)
        if self._recording is None:
            kernel.run(grid, block, arguments)
        else:
            self._recording.append((kernel, grid, block, tuple(arguments)))

    def graph(self, record):
        self._recording = recorded = []
        try:
            record()
        finally:
            self._recording = None

        def repeat():
            for kernel, grid, block, arguments in recorded:
                self.launches.append(kernel.name)
                kernel.run(grid, block, arguments)

        return repeat

    def synchronize(self) -> None:
        pass

    def milliseconds(self, work) -> float:
        before = time.perf_counter()
        work()
        return 1e3 * (time.perf_counter() - before)
