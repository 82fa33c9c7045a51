"""From the parameter node to a request that a worker thread can answer without touching the scene."""

import numpy as np
import slicer
import slicer.util

from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.device import check_reach, load_device
from DeepDRRSlicerLib.geometry.given_pose import GivenPose
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.scene.machine_state import isocenterOf, openJoints
from DeepDRRSlicerLib.scene.materials import materialsFingerprint
from DeepDRRSlicerLib.scene.mrml import volumeFromNode, worldMatrix
from DeepDRRSlicerLib.scene.room import poseOf
from DeepDRRSlicerLib.scene.scatter import liveScatter, scatterOf
from DeepDRRSlicerLib.scene.shutters import collimationOf, gridOf
from DeepDRRSlicerLib.scene.subtraction import contrastFingerprint, contrastOf
from DeepDRRSlicerLib.scene.tools import beamTools, toolsFingerprint
from DeepDRRSlicerLib.scene.xray_image import QUANTITY
from DeepDRRSlicerLib.simulation.acquisition import Acquisition, Automatic
from DeepDRRSlicerLib.simulation.decomposition import THRESHOLD
from DeepDRRSlicerLib.simulation.technique import MANUAL, Technique
from DeepDRRSlicerLib.simulation.views import ViewRequest

FLUORO, SPOT, CINE = "fluoro", "spot", "cine"
_SEED = 0  # of the noise; the frames of a study differ by their number
_AT_ONCE = 2**24  # bytes that are copied without letting the window go on: a few ms


class PatientCopy:
    """The engine's own copy of the CT that is looked at: taken anew when the node's voxels or place change.

    The node's memory may change at any time, so it is copied on the thread of the scene, a part at a time. What the
    copy holds is checked later on, by the thread that makes the patient ready.
    """

    def __init__(self):
        self._patient = None
        self._ct = None
        self._done = 0  # planes

    def isReady(self, node):
        """Copies the next part, for a few ms; whether the copy is whole. Raises InputError as ctVolume."""
        volume, patient = self._look(node)
        planes = max(1, _AT_ONCE // max(1, volume.array[0].nbytes))
        self._copy(volume, self._done + planes)
        return self._done == len(volume.array) and patient == self._patient

    def of(self, node):
        """(Volume, key) of the node, copied to the end; equal keys mean the same voxels in the same place."""
        volume, patient = self._look(node)
        self._copy(volume, len(volume.array))
        return self._ct, patient

    def _look(self, node):
        volume = ctVolume(node)
        patient = _keyOf(node, volume)
        if patient != self._patient:
            self._ct = Volume(np.empty_like(volume.array), volume.ijk_to_ras)
            self._patient, self._done = patient, 0
        return volume, patient

    def _copy(self, volume, end):
        part = slice(self._done, min(end, len(volume.array)))
        self._ct.array[part] = volume.array[part]
        self._done = part.stop


def ctVolume(node):
    """The volume node as volumeFromNode gives it; InputError also for none and for an own X-ray image."""
    if node is None:
        raise InputError("No CT is chosen; load a CT and choose it under Patient.")
    if node.GetAttribute(QUANTITY):
        raise InputError(f"{node.GetName()} is an X-ray image made by this module; choose a CT instead.")
    return volumeFromNode(node)


def patientKey(node):
    """Equal for the same voxels in the same place. Raises InputError as ctVolume."""
    return _keyOf(node, ctVolume(node))


def _keyOf(node, volume):
    place = (volume.ijk_to_ras.tobytes(), worldMatrix(node).tobytes())
    return node.GetID(), node.GetImageData().GetMTime(), place


def viewRequest(parameters, patientCopy, frame=0, mode=None, materials=None):
    """The ViewRequest that the parameter node stands for. Raises InputError for what cannot be simulated.

    frame: the number of the picture, which gives it its own noise. mode: an exposure mode in place of the chosen one;
    tube voltage and load set by hand hold in every mode. materials: the MaterialsWork that knows what the CT is made
    of; without it that is the threshold model.
    """
    pose, device = reachablePose(parameters), load_device(parameters.device)
    ct, patient = patientCopy.of(parameters.ct)
    return ViewRequest(
        ct=ct,
        unchecked=parameters.ct.GetName(),
        patient=patient,
        pose=pose,
        acquisition=Acquisition(
            device=device,
            detector=load_detector(device.detector),
            technique=_technique(parameters, device, mode),
            collimation=collimationOf(parameters),
            grid=gridOf(parameters),
            seed=_SEED if parameters.noise else None,
            frame=frame,
            scatter=scatterOf(parameters),
        ),
        tools=beamTools(),
        contrast=contrastOf(parameters),
        decomposition=materials.decompositionOf(parameters, patient) if materials else THRESHOLD,
    )


def reachablePose(parameters):
    """The CArmPose that the parameter node stands for, or the real geometry that stands in its place.

    Raises InputError for one outside the device's reach.
    """
    device = load_device(parameters.device)
    pose = poseOf(parameters, device)
    if isinstance(pose, GivenPose):
        return pose
    check_reach(pose, device, parameters.patientPosition, parameters.tableTilt, openJoints(parameters, device))
    return pose


def pulseRates(parameters, mode):
    """(pulses/s to choose from, the one that holds) of FLUORO or CINE. Raises InputError for an unknown device.

    With tube voltage and load set by hand a device without such a mode pulses, too, at the usual rates.
    """
    device = load_device(parameters.device)
    found = next((m for m in device.exposure_modes if m.name == mode), None)
    rates = found.pulse_rates if found is not None else ()
    if not rates:
        rates = _USUAL_RATES[mode]
    chosen = parameters.pulseRate if mode == FLUORO else parameters.cineRate
    return rates, chosen if chosen in rates else (found and found.pulse_rate) or rates[0]


_USUAL_RATES = {FLUORO: (3.0, 7.5, 15.0, 30.0), CINE: (7.5, 15.0, 30.0)}


def _technique(parameters, device, mode):
    rate = pulseRates(parameters, mode)[1] if mode in _USUAL_RATES else None
    if parameters.exposureMode == MANUAL:
        return Technique(kvp=round(parameters.kvp), mas=parameters.mas, filtration=device.filtration, pulse_rate=rate)
    return Automatic(mode or parameters.exposureMode, pulse_rate=rate)


def settingsOf(parameters):
    """What decides the picture, as plain values that can be compared."""
    return (
        parameters.ct.GetID() if parameters.ct else None,
        parameters.device,
        parameters.binning,
        parameters.magnificationField,
        parameters.primaryAngle,
        parameters.secondaryAngle,
        isocenterOf(parameters),
        parameters.sid,
        (parameters.patientPosition, parameters.tableTilt, parameters.standJoints),
        parameters.exposureMode,
        (round(parameters.kvp), parameters.mas) if parameters.exposureMode == MANUAL else None,
        (parameters.shutterLeft, parameters.shutterRight, parameters.shutterTop, parameters.shutterBottom),
        parameters.iris,
        parameters.gridName,
        parameters.realGeometry,
        parameters.noise,
        liveScatter(parameters),
        toolsFingerprint(),
        contrastFingerprint(parameters),
        materialsFingerprint(parameters),
    )


def centerOnCT(parameters):
    """Put the isocentre in the middle of the CT, to a tenth of a millimetre. Raises InputError."""
    r, a, s = volumeFromNode(parameters.ct).center_ras
    with slicer.util.NodeModify(parameters):
        parameters.isocenterR = round(float(r), 1)
        parameters.isocenterA = round(float(a), 1)
        parameters.isocenterS = round(float(s), 1)
