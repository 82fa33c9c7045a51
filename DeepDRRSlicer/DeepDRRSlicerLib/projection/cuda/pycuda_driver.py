"""The driver made of pycuda, which many laboratories have; it takes a compiler and the CUDA toolkit to install."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from DeepDRRSlicerLib.projection.cuda import libcuda
from DeepDRRSlicerLib.projection.cuda.card import CardDriver, scalars
from DeepDRRSlicerLib.projection.cuda.driver import DeviceError, Grid

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: it does not wait for torch's stream, nor torch for it


@dataclass(frozen=True, eq=False)
class _Kernel:
    name: str
    entry: object  # pycuda's Function


class PycudaDriver(CardDriver):
    """See projection.cuda.driver.Driver; pycuda 2022.1 or later. Raises DeviceError."""

    name = "pycuda"

    def __init__(self):
        with _said("pycuda"):
            import pycuda.driver as api  # not pycuda.autoinit, which makes a context of its own

            self._api = api
            api.init()
            self._context = api.Device(0).retain_primary_context()
            self._context.push()
            self._own_stream = api.Stream(_NON_BLOCKING)
            handle = int(self._own_stream.handle)
        super().__init__(handle)

    def launch(self, kernel: _Kernel, grid: Grid, block: Grid, arguments: Sequence) -> None:
        with _said(kernel.name):
            kernel.entry(*scalars(arguments), grid=tuple(grid), block=tuple(block), stream=self._own_stream)

    def _allocate(self, nbytes: int) -> tuple[int, Callable[[], None]]:
        with _said("mem_alloc"):
            memory = self._api.mem_alloc(nbytes)

        def release():
            with _said("free"):
                memory.free()

        return int(memory), release

    def _load(self, cubin: bytes) -> object:
        with _said("loading kernels"):
            return self._api.module_from_buffer(cubin)

    def _entry(self, loaded: object, name: str) -> _Kernel:
        with _said(name):
            return _Kernel(name, loaded.get_function(name))

    def _let_go(self) -> None:
        with _said("closing"):
            self._own_stream = None
            self._context.pop()
            self._context.detach()  # one use of the primary context less; torch's stays


@contextlib.contextmanager
def _said(what: str) -> Iterator[None]:
    """DeviceError for what pycuda raises, whose classes exist only once it is imported."""
    try:
        yield
    except DeviceError:
        raise
    except Exception as error:
        raise libcuda.failure(what, " ".join(str(error).split()) or type(error).__name__) from error
