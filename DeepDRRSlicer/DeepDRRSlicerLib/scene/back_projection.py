"""Points and distances drawn on the X-ray image, as rays and points in space.

A point that is marked in the X-ray view lies on the detector as it stands then; where the source stood is kept with it,
so that its ray stays where it is while the C-arm moves on, and follows when the point is dragged. Points of the same
label in different views are the same thing: where their rays pass each other nearest, a point is put into the scene.
A distance is stated in the plane through the isocentre, which is smaller than on the detector by the magnification.
"""

import json
from collections import defaultdict

import numpy as np
import slicer
import slicer.util
import vtk

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.triangulation import nearest_to_rays
from DeepDRRSlicerLib.scene.nodes import ensureNode, findNode, removeNode
from DeepDRRSlicerLib.scene.ray_lines import POINTS, SEEN_FROM, rays, seenFrom, updateRayLines
from DeepDRRSlicerLib.scene.shapes import polyData
from DeepDRRSlicerLib.scene.xray_image import shownImage

_RULER, _RAYS, _TARGETS = "rays.ruler", "rays.lines", "rays.targets"
_FIDUCIAL, _LINE, _MODEL = "vtkMRMLMarkupsFiducialNode", "vtkMRMLMarkupsLineNode", "vtkMRMLModelNode"
_OFF_PLANE = 1.0  # mm from the detector, beyond which a point was not marked on the image
_SAME_SOURCE = 1e-3  # mm
_COLOR, _TARGET_COLOR = (0.3, 0.85, 1.0), (1.0, 0.45, 0.85)


class BackProjection:
    """Follows the points and the ruler of the scene. onChanged() is called when there is something new to say."""

    def __init__(self, onChanged):
        self._onChanged = onChanged
        self._parameters = None
        self._observed = {}  # role -> (node, tags)
        self._working = False
        self.refused = ""

    def setParameters(self, parameters):
        """Serve another parameter node, or none. What was drawn stays in the scene."""
        self._parameters = parameters
        for role in list(self._observed):
            self._observe(role, None)
        if parameters is not None:
            self._observe(POINTS, findNode(POINTS, _FIDUCIAL))
            self._observe(_RULER, findNode(_RULER, _LINE))

    def placePoint(self):
        """Let the user mark a point on the image."""
        node = ensureNode(POINTS, _FIDUCIAL, "X-ray points")
        if node.GetDisplayNode() is None:
            node.CreateDefaultDisplayNodes()
            node.GetDisplayNode().SetSelectedColor(*_COLOR)
        node.SetControlPointLabelFormat("%d")
        self._place(POINTS, node)

    def placeRuler(self):
        """Let the user draw a distance on the image; it takes the place of the last one."""
        node = ensureNode(_RULER, _LINE, "X-ray distance")
        if node.GetDisplayNode() is None:
            node.CreateDefaultDisplayNodes()
            node.GetDisplayNode().SetSelectedColor(*_COLOR)
            # The length on the detector, which Slicer would write there, is not that of anything in the patient.
            node.GetDisplayNode().SetPropertiesLabelVisibility(False)
            node.GetDisplayNode().SetPointLabelsVisibility(True)
        node.RemoveAllControlPoints()
        self._place(_RULER, node)

    def clear(self):
        """Take points, rays and distance away."""
        for role, className in ((POINTS, _FIDUCIAL), (_RULER, _LINE), (_RAYS, _MODEL), (_TARGETS, _FIDUCIAL)):
            self._observe(role, None)
            node = findNode(role, className)
            if node is not None:
                removeNode(node)
        self.refused = ""
        self._drawLines()
        self._onChanged()

    def _drawLines(self):
        shown = shownImage()
        if shown is not None:
            updateRayLines(shown[1])

    def _place(self, role, node):
        self.refused = ""
        self._observe(role, node)
        selection = slicer.app.applicationLogic().GetSelectionNode()
        selection.SetReferenceActivePlaceNodeClassName(node.GetClassName())
        selection.SetActivePlaceNodeID(node.GetID())
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        interaction.SetPlaceModePersistence(0)
        interaction.SetCurrentInteractionMode(interaction.Place)

    def _observe(self, role, node):
        known, tags = self._observed.pop(role, (None, ()))
        for tag in tags:
            known.RemoveObserver(tag)
        if node is not None:
            events = (node.PointPositionDefinedEvent, node.PointModifiedEvent, node.PointRemovedEvent)
            self._observed[role] = node, [node.AddObserver(event, self._onPoints) for event in events]

    def _onPoints(self, node, event):
        if self._working or self._parameters is None:
            return
        self._working = True  # labels and removals of this make the same events
        try:
            if not self._keepViews(node):
                self.refused = "Mark it in the X-ray view, on the image."
            updateRays()
            labelRuler()
            self._drawLines()
        finally:
            self._working = False
        self._onChanged()

    def _keepViews(self, node):
        """Keep where the source stands with each point that is new; False if one was not on the image and is gone."""
        shown = shownImage()
        ids = [node.GetNthControlPointID(index) for index in range(node.GetNumberOfControlPoints())]
        known, allOnImage = {key: view for key, view in seenFrom(node).items() if key in ids}, True
        for index in reversed(range(node.GetNumberOfControlPoints())):
            if node.GetNthControlPointPositionStatus(index) != node.PositionDefined:
                continue
            pointID = node.GetNthControlPointID(index)
            if pointID in known:
                continue
            place = np.array(node.GetNthControlPointPositionWorld(index))
            if shown is None or abs((place - shown[1].detector_center) @ shown[1].normal) > _OFF_PLANE:
                node.RemoveNthControlPoint(index)
                allOnImage = False
                continue
            beam, parameters = shown[1], self._parameters
            isocenter = (parameters.isocenterR, parameters.isocenterA, parameters.isocenterS)
            known[pointID] = {
                "source": beam.source.tolist(),
                "sid": beam.sid,
                "depth": float((np.array(isocenter) - beam.source) @ beam.normal),
            }
            if node.IsA(_FIDUCIAL):
                node.SetNthControlPointLabel(index, _nextLabel(node, known, pointID))
        node.SetAttribute(SEEN_FROM, json.dumps(known))
        return allOnImage


def updateRays():
    """Draw a ray from the source to every point, and put a point where those of one label meet."""
    marked = rays()
    if not marked:
        for role, className in ((_RAYS, _MODEL), (_TARGETS, _FIDUCIAL)):
            node = findNode(role, className)
            if node is not None:
                removeNode(node)
        return
    node = ensureNode(_RAYS, _MODEL, "X-ray rays")
    ends = np.array([end for _label, source, point in marked for end in (source, point)])
    node.SetAndObservePolyData(polyData(ends, lines=[(2 * n, 2 * n + 1) for n in range(len(marked))]))
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetColor(*_COLOR)
        display.SetLineWidth(3)
        display.SetLighting(False)
        display.SetVisibility2D(False)
    _showTargets(meetings(marked))


def meetings(marked):
    """{label: (point (3,), largest distance from a ray in mm)} of what was marked from two places or more."""
    views = defaultdict(list)
    for label, source, point in marked:
        views[label].append((source, point))
    found = {}
    for label, lines in views.items():
        try:
            point, distances = nearest_to_rays(*zip(*lines, strict=True))
        except InputError:  # a single view, or two from one place
            continue
        found[label] = point, float(distances.max())
    return found


def distanceAtIsocenter():
    """(mm in the plane through the isocentre, mm on the detector, magnification) of the ruler, or None."""
    node = findNode(_RULER, _LINE)
    if node is None or node.GetNumberOfDefinedControlPoints() < 2:
        return None
    view = next(iter(seenFrom(node).values()), None)
    if view is None or not 0 < view["depth"]:
        return None
    first, second = (np.array(node.GetNthControlPointPositionWorld(index)) for index in (0, 1))
    onDetector = float(np.linalg.norm(first - second))
    return onDetector * view["depth"] / view["sid"], onDetector, view["sid"] / view["depth"]


def labelRuler():
    """Write the distance at the isocentre beside the ruler."""
    node, measured = findNode(_RULER, _LINE), distanceAtIsocenter()
    if node is None or measured is None:
        return
    for index, text in ((0, ""), (1, f"{measured[0]:.1f} mm")):
        if node.GetNthControlPointLabel(index) != text:
            node.SetNthControlPointLabel(index, text)


def _showTargets(found):
    if not found:
        node = findNode(_TARGETS, _FIDUCIAL)
        if node is not None:
            removeNode(node)
        return
    node = ensureNode(_TARGETS, _FIDUCIAL, "X-ray targets")
    if node.GetDisplayNode() is None:
        node.SetLocked(True)
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetSelectedColor(*_TARGET_COLOR)
    with slicer.util.NodeModify(node):
        while node.GetNumberOfControlPoints() > len(found):
            node.RemoveNthControlPoint(node.GetNumberOfControlPoints() - 1)
        for index, (label, (point, _distance)) in enumerate(sorted(found.items())):
            if index == node.GetNumberOfControlPoints():
                node.AddControlPointWorld(vtk.vtkVector3d(*point))
            node.SetNthControlPointPositionWorld(index, *(float(x) for x in point))
            node.SetNthControlPointLabel(index, label)


def _nextLabel(node, known, pointID):
    """The lowest number that no other point marked from the same place has."""
    source = np.array(known[pointID]["source"])
    used = set()
    for index in range(node.GetNumberOfControlPoints()):
        other = node.GetNthControlPointID(index)
        if other != pointID and other in known and _near(source, known[other]["source"]):
            used.add(node.GetNthControlPointLabel(index))
    number = 1
    while str(number) in used:
        number += 1
    return str(number)


def _near(source, other):
    return np.abs(source - other).max() < _SAME_SOURCE
