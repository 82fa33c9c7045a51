"""The CPU backend: Joseph's method on all cores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.projection.joseph import project_rows
from DeepDRRSlicerLib.projection.projector import KERNEL_LOCK, Stopped

_ROWS_PER_CALL = 64  # between two looks at should_stop: a few tens of milliseconds at 512 columns
_MM_PER_CM = 10.0


class CpuProjector:
    """See projection.projector.Projector."""

    name = "cpu"

    def __init__(self, volume: MaterialVolume):
        self.materials = volume.materials
        # A single layer gets an empty neighbour, between which and itself the kernel interpolates.
        layers = [(0, int(n == 1)) for n in volume.density.shape[:3]]
        density = np.pad(volume.density, [*layers, (0, 0)]) if (0, 1) in layers else volume.density
        self._density = np.ascontiguousarray(density, dtype=np.float32)
        self._ijk_to_ras = np.asarray(volume.ijk_to_ras, dtype=np.float64)

    def project(self, beams: Sequence[ConeBeam], should_stop: Callable[[], bool] = lambda: False) -> np.ndarray:
        sizes = {beam.size for beam in beams}
        if len(sizes) != 1:
            raise InputError("A batch needs views, all of the same image size; project others one by one.")
        rows, columns = sizes.pop()
        integrals = np.empty((len(beams), rows, columns, len(self.materials)), dtype=np.float32)
        for view, beam in zip(integrals, beams):
            source, pixel00, step_c, step_r, bias = self._index_geometry(beam)
            for first in range(0, rows, _ROWS_PER_CALL):
                if should_stop():
                    raise Stopped
                last = min(first + _ROWS_PER_CALL, rows)
                with KERNEL_LOCK:
                    project_rows(
                        self._density, self._ijk_to_ras[:3, :3], source, pixel00, step_c, step_r, bias,
                        first, view[first:last],
                    )  # fmt: skip
        integrals /= _MM_PER_CM
        return np.ascontiguousarray(np.moveaxis(integrals, -1, 1))

    def _index_geometry(self, beam: ConeBeam):
        """Source, pixel (0,0) and the two pixel steps in voxel indices, and a bias that settles ties between axes.

        Where a ray is equally steep along two axes of the array, which of them is marched must not depend on the
        order in which the array is stored. The bias, 1e-9 of the steepness, does not: it is made of angles
        between the axis, the beam and the image, which flips and permutations of the array leave alone.
        """
        ras_to_index = np.linalg.inv(self._ijk_to_ras)
        gradient = ras_to_index[:3, :3]
        unit = gradient / np.linalg.norm(gradient, axis=1, keepdims=True)
        bias = 1e-9 * (unit @ beam.normal) * (unit @ beam.e_c + 0.5 * (unit @ beam.e_r))
        return (
            gradient @ beam.source + ras_to_index[:3, 3],
            gradient @ beam.pixel00 + ras_to_index[:3, 3],
            gradient @ beam.e_c * beam.pitch[0],
            gradient @ beam.e_r * beam.pitch[1],
            bias,
        )
