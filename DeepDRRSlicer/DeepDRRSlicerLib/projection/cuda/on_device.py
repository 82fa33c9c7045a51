"""A volume on the card for callers on any thread; where the card cannot go on, the CPU does, in the same call."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.projection.cuda.device_thread import DeviceThread
from DeepDRRSlicerLib.projection.cuda.driver import DeviceError, Driver
from DeepDRRSlicerLib.projection.projector import Projector

if TYPE_CHECKING:
    from DeepDRRSlicerLib.projection.cuda.projector import CudaProjector
    from DeepDRRSlicerLib.projection.tools import Tool

Result = TypeVar("Result")


def _on_card(volume: MaterialVolume, driver: Driver):
    from DeepDRRSlicerLib.projection.cuda.projector import CudaProjector

    return CudaProjector(volume, driver)


class DeviceProjector:
    """See projection.projector.Projector. make_cpu: the projector that takes over, made when it is needed.

    Where the card has no memory even for one view, or fails otherwise, the CPU makes this picture and all later ones,
    and `note` says why. What the card holds is given back with the last reference. make: a CudaProjector, which halves
    a batch that does not fit. device: the thread that owns the card.
    """

    def __init__(
        self,
        volume: MaterialVolume,
        device: DeviceThread,
        make_cpu: Callable[[], Projector],
        make: Callable[[MaterialVolume, Driver], Any] = _on_card,
    ):
        self.materials = volume.materials
        self.device, self._make_cpu = device, make_cpu
        self._changing = threading.Lock()
        self._cpu: Any = None  # a Projector, once it is needed
        self.name, self.note = "cuda", f"{device.name}, {device.device}"
        self._card: Any = None  # what `make` gives
        try:
            self._card = device.call(lambda driver, _: _with_memory(lambda: make(volume, driver)))
        except DeviceError as error:
            self._fall_back(error)
        else:
            self._drop = weakref.finalize(self, device.post, _closing(self._card))
            self._drop.atexit = False  # the thread itself ends then, and the context with it

    @property
    def details(self) -> dict:
        """What metadata say of it: plain data."""
        if self._cpu is None:
            return {"backend": f"{self.name} ({self.note})"}
        return self._cpu.details | {"backend_note": self.note}

    @property
    def memory_bytes(self) -> int:
        """Bytes that the volume takes, on the card as long as that serves."""
        return (self._cpu or self._card).memory_bytes

    def project(
        self,
        beams: Sequence[ConeBeam],
        tools: Sequence[Tool] = (),
        should_stop: Callable[[], bool] = lambda: False,
    ) -> np.ndarray:
        return self._views("project", beams, tools, should_stop)

    def preview(
        self,
        beams: Sequence[ConeBeam],
        tools: Sequence[Tool] = (),
        should_stop: Callable[[], bool] = lambda: False,
    ) -> np.ndarray:
        return self._views("preview", beams, tools, should_stop)

    def compute(
        self, work: Callable[[Projector, Driver, Callable[[], bool]], Result], should_stop: Callable[[], bool]
    ) -> Result:
        """work(card, driver, should_stop) on the card's thread, card a CudaProjector, and what it returns or raises.

        Raises DeviceError where the card cannot go on, or did not before: from then on the CPU serves.
        """

        def on_thread(driver, stop):
            card = self._card
            if card is None:  # while this waited for its turn another call has fallen back
                raise DeviceError(self.note)
            return _with_memory(lambda: work(card, driver, stop))

        try:
            return self.device.call(on_thread, should_stop)
        except DeviceError as error:
            self._fall_back(error)
            raise

    def _views(self, method: str, beams, tools, should_stop) -> np.ndarray:
        if self._cpu is None:
            try:
                return self.compute(lambda card, _, stop: getattr(card, method)(beams, tools, stop), should_stop)
            except DeviceError:  # has made the projector for the CPU
                pass
        return getattr(self._cpu, method)(beams, tools, should_stop)

    def _fall_back(self, error: DeviceError) -> None:
        """From now on the CPU serves. Raises what making its projector raises."""
        from DeepDRRSlicerLib.projection.cuda import drivers

        drivers.remember(error)
        with self._changing:
            if self._cpu is not None:
                return
            cpu = self._make_cpu()
            if self._card is not None:
                self._card = None  # before what others have asked for since is begun
                self._drop()
            self.name, self.note = cpu.name, str(error)
            self._cpu = cpu


def _closing(card: CudaProjector) -> Callable[[Driver], None]:
    """What gives the card's memory back, without a reference to the projector that goes."""
    return lambda driver: card.free()


def _with_memory(work: Callable):
    """work(), once more after torch has given back what it keeps for itself, where memory is short."""
    try:
        return work()
    except DeviceError as error:
        torch = sys.modules.get("torch")
        if not error.out_of_memory or torch is None or not torch.cuda.is_initialized():
            raise
        torch.cuda.empty_cache()
    return work()
