"""What the tests of the image share: the choices of the parameter node without its wrapper, and made-up radiographs."""

from types import SimpleNamespace

import numpy as np
import slicer

from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.physics.collimation import collimation
from DeepDRRSlicerLib.scene.shutters import fieldOf

ISOCENTER = np.array([12.0, -35.0, 140.0])


class Choices(SimpleNamespace):
    """The parameters that the image depends on, with their defaults; counts how often it is told of a change."""

    def __init__(self, **changes):
        everything = dict(
            ct=None, segmentation=None, landmarks=None, xray=None, realImage=None, device="mobile_carm", binning=0,
            primaryAngle=0.0, secondaryAngle=0.0, sid=1000.0, isocenterR=12.0, isocenterA=-35.0, isocenterS=140.0,
            patientPosition="HFS", tableTilt=0.0, standJoints="", magnificationField="full", gridName="",
            shutterLeft=1000.0, shutterRight=1000.0, shutterTop=1000.0, shutterBottom=1000.0, iris=1000.0,
            shutterHandles=False, imageRotation=0, imageFlip=False, imageAsOnDevice=False, imageMarkers=True,
            imageInvert=False, windowName="chest", windowLow=1.2, windowHigh=7.0, edgeGain=0.0, edgeRadius=1.0,
            contrastSegment="", contrastIodine=150.0, contrastGiven=False, subtraction="none", subtractionRange=0.8,
            roadmapOpacity=0.7, overlayLandmarks=False, overlaySegments=False, realGeometry="", realOpacity=0.5,
            realBeside=False, realRotation=0, realFlip=False, realInvert=False, realPitch=0.0,
        )  # fmt: skip
        super().__init__(**(everything | changes))

    def StartModify(self):
        return 0

    def EndModify(self, before):
        pass


def beamOf(parameters, binning=4):
    """The beam of the choices, on a coarse matrix."""
    parameters.binning = binning
    device = load_device(parameters.device)
    size, pitch = fieldOf(parameters, device)
    isocenter = (parameters.isocenterR, parameters.isocenterA, parameters.isocenterS)
    angles = (parameters.primaryAngle, parameters.secondaryAngle)
    return CArmPose(*angles, isocenter, parameters.sid, 600.0, size, (pitch, pitch)).beam()


def radiograph(beam, image, field=None, iodine=None):
    """As much of a Radiograph as is shown. image: -ln(signal / open field)."""
    share = collimation(beam, field, 0.6, 110.0)
    fields = field and {name: getattr(field, name) for name in ("left", "right", "top", "bottom", "iris")}
    return SimpleNamespace(
        log_attenuation=np.asarray(image, np.float32),
        lit=share >= 0.5,
        beam=beam,
        settings_hash="0123",
        metadata={
            "collimation_mm": fields,
            "scatter": {"model": "none"},
            "contrast": iodine and {"segment": "vessel", "iodine_mg_per_ml": iodine},
        },
    )


def beads(beam, places, sigma=3.0, height=6.0, ground=1.5):
    """An image with a bright spot where each RAS point is projected to."""
    rows, columns = np.mgrid[: beam.size[0], : beam.size[1]]
    image = np.full(beam.size, ground)
    for column, row in beam.project(np.atleast_2d(places)):
        image += (height - ground) * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sigma**2))
    return image


def onScreen(view, points):
    """(n, 2) pixels to the right and down from the top left of a slice view, of RAS points (n, 3)."""
    toXY = np.linalg.inv(slicer.util.arrayFromVTKMatrix(view.view_node.GetXYToRAS()))
    xy = np.column_stack([points, np.ones(len(points))]) @ toXY.T
    return np.column_stack([xy[:, 0], view.size[1] - 1 - xy[:, 1]])
