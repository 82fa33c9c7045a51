"""The CPU backend: slab by slab onto an intermediate image, which is looked up at the pixels in the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.projection.batch import image_size, refuse_source_inside
from DeepDRRSlicerLib.projection.coarse import halved
from DeepDRRSlicerLib.projection.layout import Layout, Slabs, layout_of
from DeepDRRSlicerLib.projection.parallel import row_parts, run_parts
from DeepDRRSlicerLib.projection.projector import Stopped
from DeepDRRSlicerLib.projection.slab_geometry import (
    COARSE,
    COLUMN_AXIS,
    FINE,
    ROW_AXIS,
    Face,
    Rays,
    Sampling,
    between_slabs,
    faces_of,
    groups_of,
    rays_of,
)

if TYPE_CHECKING:
    from DeepDRRSlicerLib.projection.tools import Tool

_LINES_PER_PART = 128  # of the intermediate image, to be integrated
_ROWS_PER_PART = 64  # of the detector
_MM_PER_CM = 10.0


@dataclass(frozen=True, eq=False)
class _Voxels:
    """A volume with its layout and how finely it is sampled."""

    volume: MaterialVolume
    layout: Layout
    sampling: Sampling
    per_voxel: np.ndarray


class CpuProjector:
    """See projection.projector.Projector. kernels: the module slab_numba, or slab_numpy where numba is missing.

    Not more than `threads` threads compute, all available cores if None; the image does not depend on their number.
    """

    def __init__(self, volume: MaterialVolume, kernels, threads: int | None = None, note: str = ""):
        self.name, self.note = kernels.NAME, note
        self.materials = volume.materials
        self._kernels = kernels
        self._threads = threads
        self._fine = _Voxels(volume, layout_of(volume, kernels, threads), FINE, FINE.per_voxel(volume))
        coarse = halved(volume, threads)
        # An eighth of the memory; a second copy, which only views from the side need, is made for each of them.
        layout = layout_of(coarse, kernels, threads, keep_turned=False)
        self._coarse = _Voxels(coarse, layout, COARSE, COARSE.per_voxel(coarse))

    @property
    def details(self) -> dict:
        """What metadata say of it: plain data, the same on every machine."""
        return {"backend": self.name}

    @property
    def memory_bytes(self) -> int:
        """Bytes of voxels and their tables, the volume's own array included."""
        return self._fine.layout.nbytes + self._coarse.layout.nbytes

    def project(
        self,
        beams: Sequence[ConeBeam],
        tools: Sequence[Tool] = (),
        should_stop: Callable[[], bool] = lambda: False,
    ) -> np.ndarray:
        return self._views(beams, tools, should_stop, self._fine)

    def preview(
        self,
        beams: Sequence[ConeBeam],
        tools: Sequence[Tool] = (),
        should_stop: Callable[[], bool] = lambda: False,
    ) -> np.ndarray:
        result = self._views(beams, tools, should_stop, self._coarse)
        # Tools displace the tissue of the fine voxels, which may be more than the coarse ones hold there.
        return np.maximum(result, 0, out=result) if tools else result

    def _views(self, beams, tools, should_stop, voxels: _Voxels) -> np.ndarray:
        size = image_size(beams)
        channels = self.materials
        if tools:
            from DeepDRRSlicerLib.projection.tools import insert_tools, traced_materials

            channels = traced_materials(channels, tools)
        result = np.zeros((len(beams), len(channels), *size), dtype=np.float32)
        for view, beam in zip(result, beams, strict=True):
            refuse_source_inside(self._fine.volume, beam)
            self._project(beam, view[: len(self.materials)], should_stop, voxels)
            if tools:
                insert_tools(view, self._fine.volume, beam, tools, self._threads)
        return result

    def _project(self, beam: ConeBeam, view: np.ndarray, should_stop: Callable[[], bool], voxels: _Voxels) -> None:
        def run(function, parts):
            def unless_stopped(part):
                if should_stop():
                    raise Stopped
                function(*part)

            run_parts(unless_stopped, parts, self._threads)

        rays = rays_of(voxels.volume, beam)
        for face in faces_of(rays, voxels.volume.size, voxels.per_voxel):
            self._add_face(rays, face, voxels, view, run)

    def _add_face(self, rays: Rays, face: Face, voxels: _Voxels, view: np.ndarray, run: Callable) -> None:
        """Puts the pixels of one face into the view (m, rows, columns), which holds zeros."""
        slabs, kernels = voxels.layout.across(face.axis, self._kernels, self._threads), self._kernels
        order = [ROW_AXIS[face.axis], COLUMN_AXIS[face.axis], face.axis]
        source = tuple(rays.source[order])
        lengths, factor = voxels.volume.ijk_to_ras[:3, order], voxels.volume.scale / _MM_PER_CM
        pixels = (rays.towards[order], rays.step_c[order], rays.step_r[order], rays.bias[order], lengths)

        def look_up(first, end):
            kernels.look_up(image, face.origin, face.step, *pixels, factor, face.sign, (first, end), view)

        def add_cut_slabs(m, first, end):
            kernels.add_cut_slabs(
                slabs.density[m], slabs.n_u, slabs.n_v, *slabs.strides, face.cut, source, *pixels, factor[m], face.sign,
                first, view[m, first:end],
            )  # fmt: skip

        rows = row_parts(0, view.shape[1], _ROWS_PER_PART)
        if face.slabs[0] < face.slabs[1]:
            image = self._intermediate(face, groups_of(face, source[2], voxels.sampling.similar), slabs, source, run)
            run(look_up, rows)
        if face.cut[0] < face.cut[1]:
            run(add_cut_slabs, [(m, *part) for part in rows for m in range(len(view))])

    def _intermediate(self, face: Face, groups: np.ndarray, slabs: Slabs, source: tuple, run: Callable) -> np.ndarray:
        """(m, lines, samples) float32: integrals along the axis of the face, in units of density x voxels."""
        kernels, channels = self._kernels, range(len(self.materials))
        summed = np.empty((len(channels), len(groups) - 1, *face.size), dtype=np.float32)

        def add(m, first, end):
            kernels.add_slabs(
                slabs.density[m], slabs.n_u, slabs.n_v, *slabs.strides, slabs.extent[m], *slabs.extent_strides,
                groups, source, face.origin, face.step, (first, end), summed[m],
            )  # fmt: skip

        image = np.zeros((len(channels), *face.size), dtype=np.float32)
        heights = np.abs((groups[1:] + groups[:-1] - 1) / 2 - source[2])
        resamplings = [between_slabs(face, height) for height in heights]

        def integrate(m, first, end):
            for of_group, parts in zip(summed[m], resamplings, strict=True):
                for part in parts:
                    kernels.add_resampled(
                        of_group, first, part.weight, part.lines, part.line_weights, part.runs, part.offsets,
                        part.sample_weights, image[m, first:end],
                    )  # fmt: skip

        run(add, [(m, *part) for part in row_parts(0, face.size[0], kernels.LINES) for m in channels])
        run(integrate, [(m, *part) for part in row_parts(0, face.size[0], _LINES_PER_PART) for m in channels])
        return image
