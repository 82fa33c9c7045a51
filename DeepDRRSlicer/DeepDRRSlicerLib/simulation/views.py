"""Views of whichever patient is asked for: the last patient stays decomposed, so that the next view is quick."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device import Device, check_reach
from DeepDRRSlicerLib.physics.detector import Detector
from DeepDRRSlicerLib.physics.dose import REFERENCE_POINT, reference_air_kerma
from DeepDRRSlicerLib.simulation.radiograph import Radiograph
from DeepDRRSlicerLib.simulation.simulator import Simulator
from DeepDRRSlicerLib.simulation.technique import Technique, check_limits


@dataclass(frozen=True, eq=False)
class ViewRequest:
    """One view of one patient on one machine. patient: equal for requests that show the same CT.

    Raises InputError for a pose or a technique outside the limits of the device.
    """

    ct: Volume
    patient: Hashable
    device: Device
    detector: Detector
    pose: CArmPose
    technique: Technique

    def __post_init__(self):
        check_reach(self.pose, self.device)
        check_limits(self.technique, self.device)


class ViewSimulator:
    """Answers view requests, from any thread, one at a time."""

    def __init__(self):
        self._lock = threading.Lock()
        self._patient: Hashable = None
        self._simulator: Simulator | None = None

    def simulate(self, request: ViewRequest, should_stop: Callable[[], bool] = lambda: False) -> Radiograph:
        """The radiograph of a request. Raises InputError for a CT or technique that gives none, Stopped on request."""
        with self._lock:
            if self._simulator is None or self._patient != request.patient:
                self._simulator = None  # lets go of the last patient before the next one takes its memory
                self._simulator = Simulator(request.ct)
                self._patient = request.patient
            beam = request.pose.beam()
            radiograph = self._simulator.simulate(beam, request.technique, request.detector, should_stop)
        return with_pose(radiograph, request.pose, request.device)


def with_pose(radiograph: Radiograph, pose: CArmPose, device: Device) -> Radiograph:
    """The same image, with the C-arm's angles and the dose at its reference point among the metadata.

    Where the isocentre is so near to the source that there is no such point, its dose is left out.
    """
    dose = dict(radiograph.metadata["dose"])
    if pose.sod > REFERENCE_POINT:
        kerma = radiograph.metadata["spectrum"]["air_kerma_at_1m_ugy"]
        dose["reference_air_kerma_ugy"] = reference_air_kerma(kerma, pose.sod)
    return radiograph.with_metadata(device=device.name, c_arm=pose.to_dict(), dose=dose)
