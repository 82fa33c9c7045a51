"""Tools in the beam: model nodes of the scene that carry a material, as the engine's tools.

A model is a tool once one of these attributes is set on it; they are saved with the scene:
MATERIAL: a name of the material library. DENSITY (optional): g/cm3 in place of the library's. IN_BEAM: "0" takes the
tool out of the beam; whether it is drawn in the views is another matter, so that one can practise without seeing it.
"""

import numpy as np
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.projection.tools import Tool
from DeepDRRSlicerLib.scene.mrml import worldMatrix

MATERIAL = "DeepDRRSlicer.Material"
DENSITY = "DeepDRRSlicer.Density"
IN_BEAM = "DeepDRRSlicer.InBeam"

_bodies = {}  # node ID -> (what it was made from, Tool in the model's own coordinates)


def toolNodes():
    """The model nodes that are tools, in the order of the scene."""
    return [node for node in slicer.util.getNodesByClass("vtkMRMLModelNode") if isTool(node)]


def isTool(node):
    """Whether a model node has been made a tool."""
    return node.GetAttribute(MATERIAL) is not None or node.GetAttribute(IN_BEAM) is not None


def isInBeam(node):
    """Whether a tool is in the beam."""
    return isTool(node) and node.GetAttribute(IN_BEAM) != "0"


def setInBeam(node, inBeam):
    """Put a tool into the beam, or take it out."""
    node.SetAttribute(IN_BEAM, "1" if inBeam else "0")


def beamTools():
    """The engine's Tools in the beam, where they are now: a tuple in the order of the scene.

    Each takes the place of the tissue and of the tools before it. A model's surface is looked at when it changes, not
    when it moves. Raises InputError for a tool without material, without a closed surface, or under a transform that
    is not linear.
    """
    return tuple(tool.moved(matrix) for tool, matrix in placedTools())


def placedTools():
    """[(Tool in its model's own coordinates, 4x4 from there to world RAS)] of those in the beam; as beamTools."""
    nodes = toolNodes()
    for nodeId in set(_bodies) - {node.GetID() for node in nodes}:
        del _bodies[nodeId]
    return [(_body(node), worldMatrix(node)) for node in nodes if isInBeam(node)]


def toolsFingerprint():
    """Hashable, cheap, never an error: equal as long as the tools in the beam are the same in the same places."""
    return tuple((*_bodyKey(node), _place(node)) for node in toolNodes() if isInBeam(node))


def _body(node):
    key = _bodyKey(node)
    known = _bodies.get(node.GetID())
    if known is None or known[0] != key:
        known = _bodies[node.GetID()] = key, _newBody(node)
    return known[1]


def _bodyKey(node):
    surface = node.GetPolyData()
    made = surface.GetMTime() if surface is not None else None  # no two surfaces have the same
    return node.GetID(), node.GetName(), node.GetAttribute(MATERIAL), node.GetAttribute(DENSITY), made


def _place(node):
    parent = node.GetParentTransformNode()
    if parent is None:
        return None
    if not parent.IsTransformToWorldLinear():
        return parent.GetID(), parent.GetTransformToWorldMTime()
    return slicer.util.arrayFromTransformMatrix(parent, toWorld=True).tobytes()


def _newBody(node):
    name, material, density = node.GetName(), node.GetAttribute(MATERIAL), node.GetAttribute(DENSITY)
    if not material:
        raise InputError(
            f"The tool '{name}' has no material; choose one under Tools, or take the tool out of the beam."
        )
    try:
        density = float(density) if density else None
    except ValueError:
        raise InputError(f"The density of the tool '{name}' is no number ({density!r}); correct it.") from None
    surface = node.GetPolyData()
    if surface is None or not surface.GetNumberOfPolys() + surface.GetNumberOfStrips():
        raise InputError(f"The model '{name}' holds no surface; choose another one, or take it out of the beam.")
    triangles = vtk.vtkTriangleFilter()
    triangles.SetInputData(surface)
    triangles.PassVertsOff()
    triangles.PassLinesOff()
    triangles.Update()
    cut = triangles.GetOutput()
    vertices = vtk_to_numpy(cut.GetPoints().GetData()).astype(np.float64)
    faces = vtk_to_numpy(cut.GetPolys().GetConnectivityArray()).astype(np.int64).reshape(-1, 3)
    return Tool(name, vertices, faces, material, density)
