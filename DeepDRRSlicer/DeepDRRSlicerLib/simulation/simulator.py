"""From a CT, a view and a way to take pictures to a radiograph."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import numpy as np

import DeepDRRSlicerLib
from DeepDRRSlicerLib.anatomy.border import border_mask
from DeepDRRSlicerLib.anatomy.hu_model import decompose
from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.geometry.carm import positioner_angles
from DeepDRRSlicerLib.geometry.device import Device
from DeepDRRSlicerLib.geometry.files import beam_to_dict
from DeepDRRSlicerLib.projection.projector import make_projector
from DeepDRRSlicerLib.simulation.acquisition import Acquisition
from DeepDRRSlicerLib.simulation.exposing import Exposed, Shadow, expose, field_window
from DeepDRRSlicerLib.simulation.radiograph import Radiograph

if TYPE_CHECKING:
    from DeepDRRSlicerLib.projection.tools import Tool

_THINNED = 4  # every so many pixels and rows are looked at to tell how much tissue is missing


@dataclass(frozen=True)
class Decomposition:
    """A way to say what a CT is made of. name: what it is called in metadata; decompose: CT in HU to materials."""

    name: str
    decompose: Callable[[Volume], MaterialVolume]


THRESHOLD = Decomposition("threshold", decompose)


class Simulator:
    """One patient made ready: decomposed once, then seen from anywhere.

    The shadow of the last view is kept, so that the next frame of it, with other noise or another technique, is quick.
    ct: HU. threads: at most so many compute at once; None is all cores. Raises InputError where the CT holds no body
    or the backend cannot be used.
    """

    def __init__(
        self,
        ct: Volume,
        decomposition: Decomposition = THRESHOLD,
        backend: str = "auto",
        threads: int | None = None,
    ):
        self.ct = ct
        self.decomposition = decomposition.name
        self.projector = make_projector(decomposition.decompose(ct), backend, threads)
        self._ct_hash = _volume_hash(ct)
        self._last: tuple[str, Shadow] | None = None

    def settings_hash(self, beam: ConeBeam, acquisition: Acquisition, tools: Sequence[Tool] = ()) -> str:
        """Hex digest of everything that decides the image: CT, materials, view, tools, acquisition, version."""
        return _digest(
            {
                "view": self._view_hash(beam, tools),
                "acquisition": acquisition.to_dict(),
                "device": _machine(acquisition.device),
            }
        )

    def simulate(
        self,
        beam: ConeBeam,
        acquisition: Acquisition,
        tools: Sequence[Tool] = (),
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Radiograph:
        """The picture of one view. Raises InputError for an impossible technique or field, Stopped on request."""
        shadow = self._shadow(self.projector.project, beam, field_window(beam, acquisition), tools, should_stop)
        return self._radiograph(shadow, expose(shadow, acquisition), acquisition, tools)

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
        held, before = None, ""
        for number, beam in enumerate(beams):
            this = replace(acquisition, frame=acquisition.frame + number)
            shadow = self._shadow(self.projector.project, beam, field_window(beam, this), tools, should_stop)
            taken = expose(shadow, this, lag=True, held=held)
            radiograph = self._radiograph(shadow, taken, this, tools)
            held, before = taken.held, _digest({"before": before, "this": radiograph.settings_hash})
            yield replace(radiograph, settings_hash=before)

    def preview(
        self,
        beam: ConeBeam,
        acquisition: Acquisition,
        tools: Sequence[Tool] = (),
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Radiograph:
        """As `simulate`, traced more coarsely and faster, for a C-arm or a tool that moves."""
        shadow = self._shadow(self.projector.preview, beam, field_window(beam, acquisition), tools, should_stop)
        return self._radiograph(shadow, expose(shadow, acquisition), acquisition, tools)

    def _radiograph(self, shadow: Shadow, taken: Exposed, acquisition: Acquisition, tools) -> Radiograph:
        beam = shadow.beam
        primary_angle, secondary_angle = positioner_angles(beam.detector_center - beam.source)
        metadata = {
            "program": {"name": "DeepDRRSlicer", "version": DeepDRRSlicerLib.__version__, "packages": _versions()},
            "geometry": beam_to_dict(beam),
            "direction": {"primary_angle": primary_angle, "secondary_angle": secondary_angle},
            "materials": {"model": self.decomposition, "names": list(shadow.materials)},
            "tools": [{"name": tool.name, "material": tool.material} for tool in tools],
            "backend": self.projector.name,
            "border_fraction": float(border_mask(self.ct, beam.thinned(_THINNED)).mean()),
            "units": {"signal": "keV per pixel", "open_field": "keV per pixel", "area_density": "g/cm2"},
        }
        return Radiograph(
            signal=taken.frame.signal,
            counts=taken.frame.counts,
            open_field=taken.open_field,
            exposed=taken.exposed,
            area_density=shadow.area_density,
            materials=shadow.materials,
            beam=beam,
            ct=self.ct,
            settings_hash=self.settings_hash(beam, acquisition, tools),
            metadata=metadata | taken.metadata,
        )

    def _shadow(self, trace, beam, window, tools, should_stop) -> Shadow:
        """The shadow within a window of the picture, traced by a method of the projector."""
        settings = {"view": self._view_hash(beam, tools), "window": repr(window), "trace": trace.__name__}
        key = _digest(settings)
        last = self._last
        if last is None or last[0] != key:
            part = beam.window(*window)
            areas = trace([part], tools, should_stop)[0]
            if part.size != beam.size:
                whole = np.zeros((len(areas), *beam.size), dtype=np.float32)
                whole[:, *window] = areas
                areas = whole
            areas.flags.writeable = False  # the next frame uses them, too
            materials = self.projector.materials
            if tools:
                from DeepDRRSlicerLib.projection.tools import traced_materials

                materials = traced_materials(materials, tools)
            distance = float((self.ct.center_ras - beam.source) @ beam.normal)
            shadow = Shadow(areas, materials, beam, min(distance, beam.sid) if distance > 0 else beam.sid)
            last = self._last = key, shadow
        return last[1]

    def _view_hash(self, beam: ConeBeam, tools: Sequence[Tool]) -> str:
        return _digest(
            {
                "ct": self._ct_hash,
                "decomposition": self.decomposition,
                "geometry": beam_to_dict(beam),
                "tools": [_tool_hash(tool) for tool in tools],
                "version": DeepDRRSlicerLib.__version__,
            }
        )


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


def _versions() -> dict[str, str]:
    found = {}
    for name in ("numpy", "SimpleITK", "numba"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # Slicer's own SimpleITK may come without package metadata
            found[name] = "unknown"
    return found


def _volume_hash(volume: Volume) -> str:
    digest = hashlib.sha256(repr((volume.array.shape, volume.array.dtype.str, volume.ijk_to_ras.tolist())).encode())
    for plane in volume.array:
        digest.update(np.ascontiguousarray(plane))
    return digest.hexdigest()
