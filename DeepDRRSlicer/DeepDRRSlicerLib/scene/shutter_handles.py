"""Shutters and iris on the image: lines where they stand, and points to drag them by.

The lines show where the next picture will be cut off, also without X-rays ("virtual collimation"): they are drawn while
the handles are shown, and when the shutters have been moved since the last picture.
"""

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.scene.image_nodes import ensureImageNode, onPlane, removeImageNode, setPoints, xrayViewIDs
from DeepDRRSlicerLib.scene.overlays import showLines
from DeepDRRSlicerLib.scene.shapes import polyData
from DeepDRRSlicerLib.scene.shutters import (
    SIDES,
    halfField,
    irisRadius,
    moveShutter,
    shutterEdges,
    shutterState,
)
from DeepDRRSlicerLib.scene.xray_image import SHUTTERS, isImageThere, xrayNode

_HANDLES, _LINES = "image.shutterHandles", "image.shutterLines"
_FIDUCIAL, _MODEL = "vtkMRMLMarkupsFiducialNode", "vtkMRMLModelNode"
_COLOR = (1.0, 0.62, 0.1)
_CIRCLE = np.linspace(0, 2 * np.pi, 97)[:-1]
_DIAGONAL = np.sqrt(0.5)
_INSIDE = 0.97  # of the field, where a handle of what is open stands


class ShutterHandles:
    """Follows the parameter node, and writes to it what is dragged."""

    def __init__(self):
        self._parameters = None
        self._observed = None, None  # node, tag
        self._placing = False

    def setParameters(self, parameters):
        """Serve another parameter node, or none, which takes handles and lines away."""
        self._parameters = parameters
        if parameters is None:
            self._observe(None)
            for role, className in ((_HANDLES, _FIDUCIAL), (_LINES, _MODEL)):
                removeImageNode(role, className)
        else:
            self.update()

    def update(self):
        """Bring handles and lines to where the shutters stand."""
        parameters = self._parameters
        try:
            wanted = shutterState(parameters)
            edges, iris, half = shutterEdges(parameters), irisRadius(parameters), halfField(parameters)
        except InputError:  # a device or detector that cannot be read: the section "X-ray" says so
            return
        shown = isImageThere()
        if shown and parameters.shutterHandles:
            self._showHandles(edges, iris, half)
        else:
            self._observe(None)
            removeImageNode(_HANDLES, _FIDUCIAL)
        if shown and (parameters.shutterHandles or wanted != xrayNode().GetAttribute(SHUTTERS)):
            _showLines(edges, iris, half)
        else:
            removeImageNode(_LINES, _MODEL)

    def _showHandles(self, edges, iris, half):
        node, isNew = ensureImageNode(_HANDLES, _FIDUCIAL, "Shutters")
        if isNew:
            node.CreateDefaultDisplayNodes()
            display = node.GetDisplayNode()
            display.SetVisibility3D(False)
            display.SetPointLabelsVisibility(False)
            display.SetGlyphScale(2.5)
            display.SetGlyphType(display.Diamond2D)
            display.SetSelectedColor(*_COLOR)
            display.SetActiveColor(1.0, 1.0, 0.4)
            onPlane(node)
        node.GetDisplayNode().SetViewNodeIDs(xrayViewIDs())
        if not self._placing:
            self._placing = True
            try:
                setPoints(node, handlePlaces(edges, iris, half), [*SIDES, "iris"])
            finally:
                self._placing = False
        self._observe(node)

    def _observe(self, node):
        known, tag = self._observed
        if node is known:
            return
        if known is not None:
            known.RemoveObserver(tag)
        tag = node.AddObserver(node.PointModifiedEvent, self._onDragged) if node is not None else None
        self._observed = node, tag

    def _onDragged(self, node, event):
        """A handle has been moved: take over its distance, and put it back on its line."""
        if self._placing or self._parameters is None:
            return
        parameters = self._parameters
        edges, iris, half = shutterEdges(parameters), irisRadius(parameters), halfField(parameters)
        before = handlePlaces(edges, iris, half)
        for side, (x, y), old in zip([*SIDES, "iris"], _places(node), before, strict=True):
            if np.hypot(x - old[0], y - old[1]) > 1e-3:
                distance = {"left": -x, "right": x, "top": -y, "bottom": y, "iris": np.hypot(x, y)}[side]
                limit = np.hypot(*half) if side == "iris" else half[0] if side in ("left", "right") else half[1]
                moveShutter(parameters, side, np.inf if distance > _INSIDE * limit else distance)
        self.update()


def handlePlaces(edges, iris, half):
    """[(x, y)] mm on the image plane of the handles of SIDES and of the iris; of what is open just within the field."""
    x = [-min(edges["left"], _INSIDE * half[0]), min(edges["right"], _INSIDE * half[0])]
    y = [-min(edges["top"], _INSIDE * half[1]), min(edges["bottom"], _INSIDE * half[1])]
    middle = (x[0] + x[1]) / 2, (y[0] + y[1]) / 2
    corner = _INSIDE * np.hypot(*half)
    radius = min(iris or corner, corner)
    # Towards the lower right corner, so that an open iris has its handle in the image whatever its shape.
    way = np.array(half) / np.hypot(*half) if radius > _DIAGONAL * min(half) else np.full(2, _DIAGONAL)
    return [(x[0], middle[1]), (x[1], middle[1]), (middle[0], y[0]), (middle[0], y[1]), tuple(radius * way)]


def _places(node):
    points = (node.GetNthControlPointPosition(i) for i in range(node.GetNumberOfControlPoints()))
    return [point[:2] for point in points]


def _showLines(edges, iris, half):
    corners = [(-edges["left"], -edges["top"]), (edges["right"], -edges["top"]),
               (edges["right"], edges["bottom"]), (-edges["left"], edges["bottom"])]  # fmt: skip
    cells = [(0, 1, 2, 3, 0)]
    if iris is not None:
        corners += [*zip(iris * np.cos(_CIRCLE), iris * np.sin(_CIRCLE), strict=True)]
        cells.append((*range(4, len(corners)), 4))
    node, isNew = ensureImageNode(_LINES, _MODEL, "Shutter lines")
    node.SetAndObservePolyData(polyData(np.column_stack([corners, np.zeros(len(corners))]), lines=cells))
    if isNew:
        showLines(node, _COLOR)
    node.GetDisplayNode().SetViewNodeIDs(xrayViewIDs())
