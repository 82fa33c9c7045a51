"""From the parameter node to a request that a worker thread can answer without touching the scene."""

import slicer
import slicer.util

from DeepDRRSlicerLib.anatomy.ct import as_ct
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.scene.mrml import volumeFromNode, worldMatrix
from DeepDRRSlicerLib.scene.xray_image import QUANTITY
from DeepDRRSlicerLib.simulation.acquisition import Acquisition, Automatic
from DeepDRRSlicerLib.simulation.technique import MANUAL, Technique
from DeepDRRSlicerLib.simulation.views import ViewRequest

_SEED = 0  # of the noise; the frames of a study differ by their number


class PatientCopy:
    """The engine's own copy of the CT that is looked at: taken anew when the node's voxels or place change."""

    def __init__(self):
        self._patient = None
        self._ct = None

    def of(self, node):
        """(Volume, key) of the volume node; equal keys mean the same voxels in the same place."""
        volume = ctVolume(node)
        place = (volume.ijk_to_ras.tobytes(), worldMatrix(node).tobytes())
        patient = (node.GetID(), node.GetImageData().GetMTime(), place)
        if patient != self._patient:
            self._ct = as_ct(volume, node.GetName())  # which copies: the node's memory may change at any time
            self._patient = patient
        return self._ct, self._patient


def ctVolume(node):
    """The volume node as volumeFromNode gives it; InputError also for none and for an own X-ray image."""
    if node is None:
        raise InputError("No CT is chosen; load a CT and choose it under Patient.")
    if node.GetAttribute(QUANTITY):
        raise InputError(f"{node.GetName()} is an X-ray image made by this module; choose a CT instead.")
    return volumeFromNode(node)


def viewRequest(parameters, patientCopy, frame=0):
    """The ViewRequest that the parameter node stands for. Raises InputError for what cannot be simulated.

    frame: the number of the picture, which gives it its own noise.
    """
    device = load_device(parameters.device)
    detector = load_detector(device.detector)
    size, pitch = detector.pixel_grid(binning=parameters.binning or None)
    ct, patient = patientCopy.of(parameters.ct)
    return ViewRequest(
        ct=ct,
        patient=patient,
        pose=CArmPose(
            primary_angle=parameters.primaryAngle,
            secondary_angle=parameters.secondaryAngle,
            isocenter=(parameters.isocenterR, parameters.isocenterA, parameters.isocenterS),
            sid=parameters.sid,
            sod=device.source_isocenter_distance,
            size=size,
            pitch=(pitch, pitch),
        ),
        acquisition=Acquisition(
            device=device,
            detector=detector,
            technique=_technique(parameters, device),
            seed=_SEED if parameters.noise else None,
            frame=frame,
        ),
    )


def _technique(parameters, device):
    if parameters.exposureMode == MANUAL:
        return Technique(kvp=round(parameters.kvp), mas=parameters.mas, filtration=device.filtration)
    return Automatic(parameters.exposureMode)


def settingsOf(parameters):
    """What decides the picture, as plain values that can be compared."""
    return (
        parameters.ct.GetID() if parameters.ct else None,
        parameters.device,
        parameters.binning,
        parameters.primaryAngle,
        parameters.secondaryAngle,
        (parameters.isocenterR, parameters.isocenterA, parameters.isocenterS),
        parameters.sid,
        parameters.exposureMode,
        (round(parameters.kvp), parameters.mas) if parameters.exposureMode == MANUAL else None,
        parameters.noise,
    )


def centerOnCT(parameters):
    """Put the isocentre in the middle of the CT, to a tenth of a millimetre. Raises InputError."""
    r, a, s = volumeFromNode(parameters.ct).center_ras
    with slicer.util.NodeModify(parameters):
        parameters.isocenterR = round(float(r), 1)
        parameters.isocenterA = round(float(a), 1)
        parameters.isocenterS = round(float(s), 1)
