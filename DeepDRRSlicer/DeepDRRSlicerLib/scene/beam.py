"""The X-ray beam in the 3D view: a translucent pyramid, its edges, the central ray and the field on the detector."""

import numpy as np

from DeepDRRSlicerLib.scene.nodes import ensureNode, nodesWithRole, removeFolder, removeNode
from DeepDRRSlicerLib.scene.shapes import polyData

_FACES = "beam.faces"
_LINES = "beam.lines"
_COLOR = (1.0, 0.80, 0.22)
_DASH = (22.0, 10.0)  # mm drawn and left out along the central ray


def updateBeam(beam):
    """Make or move the beam models; `beam` is a ConeBeam, the points are in world RAS."""
    rows, columns = beam.size
    corners = beam.pixel_to_ras(
        np.array([-0.5, columns - 0.5, columns - 0.5, -0.5]), np.array([-0.5, -0.5, rows - 0.5, rows - 0.5])
    )
    points = np.vstack([beam.source, corners])
    sides = [(0, 1, 2), (0, 2, 3), (0, 3, 4), (0, 4, 1)]
    _show(_FACES, "X-ray beam", polyData(points, polygons=sides), 0.12)

    edges = [(0, 1), (0, 2), (0, 3), (0, 4), (1, 2, 3, 4, 1)]
    ray = _dashes(beam.source, beam.detector_center)
    dashes = [(5 + 2 * i, 6 + 2 * i) for i in range(len(ray) // 2)]
    _show(_LINES, "X-ray field", polyData(np.vstack([points, ray]), lines=edges + dashes), 0.85)


def removeBeam():
    """Remove the beam models."""
    for node in nodesWithRole("beam."):
        removeNode(node)
    removeFolder()


def _dashes(start, end):
    """End points (2 n, 3) of the dashes between two points."""
    length = np.linalg.norm(end - start)
    begins = np.arange(0, length, sum(_DASH))
    distances = np.column_stack([begins, np.minimum(begins + _DASH[0], length)]).ravel()
    return start + distances[:, None] / length * (end - start)


def _show(role, name, mesh, opacity):
    node = ensureNode(role, "vtkMRMLModelNode", name)
    node.SetAndObservePolyData(mesh)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetColor(*_COLOR)
        display.SetOpacity(opacity)
        display.SetLighting(False)
        display.SetBackfaceCulling(False)
        display.SetLineWidth(2)
        display.SetVisibility2D(False)
