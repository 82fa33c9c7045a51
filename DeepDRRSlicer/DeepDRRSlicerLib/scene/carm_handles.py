"""Handles in the 3D view, one for each joint of the C-arm: a ring to turn it by, or an arrow to shift it along.

They are the interaction handles of Slicer's transforms, with one axis shown. Slicer moves the transform freely; what
the hand meant is read off the transform as a value of the joint, and the transform is then put where the parameters
say.
"""

import numpy as np
import slicer
import slicer.util

from DeepDRRSlicerLib.scene.carm import CArm

_SMALLEST, _LARGEST = 190.0, 330.0  # mm, radius of a ring: the largest runs between patient and detector
_RING = 1.15  # radius of Slicer's ring over the size of the handle
_ARROW = 170.0  # mm
_OPACITY = 0.6
_OFF_PART = 70.0  # mm by which a ring stands off the part that it turns


class CArmHandles:
    """Shows the handles and calls onDragged(joint name) when the transform of a joint has changed."""

    def __init__(self, onDragged):
        self._onDragged = onDragged
        self._carm = None
        self._tags = []  # (node, tag)
        self._seen = {}  # joint name -> matrix

    def show(self, device):
        """Show the handles of this device's joints, whose nodes must have been built; again after they were rebuilt."""
        carm = CArm(device)
        nodes = {joint.name: carm.jointNode(joint.name) for joint in device.joints}
        if self._carm is not None and self._carm.device == device and [n for n, _ in self._tags] == [*nodes.values()]:
            return
        self.hide()
        self._carm = carm
        for joint in device.joints:
            node = nodes[joint.name]
            _showHandle(device, joint, node)
            self._seen[joint.name] = _matrix(node)
            tag = node.AddObserver(slicer.vtkMRMLTransformableNode.TransformModifiedEvent, self._onTransform)
            self._tags.append((node, tag))

    def hide(self):
        """Take the handles away and stop observing."""
        for node, tag in self._tags:
            node.RemoveObserver(tag)
            if node.GetDisplayNode() is not None:
                node.GetDisplayNode().SetEditorVisibility(False)
        self._carm, self._tags, self._seen = None, [], {}

    def _onTransform(self, node, event):
        """A joint has moved, or only the one that carries it."""
        joint = next(j for j, (known, _) in zip(self._carm.device.joints, self._tags) if known is node)
        matrix = _matrix(node)
        if np.array_equal(matrix, self._seen[joint.name]):
            return
        self._seen[joint.name] = matrix
        self._onDragged(joint.name)


def _matrix(node):
    return slicer.util.arrayFromTransformMatrix(node)


def _showHandle(device, joint, node):
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    turns = joint.type == "rotation"
    axis = int(np.abs(joint.axis).argmax())
    shown = [i == axis for i in range(3)] + [False]
    place, size = _ring(device, joint) if turns else _arrow(device, joint)
    node.SetCenterOfTransformation(*place)
    with slicer.util.NodeModify(display):
        display.SetEditorTranslationEnabled(not turns)
        display.SetEditorRotationEnabled(turns)
        display.SetEditorScalingEnabled(False)
        display.SetRotationHandleComponentVisibility3D(shown if turns else [False] * 4)
        display.SetTranslationHandleComponentVisibility3D([False] * 4 if turns else shown)
        display.SetEditorSliceIntersectionVisibility(False)
        display.SetInteractionSizeAbsolute(True)
        display.SetInteractionSizeMm(size)
        if hasattr(display, "SetInteractionHandleOpacity"):  # not before Slicer 5.12
            display.SetInteractionHandleOpacity(_OPACITY)
        display.SetEditorVisibility3D(True)
        display.SetEditorVisibility(True)


def _ring(device, joint):
    """(centre on the axis in the joint's frame, size of the handle): about the middle of what the joint carries."""
    axis, origin = np.asarray(joint.axis), np.asarray(joint.origin)
    centers = _centers(device, joint) - origin
    along = centers @ axis
    across = np.linalg.norm(centers - along[:, None] * axis, axis=1)
    radius = np.clip(across.max(initial=0.0) + _OFF_PART, _SMALLEST, _LARGEST)
    return origin + (along.mean() if len(along) else 0.0) * axis, float(radius / _RING)


def _arrow(device, joint):
    centers = _centers(device, joint)
    return (centers.mean(axis=0) if len(centers) else np.asarray(joint.origin)), _ARROW


def _centers(device, joint):
    """(n, 3) mm: the middles of the parts that hang on the joint itself; of an arc, the middle of its rail."""
    found = []
    for part in device.parts:
        shape = part.shape
        if part.joint != joint.name or shape["type"] == "mesh":
            continue
        if shape["type"] == "cylinder":
            found.append((np.asarray(shape["start"]) + np.asarray(shape["end"])) / 2)
        elif shape["type"] == "arc":
            found.append(np.asarray(shape["center"]) + shape["radius"] * np.asarray(shape["from"]))
        else:
            found.append(np.asarray(shape["center"]))
    return np.array(found, dtype=float).reshape(-1, 3)
