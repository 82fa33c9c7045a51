"""Pictures of many views made on a card, from voxels to counts: nothing but the pictures is copied to the host.

The steps are those of the CPU, in floats; only the random numbers differ, so that the same seed gives the same picture
on the same backend alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.physics.collimation import penumbra_width
from DeepDRRSlicerLib.physics.readout import Frame, counts_per_kev
from DeepDRRSlicerLib.projection.cuda.driver import DeviceError
from DeepDRRSlicerLib.projection.projector import Stopped
from DeepDRRSlicerLib.projection.tools import traced_materials
from DeepDRRSlicerLib.simulation.acquisition import Acquisition
from DeepDRRSlicerLib.simulation.formation_plan import FormationPlan, apertures, place_of, plan_of

if TYPE_CHECKING:
    from DeepDRRSlicerLib.projection.cuda.driver import Buffer, Driver
    from DeepDRRSlicerLib.projection.cuda.projector import Areas, CudaProjector
    from DeepDRRSlicerLib.projection.tools import Tool

_KERNELS = ("moments", "blur_across", "blur_down", "quanta", "read_out")
_LINE, _TILE = (256, 1, 1), (32, 8, 1)  # threads of a block
_BATCH_BYTES = 512 << 20  # of area densities at once
_IMAGES = 8  # of a view that the steps after the projection need, besides
_PLANS = 4


class CardFrames:
    """The steps after the projection on one card. All methods are called by the thread that made the driver.

    Raises DeviceError where the card cannot go on.
    """

    def __init__(self, driver: Driver):
        self._driver = driver
        self._kernels = driver.kernels("formation.cu", _KERNELS)
        self._buffers: dict[str, Buffer] = {}
        self._there: dict[str, np.ndarray] = {}  # what the buffers of these names hold
        self._plans: dict[tuple, FormationPlan] = {}

    def free(self) -> None:
        """Gives the memory back at once."""
        for buffer in self._buffers.values():
            buffer.free()
        self._buffers.clear()
        self._there.clear()

    def frames(
        self,
        card: CudaProjector,
        beams: Sequence[ConeBeam],
        acquisition: Acquisition,
        distances: Sequence[float],
        tools: Sequence[Tool] = (),
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Frame]:
        """One frame of each beam, numbered from the acquisition's on; batch by batch.

        acquisition: one of which `formation_plan.why_not` says nothing. distances: mm from the source of each beam to
        the plane whose blur by the focal spot is shown. Raises InputError for an impossible technique or field, and
        Stopped between batches.
        """
        materials = traced_materials(card.materials, tools)
        number = acquisition.frame
        for _, group in groupby(zip(beams, distances, strict=True), lambda pair: place_of(pair[0])):
            pairs = list(group)
            rows, columns = pairs[0][0].size
            most = max(1, _BATCH_BYTES // (4 * rows * columns * (len(materials) + _IMAGES)))
            while pairs:
                if should_stop():
                    raise Stopped
                batch, far = zip(*pairs[:most], strict=True)
                blurs = [penumbra_width(acquisition.device.focal_spot, beam.sid, d) for beam, d in zip(batch, far)]
                try:
                    areas = card.project_on_device(batch, tools)
                    made = self.formed(areas, materials, batch[0], acquisition, blurs, number)
                except DeviceError as error:
                    if not error.out_of_memory or most == 1:
                        raise
                    most = max(1, len(batch) // 2)
                    continue
                yield from made
                number += len(batch)
                del pairs[: len(batch)]

    def formed(
        self,
        areas: Areas,
        materials: tuple[str, ...],
        beam: ConeBeam,
        acquisition: Acquisition,
        blurs: Sequence[float],
        number: int,
    ) -> list[Frame]:
        """The frames of area densities on the card.

        beam: any of the views, which share their place before the detector. blurs: mm at the detector, penumbra of
        the focal spot in each view. number: of the first frame.
        """
        detector, (views, _, rows, columns) = acquisition.detector, areas.shape
        plan = self._plan(beam, materials, acquisition, min(blurs))
        energy = self._energy(areas, plan, beam, acquisition.seed, blurs, number)
        deep = detector.bit_depth is not None
        pixels = views * rows * columns
        out = self._room("frames", pixels * (2 if deep else 4))
        clipped = self._put("clipped", np.zeros((views, 2), np.uint32))
        full = np.inf if detector.full_scale is None else detector.full_scale
        per_kev = counts_per_kev(detector, beam.pitch)
        if not deep and np.isfinite(full):
            full = (full - detector.dark_offset) / per_kev
        electronic = 0.0 if acquisition.seed is None else detector.electronic_noise
        self._driver.launch(
            self._kernels["read_out"], _blocks(columns, rows, views), _TILE,
            (energy, self._put("screen", plan.screen), out, out, clipped, np.int32(rows), np.int32(columns),
             np.int32(len(plan.screen) // 2), np.int32(deep), np.float32(electronic), np.float32(per_kev),
             np.float32(detector.dark_offset), np.float32(full), *_key(acquisition.seed), np.uint32(number)),
        )  # fmt: skip
        result = np.empty((views, rows, columns), np.uint16 if deep else np.float32)
        beyond = np.empty((views, 2), np.uint32)
        self._driver.download(out, result)
        self._driver.download(clipped, beyond)
        counted = [tuple(int(n) for n in of_view) for of_view in beyond]
        if not deep:
            return [Frame(signal, None, pair) for signal, pair in zip(result, counted, strict=True)]
        kind = np.min_scalar_type(2**detector.bit_depth - 1)
        offset, scale = np.float32(detector.dark_offset), np.float32(per_kev)
        return [
            Frame((counts - offset) / scale, counts.astype(kind, copy=False), pair)
            for counts, pair in zip(result, counted, strict=True)
        ]

    def _energy(self, areas: Areas, plan: FormationPlan, beam, seed: int | None, blurs, number: int) -> Buffer:
        """keV taken in by the pixels and by those around that light comes in from."""
        launch, kernels = self._driver.launch, self._kernels
        views, channels, rows, columns = areas.shape
        pixels, image = rows * columns, 4 * views * rows * columns
        nodes, layers = len(plan.tables), int(plan.layer is not None)
        falling = self._put("falling", plan.falling)
        layer = self._put("layer", plan.layer) if layers else falling
        first, second = self._room("moments", 2 * image), self._room("blurred", 2 * image)
        launch(
            kernels["moments"], (-(-pixels // _LINE[0]), views, 1), _LINE,
            (areas.buffer, self._put("tables", np.repeat(plan.tables[None], views, axis=0)), layer, falling, first,
             *(np.int32(n) for n in (pixels, channels, nodes, layers))),
        )  # fmt: skip
        taps = apertures(beam, blurs)
        sizes = tuple(np.int32(n) for n in (rows, columns, taps.shape[2] // 2, views))
        taps, grid = self._put("apertures", taps), _blocks(columns, rows, 2 * views)
        launch(kernels["blur_across"], grid, _TILE, (first, taps, second, *sizes))
        launch(kernels["blur_down"], grid, _TILE, (second, taps, first, *sizes))
        beyond = len(plan.screen) // 2
        wide, high = columns + 2 * beyond, rows + 2 * beyond
        energy = self._room("energy", 4 * views * wide * high)
        limits = self._put("limits", np.repeat(plan.limits[None], views, axis=0))
        launch(
            kernels["quanta"], _blocks(wide, high, views), _TILE,
            (first, self._put("lit", plan.lit), limits, energy, *(np.int32(n) for n in (rows, columns, beyond)),
             np.int32(seed is not None), *_key(seed), np.uint32(number)),
        )  # fmt: skip
        return energy

    def _plan(self, beam: ConeBeam, materials, acquisition: Acquisition, blur: float) -> FormationPlan:
        still = replace(acquisition, seed=None, frame=0)
        key = (place_of(beam), materials, repr(still.to_dict()), round(blur, 3))
        if key not in self._plans:
            if len(self._plans) == _PLANS:
                self._plans.pop(next(iter(self._plans)))
            self._plans[key] = plan_of(beam, materials, acquisition, blur)
        return self._plans[key]

    def _room(self, name: str, nbytes: int) -> Buffer:
        """The buffer of this name, made anew where it is too small."""
        buffer = self._buffers.get(name)
        if buffer is None or buffer.nbytes < nbytes:
            if buffer is not None:
                del self._buffers[name]
                self._there.pop(name, None)
                buffer.free()
            buffer = self._buffers[name] = self._driver.buffer(nbytes)
        return buffer

    def _put(self, name: str, array: np.ndarray) -> Buffer:
        """The array on the card; one that is there already is not copied again."""
        buffer = self._room(name, array.nbytes)
        if self._there.get(name) is not array:
            self._driver.upload(np.ascontiguousarray(array), buffer)
            self._there[name] = array
        return buffer


def _blocks(columns: int, rows: int, layers: int) -> tuple[int, int, int]:
    return -(-columns // _TILE[0]), -(-rows // _TILE[1]), layers


def _key(seed: int | None) -> tuple[np.uint32, np.uint32]:
    seed = seed or 0
    return np.uint32(seed & 0xFFFFFFFF), np.uint32(seed >> 32 & 0xFFFFFFFF)
