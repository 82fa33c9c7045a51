"""The interface that every projection backend implements, and the choice of one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam

if TYPE_CHECKING:
    from DeepDRRSlicerLib.projection.cuda.device_thread import DeviceThread
    from DeepDRRSlicerLib.projection.tools import Tool

BACKENDS = ("auto", "cpu", "cuda")


class Stopped(Exception):
    """The caller asked the projection to stop; nothing was returned."""


class Projector(Protocol):
    """A material volume made ready to be seen from anywhere.

    name: what the backend is called: "cpu" or "cuda". note: on a card, its driver and its name; on the CPU, why no card
    serves, or nothing where none was asked for. details: what metadata say of it. materials: the volume's channels.
    """

    name: str
    note: str
    materials: tuple[str, ...]

    @property
    def details(self) -> dict: ...

    def project(
        self,
        beams: Sequence[ConeBeam],
        tools: Sequence[Tool] = (),
        should_stop: Callable[[], bool] = lambda: False,
    ) -> np.ndarray:
        """Area densities (views, channels, rows, columns) float32 in g/cm2; all beams share one image size.

        Channels are projection.tools.traced_materials(self.materials, tools). The density is trilinear between voxel
        centres and falls to zero one voxel beyond the outermost. should_stop is asked every few milliseconds, by any
        thread; where it answers True, Stopped is raised. Raises InputError where the source lies in the volume.
        """
        ...

    def preview(
        self,
        beams: Sequence[ConeBeam],
        tools: Sequence[Tool] = (),
        should_stop: Callable[[], bool] = lambda: False,
    ) -> np.ndarray:
        """As project, of the means over 2x2x2 voxels: for moving pictures, in a fraction of the time.

        On a chest CT of 1.5 mm the summed area density errs by 0.6 to 0.8 % RMS, bone alone by 5 %: its fine detail.
        """
        ...


def make_projector(volume: MaterialVolume, backend: str = "auto", threads: int | None = None) -> Projector:
    """A projector of the volume: on a card where there is one that works, unless backend is "cpu".

    backend: one of BACKENDS; with a slash and one of projection.cuda.drivers.CHOICES behind it that driver is used, as
    "cuda/pycuda". threads: at most so many compute on the CPU at once, as many as there are cores if None. Where a card
    fails later on, the CPU takes over; the projector's note says why.
    Where numba is missing the CPU backend computes with numpy alone, by one thread, some 50 times slower. Raises
    InputError for an unknown backend, for "cuda" where no card can be used, or where numba is there but finds no folder
    for its compiled code.
    """
    device, why_none = _device(backend)
    if device is None:
        return _cpu_projector(volume, threads, why_none)
    from DeepDRRSlicerLib.projection.cuda.on_device import DeviceProjector

    return DeviceProjector(volume, device, lambda: _cpu_projector(volume, threads))


def backend_in_use(backend: str = "auto") -> tuple[str, str]:
    """(name, note) of the projectors that make_projector makes on this machine. Opens the card, if there is one.

    Raises InputError for an unknown backend, or "cuda" where no card can be used.
    """
    device, why_none = _device(backend)
    if device is None:
        return "cpu", why_none
    return "cuda", f"{device.name}, {device.device}"


def _device(backend: str) -> tuple[DeviceThread | None, str]:
    """The card that a backend stands for, or None and why there is none, as part of a sentence. Raises InputError."""
    kind, _, driver = backend.partition("/")
    if kind not in BACKENDS:
        raise InputError(f"There is no projection backend {kind!r}; choose one of: {', '.join(BACKENDS)}.")
    if kind == "cpu":
        return None, ""
    from DeepDRRSlicerLib.projection.cuda.device_thread import shared_device
    from DeepDRRSlicerLib.projection.cuda.driver import DeviceError

    try:
        return shared_device(driver or "auto"), ""
    except DeviceError as error:
        if kind == "cuda":
            raise InputError(f"CUDA cannot be used: {error}; use --backend cpu or auto.") from error
        return None, str(error)


def _cpu_projector(volume: MaterialVolume, threads: int | None, note: str = "") -> Projector:
    from DeepDRRSlicerLib.projection.cpu import CpuProjector

    kernels: ModuleType
    try:
        from DeepDRRSlicerLib.projection import slab_numba

        kernels = slab_numba
    except ImportError:
        from DeepDRRSlicerLib.projection import slab_numpy

        kernels, threads = slab_numpy, 1
    except RuntimeError as error:  # numba keeps compiled code beside the source, or in the user's cache folder
        raise InputError(
            f"The CPU projector cannot be compiled ({error}); set NUMBA_CACHE_DIR to a folder that can be written."
        ) from error
    return CpuProjector(volume, kernels, threads, note)


def forget_uncompiled() -> None:
    """Has kernels that were imported without numba imported anew, where numba may have been installed since."""
    compiled = sys.modules.get("DeepDRRSlicerLib.projection.compiled")
    if compiled is None or compiled.COMPILES:
        return
    for name, module in list(sys.modules.items()):
        if module is compiled or getattr(module, "kernel", None) is compiled.kernel:
            del sys.modules[name]


def warm_up(
    should_stop: Callable[[], bool] = lambda: False,
    body_ready: Callable[[], None] = lambda: None,
) -> None:
    """Compiles what projection needs, or loads it from numba's cache, by projecting a few voxels and a tool in them.

    To be called once from a thread of its own when the program starts: half a minute the first time, in which the
    interpreter remains usable by others, below a second later on. body_ready is called when all is compiled that an
    image without tools needs. Raises Stopped where should_stop answers True, which is asked each second at least, and
    what make_projector raises.
    """
    from DeepDRRSlicerLib.projection.compiled import stoppable_compiling

    with stoppable_compiling(should_stop):
        _project_a_little(should_stop, body_ready)


def _project_a_little(should_stop: Callable[[], bool], body_ready: Callable[[], None]) -> None:
    body = MaterialVolume(("water",), np.ones((1, 3, 3, 3), np.uint16), np.ones(1), np.eye(4))
    # The detector stands inside the body, which also needs the kernel for slabs that it cuts.
    source, pixel00, e_c, e_r = np.array([(1.2, 1.1, -50), (-2, -2, 1), (0.96, 0, 0.28), (0, 1, 0)])
    beam = ConeBeam(source, pixel00, e_c, e_r, (1, 1), (6, 6))
    # The CPU, which may have to take over from a card, comes after what is used first.
    backends = ("cuda", "cpu") if backend_in_use()[0] == "cuda" else ("cpu",)
    for backend in backends:
        make_projector(body, backend).project([beam], should_stop=should_stop)
        body_ready()
    if find_spec("numba") is not None:
        from DeepDRRSlicerLib.projection.tools import Tool

        corners = np.array([[0.5, 0.5, 0.5], [1.5, 0.5, 0.5], [0.5, 1.5, 0.5], [0.5, 0.5, 1.5]])
        faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
        for backend in backends:
            make_projector(body, backend).project([beam], [Tool("tool", corners, faces, "titanium")], should_stop)
