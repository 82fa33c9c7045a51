"""Tools that are made, placed and driven: a model under a transform of its own, which may hang under any other one.

The transform of its own ("placement") takes the tool's coordinates, its tip at the origin and pointing along +z, to
those of its driver: a transform of the scene, such as that of a tracker, or the world.
"""

import json

import numpy as np
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.projection.tool_shapes import GAUGES, SHAPES, Needle, shape_from_dict, shape_to_dict
from DeepDRRSlicerLib.rehearsal.measures import Wire
from DeepDRRSlicerLib.scene.mrml import worldMatrix
from DeepDRRSlicerLib.scene.nodes import ROLE, removeNode
from DeepDRRSlicerLib.scene.tools import DENSITY, IN_BEAM, MATERIAL, toolNodes

SHAPE = "DeepDRRSlicer.ToolShape"
_PLACEMENT = "tool.placement"
_COLOR = (0.85, 0.87, 0.90)
_HANDLES = 60.0  # mm
_SHARP = 30.0  # degrees between faces that are drawn with an edge
NAMES = {"k-wire": "K-wire", "cannulated screw": "Screw", "needle": "Needle"}


def addTool(kind, matrix=None):
    """A new tool of one of SHAPES with its usual numbers and material; returns its model node.

    matrix: 4x4 that places it in world RAS; the origin where it is None.
    """
    shape = SHAPES[kind]()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", _uniqueName(NAMES[kind]))
    setShape(node, shape)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetColor(*_COLOR)
    display.SetVisibility2D(True)
    ensurePlacement(node)
    if matrix is not None:
        setToolToWorld(node, matrix)
    node.SetAttribute(MATERIAL, shape.material)
    node.SetAttribute(IN_BEAM, "1")
    return node


def useAsTool(node):
    """Put any model of the scene into the beam, where it is; its material is still to be chosen."""
    node.SetAttribute(IN_BEAM, "1")


def removeTool(node):
    """Remove a tool that was made here, with its transform; any other model only stops being a tool."""
    if shapeOf(node) is None:
        for attribute in (MATERIAL, DENSITY, IN_BEAM):
            node.RemoveAttribute(attribute)
        return
    placement = placementOf(node)
    removeNode(node)
    if placement is not None and not _children(placement):
        removeNode(placement)


def shapeOf(node):
    """The shape of a tool that was made here (projection/tool_shapes.py), or None."""
    text = node.GetAttribute(SHAPE)
    if not text:
        return None
    try:
        return shape_from_dict(json.loads(text))
    except ValueError:  # a scene may have been written by hand; its surface is there all the same
        return None


def setShape(node, shape):
    """Give a tool another shape."""
    vertices, faces = shape.mesh()
    node.SetAndObservePolyData(_surface(vertices, faces))
    node.SetAttribute(SHAPE, json.dumps(shape_to_dict(shape)))


def placementOf(node):
    """The transform of the tool's own, or None."""
    parent = node.GetParentTransformNode()
    return parent if parent is not None and parent.GetAttribute(ROLE) == _PLACEMENT else None


def ensurePlacement(node):
    """The transform of the tool's own; one that moves nothing is put over the model if there is none."""
    placement = placementOf(node)
    if placement is None:
        name = f"{node.GetName()} placement"
        placement = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
        placement.SetAttribute(ROLE, _PLACEMENT)
        if node.GetParentTransformNode() is not None:
            placement.SetAndObserveTransformNodeID(node.GetParentTransformNode().GetID())
        placement.SetCenterOfTransformation(*_pivot(node))
        node.SetAndObserveTransformNodeID(placement.GetID())
    return placement


def driverOf(node):
    """The transform that carries the tool, its own left out; None is the world."""
    return (placementOf(node) or node).GetParentTransformNode()


def setDriver(node, transform):
    """Let a transform of the scene carry the tool: its tip is at that transform's origin and points along its z axis.

    None lets go of it; the tool stays where it is. Raises InputError for a transform that is not linear, or that hangs
    under the tool.
    """
    placement = ensurePlacement(node)
    if transform is None:
        matrix = worldMatrix(node)
        placement.SetAndObserveTransformNodeID(None)
        slicer.util.updateTransformMatrixFromArray(placement, matrix)
        return
    above = transform
    while above is not None:
        if above is placement:
            raise InputError(f"{transform.GetName()} hangs under {node.GetName()} itself; choose another transform.")
        above = above.GetParentTransformNode()
    if not transform.IsTransformToWorldLinear():
        raise InputError(
            f"{transform.GetName()} is not a linear transform, so it cannot carry a tool; choose another one."
        )
    placement.SetAndObserveTransformNodeID(transform.GetID())
    slicer.util.updateTransformMatrixFromArray(placement, np.eye(4))


def setToolToWorld(node, matrix):
    """Bring the tool to a place in world RAS, 4x4 from its own coordinates. Raises InputError as worldMatrix."""
    placement = ensurePlacement(node)
    slicer.util.updateTransformMatrixFromArray(placement, np.linalg.inv(worldMatrix(placement)) @ matrix)


def advance(node, distance):
    """Move the tool along its own axis, mm; a negative distance retracts it."""
    step = np.eye(4)
    step[2, 3] = distance
    _move(node, step)


def twist(node, angle):
    """Turn the tool about its own axis, degrees, clockwise as seen from its rear end."""
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    turn = np.eye(4)
    turn[:2, :2] = [[cosine, -sine], [sine, cosine]]
    pivot = np.array(_pivot(node))
    turn[:3, 3] = pivot - turn[:3, :3] @ pivot
    _move(node, turn)


def alignToLine(node, line, atTarget=False):
    """Lay the tool on a line markup, from its first point (entry) to its last (target), its tip at one of them.

    Raises InputError where the line is not drawn.
    """
    entry, target = lineEnds(line)
    setToolToWorld(node, pointing(target if atTarget else entry, target - entry))


def lineEnds(line):
    """(entry, target) of a line markup, (3,) world RAS mm. Raises InputError where the line is not drawn."""
    if line is None or line.GetNumberOfDefinedControlPoints() < 2:
        raise InputError("The line has no two points yet; draw it from entry to target.")
    points = slicer.util.arrayFromMarkupsControlPoints(line, world=True)
    if np.linalg.norm(points[-1] - points[0]) < 1e-3:
        raise InputError("Both ends of the line are at the same place; draw it from entry to target.")
    return points[0], points[-1]


def pointing(tip, direction):
    """4x4 of a tool with its tip at a point and pointing along a direction (3,), in RAS."""
    z = np.asarray(direction, float) / np.linalg.norm(direction)
    x = np.cross(np.eye(3)[np.abs(z).argmin()], z)
    x /= np.linalg.norm(x)
    matrix = np.eye(4)
    matrix[:3] = np.column_stack([x, np.cross(z, x), z, tip])
    return matrix


def tipOf(node):
    """(3,) world RAS mm of the tip of a tool that was made here; None for any other. Raises InputError."""
    return worldMatrix(node)[:3, 3] if shapeOf(node) is not None else None


def wireOf(node):
    """The tool as a Wire in world RAS (rehearsal/measures.py); None unless it was made here. Raises InputError."""
    shape = shapeOf(node) if node is not None else None
    if shape is None:
        return None
    diameter = GAUGES[shape.gauge][0] if isinstance(shape, Needle) else shape.diameter
    matrix = worldMatrix(node)
    return Wire(matrix[:3, 3], matrix[:3, 2] / np.linalg.norm(matrix[:3, 2]), shape.length, diameter)


def handlesShown(node):
    """Whether the tool's handles are drawn."""
    placement = placementOf(node)
    display = placement.GetDisplayNode() if placement is not None else None
    return display is not None and bool(display.GetEditorVisibility())


def showHandles(node, shown):
    """Draw handles in the 3D and slice views that move and turn the tool."""
    placement = ensurePlacement(node)
    placement.CreateDefaultDisplayNodes()
    display = placement.GetDisplayNode()
    display.SetEditorVisibility(shown)
    display.SetEditorVisibility3D(shown)
    display.SetEditorSliceIntersectionVisibility(shown)
    display.SetEditorTranslationEnabled(True)
    display.SetEditorRotationEnabled(True)
    display.SetEditorScalingEnabled(False)
    display.SetInteractionSizeAbsolute(True)
    display.SetInteractionSizeMm(_HANDLES)


def _move(node, motion):
    placement = ensurePlacement(node)
    matrix = slicer.util.arrayFromTransformMatrix(placement)
    slicer.util.updateTransformMatrixFromArray(placement, matrix @ motion)


def _pivot(node):
    """What the tool turns about, in its own coordinates: its tip, or the middle of a model that was not made here."""
    if node.GetAttribute(SHAPE) or node.GetPolyData() is None or not node.GetPolyData().GetNumberOfPoints():
        return 0.0, 0.0, 0.0
    return node.GetPolyData().GetCenter()


def _children(transform):
    nodes = slicer.util.getNodesByClass("vtkMRMLTransformableNode")
    return [node for node in nodes if node.GetParentTransformNode() is transform]


def _uniqueName(name):
    taken = {node.GetName() for node in toolNodes()}
    number = 1
    while f"{name} {number}" in taken:
        number += 1
    return f"{name} {number}"


def _surface(vertices, faces):
    """vtkPolyData with normals for drawing, its sharp edges kept."""
    data, points, cells = vtk.vtkPolyData(), vtk.vtkPoints(), vtk.vtkCellArray()
    points.SetData(numpy_to_vtk(vertices.astype(np.float32), deep=True))
    table = np.column_stack([np.full(len(faces), 3), faces]).astype(np.int64)
    cells.ImportLegacyFormat(numpy_to_vtkIdTypeArray(table.ravel(), deep=True))
    data.SetPoints(points)
    data.SetPolys(cells)
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputData(data)
    normals.SetFeatureAngle(_SHARP)
    normals.ConsistencyOff()
    normals.Update()
    return normals.GetOutput()
