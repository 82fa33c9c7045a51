"""The lit field and the laser cross where they cut the slice views; the X-ray view, which is the detector, has none."""

import numpy as np
import slicer
import slicer.util

from DeepDRRSlicerLib.scene.beam import COLOR, fieldOutline
from DeepDRRSlicerLib.scene.nodes import ensureNode, findNode
from DeepDRRSlicerLib.scene.shapes import polyData, setMesh
from DeepDRRSlicerLib.scene.xray_layout import VIEW_NAME

LASER_COLOR = (1.0, 0.18, 0.16)
_FIELD = "beam.slices.field"
_CROSS = "beam.slices.cross"
_THICKNESS = 2  # pixels of the screen


def updateBeamInSlices(beam, field, shown):
    """Outline the beam, a ConeBeam lit within the Collimation `field`, in the slice views, or hide it."""
    outline = fieldOutline(beam, field)
    corners = range(1, len(outline) + 1)
    sides = [(0, a, b) for a, b in zip(corners, [*corners[1:], 1])]
    mesh = polyData(np.vstack([beam.source, outline]), polygons=[*sides, tuple(corners)])
    _show(_FIELD, "X-ray field in slices", mesh, COLOR, shown)


def updateCrossInSlices(beam, shown):
    """Mark the two planes through the middle of the image, where the laser cross shines, in the slice views."""
    rows, columns = beam.size
    across, down = beam.e_c * beam.pitch[0] * columns / 2, beam.e_r * beam.pitch[1] * rows / 2
    middle = beam.detector_center
    points = [beam.source, middle - across, middle + across, middle - down, middle + down]
    mesh = polyData(np.array(points), polygons=[(0, 1, 2), (0, 3, 4)])
    _show(_CROSS, "Laser cross in slices", mesh, LASER_COLOR, shown)


def _show(role, name, mesh, color, shown):
    node = findNode(role, "vtkMRMLModelNode") if not shown else ensureNode(role, "vtkMRMLModelNode", name)
    if node is None:
        return
    if shown:
        setMesh(node, mesh)
    display = node.GetDisplayNode()
    if display is None:
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetColor(*color)
        display.SetSliceIntersectionThickness(_THICKNESS)
        display.SetVisibility3D(False)
    with slicer.util.NodeModify(display):
        display.SetVisibility2D(shown)
        display.SetVisibility(shown)
        if shown:
            _showInPatientSlices(display)


def _showInPatientSlices(display):
    """Every slice view but the X-ray view, which an empty list of views would take in."""
    views = [n for n in slicer.util.getNodesByClass("vtkMRMLSliceNode") if n.GetLayoutName() != VIEW_NAME]
    wanted = tuple(view.GetID() for view in views)
    if tuple(display.GetViewNodeIDs() or ()) != wanted:
        display.SetViewNodeIDs(wanted)
