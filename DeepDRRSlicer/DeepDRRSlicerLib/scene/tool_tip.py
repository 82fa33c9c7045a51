"""The tip of a tool, marked in the X-ray view where the beam projects it."""

import json

import numpy as np
import slicer

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.files import beam_from_dict
from DeepDRRSlicerLib.scene.nodes import ensureNode, findNode, removeFolder, removeNode
from DeepDRRSlicerLib.scene.tool_drive import tipOf
from DeepDRRSlicerLib.scene.xray_image import VIEW
from DeepDRRSlicerLib.scene.xray_view import sliceLogic

_ROLE = "tool.tip"
_CLASS = "vtkMRMLMarkupsFiducialNode"
_COLOR = (0.2, 0.9, 1.0)


def tipInPicture(tool, xray):
    """(column, row) in pixels at which the picture's beam projects the tool's tip, or None.

    There is none without picture or tip, behind the source, and outside of the picture.
    """
    view = xray.GetAttribute(VIEW) if xray is not None else None
    try:
        tip = tipOf(tool) if tool is not None and view else None
    except InputError:  # which taking a picture says
        tip = None
    if tip is None:
        return None
    beam = beam_from_dict(json.loads(view))
    place = beam.project(tip)[0]
    inside = np.isfinite(place).all() and (place >= -0.5).all() and (place <= np.array(beam.size[::-1]) - 0.5).all()
    return tuple(float(x) for x in place) if inside else None


def markTip(tool, xray, shown=True):
    """Draw a mark there, in the X-ray view alone, or take it away."""
    place = tipInPicture(tool, xray) if shown else None
    logic = sliceLogic()
    if place is None or logic is None:
        hideTip()
        return
    node = findNode(_ROLE, _CLASS)
    if node is None:
        node = ensureNode(_ROLE, _CLASS, "Tool tip")
        _dress(node)
    display = node.GetDisplayNode()
    display.SetViewNodeIDs([logic.GetSliceNode().GetID()])
    beam = beam_from_dict(json.loads(xray.GetAttribute(VIEW)))
    point = beam.pixel_to_ras(*place)
    if node.GetNumberOfControlPoints() == 0:
        node.AddControlPoint(*point, tool.GetName())
    else:
        node.SetNthControlPointPosition(0, *point)
        node.SetNthControlPointLabel(0, tool.GetName())


def hideTip():
    """Take the mark away."""
    node = findNode(_ROLE, _CLASS)
    if node is not None:
        removeNode(node)
        removeFolder()


def _dress(node):
    node.CreateDefaultDisplayNodes()
    node.SetLocked(True)
    node.SetSaveWithScene(False)  # it is made anew
    node.SetUndoEnabled(False)
    display = node.GetDisplayNode()
    display.SetSaveWithScene(False)
    display.SetGlyphTypeFromString("Cross2D")
    display.SetSelectedColor(*_COLOR)
    display.SetColor(*_COLOR)
    display.SetTextScale(2.5)
    display.SetGlyphScale(1.5)
    display.SetPropertiesLabelVisibility(False)
    display.SetHandlesInteractive(False)
    display.SetSnapMode(slicer.vtkMRMLMarkupsDisplayNode.SnapModeUnconstrained)
