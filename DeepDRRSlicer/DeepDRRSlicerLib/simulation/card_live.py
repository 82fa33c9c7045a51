"""One picture after the other made on a card, for a C-arm that moves and a pedal held down: all that the CPU does.

What goes to the host is the picture, and what is decided there: area densities at the pixels that the brightness
control looks at, means over the cells of the scatter model, and numbers. Area densities and what the panel holds back
for the next frame stay on the card. A view that is taken again as it was last is only read out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.physics.collimation import penumbra_width
from DeepDRRSlicerLib.projection.cuda.card_array import CardArray, CardArrays
from DeepDRRSlicerLib.projection.cuda.driver import DeviceError
from DeepDRRSlicerLib.simulation.acquisition import Acquisition
from DeepDRRSlicerLib.simulation.card_steps import CardSteps
from DeepDRRSlicerLib.simulation.cells import at_pixels
from DeepDRRSlicerLib.simulation.exposing import (
    MANUAL_CONTROL,
    Conditions,
    Exposed,
    controlled,
    dose_told,
    frame_interval,
    frame_told,
    scatter_to_primary,
    scatter_told,
    spectrum_told,
)
from DeepDRRSlicerLib.simulation.exposure_control import MeasuringField
from DeepDRRSlicerLib.simulation.formation_plan import Opening, Plans, Spectral, load_of
from DeepDRRSlicerLib.simulation.scatter import CoarselyIrradiated, CoarseScatter, CoarseScatterModel
from DeepDRRSlicerLib.simulation.technique import Technique

if TYPE_CHECKING:
    from DeepDRRSlicerLib.projection.cuda.areas import Areas
    from DeepDRRSlicerLib.projection.cuda.device_thread import DeviceThread
    from DeepDRRSlicerLib.projection.cuda.driver import Buffer, Driver

_VIEWS, _FRAMES = 4, 3  # whose area densities, and whose lag, stay on the card


@dataclass(frozen=True, eq=False)
class CardShadow:
    """As simulation.exposing.Shadow. areas: (materials, rows, columns). nothing: whether they are 0 everywhere."""

    areas: CardArray
    shape: tuple[int, int, int]
    nothing: bool
    materials: tuple[str, ...]
    beam: ConeBeam
    object_distance: float
    volume: MaterialVolume


class CardAreas:
    """Area densities of a picture, see simulation.radiograph.Elsewhere.

    traced_again: gives them where the card is lost, or None.
    """

    def __init__(self, shadow: CardShadow, traced_again: Callable[[], np.ndarray | None]):
        self.nothing = shadow.nothing
        self._areas, self._traced_again = shadow.areas, traced_again
        self._again: np.ndarray | None = None

    def fetched(self) -> np.ndarray:
        """From any thread."""
        if self._again is None:
            try:
                return self._areas.fetched()
            except DeviceError:
                self._again = self._traced_again()
        if self._again is None:
            raise InputError("The area densities of this picture were lost with the card; take it again.")
        return self._again


@dataclass(frozen=True, eq=False)
class _Fallen:
    """What falls on the detector of a shadow taken in one way; mean and variance lie in the buffer of the moments."""

    shadow: CardShadow
    still: Acquisition
    moments: Buffer
    opening: Opening
    lit: np.ndarray
    limits: np.ndarray
    conditions: Conditions


class CardLive:
    """The pictures of one simulator. All methods are called by the thread that made the driver.

    Raises DeviceError where the card cannot go on.
    """

    def __init__(self, driver: Driver, device: DeviceThread):
        self._device = device
        self._steps, self._plans = CardSteps(driver), Plans()
        self._views, self._held = CardArrays(driver, device, _VIEWS), CardArrays(driver, device, _FRAMES)
        self._fallen: _Fallen | None = None
        self._matter: tuple[tuple, np.ndarray] | None = None  # in cells, and whose it is

    def shadow(
        self,
        project: Callable[[Sequence[ConeBeam]], Areas],
        beam: ConeBeam,
        window: tuple[slice, slice],
        materials: tuple[str, ...],
        object_distance: float,
        volume: MaterialVolume,
    ) -> CardShadow:
        """What `project`, of a CudaProjector, gives of the window of a view. The other arguments as in Shadow."""
        part = project([beam.window(*window)])
        shape = len(materials), *beam.size
        areas = self._views.new(shape)
        met = self._steps.place(part.buffer, window, self._there(areas), shape)
        return CardShadow(areas, shape, not met, materials, beam, object_distance, volume)

    def frame(
        self,
        shadow: CardShadow,
        acquisition: Acquisition,
        lag: bool = False,
        held: CardArray | np.ndarray | None = None,
    ) -> Exposed:
        """As simulation.exposing.expose, whose errors it raises.

        acquisition: one of which `formation_plan.why_not` says nothing. held: as the frame before returned it, by the
        card or by the CPU.
        """
        fallen = self._fall(shadow, replace(acquisition, seed=None, frame=0))
        detector, size = acquisition.detector, shadow.beam.size
        panel, afterwards = None, held
        if lag and detector.lag is not None:
            interval, shape = frame_interval(fallen.conditions.technique), (len(detector.lag.fractions), *size)
            if held is not None and held.shape != shape:
                raise InputError("Lag needs frames of one size; start anew when field or binning change.")
            afterwards = self._held.new(shape)  # first: it may take the place of what was held
            before = self._brought(held)
            panel = (None if before is None else self._there(before)), self._there(afterwards), interval
        (frame,) = self._steps.frames(
            fallen.moments, 1, fallen.opening, fallen.lit, fallen.limits, detector, shadow.beam.pitch, acquisition.seed,
            acquisition.frame, panel,
        )  # fmt: skip
        taken = fallen.conditions
        told = frame_told(taken, acquisition, shadow.beam, frame.clipped, lag)
        return Exposed(frame, taken.open_field, taken.exposed, told, afterwards)

    def _fall(self, shadow: CardShadow, still: Acquisition) -> _Fallen:
        known = self._fallen
        if known is None or known.shadow is not shadow or known.still != still:
            self._fallen = None  # whatever comes, the moments are others now
            self._fallen = known = self._irradiate(shadow, still)
        return known

    def _irradiate(self, shadow: CardShadow, still: Acquisition) -> _Fallen:
        beam, device = shadow.beam, still.device
        blur = penumbra_width(device.focal_spot, beam.sid, shadow.object_distance)
        opening = self._plans.opening(beam, still, blur)
        scattered = cache(partial(self._scatter, shadow, still, opening))
        technique, control = self._technique(shadow, still, opening, scattered)
        spectral = self._plans.spectral(technique, shadow.materials, beam, still)
        load = load_of(technique, beam, still.grid_in_use.primary_transmission)
        areas, model = self._there(shadow.areas), still.scatter
        moments = self._steps.moments(areas, (1, *shadow.shape), opening, spectral, load)
        lit, told = opening.lit, {"model": "none"}
        if model is not None:
            assert isinstance(model, CoarseScatterModel)
            found = scattered(technique.kvp, spectral)
            passed = load_of(technique, beam, still.grid_in_use.scatter_transmission)
            self._steps.add_surface(moments, beam.size, found.mean, model.part(beam), passed, found.ratio * passed)
            told = scatter_told(model, found)
            if found.mean.any():  # it knows no shutters
                lit = _everywhere(beam.size)
        self._steps.blurred(moments, 1, beam, [blur])
        flat = spectral.flat if spectral.layer is None else spectral.flat.reshape(beam.size)
        kerma, area = spectral.spectrum.air_kerma * technique.mas, spectral.kerma_area
        conditions = Conditions(
            technique=technique,
            open_field=opening.field * (flat * np.float32(load)),
            exposed=opening.share,
            blur=blur,
            control=control,
            spectrum=spectrum_told(spectral.spectrum, kerma),
            dose=dose_told(kerma * (opening.kerma_area if area is None else area), technique),
            scatter=told,
        )
        return _Fallen(shadow, still, moments, opening, lit, spectral.limits(load * opening.brightest), conditions)

    def _technique(self, shadow: CardShadow, still: Acquisition, opening: Opening, scattered) -> tuple[Technique, dict]:
        """As of simulation.exposing."""
        chosen, beam = still.technique, shadow.beam
        if isinstance(chosen, Technique):
            return chosen, dict(MANUAL_CONTROL)
        rays = self._steps.gathered(self._there(shadow.areas), shadow.shape, opening.measured)
        measured = MeasuringField(opening.measured, rays.astype(np.float64), shadow.materials, opening.nearness)

        def to_primary(technique: Technique) -> float:
            assert isinstance(still.scatter, CoarseScatterModel)
            spectral = self._plans.spectral(replace(technique, heel=False), shadow.materials, beam, still)
            found = scattered(technique.kvp, spectral)
            there = at_pixels(found.mean, beam.size, opening.measured, still.scatter.part(beam))
            falling = opening.falling.reshape(-1)[opening.measured]
            return scatter_to_primary(there, measured, still, technique, falling)

        return controlled(chosen, still, measured, beam, to_primary)

    def _scatter(
        self, shadow: CardShadow, still: Acquisition, opening: Opening, kvp: float, spectral: Spectral
    ) -> CoarseScatter:
        model, beam, areas = still.scatter, shadow.beam, self._there(shadow.areas)
        assert isinstance(model, CoarseScatterModel)
        part = model.part(beam)
        if self._matter is None or any(a is not b for a, b in zip(self._matter[0], (shadow, opening, model))):
            self._matter = (shadow, opening, model), self._matter_of(shadow, opening, model, part)
        passing = self._steps.transmitted(areas, shadow.shape, opening, spectral)
        (transmission,) = self._steps.in_cells(passing, (1, *beam.size), model.size, part)
        return model.coarse_scatter(CoarselyIrradiated(
            shadow.volume, beam, self._matter[1], transmission, kvp, spectral.spectrum, still.detector
        ))  # fmt: skip

    def _matter_of(self, shadow: CardShadow, opening: Opening, model: CoarseScatterModel, part) -> np.ndarray:
        """As in CoarselyIrradiated."""
        groups, size = model.groups(shadow.materials), shadow.beam.size
        seen = self._steps.put("share", opening.share)
        share = self._steps.in_cells(seen, (1, *size), model.size, part)
        images = self._steps.matter(self._there(shadow.areas), shadow.shape, groups, opening)
        return np.concatenate([share, self._steps.in_cells(images, (len(groups), *size), model.size, part)])

    def _there(self, array: CardArray) -> Buffer:
        """Where an array is that is held, and none of the oldest."""
        buffer = array.on(self._device)
        assert buffer is not None
        return buffer

    def _brought(self, held: CardArray | np.ndarray | None) -> CardArray | None:
        """What the panel holds back, on this card."""
        if held is None or (isinstance(held, CardArray) and held.on(self._device) is not None):
            return held
        return self._held.uploaded(held.fetched() if isinstance(held, CardArray) else held)


@lru_cache(2)
def _everywhere(size: tuple[int, int]) -> np.ndarray:
    return np.ones(size, np.float32)
