"""Models of the parts of a machine, each under the transform of the frame that carries it."""

import json

import slicer

from DeepDRRSlicerLib.scene.nodes import ensureNode, nodesByRole, removeNode
from DeepDRRSlicerLib.scene.shapes import partMesh

TOUCHING = (0.86, 0.10, 0.08)
_SHAPE = "DeepDRRSlicer.Shape"


def buildParts(prefix, parts, carriers, folder=None):
    """Make the models that are missing and take away those of the role `prefix` that are not among the parts.

    carriers: the transform node by the name of the frame that a part hangs on. folder: where mesh files lie.
    """
    found = removeOthers(prefix, {prefix + part.name for part in parts})
    for part in parts:
        role = prefix + part.name
        node = found.get(role) or ensureNode(role, "vtkMRMLModelNode", part.name)
        shape = json.dumps(part.shape)
        if node.GetPolyData() is None or node.GetAttribute(_SHAPE) != shape:
            node.SetAndObservePolyData(partMesh(part.shape, folder))
            node.SetAttribute(_SHAPE, shape)
        node.SetAndObserveTransformNodeID(carriers[part.joint].GetID())
        if node.GetDisplayNode() is None:
            node.CreateDefaultDisplayNodes()
            _paint(node.GetDisplayNode(), part.color)


def colorParts(prefix, parts, touching):
    """Show the parts of these names in red, the others in their own colour."""
    found = nodesByRole(prefix)
    for part in parts:
        color = TOUCHING if part.name in touching else part.color
        node = found.get(prefix + part.name)
        if node is not None and node.GetDisplayNode() is not None and node.GetDisplayNode().GetColor() != color:
            node.GetDisplayNode().SetColor(*color)


def removeOthers(prefix, wanted):
    """Remove the nodes of a role with the prefix but not among the wanted ones; returns {role: node} of the rest."""
    found = nodesByRole(prefix)
    for role in found.keys() - wanted:
        removeNode(found.pop(role))
    return found


def _paint(display, color):
    display.SetColor(*color)
    display.SetAmbient(0.2)
    display.SetDiffuse(0.85)
    display.SetSpecular(0.35)
    display.SetPower(30)
    display.SetInterpolation(slicer.vtkMRMLDisplayNode.GouraudInterpolation)
    display.SetVisibility2D(False)
