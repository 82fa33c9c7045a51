"""The C-arm in the scene: a chain of linear transforms, one per joint, with a model node per part hanging on it.

Its root is the frame of the room about the isocentre (geometry/positioning.py): the patient stays where the CT is, and
the room lies about them as they lie on the table.
"""

import numpy as np
import slicer.util

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose, pose_of_beam
from DeepDRRSlicerLib.geometry.device import VIEW_JOINTS, joint_motion
from DeepDRRSlicerLib.geometry.positioning import DEFAULT_POSITION, device_angles, room_to_ras
from DeepDRRSlicerLib.scene.nodes import ensureNode, findNode, nodesByRole, nodesWithRole, removeFolder, removeNode
from DeepDRRSlicerLib.scene.part_models import buildParts, colorParts, removeOthers

_ROOT = "carm.root"
_JOINT = "carm.joint."
_PART = "carm.part."
_DEVICE = "DeepDRRSlicer.Device"


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
        found = removeOthers(_JOINT, {_JOINT + joint.name for joint in self.device.joints})
        carriers = {None: root}
        for joint in self.device.joints:
            node = found.get(_JOINT + joint.name)
            if node is None:
                label = f"C-arm {joint.name.replace('_', ' ')}"
                node = ensureNode(_JOINT + joint.name, "vtkMRMLLinearTransformNode", label)
                rest = self.device.source_image_distance.default if joint.name == "sid" else 0.0
                slicer.util.updateTransformMatrixFromArray(node, joint_motion(joint, rest))
            node.SetAndObserveTransformNodeID(carriers[joint.parent].GetID())
            carriers[joint.name] = node
        buildParts(_PART, self.device.parts, carriers, self.device.folder)

    def jointNode(self, name):
        """The transform of a joint; None as name gives the root at the isocentre. None if there is no such node."""
        role = _ROOT if name is None else _JOINT + name
        return findNode(role, "vtkMRMLLinearTransformNode")

    def partNode(self, name):
        """The model of a part, or None."""
        return findNode(_PART + name, "vtkMRMLModelNode")

    def place(self, room):
        """Put the root to a 4x4 from the room to RAS.

        Raises InputError when the root has been put under a transform: the C-arm would be drawn at the wrong place.
        """
        root = self.jointNode(None)
        parent = root.GetParentTransformNode()
        if parent is not None:
            raise InputError(
                f"The C-arm has been put under the transform {parent.GetName()}; take {root.GetName()} out of it in "
                "the module Transforms, and move the isocentre instead."
            )
        setMatrix(root, room)

    def setValues(self, values):
        """Bring the joints to values in degrees and mm by name; those without a value stay."""
        nodes = nodesByRole(_JOINT)
        for joint in self.device.joints:
            if joint.name in values:
                setMatrix(nodes[_JOINT + joint.name], joint_motion(joint, values[joint.name]))

    def setPose(self, pose, position=DEFAULT_POSITION, tableTilt=0.0):
        """Move isocentre and joints to a view of a patient who lies in that position; further joints stay.

        Raises InputError when the pose's source-isocentre distance is not the device's: the tube would be drawn at
        the wrong place.
        """
        sod = self.device.source_isocenter_distance
        if abs(pose.sod - sod) > 1e-6:
            raise InputError(
                f"The source-isocentre distance of {pose.sod:g} mm is not that of {self.device.name}, which is "
                f"{sod:g} mm; use the device's."
            )
        self.place(room_to_ras(position, tableTilt, pose.isocenter))
        others = {joint.name: self.jointValue(joint.name) for joint in self.device.joints}
        near = others["primary_angle"]
        primary, secondary = device_angles(
            pose.primary_angle, pose.secondary_angle, self.device.joints, position, tableTilt, others, near
        )
        self.setValues(dict(zip(VIEW_JOINTS, (primary, secondary, pose.sid), strict=True)))

    def pose(self, size, pitch):
        """The CArmPose that the transforms stand for; size (rows, columns) and pitch in mm are the detector's.

        It is patient-based: where the machine shows the patient the other way up, the pose has them head up all the
        same.
        """
        sod = self.device.source_isocenter_distance
        frame = slicer.util.arrayFromTransformMatrix(self.jointNode("secondary_angle"), toWorld=True)
        mounted = CArmPose(0.0, 0.0, (0.0, 0.0, 0.0), self.jointValue("sid"), sod, size, pitch).beam()
        return pose_of_beam(mounted.transformed(frame), sod)

    def jointValue(self, name, near=0.0):
        """Degrees or mm that the joint's transform stands for; of whole turns the one nearest to `near`."""
        joint = self.device.joint(name)
        matrix = slicer.util.arrayFromTransformMatrix(self.jointNode(name))
        axis = np.asarray(joint.axis)
        if joint.type == "translation":
            return float(axis @ matrix[:3, 3])
        skew = matrix[:3, :3] - matrix[:3, :3].T
        sine = axis @ (skew[2, 1], skew[0, 2], skew[1, 0]) / 2
        value = float(np.rad2deg(np.arctan2(sine, (np.trace(matrix[:3, :3]) - 1) / 2)))
        return value + 360.0 * round((near - value) / 360.0)

    def showTouching(self, names):
        """Draw the parts of these names in red, the others in their own colour."""
        colorParts(_PART, self.device.parts, names)


def setMatrix(node, matrix):
    """Set a transform's matrix; an unchanged one is not, so that observers are not called for nothing."""
    if not np.array_equal(slicer.util.arrayFromTransformMatrix(node), matrix):
        slicer.util.updateTransformMatrixFromArray(node, matrix)


def removeCArm():
    """Remove every C-arm node from the scene, whichever device it belongs to."""
    for node in nodesWithRole(_PART) + nodesWithRole(_JOINT) + nodesWithRole(_ROOT):
        removeNode(node)
    removeFolder()
