"""Where the isocentre can be put: on the CT, a point or a segment, or where one clicks in a slice view."""

import numpy as np
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.scene.machine_state import setIsocenter
from DeepDRRSlicerLib.scene.mrml import volumeFromNode, worldMatrix
from DeepDRRSlicerLib.scene.nodes import removeNode

CT, POINT, SEGMENT = "ct", "point", "segment"


def targets(parameters):
    """[(kind, id, name)] of what the isocentre can be put on: CT, the points of the landmarks, the segments."""
    found = [(CT, "", "CT")] if parameters.ct is not None else []
    if parameters.landmarks is not None:
        node = parameters.landmarks
        numbers = [
            number
            for number in range(node.GetNumberOfControlPoints())
            if node.GetNthControlPointPositionStatus(number) == slicer.vtkMRMLMarkupsNode.PositionDefined
        ]
        found += [(POINT, node.GetNthControlPointID(n), node.GetNthControlPointLabel(n)) for n in numbers]
    if parameters.segmentation is not None:
        segmentation = parameters.segmentation.GetSegmentation()
        found += [(SEGMENT, key, segmentation.GetSegment(key).GetName()) for key in segmentation.GetSegmentIDs()]
    return found


def centerOn(parameters, kind, key):
    """Put the isocentre on one of targets(). Raises InputError where it is not there any more or has no place."""
    setIsocenter(parameters, _placeOf(parameters, kind, key))


def _placeOf(parameters, kind, key):
    if kind == CT:
        return volumeFromNode(parameters.ct).center_ras
    if kind == POINT:
        node = parameters.landmarks
        number = node.GetNthControlPointIndexByID(key) if node is not None else -1
        if number < 0:
            raise InputError("The point is not there any more; choose another one.")
        worldMatrix(node)  # refuses a non-linear parent
        return node.GetNthControlPointPositionWorld(number)
    node = parameters.segmentation
    segment = node.GetSegmentation().GetSegment(key) if node is not None else None
    if segment is None:
        raise InputError("The segment is not there any more; choose another one.")
    center = _boxCenter(segment, node, key)
    if center is None:
        raise InputError(f"The segment {segment.GetName()} is empty; draw it first, or choose another one.")
    return (worldMatrix(node) @ [*center, 1.0])[:3]


def _boxCenter(segment, node, key):
    """The middle of the box of voxels about a segment, in the segmentation's own coordinates; None for an empty one.

    Slicer's own GetSegmentCenter goes to the next whole voxel.
    """
    labelmap = node.GetBinaryLabelmapInternalRepresentation(key) if node.CreateBinaryLabelmapRepresentation() else None
    if labelmap is None or labelmap.IsEmpty():
        return None
    array = vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(labelmap.GetDimensions()[::-1])
    filled = [np.flatnonzero((array == segment.GetLabelValue()).any(axis=axes)) for axes in ((0, 1), (0, 2), (1, 2))]
    if not filled[0].size:
        return None
    ijk = [(indices[0] + indices[-1]) / 2 + low for indices, low in zip(filled, labelmap.GetExtent()[::2])]
    matrix = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    return (slicer.util.arrayFromVTKMatrix(matrix) @ [*ijk, 1.0])[:3]


class IsocentrePicker:
    """Lets a person click in a slice view where the isocentre is to be.

    onPicked(point) is called once, with RAS mm, or None where the person has left the placing of points instead. Call
    stop() thereafter, but not at once: the view that was clicked in still uses the point.
    """

    def __init__(self, onPicked):
        self._onPicked = onPicked
        self._point = None
        self._tags = []  # (object, tag)

    @property
    def active(self):
        """Whether a click is waited for."""
        return self._point is not None

    def start(self):
        """Wait for the click."""
        self.stop()
        scene = slicer.mrmlScene
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        selection = slicer.app.applicationLogic().GetSelectionNode()
        self._point = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Isocentre")
        self._point.SetHideFromEditors(True)
        self._point.SetSaveWithScene(False)
        self._point.CreateDefaultDisplayNodes()
        self._observe(self._point, self._point.PointPositionDefinedEvent, self._onPlaced)
        selection.SetReferenceActivePlaceNodeClassName("vtkMRMLMarkupsFiducialNode")
        selection.SetActivePlaceNodeID(self._point.GetID())
        interaction.SetPlaceModePersistence(0)
        interaction.SetCurrentInteractionMode(interaction.Place)
        self._observe(interaction, interaction.InteractionModeChangedEvent, self._onMode)

    def stop(self):
        """Wait no longer; nothing is left in the scene."""
        if self._point is None:
            return
        point, self._point = self._point, None
        self._unobserve()
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        selection = slicer.app.applicationLogic().GetSelectionNode()
        if selection.GetActivePlaceNodeID() == point.GetID():
            selection.SetActivePlaceNodeID(None)
        if interaction.GetCurrentInteractionMode() == interaction.Place:
            interaction.SetCurrentInteractionMode(interaction.ViewTransform)
        if slicer.mrmlScene.GetNodeByID(point.GetID()) is point:
            removeNode(point)

    def _onPlaced(self, caller, event):
        self._unobserve()
        point = [0.0, 0.0, 0.0]
        self._point.GetNthControlPointPositionWorld(0, point)
        self._onPicked(point)

    def _onMode(self, caller, event):
        if caller.GetCurrentInteractionMode() != caller.Place:
            self._unobserve()
            self._onPicked(None)

    def _unobserve(self):
        for observed, tag in self._tags:
            observed.RemoveObserver(tag)
        self._tags = []

    def _observe(self, observed, event, callback):
        self._tags.append((observed, observed.AddObserver(event, callback)))
