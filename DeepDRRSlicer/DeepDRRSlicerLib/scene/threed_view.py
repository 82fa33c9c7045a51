"""The 3D view as one wants it for a C-arm: seen from the feet, the patient lying, on a calm background."""

import numpy as np
import slicer

from DeepDRRSlicerLib.geometry.positioning import DEFAULT_POSITION, patient_to_room
from DeepDRRSlicerLib.scene.nodes import nodesWithRole

# From the isocentre to the camera, in the room's axes: from the feet and the patient's right, low enough to look under
# the detector, where the radiograph is, in AP and LAO views.
_FROM = np.array([0.78, -0.06, -0.62])
_FILLS = 0.9  # radius of the sphere about the C-arm, over half the height of the view, which may be narrow
_AIM, _RADIUS = np.array([0.0, -95.0, 530.0]), 1130.0  # mm about the isocentre, before there are models
_TOWARDS_PATIENT = 0.35  # of the way from the middle of the C-arm to the isocentre
_BACKGROUND = ((0.83, 0.86, 0.90), (0.45, 0.51, 0.58))  # below, above


def frameCArm(isocenter, viewNode=None, position=DEFAULT_POSITION):
    """Turn the camera of a 3D view (the first one by default) so that the C-arm is seen whole, the floor below.

    position: how the patient lies, who stays where the CT is while the room lies about them.
    """
    viewNode = viewNode or slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLViewNode")
    if viewNode is None:
        return
    viewNode.SetBackgroundColor(*_BACKGROUND[0])
    viewNode.SetBackgroundColor2(*_BACKGROUND[1])
    viewNode.SetBoxVisible(False)
    viewNode.SetAxisLabelsVisible(False)
    camera = slicer.modules.cameras.logic().GetViewActiveCameraNode(viewNode)
    if camera is None:
        return
    roomToPatient = patient_to_room(position).T
    isocenter = np.asarray(isocenter, float)
    aim, radius = _machineSphere() or (isocenter + roomToPatient @ _AIM, _RADIUS)
    aim = aim + _TOWARDS_PATIENT * (isocenter - aim)
    distance = radius / _FILLS / np.tan(np.deg2rad(camera.GetViewAngle() / 2))
    camera.SetFocalPoint(*aim)
    camera.SetPosition(*(aim + distance * roomToPatient @ _FROM / np.linalg.norm(_FROM)))
    camera.SetViewUp(*roomToPatient[:, 1])
    camera.ResetClippingRange()


def _machineSphere():
    """(centre, radius) in RAS mm of a sphere about the C-arm's models; None where there are none."""
    boxes = []
    for node in nodesWithRole("carm.part."):
        bounds = [0.0] * 6
        node.GetRASBounds(bounds)
        boxes.append(bounds)
    if not boxes:
        return None
    low, high = np.array(boxes)[:, ::2].min(axis=0), np.array(boxes)[:, 1::2].max(axis=0)
    return (low + high) / 2, float(np.linalg.norm(high - low) / 2)
