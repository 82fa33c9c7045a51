"""A real X-ray image in the plane of the simulated one, and its geometry in place of the C-arm's."""

import json
from pathlib import Path

import numpy as np
import slicer
import slicer.util

from DeepDRRSlicerLib.anatomy.xray_files import read_xray
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.geometry.dicom_pose import read_dicom_pose, turned_axes
from DeepDRRSlicerLib.geometry.files import beam_from_dict, beam_to_dict, read_beam
from DeepDRRSlicerLib.geometry.given_pose import given_pose
from DeepDRRSlicerLib.scene.image_orientation import displayTurn
from DeepDRRSlicerLib.scene.nodes import ensureNode, removeNode
from DeepDRRSlicerLib.scene.xray_image import QUANTITY
from DeepDRRSlicerLib.scene.xray_layout import REAL_VIEW_NAME
from DeepDRRSlicerLib.scene.xray_view import showInView, sliceLogic

_REAL = "real.image"
_PITCH = "DeepDRRSlicer.Pitch"
_TOLERANCE = 0.06  # degrees and mm: the controls round to a tenth


def loadRealImage(parameters, path):
    """Show the X-ray image of a file beside the simulated one; returns a sentence on what the file says of itself.

    Raises InputError.
    """
    picture = read_xray(path)
    node = ensureNode(_REAL, "vtkMRMLScalarVolumeNode", "Real X-ray")
    with slicer.util.NodeModify(node):
        node.SetName(f"Real X-ray {Path(path).stem}")
        slicer.util.updateVolumeFromArray(node, picture.image[np.newaxis])
        node.SetAttribute(QUANTITY, "real X-ray image")
        node.SetAttribute(_PITCH, json.dumps(picture.pitch))
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(*picture.window)
    turned = picture.pose.turned() if picture.pose else None
    with slicer.util.NodeModify(parameters):
        parameters.realImage = node
        parameters.realRotation, parameters.realFlip = turned or (0, False)
        parameters.realPitch = 0.0
    return _whatItSays(picture)


def _whatItSays(picture):
    rows, columns = picture.image.shape
    text = f"{rows} × {columns} pixels"
    text += f" of {picture.pitch[0]:.3g} mm" if picture.pitch else ", as wide as the field, for the file has no spacing"
    if picture.frame[1] > 1:
        text += f"; frame {picture.frame[0]} of {picture.frame[1]}"
    if picture.pose is not None and picture.pose.sides is None:
        text += "; it does not say which side is which, so turn it by hand"
    return text + "."


def removeRealImage(parameters):
    """Take the real image out of the scene."""
    node = parameters.realImage
    parameters.realImage = None
    for name in ("XRay", REAL_VIEW_NAME):
        logic = sliceLogic(name)
        if logic is not None:
            logic.GetSliceCompositeNode().SetForegroundVolumeID(None)
    if node is not None:
        removeNode(node)


def loadRealPose(parameters, path):
    """Take the view of a geometry file or of an X-ray image's header; returns a sentence on what it lacked.

    A geometry file is taken as it is; the C-arm is put to the nearest pose that it can show. A header knows nothing of
    the CT, so the present isocentre is kept. Raises InputError.
    """
    device = load_device(parameters.device)
    if str(path).lower().endswith(".json"):
        beam = read_beam(path)
        pose = given_pose(beam, min(device.source_isocenter_distance, 0.9 * beam.sid))
        _take(parameters, device, pose, beam)
        return "The view is that of the file until the C-arm is moved."
    header = read_dicom_pose(path)
    if header.angles is None:
        raise InputError(
            f"{Path(path).name} does not state the positioner angles or a named view; set the angles by hand."
        )
    isocenter = (parameters.isocenterR, parameters.isocenterA, parameters.isocenterS)
    lacking = [words for words in header.missing if words != "the patient orientation"]
    if None in (header.sid, header.pitch, header.size):
        with slicer.util.NodeModify(parameters):
            parameters.primaryAngle, parameters.secondaryAngle = _reachable(device, *header.angles)
            if header.sid is not None:
                parameters.sid = _within(header.sid, device.joint("sid").limits)
            parameters.realGeometry = ""
        return f"Only the angles could be taken: the file lacks {', '.join(lacking)}."
    sod = header.sod or device.source_isocenter_distance
    pose = CArmPose(*header.angles, isocenter, header.sid, sod, header.size, header.pitch)
    _take(parameters, device, pose, pose.beam())
    text = "The view is that of the header until the C-arm is moved; the isocentre stayed where it was."
    return text + (f" The file lacks {', '.join(lacking)}; the device's is used." if lacking else "")


def givenPose(parameters, device):
    """The pose of the real geometry, or None where there is none, or the C-arm has been moved since."""
    if not parameters.realGeometry:
        return None
    kept = json.loads(parameters.realGeometry)
    if np.abs(np.subtract(kept["at"], _standing(parameters))).max() > _TOLERANCE:
        return None
    beam = beam_from_dict(kept["beam"])
    return given_pose(beam, min(device.source_isocenter_distance, 0.9 * beam.sid))


def _take(parameters, device, pose, beam):
    with slicer.util.NodeModify(parameters):
        parameters.primaryAngle, parameters.secondaryAngle = _reachable(
            device, pose.primary_angle, pose.secondary_angle
        )
        parameters.sid = _within(round(pose.sid, 1), device.joint("sid").limits)
        parameters.isocenterR, parameters.isocenterA, parameters.isocenterS = (round(x, 1) for x in pose.isocenter)
        parameters.realGeometry = json.dumps({"beam": beam_to_dict(beam), "at": _standing(parameters)})


def _standing(parameters):
    return [
        round(value, 1)
        for value in (
            parameters.primaryAngle,
            parameters.secondaryAngle,
            parameters.sid,
            parameters.isocenterR,
            parameters.isocenterA,
            parameters.isocenterS,
        )
    ]


def _reachable(device, primary, secondary):
    return (
        _within(round(primary, 1), device.joint("primary_angle").limits),
        _within(round(secondary, 1), device.joint("secondary_angle").limits),
    )


def _within(value, limits):
    return float(min(max(value, limits[0]), limits[1]))


def followBeam(parameters, beam):
    """Put the real image into the plane of a beam's detector, and show it over the simulated one or beside it."""
    node, logic = parameters.realImage, sliceLogic()
    if node is None or node.GetImageData() is None:
        return
    matrix = realImageToRas(beam, node.GetImageData().GetDimensions()[1::-1], realPitch(parameters, node, beam),
                            parameters.realRotation, parameters.realFlip)  # fmt: skip
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
    color = "vtkMRMLColorTableNode" + ("InvertedGrey" if parameters.realInvert else "Grey")
    node.GetDisplayNode().SetAndObserveColorNodeID(color)
    beside = sliceLogic(REAL_VIEW_NAME) if parameters.realBeside else None
    if logic is not None:
        composite = logic.GetSliceCompositeNode()
        composite.SetForegroundVolumeID(None if beside else node.GetID())
        composite.SetForegroundOpacity(parameters.realOpacity)
    if beside is not None:
        beside.GetSliceNode().SetViewGroup(logic.GetSliceNode().GetViewGroup())
        showInView(beside, node, beam, *displayTurn(parameters), inThreeD=False)


def realPitch(parameters, node, beam):
    """(along a row, down a column) mm at the detector: typed, the file's, or that of an image as wide as the field."""
    if parameters.realPitch > 0:
        return parameters.realPitch, parameters.realPitch
    kept = json.loads(node.GetAttribute(_PITCH) or "null")
    if kept:
        return tuple(kept)
    width = beam.size[1] * beam.pitch[0] / node.GetImageData().GetDimensions()[0]
    return width, width


def realImageToRas(beam, size, pitch, rotation, flip):
    """4x4 of a one-slice volume of (rows, columns) about the middle of a beam's detector, turned as turned_axes."""
    across, down = turned_axes(beam.e_c, beam.e_r, rotation, flip)
    matrix = np.eye(4)
    matrix[:3, :3] = np.column_stack([across * pitch[0], down * pitch[1], np.cross(across, down) * min(pitch)])
    middle = (size[1] - 1) / 2, (size[0] - 1) / 2, 0
    matrix[:3, 3] = beam.detector_center - matrix[:3, :3] @ middle
    return matrix
