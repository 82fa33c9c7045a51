"""Rays of points that were marked on the X-ray image, and where they run in the image of another view.

The same thing lies somewhere on that line, so it shows where to look for it when it is marked for the second time.
"""

import json

import numpy as np

from DeepDRRSlicerLib.scene.image_nodes import ensureImageNode, removeImageNode, xrayViewIDs
from DeepDRRSlicerLib.scene.nodes import findNode
from DeepDRRSlicerLib.scene.overlays import planePoints, showLines
from DeepDRRSlicerLib.scene.shapes import polyData

POINTS = "rays.points"
SEEN_FROM = "DeepDRRSlicer.SeenFrom"  # JSON: control point ID -> where its source stood, and the like
_LINES = "image.rays"
_FIDUCIAL, _MODEL = "vtkMRMLMarkupsFiducialNode", "vtkMRMLModelNode"
_COLOR = (0.3, 0.85, 1.0)
_SAME_SOURCE = 1e-3  # mm
_ALONG = np.linspace(0.0, 1.0, 129)[1:, None]  # of the way from source to point: straight in the image, too


def rays():
    """[(label, source (3,), point (3,))] RAS mm of every point that was marked on the image."""
    node = findNode(POINTS, _FIDUCIAL)
    if node is None:
        return []
    kept = seenFrom(node)
    found = []
    for index in range(node.GetNumberOfControlPoints()):
        view = kept.get(node.GetNthControlPointID(index))
        if view is not None:
            place = np.array(node.GetNthControlPointPositionWorld(index))
            found.append((node.GetNthControlPointLabel(index), np.array(view["source"]), place))
    return found


def seenFrom(node):
    """{control point ID: its "source", and for the ruler "sid" and "depth" of the isocentre, in mm}."""
    return json.loads(node.GetAttribute(SEEN_FROM) or "{}")


def updateRayLines(beam):
    """Draw the rays of other views in the image of a beam, as far as they run in its field."""
    half = np.array(beam.size[::-1]) * beam.pitch / 2
    lines = []
    for _label, source, point in rays():
        if np.abs(source - beam.source).max() < _SAME_SOURCE:
            continue
        places = planePoints(beam, source + _ALONG * (point - source))
        inside = places[(np.abs(places) <= half).all(axis=1)]
        if len(inside) > 1:
            lines.append(inside[[0, -1]])
    if not lines:
        removeImageNode(_LINES, _MODEL)
        return
    node, isNew = ensureImageNode(_LINES, _MODEL, "Rays of other views")
    points = np.concatenate(lines)
    cells = [(2 * n, 2 * n + 1) for n in range(len(lines))]
    node.SetAndObservePolyData(polyData(np.column_stack([points, np.zeros(len(points))]), lines=cells))
    if isNew:
        showLines(node, _COLOR, width=1)
    node.GetDisplayNode().SetViewNodeIDs(xrayViewIDs())
