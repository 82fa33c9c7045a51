"""The driver made of pycuda, which many laboratories have; it takes a compiler and the CUDA toolkit to install."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from DeepDRRSlicerLib.projection.cuda import libcuda
from DeepDRRSlicerLib.projection.cuda.card import CardDriver, scalars
from DeepDRRSlicerLib.projection.cuda.driver import Grid

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: it does not wait for torch's stream, nor torch for it


@dataclass(frozen=True, eq=False)
class _Kernel:
    name: str
    entry: Any  # pycuda's Function


class PycudaDriver(CardDriver):
    """See projection.cuda.driver.Driver; pycuda 2022.1 or later. Raises DeviceError."""

    name = "pycuda"

    def __init__(self):
        with libcuda.said("pycuda"):
            import pycuda.driver as api  # not pycuda.autoinit, which makes a context of its own

            self._api = api
            api.init()
            self._context = api.Device(0).retain_primary_context()
            self._context.push()
            self._own_stream = api.Stream(_NON_BLOCKING)
            handle = int(self._own_stream.handle)
        super().__init__(handle)

    def launch(self, kernel: Any, grid: Grid, block: Grid, arguments: Sequence) -> None:
        with libcuda.said(kernel.name):
            kernel.entry(*scalars(arguments), grid=tuple(grid), block=tuple(block), stream=self._own_stream)

    def _allocate(self, nbytes: int) -> tuple[int, Callable[[], None]]:
        with libcuda.said("mem_alloc"):
            memory = self._api.mem_alloc(nbytes)

        def release():
            with libcuda.said("free"):
                memory.free()

        return int(memory), release

    def _load(self, cubin: bytes) -> Any:
        with libcuda.said("loading kernels"):
            return self._api.module_from_buffer(cubin)

    def _entry(self, loaded: Any, name: str) -> _Kernel:
        with libcuda.said(name):
            return _Kernel(name, loaded.get_function(name))

    def _let_go(self) -> None:
        with libcuda.said("closing"):
            self._own_stream = None
            self._context.pop()
            self._context.detach()  # one use of the primary context less; torch's stays
