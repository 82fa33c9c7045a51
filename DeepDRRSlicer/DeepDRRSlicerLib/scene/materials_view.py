"""The materials over the CT in the slice views: a label map and a colour table of its own, made anew in every scene."""

import slicer
import slicer.util

from DeepDRRSlicerLib.anatomy.label_names import label_color
from DeepDRRSlicerLib.scene.image_nodes import VIEW_NAMES
from DeepDRRSlicerLib.scene.nodes import ROLE, findNode, removeNode

_LABELS, _COLORS = "materials.labels", "materials.colors"
_LABEL_MAP, _TABLE = "vtkMRMLLabelMapVolumeNode", "vtkMRMLColorTableNode"
_OPACITY = 0.45
# Of the classes, in their order; air is clear.
_CLASS_COLORS = (
    (0.0, 0.0, 0.0),
    (0.35, 0.6, 0.95),
    (0.95, 0.85, 0.35),
    (0.85, 0.4, 0.35),
    (1.0, 1.0, 0.9),
    (0.1, 0.85, 0.35),
    (0.1, 0.9, 1.0),
)


def showMaterials(ct, labels, names):
    """Show labels uint8 [k, j, i] on the grid of the CT node, under their names."""
    table = _colors(names)
    node = _hidden(_LABELS, _LABEL_MAP, "Materials")
    with slicer.util.NodeModify(node):
        node.CopyOrientation(ct)
        node.SetAndObserveTransformNodeID(ct.GetTransformNodeID())
        slicer.util.updateVolumeFromArray(node, labels)
    if node.GetDisplayNode() is None:
        display = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeDisplayNode")
        display.SetSaveWithScene(False)
        node.SetAndObserveDisplayNodeID(display.GetID())
    node.GetDisplayNode().SetAndObserveColorNodeID(table.GetID())
    for composite in _composites():
        composite.SetLabelVolumeID(node.GetID())
        composite.SetLabelOpacity(_OPACITY)


def hideMaterials():
    """Take the label map out of views and scene."""
    node, table = findNode(_LABELS, _LABEL_MAP), findNode(_COLORS, _TABLE)
    if node is not None:
        for composite in _composites():
            if composite.GetLabelVolumeID() == node.GetID():
                composite.SetLabelVolumeID(None)
        removeNode(node)
    if table is not None:
        slicer.mrmlScene.RemoveNode(table)


def materialColor(number):
    """(r, g, b) from 0 to 1 that a material is shown in."""
    return _CLASS_COLORS[number] if number < len(_CLASS_COLORS) else label_color(number)


def _colors(names):
    table = _hidden(_COLORS, _TABLE, "Colors of materials")
    table.SetTypeToUser()
    table.SetNumberOfColors(len(names))
    for number, name in enumerate(names):
        table.SetColor(number, name, *materialColor(number), 0.0 if number == 0 else 1.0)
    return table


def _hidden(role, className, name):
    """The node with that role, made if there is none: in no list, and not saved, since it is quickly made anew."""
    node = findNode(role, className)
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass(className, name)
        node.SetAttribute(ROLE, role)
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
    return node


def _composites():
    """Of the slice views of the patient."""
    logics = slicer.app.applicationLogic().GetSliceLogics() or ()  # none without a main window
    return [each.GetSliceCompositeNode() for each in logics if each.GetSliceNode().GetLayoutName() not in VIEW_NAMES]
