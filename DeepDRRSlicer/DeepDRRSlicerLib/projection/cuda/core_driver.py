"""The driver made of cuda-core and cuda-bindings: NVIDIA's own packages, wheels for Linux and Windows, no compiler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from DeepDRRSlicerLib.projection.cuda import libcuda
from DeepDRRSlicerLib.projection.cuda.card import CardDriver, scalars
from DeepDRRSlicerLib.projection.cuda.driver import Grid


@dataclass(frozen=True, eq=False)
class _Kernel:
    name: str
    entry: Any  # cuda.core's Kernel


class CoreDriver(CardDriver):
    """See projection.cuda.driver.Driver; cuda-core 0.3 to 1.x with cuda-bindings 12 or 13. Raises DeviceError."""

    name = "cuda-core"

    def __init__(self):
        with libcuda.said("cuda-core"):
            self._core, self._api = _packages()
            self._core.Device(0).set_current()
            self._own_stream = self._core.Device(0).create_stream()  # does not wait for torch's, nor torch for it
            handle = int(self._own_stream.handle)
        super().__init__(handle)

    def launch(self, kernel: Any, grid: Grid, block: Grid, arguments: Sequence) -> None:
        with libcuda.said(kernel.name):
            config = self._core.LaunchConfig(grid=tuple(grid), block=tuple(block))
            self._core.launch(self._own_stream, config, kernel.entry, *scalars(arguments))

    def _allocate(self, nbytes: int) -> tuple[int, Callable[[], None]]:
        code, address = self._api.cuMemAlloc(nbytes)
        if int(code):
            raise libcuda.failure("cuMemAlloc", code.name, int(code))

        def release():
            (code,) = self._api.cuMemFree(address)
            if int(code):
                raise libcuda.failure("cuMemFree", code.name, int(code))

        return int(address), release

    def _load(self, cubin: bytes) -> Any:
        with libcuda.said("loading kernels"):
            return self._core.ObjectCode.from_cubin(cubin)

    def _entry(self, loaded: Any, name: str) -> _Kernel:
        with libcuda.said(name):
            return _Kernel(name, loaded.get_kernel(name))

    def _let_go(self) -> None:
        with libcuda.said("closing"):
            self._own_stream.close()  # the primary context stays for torch; cuda-core keeps it until the process ends


def _packages():
    """cuda.core, wherever this version has it, and the driver API of cuda.bindings."""
    from cuda.bindings import driver as api

    try:
        from cuda import core
        from cuda.core import Device  # noqa: F401 (from 0.5 on)
    except ImportError:
        from cuda.core import experimental as core
    return core, api
