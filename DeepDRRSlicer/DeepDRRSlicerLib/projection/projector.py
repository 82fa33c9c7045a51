"""The interface that every projection backend implements, and the choice of one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam

BACKENDS = ("auto", "cpu")

# Held while a parallel kernel of numba runs. Its "workqueue" threads, the only ones where OpenMP and TBB are missing
# (macOS), end the process when two threads launch kernels at once, as a live view and an export do.
KERNEL_LOCK = threading.Lock()


class Stopped(Exception):
    """The caller asked the projection to stop; nothing was returned."""


class Projector(Protocol):
    """A material volume made ready to be seen from anywhere.

    name: what the backend is called in metadata. materials: names in the order of the output's second axis.
    """

    name: str
    materials: tuple[str, ...]

    def project(self, beams: Sequence[ConeBeam], should_stop: Callable[[], bool] = lambda: False) -> np.ndarray:
        """Area densities (views, materials, rows, columns) float32 in g/cm2; all beams share one image size.

        The volume is zero outside its voxels. should_stop is asked from time to time; where it answers True,
        Stopped is raised.
        """
        ...


def make_projector(volume: MaterialVolume, backend: str = "auto") -> Projector:
    """A projector of the volume. Raises InputError for an unknown backend, or one whose package is missing."""
    if backend not in BACKENDS:
        raise InputError(f"There is no projection backend {backend!r}; choose one of: {', '.join(BACKENDS)}.")
    try:
        from DeepDRRSlicerLib.projection.cpu import CpuProjector
    except ImportError as error:
        raise InputError(f"The CPU projector needs the package numba ({error}); install it with pip.") from error
    except RuntimeError as error:  # numba keeps compiled code beside the source, or in the user's cache folder
        raise InputError(
            f"The CPU projector cannot be compiled ({error}); set NUMBA_CACHE_DIR to a folder that can be written."
        ) from error
    return CpuProjector(volume)
