"""The CUDA backend: a batch of views in one launch, from textures that stay on the card.

Accuracy. A ray takes two samples from plane to plane of the voxels that it crosses most of, at the points of Gauss's
rule, which is exact for what is trilinear but for the kinks between (kernels/integrate.h). The hardware weighs voxels
with 8-bit fractions: each weight is wrong by up to 1/512, differently from sample to sample. On a chest CT of 1.5 mm
seen from 40 directions, the relative RMS error of the summed area density is 7e-5 in the median and below 2e-4 in all
of them, nearly the same with fractions in floats; bone alone, which is finer, errs by 5e-4 and up to 1.4e-3, as it
does on the CPU. exact=True stops at every voxel and weighs in floats: below 1e-6, for several times the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.projection.batch import image_size, refuse_source_inside
from DeepDRRSlicerLib.projection.coarse import halved
from DeepDRRSlicerLib.projection.cuda.areas import Areas, Voxels, on_card
from DeepDRRSlicerLib.projection.cuda.driver import Argument, Buffer, DeviceError, Driver
from DeepDRRSlicerLib.projection.cuda.kept import KeptBuffers
from DeepDRRSlicerLib.projection.cuda.records import TEXELS, view_records
from DeepDRRSlicerLib.projection.projector import Stopped

if TYPE_CHECKING:
    from DeepDRRSlicerLib.projection.tools import Tool

_BLOCK = (8, 16, 1)  # threads: a warp looks through 8 x 4 pixels, whose voxels lie close together
_BATCH_BYTES = 256 << 20  # of images that are projected before they are copied, and should_stop is asked


class CudaProjector:
    """See projection.projector.Projector. All methods are called by the thread that made the driver.

    Raises DeviceError where the card cannot go on.
    """

    name = "cuda"

    def __init__(self, volume: MaterialVolume, driver: Driver, exact: bool = False):
        self.materials = volume.materials
        self._driver, self._kept = driver, KeptBuffers(driver)
        fine, coarse, tools = ("exact", "exact", "exact_tools") if exact else ("project", "preview", "tools")
        self._fine_kernels = _by_texel(driver, "projection.cu", fine)
        self._coarse_kernels = _by_texel(driver, "projection.cu", coarse)
        self._tool_kernels = _by_texel(driver, "tools.cu", tools)
        self._fine = on_card(driver, volume, not exact)
        self._coarse = on_card(driver, halved(volume), not exact)

    @property
    def memory_bytes(self) -> int:
        """Bytes of the card in use for the voxels and for the largest batch so far."""
        return self._fine.nbytes + self._coarse.nbytes + self._kept.nbytes

    def free(self) -> None:
        """Gives the memory back at once; the projector must not be used any more."""
        for held in (self._fine, self._coarse, self._kept):
            held.free()

    def project(
        self,
        beams: Sequence[ConeBeam],
        tools: Sequence[Tool] = (),
        should_stop: Callable[[], bool] = lambda: False,
    ) -> np.ndarray:
        return self._views(beams, tools, should_stop, self.project_on_device)

    def preview(
        self,
        beams: Sequence[ConeBeam],
        tools: Sequence[Tool] = (),
        should_stop: Callable[[], bool] = lambda: False,
    ) -> np.ndarray:
        return self._views(beams, tools, should_stop, self.preview_on_device)

    def project_on_device(self, beams: Sequence[ConeBeam], tools: Sequence[Tool] = ()) -> Areas:
        """As project, all views at once and without a copy to the host; the card may still be at it."""
        return self._on_device(beams, tools, self._fine, self._fine_kernels)

    def preview_on_device(self, beams: Sequence[ConeBeam], tools: Sequence[Tool] = ()) -> Areas:
        """As preview, likewise."""
        return self._on_device(beams, tools, self._coarse, self._coarse_kernels)

    def _views(self, beams, tools, should_stop, on_device) -> np.ndarray:
        """The views batch by batch, in smaller ones where the card has no room for more."""
        result = np.empty((len(beams), len(self._channels(tools)), *image_size(beams)), np.float32)
        batch, first = max(1, _BATCH_BYTES // result[0].nbytes), 0
        while first < len(beams):
            if should_stop():
                raise Stopped
            try:
                areas = on_device(beams[first : first + batch], tools)
            except DeviceError as error:
                if not error.out_of_memory or batch == 1:
                    raise
                batch = max(1, min(batch, len(beams) - first) // 2)
                continue
            self._driver.download(areas.buffer, result[first : first + areas.shape[0]])
            first += areas.shape[0]
        return result

    def _channels(self, tools) -> tuple[str, ...]:
        if not tools:
            return self.materials
        from DeepDRRSlicerLib.projection.tools import traced_materials

        return traced_materials(self.materials, tools)

    def _on_device(self, beams, tools, voxels: Voxels, kernels) -> Areas:
        for beam in beams:
            refuse_source_inside(self._fine.volume, beam)
        shape = (len(beams), len(self._channels(tools)), *image_size(beams))
        areas = Areas(self._kept.buffer("image", 4 * int(np.prod(shape))), shape)
        views = self._upload_views(beams, voxels, "views")
        self._project(views, voxels, kernels, areas)
        if tools:
            self._insert(beams, tools, voxels, kernels, views, areas)
        return areas

    def _upload_views(self, beams, voxels: Voxels, name: str) -> list[Buffer]:
        return [
            self._kept.uploaded(f"{name} {n}", view_records(voxels.volume, part.low, beams))
            for n, part in enumerate(voxels.parts)
        ]

    def _project(self, views: Sequence[Buffer], voxels: Voxels, kernels, areas: Areas) -> None:
        count, channels, rows, columns = areas.shape
        grid = (-(-columns // _BLOCK[0]), -(-rows // _BLOCK[1]), count)
        for part, view in zip(voxels.parts, views, strict=True):
            empty = channels - len(self.materials) if part is voxels.parts[-1] else 0
            numbers = (rows, columns, channels, part.first, part.count, empty)
            sizes = [np.int32(n) for n in numbers]
            arguments: tuple[Argument, ...] = (part.texture, part.record, view, areas.buffer, *sizes)
            self._driver.launch(kernels[part.channels], grid, _BLOCK, arguments)

    def _insert(self, beams, tools, voxels: Voxels, kernels, views: list[Buffer], areas: Areas) -> None:
        from DeepDRRSlicerLib.projection.cuda.tool_pass import insert_on_card
        from DeepDRRSlicerLib.projection.tools import insert_tools

        # Tools displace the tissue of the fine voxels, which in a preview may be more than the coarse ones hold there.
        coarse = voxels is not self._fine
        fine_views = self._upload_views(beams, self._fine, "fine views") if coarse else views
        left = insert_on_card(
            self._driver, self._tool_kernels, self._kept, self._fine.parts, fine_views, beams, tools,
            self._channels(tools), areas, coarse,
        )  # fmt: skip
        if not left:
            return
        image = np.empty(areas.shape[1:], np.float32)
        alone = Areas(self._kept.buffer("one view", image.nbytes), (1, *image.shape))
        for view in left:
            self._project(self._upload_views([beams[view]], voxels, "one view"), voxels, kernels, alone)
            self._driver.download(alone.buffer, image)
            insert_tools(image, self._fine.volume, beams[view], tools)
            if coarse:
                np.maximum(image, 0, out=image)
            self._driver.upload(image, areas.buffer, view * image.nbytes)


def _by_texel(driver: Driver, source: str, name: str):
    kernels = driver.kernels(source, [f"{name}_{n}" for n in TEXELS])
    return {n: kernels[f"{name}_{n}"] for n in TEXELS}
