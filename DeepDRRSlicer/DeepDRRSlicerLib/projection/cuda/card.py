"""What both drivers do alike: memory, textures, copies and graphs on one stream of the current context."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from DeepDRRSlicerLib.projection.cuda import libcuda
from DeepDRRSlicerLib.projection.cuda.driver import DeviceError, Grid, Kernel, lead


class Held:
    """Something of the card that is given back once, by the driver's own thread.

    Where the last reference goes on another thread, as a garbage collector may have it, that has to wait for the driver
    to ask for memory again: other threads are not in its context.
    """

    def __init__(self, driver: CardDriver, nbytes: int, handle: int, release: Callable[[], None]):
        self.nbytes, self.handle = nbytes, handle
        self._driver = driver
        self._release: Callable[[], None] | None = release

    def free(self) -> None:
        """Gives it back now."""
        release = self._release
        self._release = None
        if release is not None:
            release()

    def __del__(self):
        release = getattr(self, "_release", None)
        if release is not None:
            self._driver.bury(release)


class CardDriver:
    """Base of the drivers: see projection.cuda.driver.Driver. `stream` is a CUstream of the context that is current."""

    name: str

    def __init__(self, stream: int):
        card = libcuda.first_card()
        self.device, self.capability, self._version = card.name, card.capability, card.version
        self._stream = stream
        self._thread = threading.get_ident()
        self._dead: deque[Callable[[], None]] = deque()
        self._loaded: dict[str, Any] = {}
        self._kernels: dict[tuple[str, str], Kernel] = {}

    def memory(self) -> tuple[int, int]:
        self._sweep()
        return libcuda.memory()

    def kernels(self, source: str, names: Sequence[str]) -> dict[str, Kernel]:
        for name in names:
            if (source, name) not in self._kernels:
                if source not in self._loaded:
                    self._loaded[source] = self._load(_image(source, self.capability, self._version[0]))
                self._kernels[source, name] = self._entry(self._loaded[source], name)
        return {name: self._kernels[source, name] for name in names}

    def buffer(self, nbytes: int) -> Held:
        self._sweep()
        address, release = self._allocate(nbytes)
        return Held(self, nbytes, address, release)

    # Memory of other drivers is none of theirs: what a caller hands over is Held, whatever the interface calls it.
    def upload(self, array: np.ndarray, target: Any, offset: int = 0) -> None:
        _require(array, target, offset)
        libcuda.upload(array.ctypes.data, target.handle + offset, array.nbytes, self._stream)

    def download(self, source: Any, array: np.ndarray, offset: int = 0) -> None:
        _require(array, source, offset)
        libcuda.download(source.handle + offset, array.ctypes.data, array.nbytes, self._stream)

    def texture(self, texels: np.ndarray, filtered: bool) -> Held:
        if texels.dtype != np.uint16 or texels.ndim != 4 or texels.shape[3] not in (1, 2, 4):
            raise ValueError(f"Texels must be uint16 [k, j, i, 1, 2 or 4], not {texels.dtype} {texels.shape}.")
        self._sweep()
        array = libcuda.make_array(np.ascontiguousarray(texels))
        try:
            texture = libcuda.make_texture(array, filtered)
        except DeviceError:
            libcuda.free_array(array)
            raise

        def release():
            libcuda.free_texture(texture)
            libcuda.free_array(array)

        return Held(self, texels.nbytes, texture, release)

    def graph(self, record: Callable[[], None]) -> Callable[[], None]:
        executable = libcuda.record_graph(self._stream, record)
        held = Held(self, 0, executable, lambda: libcuda.free_graph(executable))
        return lambda: libcuda.launch_graph(held.handle, self._stream)

    def synchronize(self) -> None:
        libcuda.synchronize(self._stream)

    def milliseconds(self, work: Callable[[], None]) -> float:
        return libcuda.milliseconds(self._stream, work)

    def bury(self, release: Callable[[], None]) -> None:
        """Has something given back: now on the driver's own thread, on any other as soon as that asks for memory."""
        if threading.get_ident() == self._thread:
            with contextlib.suppress(DeviceError):  # of a card that is lost nothing can be given back
                release()
        else:
            self._dead.append(release)

    def close(self) -> None:
        self._sweep()
        self._kernels.clear()
        self._loaded.clear()
        with contextlib.suppress(DeviceError):
            self._let_go()

    def _sweep(self) -> None:
        while self._dead:
            self.bury(self._dead.popleft())

    def _allocate(self, nbytes: int) -> tuple[int, Callable[[], None]]:
        """Address of new memory, and what gives it back."""
        raise NotImplementedError

    def _load(self, cubin: bytes) -> Any:
        """A compiled source on the card."""
        raise NotImplementedError

    def _entry(self, loaded: Any, name: str) -> Any:
        """One of its entry points."""
        raise NotImplementedError

    def _let_go(self) -> None:
        """Ends stream and context as far as they are the driver's own."""
        raise NotImplementedError

    def launch(self, kernel: Any, grid: Grid, block: Grid, arguments: Sequence) -> None:
        raise NotImplementedError


def scalars(arguments: Sequence) -> list[np.generic]:
    """Arguments of a kernel, with the 64-bit address or handle in place of memory and textures."""
    return [np.uint64(each.handle) if isinstance(each, Held) else each for each in arguments]


def _image(source: str, capability: tuple[int, int], newest: int) -> bytes:
    from DeepDRRSlicerLib.projection.cuda import nvrtc
    from DeepDRRSlicerLib.projection.cuda.kernel_cache import kernel_image

    try:
        return kernel_image(source, capability, newest)
    except (nvrtc.CompileError, nvrtc.CompilerMissing) as error:
        raise DeviceError(lead(error)) from error


def _require(array: np.ndarray, held: Held, offset: int) -> None:
    if not array.flags.c_contiguous or offset < 0 or offset + array.nbytes > held.nbytes:
        raise ValueError(f"{array.nbytes} bytes from {offset} on do not fit {held.nbytes}, or are not contiguous.")
