"""Hears of every change of the tools, whoever makes it: panel, handles, tracker, script or undo."""

import slicer
import slicer.util
import vtk
from slicer.util import VTKObservationMixin

from DeepDRRSlicerLib.scene.tool_drive import SHAPE, driverOf
from DeepDRRSlicerLib.scene.tools import DENSITY, IN_BEAM, MATERIAL, isTool, toolNodes, toolsFingerprint


class ToolWatch(VTKObservationMixin):
    """Calls onChange() when the list of tools or what is said of one changes, onMove() when the beam meets others.

    onMove also follows where a tool has another surface or another material.
    """

    def __init__(self, onChange, onMove):
        VTKObservationMixin.__init__(self)
        self._onChange, self._onMove = onChange, onMove
        self._models, self._tools = set(), set()
        scene = slicer.mrmlScene
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndBatchProcessEvent):
            self.addObserver(scene, event, self.onScene)
        self._follow()
        self._list, self._place = _listed(), toolsFingerprint()

    def close(self):
        """Hear of nothing more."""
        self.removeObservers()
        self._models, self._tools = set(), set()

    def onScene(self, caller, event):
        """Nodes have come or gone; while many do, only the end counts."""
        if not caller.IsBatchProcessing():
            self._tell()

    def onModel(self, caller, event):
        """Something about a model has changed, perhaps an attribute."""
        if isTool(caller) or caller in self._tools:
            self._tell()

    def onPlace(self, caller, event):
        """A tool has been moved, or has another surface."""
        self._tell()

    def _tell(self):
        self._follow()
        now, place = _listed(), toolsFingerprint()
        listChanged, placeChanged = now != self._list, place != self._place
        self._list, self._place = now, place
        if listChanged:
            self._onChange()
        if placeChanged:
            self._onMove()

    def _follow(self):
        models, tools = set(slicer.util.getNodesByClass("vtkMRMLModelNode")), set(toolNodes())
        self._observe(self._models, models, ((vtk.vtkCommand.ModifiedEvent, self.onModel),))
        events = (
            slicer.vtkMRMLTransformableNode.TransformModifiedEvent,
            slicer.vtkMRMLModelNode.PolyDataModifiedEvent,
            slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent,
        )
        self._observe(self._tools, tools, [(event, self.onPlace) for event in events])
        self._models, self._tools = models, tools

    def _observe(self, before, after, observations):
        for event, method in observations:
            for node in before - after:
                self.removeObserver(node, event, method)
            for node in after - before:
                self.addObserver(node, event, method)


def _listed():
    """What the panel shows of the tools."""
    return tuple(
        (
            node.GetID(),
            node.GetName(),
            *(node.GetAttribute(name) for name in (MATERIAL, DENSITY, IN_BEAM, SHAPE)),
            node.GetDisplayVisibility(),
            driverOf(node),
        )
        for node in toolNodes()
    )
