"""The interface that every projection backend implements, and the choice of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam

BACKENDS = ("auto", "cpu")


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
    return CpuProjector(volume)
