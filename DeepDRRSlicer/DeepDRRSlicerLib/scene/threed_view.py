"""The 3D view as one wants it for a C-arm: seen from the feet, the patient lying, on a calm background."""

import numpy as np
import slicer

# From the isocentre to the camera, in patient RAS: from the feet and the patient's right, low enough to look under
# the detector, where the radiograph is, in AP and LAO views.
_FROM = np.array([0.78, -0.06, -0.62])
_DISTANCE = 3900.0  # mm, so that a C-arm of two metres fits the default view angle of 30 degrees in a narrow view too
_AIM = np.array([0.0, -95.0, 530.0])  # mm from the isocentre: the middle of C and stand
_BACKGROUND = ((0.83, 0.86, 0.90), (0.45, 0.51, 0.58))  # below, above


def frameCArm(isocenter, viewNode=None):
    """Turn the camera of a 3D view (the first one by default) so that C-arm and patient are seen whole."""
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
    aim = np.asarray(isocenter, float) + _AIM
    camera.SetFocalPoint(*aim)
    camera.SetPosition(*(aim + _DISTANCE * _FROM / np.linalg.norm(_FROM)))
    camera.SetViewUp(0, 1, 0)
    camera.ResetClippingRange()
