"""Pictures of many views made on a card, from voxels to counts: nothing but the pictures is copied to the host.

The steps are those of the CPU, in floats; only the random numbers differ, so that the same seed gives the same picture
on the same backend alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.physics.collimation import penumbra_width
from DeepDRRSlicerLib.physics.readout import Frame
from DeepDRRSlicerLib.projection.cuda.driver import DeviceError
from DeepDRRSlicerLib.projection.projector import Stopped
from DeepDRRSlicerLib.projection.tools import traced_materials
from DeepDRRSlicerLib.simulation.acquisition import Acquisition
from DeepDRRSlicerLib.simulation.card_steps import CardSteps
from DeepDRRSlicerLib.simulation.formation_plan import Plans, load_of, place_of
from DeepDRRSlicerLib.simulation.technique import Technique

if TYPE_CHECKING:
    from DeepDRRSlicerLib.projection.cuda.driver import Driver
    from DeepDRRSlicerLib.projection.cuda.projector import Areas, CudaProjector
    from DeepDRRSlicerLib.projection.tools import Tool

_BATCH_BYTES = 512 << 20  # of area densities at once
_IMAGES = 8  # of a view that the steps after the projection need, besides


class CardFrames:
    """The steps after the projection on one card. All methods are called by the thread that made the driver.

    Raises DeviceError where the card cannot go on.
    """

    def __init__(self, driver: Driver):
        self._steps, self._plans = CardSteps(driver), Plans()

    def free(self) -> None:
        """Gives the memory back at once."""
        self._steps.free()

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

        acquisition: one of which `formation_plan.why_not_in_batches` says nothing. distances: mm from the source of
        each beam to the plane whose blur by the focal spot is shown. Raises InputError for an impossible technique or
        field, and Stopped between batches.
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
        detector, technique, views = acquisition.detector, acquisition.technique, len(blurs)
        assert isinstance(technique, Technique)
        opening = self._plans.opening(beam, acquisition, min(blurs))
        spectral = self._plans.spectral(technique, materials, beam, acquisition)
        load = load_of(technique, beam, acquisition.grid_in_use.primary_transmission)
        moments = self._steps.moments(areas.buffer, areas.shape, opening, spectral, load)
        self._steps.blurred(moments, views, beam, blurs)
        limits = np.repeat(spectral.limits(load * opening.brightest)[None], views, axis=0)
        return self._steps.frames(
            moments, views, opening, opening.lit, limits, detector, beam.pitch, acquisition.seed, number
        )
