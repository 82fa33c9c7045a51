"""From a CT, a view and a way to take pictures to a radiograph."""

from __future__ import annotations

import hashlib
import json
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

import DeepDRRSlicerLib
from DeepDRRSlicerLib.anatomy.border import crossed_border, without_padding
from DeepDRRSlicerLib.anatomy.volume import Volume, content_hash
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.geometry.carm import positioner_angles
from DeepDRRSlicerLib.geometry.device import Device
from DeepDRRSlicerLib.geometry.files import beam_to_dict
from DeepDRRSlicerLib.physics.readout import Frame
from DeepDRRSlicerLib.projection.projector import Stopped, make_projector
from DeepDRRSlicerLib.simulation.acquisition import Acquisition
from DeepDRRSlicerLib.simulation.decomposition import THRESHOLD, Decomposition, never, unheard
from DeepDRRSlicerLib.simulation.exposing import Exposed, Irradiation, Shadow, field_window, irradiate, read_frame
from DeepDRRSlicerLib.simulation.formation_plan import why_not, why_not_in_batches
from DeepDRRSlicerLib.simulation.radiograph import Radiograph

if TYPE_CHECKING:
    from DeepDRRSlicerLib.projection.cuda.card_array import CardArray
    from DeepDRRSlicerLib.projection.cuda.driver import Driver
    from DeepDRRSlicerLib.projection.cuda.on_device import DeviceProjector
    from DeepDRRSlicerLib.projection.cuda.projector import CudaProjector
    from DeepDRRSlicerLib.projection.tools import Tool
    from DeepDRRSlicerLib.simulation.card_frames import CardFrames
    from DeepDRRSlicerLib.simulation.card_live import CardAreas, CardLive, CardShadow
    from DeepDRRSlicerLib.simulation.contrast import Contrast

Result = TypeVar("Result")
_AT_ONCE = 64  # frames that a card is asked for together
_LOOKED_AT = 128  # pixels along the longer side that tell how much tissue is missing


@dataclass(frozen=True, eq=False)
class Held:
    """What a frame leaves behind for the next one: keV in the panel, as physics.lag has it, and the frames' digest.

    energy: on the card where that has made the frame.
    """

    energy: np.ndarray | CardArray | None = None
    before: str = ""


class _Seen:
    """The last view: its shadow, what is said of it, and what falls on the detector when it is taken as it was last."""

    def __init__(self, key: tuple, shadow: Shadow, view_hash: str, metadata: dict):
        self.key, self.shadow, self.view_hash, self.metadata = key, shadow, view_hash, metadata
        self.areas = shadow.area_density
        self._taken: tuple[Acquisition, Irradiation] | None = None

    def taken(self, acquisition: Acquisition, should_stop: Callable[[], bool]) -> Irradiation:
        """What falls on the detector: the same for every frame."""
        still, taken = _without_noise(acquisition), self._taken
        if taken is None or taken[0] != still:
            taken = self._taken = still, irradiate(self.shadow, still, should_stop)
        return taken[1]


@dataclass(frozen=True, eq=False)
class _SeenByCard:
    """The last view whose pictures a card makes, likewise; what falls on the detector stays there."""

    key: tuple
    shadow: CardShadow
    areas: CardAreas


class Simulator:
    """One patient made ready: decomposed once, then seen from anywhere.

    The shadow of the last view is kept, so that the next frame of it is quick: another technique leaves out the
    projection, and a frame that differs by its noise alone is only read out.
    ct: HU. backend: see make_projector. threads: at most so many compute at once; None is all cores. should_stop,
    progress: of the decomposition.
    Raises InputError where the CT holds no body or the backend cannot be used, Stopped on request.
    """

    def __init__(
        self,
        ct: Volume,
        decomposition: Decomposition = THRESHOLD,
        backend: str = "auto",
        threads: int | None = None,
        should_stop: Callable[[], bool] = never,
        progress: Callable[[float], None] = unheard,
    ):
        self.ct = ct
        self.decomposition = decomposition
        self._volume = decomposition.decompose(ct, should_stop, progress)
        self.projector = make_projector(self._volume, backend, threads)
        self._ct_hash = content_hash(ct)
        self._inner = without_padding(ct)
        self._last: _Seen | None = None
        self._last_by_card: _SeenByCard | None = None
        self._last_said: tuple[tuple, str, dict] | None = None
        self._last_way: tuple[Acquisition, str] | None = None
        self._card_frames: tuple[Driver, CardFrames] | None = None
        self._card_live: CardLive | None = None

    def settings_hash(self, beam: ConeBeam, acquisition: Acquisition, tools: Sequence[Tool] = ()) -> str:
        """Hex digest of everything that decides the image: CT, materials, view, tools, acquisition, version."""
        return _settings_hash(self._view_hash(beam, tools), _way_hash(_without_noise(acquisition)), acquisition)

    def simulate(
        self,
        beam: ConeBeam,
        acquisition: Acquisition,
        tools: Sequence[Tool] = (),
        should_stop: Callable[[], bool] = lambda: False,
        contrast: Contrast | None = None,
    ) -> Radiograph:
        """The picture of one view, with contrast medium in vessels if there is any.

        Raises InputError for an impossible technique or field, Stopped on request.
        """
        return self._picture("project", beam, acquisition, tools, should_stop, contrast)[0]

    def frames(
        self,
        beams: Iterable[ConeBeam],
        acquisition: Acquisition,
        tools: Sequence[Tool] = (),
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Radiograph]:
        """The pictures of a pulsed sequence, one for each beam, with the detector's lag from one to the next.

        Frames are numbered from that of the acquisition on, so that each has its own noise. The hash of a frame also
        names those before it. Raises as `simulate`, and InputError for a technique without a pulse rate.
        """
        held = Held()
        for number, beam in enumerate(beams):
            this = replace(acquisition, frame=acquisition.frame + number)
            radiograph, held = self.pulse(beam, this, tools, held, should_stop=should_stop)
            yield radiograph

    def frames_only(
        self,
        beams: Iterable[ConeBeam],
        acquisition: Acquisition,
        tools: Sequence[Tool] = (),
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Frame]:
        """What the electronics put out of many views, and nothing else of them: the fastest way to pictures.

        On a card they are made there, batch by batch, from voxels to counts, where `why_not_in_batches` of
        formation_plan has nothing against it; else one by one as `simulate` makes them. Frames are numbered from that
        of the acquisition on, and without lag. Raises as `simulate`.
        """
        beams, done = list(beams), 0
        if self.projector.name == "cuda" and not why_not_in_batches(acquisition):
            from DeepDRRSlicerLib.projection.cuda.driver import DeviceError

            try:
                for frame in self._frames_on_card(beams, acquisition, tools, should_stop):
                    yield frame
                    done += 1
            except DeviceError:  # from now on the CPU serves
                pass
        for number, beam in enumerate(beams[done:], acquisition.frame + done):
            made = self.simulate(beam, replace(acquisition, frame=number), tools, should_stop)
            readout = made.metadata["readout"]
            yield Frame(made.signal, made.counts, (readout["zero_pixels"], readout["saturated_pixels"]))

    def _frames_on_card(self, beams, acquisition: Acquisition, tools, should_stop) -> Iterator[Frame]:
        from DeepDRRSlicerLib.simulation.card_frames import CardFrames

        for first in range(0, len(beams), _AT_ONCE):
            batch = beams[first : first + _AT_ONCE]
            distances = [self._object_distance(beam) for beam in batch]
            this = replace(acquisition, frame=acquisition.frame + first)

            def made(card, driver, stop, batch=batch, distances=distances, this=this):
                if self._card_frames is None or self._card_frames[0] is not driver:
                    self._card_frames = driver, CardFrames(driver)
                return list(self._card_frames[1].frames(card, batch, this, distances, tools, stop))

            yield from self._device_projector.compute(made, should_stop)

    def pulse(
        self,
        beam: ConeBeam,
        acquisition: Acquisition,
        tools: Sequence[Tool] = (),
        held: Held = Held(),  # noqa: B008 (frozen)
        coarse: bool = False,
        should_stop: Callable[[], bool] = lambda: False,
        contrast: Contrast | None = None,
    ) -> tuple[Radiograph, Held]:
        """One of `frames`, for a sequence whose view, tools and technique may change from frame to frame.

        held: what the frame before returned; a panel that is read out in another size forgets it.
        coarse: traced as a preview, but on all pixels, for a C-arm or a tool that moves.
        """
        energy = held.energy if held.energy is not None and held.energy.shape[1:] == beam.size else None
        way = "preview" if coarse else "project"
        radiograph, energy = self._picture(way, beam, acquisition, tools, should_stop, contrast, True, energy)
        before = _digest({"before": held.before, "this": radiograph.settings_hash})
        return replace(radiograph, settings_hash=before), Held(energy, before)

    def preview(
        self,
        beam: ConeBeam,
        acquisition: Acquisition,
        tools: Sequence[Tool] = (),
        should_stop: Callable[[], bool] = lambda: False,
        contrast: Contrast | None = None,
    ) -> Radiograph:
        """As `simulate`, traced more coarsely and faster, for a C-arm or a tool that moves."""
        return self._picture("preview", beam, acquisition, tools, should_stop, contrast)[0]

    def _picture(
        self, way: str, beam: ConeBeam, acquisition: Acquisition, tools, should_stop, contrast, lag=False, held=None
    ) -> tuple[Radiograph, np.ndarray | CardArray | None]:
        """A frame of a view, and what the panel holds back of it. way: the method of a projector that traces it.

        A card makes it where `why_not` has nothing against it and no contrast is added, else the CPU.
        """
        if self.projector.name == "cuda" and contrast is None and not why_not(acquisition):
            from DeepDRRSlicerLib.projection.cuda.driver import DeviceError

            try:
                return self._picture_by_card(way, beam, acquisition, tools, should_stop, lag, held)
            except DeviceError:  # from now on the CPU serves
                self._last_by_card = self._card_live = None
        seen = self._see(getattr(self.projector, way), beam, acquisition, tools, should_stop, contrast)
        falling = seen.taken(acquisition, should_stop)
        made = read_frame(falling, beam, acquisition, lag, _on_host(held))
        about = seen.areas, seen.shadow.materials, beam, seen.view_hash, seen.metadata
        return self._radiograph(made, acquisition, *about), made.held

    def _radiograph(self, made: Exposed, acquisition: Acquisition, areas, materials, beam, view_hash, metadata):
        return Radiograph(
            signal=made.frame.signal,
            counts=made.frame.counts,
            open_field=made.open_field,
            exposed=made.exposed,
            areas=areas,
            materials=materials,
            beam=beam,
            ct=self.ct,
            settings_hash=_settings_hash(view_hash, self._way(acquisition), acquisition),
            metadata=metadata | made.metadata,
        )

    def _way(self, acquisition: Acquisition) -> str:
        """Digest of the way it is taken; the last one is remembered, which is the same for every frame of a train."""
        still, last = _without_noise(acquisition), self._last_way
        if last is None or last[0] != still:
            last = self._last_way = still, _way_hash(still)
        return last[1]

    def _see(self, trace, beam: ConeBeam, acquisition: Acquisition, tools, should_stop, contrast) -> _Seen:
        """The view, with its shadow within the shutters, traced by a method of the projector."""
        window = field_window(beam, acquisition)
        key = (_numbers_of(beam), tuple(tools), repr(window), trace.__name__, contrast and contrast.key)
        seen = self._last  # of its own for each thread that asks
        if seen is None or seen.key != key:
            shadow = self._shadow(trace, beam, window, tools, should_stop, contrast)
            metadata = self._metadata(beam, shadow.materials, tools) | {"contrast": contrast and contrast.to_dict()}
            seen = self._last = _Seen(key, shadow, self._view_hash(beam, tools, contrast), metadata)
        return seen

    def _picture_by_card(self, way: str, beam: ConeBeam, acquisition: Acquisition, tools, should_stop, lag, held):
        """As _picture, by a card and without contrast. Raises DeviceError where the card cannot go on."""
        materials, window = self._traced(tools), field_window(beam, acquisition)
        key = (_numbers_of(beam), tuple(tools), repr(window), way)

        def made(live, card):  # in one piece, since several threads may ask
            seen = self._last_by_card
            if seen is None or seen.key != key:
                self._last_by_card = None  # its area densities may make room
                seen = self._last_by_card = self._see_by_card(live, card, key, window, beam, materials)
            return seen.areas, live.frame(seen.shadow, acquisition, lag, held)

        areas, exposed = self._by_card(made, should_stop)
        said = self._last_said
        if said is None or said[0] != key:
            metadata = self._metadata(beam, materials, tools) | {"contrast": None}
            said = self._last_said = key, self._view_hash(beam, tools), metadata
        return self._radiograph(exposed, acquisition, areas, materials, beam, *said[1:]), exposed.held

    def _see_by_card(
        self, live: CardLive, card: CudaProjector, key: tuple, window, beam: ConeBeam, materials: tuple[str, ...]
    ) -> _SeenByCard:
        from DeepDRRSlicerLib.simulation.card_live import CardAreas

        _, tools, _, way = key
        trace, ours = getattr(card, f"{way}_on_device"), weakref.ref(self)
        distance = self._object_distance(beam)
        shadow = live.shadow(lambda beams: trace(beams, tools), beam, window, materials, distance, self._volume)

        def traced_again() -> np.ndarray | None:
            simulator = ours()
            if simulator is None:
                return None
            return simulator._shadow(getattr(simulator.projector, way), beam, window, tools, never, None).area_density

        return _SeenByCard(key, shadow, CardAreas(shadow, traced_again))

    def _by_card(self, work: Callable[[CardLive, CudaProjector], Result], should_stop) -> Result:
        """What work(live, card) returns on the card's thread. Raises DeviceError where the card cannot go on."""
        from DeepDRRSlicerLib.simulation.card_live import CardLive

        def on_thread(card, driver, stop):
            if stop():
                raise Stopped
            if self._card_live is None:
                self._card_live = CardLive(driver, self._device_projector.device)
            return work(self._card_live, card)

        return self._device_projector.compute(on_thread, should_stop)

    @property
    def _device_projector(self) -> DeviceProjector:
        """The projector, whose name is "cuda"."""
        return cast("DeviceProjector", self.projector)

    def _traced(self, tools) -> tuple[str, ...]:
        """Materials that a projection tells apart."""
        if not tools:
            return self.projector.materials
        from DeepDRRSlicerLib.projection.tools import traced_materials

        return traced_materials(self.projector.materials, tools)

    def _metadata(self, beam: ConeBeam, materials: tuple[str, ...], tools) -> dict:
        primary_angle, secondary_angle = positioner_angles(beam.detector_center - beam.source)
        looked_at = beam.thinned(-(-max(beam.size) // _LOOKED_AT))
        return {
            "program": {
                "name": "DeepDRRSlicer",
                "version": DeepDRRSlicerLib.__version__,
                "packages": dict(_versions()),
            },
            "geometry": beam_to_dict(beam),
            "direction": {"primary_angle": primary_angle, "secondary_angle": secondary_angle},
            "materials": {"model": self.decomposition.name, "names": list(materials)}
            | dict(self.decomposition.details),
            "tools": [{"name": tool.name, "material": tool.material} for tool in tools],
            **self.projector.details,
            "border_fraction": float(crossed_border(self._inner, looked_at).mean()),
            "units": {"signal": "keV per pixel", "open_field": "keV per pixel", "area_density": "g/cm2"},
        }

    def _shadow(self, trace, beam, window, tools, should_stop, contrast) -> Shadow:
        part = beam.window(*window)
        areas = trace([part], tools, should_stop)[0]
        materials = self._traced(tools)
        if contrast is not None:
            areas, materials = contrast.added_to(areas, materials, part)
        if part.size != beam.size:
            whole = np.zeros((len(areas), *beam.size), dtype=np.float32)
            whole[:, *window] = areas
            areas = whole
        areas.flags.writeable = False  # the next frame uses them, too
        return Shadow(areas, materials, beam, self._object_distance(beam), self._volume, tuple(tools))

    def _object_distance(self, beam: ConeBeam) -> float:
        """mm from the source to the plane through the middle of the CT, or to the detector where that is nearer."""
        distance = float((self.ct.center_ras - beam.source) @ beam.normal)
        return min(distance, beam.sid) if distance > 0 else beam.sid

    def _view_hash(self, beam: ConeBeam, tools: Sequence[Tool], contrast: Contrast | None = None) -> str:
        medium = {"contrast": contrast.to_dict() | {"surface": contrast.vessel.digest}} if contrast else {}
        return _digest(
            medium
            | {
                "ct": self._ct_hash,
                "decomposition": self.decomposition.key,
                "geometry": beam_to_dict(beam),
                "tools": [_tool_hash(tool) for tool in tools],
                "version": DeepDRRSlicerLib.__version__,
            }
        )


def _numbers_of(beam: ConeBeam) -> tuple:
    """What tells one view from another, for comparison."""
    vectors = (beam.source, beam.pixel00, beam.e_c, beam.e_r)
    return (*(vector.tobytes() for vector in vectors), beam.pitch, beam.size)


def _on_host(held: np.ndarray | CardArray | None) -> np.ndarray | None:
    """What the panel holds back, or None where it is lost with the card."""
    if held is None or isinstance(held, np.ndarray):
        return held
    from DeepDRRSlicerLib.projection.cuda.driver import DeviceError

    try:
        return held.fetched()
    except DeviceError:
        return None


def _without_noise(acquisition: Acquisition) -> Acquisition:
    return replace(acquisition, seed=None, frame=0)


def _way_hash(still: Acquisition) -> str:
    return _digest({"acquisition": still.to_dict(), "device": _machine(still.device)})


def _settings_hash(view_hash: str, way_hash: str, acquisition: Acquisition) -> str:
    noise = None if acquisition.seed is None else [acquisition.seed, acquisition.frame]
    return _digest({"view": view_hash, "way": way_hash, "noise": noise})


def _digest(settings: dict) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def _machine(device: Device) -> dict:
    """What of a device may decide the picture; neither its joints nor its looks do."""
    return asdict(replace(device, joints=(), parts=(), folder=None))


def _tool_hash(tool: Tool) -> str:
    digest = hashlib.sha256(repr((tool.material, tool.density)).encode())
    digest.update(np.ascontiguousarray(tool.vertices))
    digest.update(np.ascontiguousarray(tool.faces))
    return digest.hexdigest()


@cache
def _versions() -> dict[str, str]:
    found = {}
    for name in ("numpy", "SimpleITK", "numba"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # Slicer's own SimpleITK may come without package metadata
            found[name] = "unknown"
    return found
