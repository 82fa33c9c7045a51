"""The C-arm in the scene: a chain of linear transforms, one per joint, with a model node per part hanging on it."""

import json

import numpy as np
import slicer
import slicer.util

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device import VIEW_JOINTS, joint_motion
from DeepDRRSlicerLib.scene.nodes import ROLE, ensureNode, findNode, nodesWithRole, removeFolder, removeNode
from DeepDRRSlicerLib.scene.shapes import partMesh

_ROOT = "carm.root"
_JOINT = "carm.joint."
_PART = "carm.part."
_DEVICE = "DeepDRRSlicer.Device"
_SHAPE = "DeepDRRSlicer.Shape"


class CArm:
    """Scene representation of a device (geometry/device.py).

    It keeps no nodes, only looks them up, so it stays valid when the scene is closed or another one is opened.
    """

    def __init__(self, device):
        self.device = device

    def build(self):
        """Make what is missing of the C-arm and take away what belongs to another device; nothing is made twice."""
        root = ensureNode(_ROOT, "vtkMRMLLinearTransformNode", "C-arm")
        root.SetAttribute(_DEVICE, self.device.name)
        wanted = {_JOINT + joint.name for joint in self.device.joints} | {_PART + p.name for p in self.device.parts}
        for node in nodesWithRole(_JOINT) + nodesWithRole(_PART):
            if node.GetAttribute(ROLE) not in wanted:
                removeNode(node)
        for joint in self.device.joints:
            node = self.jointNode(joint.name)
            if node is None:
                label = f"C-arm {joint.name.replace('_', ' ')}"
                node = ensureNode(_JOINT + joint.name, "vtkMRMLLinearTransformNode", label)
                rest = self.device.source_image_distance.default if joint.name == "sid" else 0.0
                slicer.util.updateTransformMatrixFromArray(node, joint_motion(joint, rest))
            node.SetAndObserveTransformNodeID(self.jointNode(joint.parent).GetID())
        for part in self.device.parts:
            self._buildPart(part)

    def jointNode(self, name):
        """The transform of a joint; None as name gives the root at the isocentre. None if there is no such node."""
        role = _ROOT if name is None else _JOINT + name
        return findNode(role, "vtkMRMLLinearTransformNode")

    def partNode(self, name):
        """The model of a part, or None."""
        return findNode(_PART + name, "vtkMRMLModelNode")

    def setPose(self, pose):
        """Move the isocentre and the joints of the view; further joints keep their values.

        Raises InputError when the pose's source-isocentre distance is not the device's: the tube would be drawn at
        the wrong place.
        """
        sod = self.device.source_isocenter_distance
        if abs(pose.sod - sod) > 1e-6:
            raise InputError(
                f"The source-isocentre distance of {pose.sod:g} mm is not that of {self.device.name}, which is "
                f"{sod:g} mm; use the device's."
            )
        root = np.eye(4)
        root[:3, 3] = pose.isocenter
        self._setMatrix(self.jointNode(None), root)
        for name in VIEW_JOINTS:
            self._setMatrix(self.jointNode(name), joint_motion(self.device.joint(name), getattr(pose, name)))

    def pose(self, size, pitch):
        """The CArmPose that the transforms stand for; size (rows, columns) and pitch in mm are the detector's."""
        values = {name: self._jointValue(name) for name in VIEW_JOINTS}
        isocenter = slicer.util.arrayFromTransformMatrix(self.jointNode(None))[:3, 3]
        return CArmPose(
            isocenter=tuple(isocenter), sod=self.device.source_isocenter_distance, size=size, pitch=pitch, **values
        )

    def _jointValue(self, name):
        joint = self.device.joint(name)
        matrix = slicer.util.arrayFromTransformMatrix(self.jointNode(name))
        axis = np.asarray(joint.axis)
        if joint.type == "translation":
            return float(axis @ matrix[:3, 3])
        skew = matrix[:3, :3] - matrix[:3, :3].T
        sine = axis @ (skew[2, 1], skew[0, 2], skew[1, 0]) / 2
        return float(np.rad2deg(np.arctan2(sine, (np.trace(matrix[:3, :3]) - 1) / 2)))

    def _setMatrix(self, node, matrix):
        # An unchanged matrix is not set, so that observers of the chain are not called for nothing.
        if not np.array_equal(slicer.util.arrayFromTransformMatrix(node), matrix):
            slicer.util.updateTransformMatrixFromArray(node, matrix)

    def _buildPart(self, part):
        node = ensureNode(_PART + part.name, "vtkMRMLModelNode", part.name)
        shape = json.dumps(part.shape)
        if node.GetPolyData() is None or node.GetAttribute(_SHAPE) != shape:
            node.SetAndObservePolyData(partMesh(part.shape, self.device.folder))
            node.SetAttribute(_SHAPE, shape)
        node.SetAndObserveTransformNodeID(self.jointNode(part.joint).GetID())
        if node.GetDisplayNode() is None:
            node.CreateDefaultDisplayNodes()
            display = node.GetDisplayNode()
            display.SetColor(*part.color)
            display.SetAmbient(0.2)
            display.SetDiffuse(0.85)
            display.SetSpecular(0.35)
            display.SetPower(30)
            display.SetInterpolation(slicer.vtkMRMLDisplayNode.GouraudInterpolation)
            display.SetVisibility2D(False)


def removeCArm():
    """Remove every C-arm node from the scene, whichever device it belongs to."""
    for node in nodesWithRole(_PART) + nodesWithRole(_JOINT) + nodesWithRole(_ROOT):
        removeNode(node)
    removeFolder()
