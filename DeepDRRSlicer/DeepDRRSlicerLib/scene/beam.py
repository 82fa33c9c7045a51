"""The X-ray beam in the 3D view: a translucent pyramid, its edges, the central ray and the field on the detector."""

import numpy as np

from DeepDRRSlicerLib.scene.nodes import ensureNode, nodesWithRole, removeFolder, removeNode
from DeepDRRSlicerLib.scene.shapes import polyData, setMesh

COLOR = (1.0, 0.80, 0.22)
_FACES = "beam.faces"
_LINES = "beam.lines"
_DASH = (22.0, 10.0)  # mm drawn and left out along the central ray
_IRIS_CORNERS = 48


def updateBeam(beam, field=None):
    """Make or move the beam models. `beam` is a ConeBeam in world RAS, `field` the Collimation of its lit part."""
    outline = fieldOutline(beam, field)
    count = len(outline)
    points = np.vstack([beam.source, outline])
    corners = range(1, count + 1)
    following = [*corners[1:], 1]
    _show(_FACES, "X-ray beam", polyData(points, polygons=[(0, a, b) for a, b in zip(corners, following)]), 0.12)

    edges = [(0, corner) for corner in corners] if count <= 8 else [(0, c) for c in corners[:: count // 4]]
    edges.append((*corners, 1))
    ray = _dashes(beam.source, beam.detector_center)
    dashes = [(count + 1 + 2 * i, count + 2 + 2 * i) for i in range(len(ray) // 2)]
    _show(_LINES, "X-ray field", polyData(np.vstack([points, ray]), lines=edges + dashes), 0.85)


def removeBeam():
    """Remove the beam models."""
    for node in nodesWithRole("beam."):
        removeNode(node)
    removeFolder()


def fieldOutline(beam, field=None):
    """(n, 3) RAS mm: the corners of the lit field on the detector, in turn; the whole image for no Collimation."""
    rows, columns = beam.size
    right, bottom = columns * beam.pitch[0] / 2, rows * beam.pitch[1] / 2
    left, top = -right, -bottom
    if field is not None:
        left, right = max(left, -field.left), min(right, field.right)
        top, bottom = max(top, -field.top), min(bottom, field.bottom)
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    if field is not None and field.iris is not None:
        angles = np.arange(_IRIS_CORNERS) * 2 * np.pi / _IRIS_CORNERS
        circle = field.iris * np.column_stack([np.cos(angles), np.sin(angles)])
        corners = _within(_within(circle, 0, left, right), 1, top, bottom)
    return beam.detector_center + corners[:, :1] * beam.e_c + corners[:, 1:] * beam.e_r


def _within(polygon, axis, low, high):
    """The part of a convex polygon (n, 2) between two values of a coordinate."""
    for sign, limit in ((1.0, high), (-1.0, -low)):
        over = sign * polygon[:, axis] - limit
        kept = []
        for here, there, a, b in zip(polygon, np.roll(polygon, -1, axis=0), over, np.roll(over, -1)):
            if a <= 0:
                kept.append(here)
            if a * b < 0:
                kept.append(here + (there - here) * a / (a - b))
        polygon = np.array(kept).reshape(-1, 2)
    return polygon


def _dashes(start, end):
    """End points (2 n, 3) of the dashes between two points."""
    length = np.linalg.norm(end - start)
    begins = np.arange(0, length, sum(_DASH))
    distances = np.column_stack([begins, np.minimum(begins + _DASH[0], length)]).ravel()
    return start + distances[:, None] / length * (end - start)


def _show(role, name, mesh, opacity):
    node = ensureNode(role, "vtkMRMLModelNode", name)
    setMesh(node, mesh)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetColor(*COLOR)
        display.SetOpacity(opacity)
        display.SetLighting(False)
        display.SetBackfaceCulling(False)
        display.SetLineWidth(2)
        display.SetVisibility2D(False)
