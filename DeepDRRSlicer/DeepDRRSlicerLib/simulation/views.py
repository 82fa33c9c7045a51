"""Views of whichever patient is asked for: the last patient stays decomposed, so that the next view is quick."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from DeepDRRSlicerLib.anatomy.ct import as_ct
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device import Device
from DeepDRRSlicerLib.physics.dose import REFERENCE_POINT, frame_dose
from DeepDRRSlicerLib.simulation.acquisition import Acquisition
from DeepDRRSlicerLib.simulation.decomposition import THRESHOLD, Decomposition
from DeepDRRSlicerLib.simulation.radiograph import Radiograph
from DeepDRRSlicerLib.simulation.simulator import Held, Simulator

if TYPE_CHECKING:
    from DeepDRRSlicerLib.projection.tools import Tool
    from DeepDRRSlicerLib.simulation.contrast import Contrast

_PREVIEW_PIXELS = 256  # along the longer side
_UGY_PER_MGY = 1000.0


@dataclass(frozen=True, eq=False)
class ViewRequest:
    """One view of one patient on one machine. patient: equal for requests that show the same CT.

    preview: a coarse picture for a C-arm that moves; it counts for no dose. contrast: medium in vessels, if any.
    decomposition: what the CT is made of.
    unchecked: the name of a volume of which nobody knows yet whether it is a CT in HU: it is made one, in its own
    memory, when the patient is made ready. Empty for a volume that the reader of a file, or as_ct, has given.
    Raises InputError for a technique outside the limits of the device; its reach is not looked at, because it depends
    on how the patient lies (geometry.device.check_reach).
    """

    ct: Volume
    patient: Hashable
    pose: CArmPose
    acquisition: Acquisition
    tools: tuple[Tool, ...] = ()
    preview: bool = False
    contrast: Contrast | None = None
    unchecked: str = ""
    decomposition: Decomposition = THRESHOLD

    def __post_init__(self):
        self.acquisition.check_device()

    def as_preview(self) -> ViewRequest:
        """The same view on few pixels, each as large as several."""
        merged = -(-max(self.pose.size) // _PREVIEW_PIXELS)
        rows, columns = (max(1, round(n / merged)) for n in self.pose.size)
        height, width = (n * pitch for n, pitch in zip(self.pose.size, reversed(self.pose.pitch), strict=True))
        pose = replace(self.pose, size=(rows, columns), pitch=(width / columns, height / rows))
        return replace(self, pose=pose, preview=True)


class ViewSimulator:
    """Answers view requests, from any thread, one at a time."""

    def __init__(self):
        self._lock = threading.Lock()
        self._ready: tuple[Hashable, Simulator] | None = None
        self._forgotten = False

    def forget(self) -> None:
        """Lets go of the patient: the next request prepares it anew. Does not wait for one under way."""
        self._forgotten = True
        if self._lock.acquire(blocking=False):
            self._ready = None
            self._lock.release()

    def simulate(self, request: ViewRequest, should_stop: Callable[[], bool] = lambda: False) -> Radiograph:
        """The radiograph of a request. Raises InputError for a CT or technique that gives none, Stopped on request."""
        with self._lock:
            simulator = self._simulator(request)
            take = simulator.preview if request.preview else simulator.simulate
            radiograph = take(request.pose.beam(), request.acquisition, request.tools, should_stop, request.contrast)
        return with_pose(radiograph, request.pose, request.acquisition.device)

    def pulse(
        self,
        request: ViewRequest,
        held: Held,
        coarse: bool = False,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> tuple[Radiograph, Held]:
        """A pulse of a pedal held down, and what it leaves behind for the next one; see Simulator.pulse."""
        with self._lock:
            radiograph, held = self._simulator(request).pulse(
                request.pose.beam(), request.acquisition, request.tools, held, coarse, should_stop, request.contrast
            )
        return with_pose(radiograph, request.pose, request.acquisition.device), held

    def _simulator(self, request: ViewRequest) -> Simulator:
        forgotten, self._forgotten = self._forgotten, False
        patient = request.patient, request.decomposition.key
        if forgotten or self._ready is None or self._ready[0] != patient:
            self._ready = None  # lets go of the last patient before the next one takes its memory
            ct = as_ct(request.ct, request.unchecked, overwrite=True) if request.unchecked else request.ct
            self._ready = patient, Simulator(ct, request.decomposition)
        return self._ready[1]


def with_pose(radiograph: Radiograph, pose: CArmPose, device: Device) -> Radiograph:
    """The same image, with the C-arm's angles and the dose at its reference point among the metadata.

    Where the isocentre is so near to the source that there is no such point, its dose is left out.
    """
    dose = dict(radiograph.metadata["dose"])
    if pose.sod > REFERENCE_POINT:
        kerma = radiograph.metadata["spectrum"]["air_kerma_at_1m_ugy"]
        frame = frame_dose(kerma, pose.sod, dose["kerma_area_product_gycm2"], dose["beam_on_time_s"])
        dose["reference_air_kerma_ugy"] = frame.air_kerma * _UGY_PER_MGY
        if frame.time > 0:
            dose["reference_air_kerma_rate_mgy_per_min"] = frame.air_kerma_rate
    return radiograph.with_metadata(device=device.name, c_arm=pose.to_dict(), dose=dose)
