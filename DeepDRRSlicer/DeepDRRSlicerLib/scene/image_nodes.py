"""What is drawn over the X-ray image: nodes in the plane of the detector, shown in the X-ray views alone.

They hang on one transform, "the image plane", whose origin is the middle of the image, x along its rows and y down its
columns, in mm at the detector. So the pose is followed by setting one matrix. They are made anew from the parameter
node whenever they are wanted, and so neither listed for the user nor saved.
"""

import numpy as np
import slicer
import slicer.util

from DeepDRRSlicerLib.scene.nodes import ROLE, findNode, removeNode

PLANE = "image.plane"
VIEW_NAMES = ("XRay", "RealXRay")


def ensureImageNode(role, className, name, saved=False):
    """(node, whether it was made just now). saved: whether it is saved with the scene."""
    node = findNode(role, className)
    if node is not None:
        return node, False
    node = slicer.mrmlScene.CreateNodeByClass(className)
    node.UnRegister(None)
    node.SetName(name)
    node.SetAttribute(ROLE, role)
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(saved)
    return slicer.mrmlScene.AddNode(node), True


def removeImageNode(role, className):
    """Remove the node with that role, if there is one."""
    node = findNode(role, className)
    if node is not None:
        removeNode(node)


def planeNode():
    """The transform from the image plane to world RAS."""
    return ensureImageNode(PLANE, "vtkMRMLLinearTransformNode", "Image plane")[0]


def setPlane(beam):
    """Move the image plane to the detector of a beam."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.column_stack([beam.e_c, beam.e_r, np.cross(beam.e_c, beam.e_r)])
    matrix[:3, 3] = beam.detector_center
    node = planeNode()
    if not np.array_equal(slicer.util.arrayFromTransformMatrix(node), matrix):
        slicer.util.updateTransformMatrixFromArray(node, matrix)


def onPlane(node):
    """Hang a node on the image plane."""
    node.SetAndObserveTransformNodeID(planeNode().GetID())
    display = node.GetDisplayNode()
    if display is not None:
        display.SetSaveWithScene(False)
        display.SetViewNodeIDs(xrayViewIDs())


def xrayViewIDs():
    """IDs of the slice nodes of the X-ray views; a name that none can have where there is no such view.

    An empty list would mean all views.
    """
    nodes = slicer.util.getNodesByClass("vtkMRMLSliceNode")
    return [node.GetID() for node in nodes if node.GetLayoutName() in VIEW_NAMES] or ["none"]


def setPoints(node, places, labels):
    """Make the control points of a fiducial node those at (x, y) mm on the image plane."""
    with slicer.util.NodeModify(node):
        while node.GetNumberOfControlPoints() > len(places):
            node.RemoveNthControlPoint(node.GetNumberOfControlPoints() - 1)
        for index, ((x, y), label) in enumerate(zip(places, labels, strict=True)):
            if index == node.GetNumberOfControlPoints():
                node.AddControlPoint((float(x), float(y), 0.0), label)
                continue
            if np.abs(np.subtract(node.GetNthControlPointPosition(index), (x, y, 0.0))).max() > 1e-6:
                node.SetNthControlPointPosition(index, float(x), float(y), 0.0)
            if node.GetNthControlPointLabel(index) != label:
                node.SetNthControlPointLabel(index, label)
