"""Landmarks and outlines of segments over the X-ray image, where the beam projects them."""

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from DeepDRRSlicerLib.anatomy.surface import SegmentSurface
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.scene.image_nodes import ensureImageNode, onPlane, removeImageNode, setPoints, xrayViewIDs
from DeepDRRSlicerLib.scene.mrml import landmarksFromNode, segmentsFromNode, worldMatrix
from DeepDRRSlicerLib.scene.nodes import findNode
from DeepDRRSlicerLib.scene.shapes import polyData
from DeepDRRSlicerLib.simulation.worker import LatestWorker

_LANDMARKS, _OUTLINES = "image.landmarks", "image.outline."
_FIDUCIAL, _MODEL = "vtkMRMLMarkupsFiducialNode", "vtkMRMLModelNode"
_COLOR = (0.35, 1.0, 0.55)
_PIXELS = 256  # along the longer side of the silhouettes
_PATIENCE = 3.0  # s


def planePoints(beam, points):
    """(n, 2) mm on the image plane of RAS points (n, 3); NaN behind the source."""
    pixels = beam.project(points) - (np.array(beam.size[::-1]) - 1) / 2
    return pixels * beam.pitch


def updateLandmarks(parameters, beam):
    """Draw the landmarks of the section Patient where they are projected to, or take them away."""
    chosen = parameters.landmarks
    if not parameters.overlayLandmarks or chosen is None:
        removeImageNode(_LANDMARKS, _FIDUCIAL)
        return
    landmarks = landmarksFromNode(chosen)
    node, isNew = ensureImageNode(_LANDMARKS, _FIDUCIAL, "Projected landmarks")
    if isNew:
        node.SetLocked(True)
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetVisibility3D(False)
        display.SetTextScale(3.0)
        display.SetGlyphScale(2.5)
        display.SetGlyphType(display.CrossDot2D)
        display.SetSelectedColor(*_COLOR)
        display.SetActiveColor(*_COLOR)
        onPlane(node)
    node.GetDisplayNode().SetViewNodeIDs(xrayViewIDs())
    places = planePoints(beam, [landmark.position_ras for landmark in landmarks]) if landmarks else np.empty((0, 2))
    half = np.array(beam.size[::-1]) * beam.pitch / 2
    inside = [bool((np.abs(place) <= half).all()) for place in places]
    setPoints(
        node,
        [place for place, seen in zip(places, inside, strict=True) if seen],
        [landmark.name for landmark, seen in zip(landmarks, inside, strict=True) if seen],
    )


class SegmentOutlines:
    """Outlines of the visible segments, found in a thread of its own so that the picture does not wait for them."""

    def __init__(self):
        self._worker = None
        self._surfaces = None, []  # what they are of, and the surfaces, made by the worker
        self.pending = False

    def request(self, parameters, beam):
        """Have the outlines made for a beam, or take them away. Raises InputError for what cannot be read."""
        node = parameters.segmentation
        if not parameters.overlaySegments or node is None:
            self.clear()
            return
        fingerprint = _fingerprint(node)
        if fingerprint != self._surfaces[0]:
            self._surfaces = fingerprint, segmentsFromNode(node, visibleOnly=True)
        if self._worker is None:
            self._worker = LatestWorker(_work, "DeepDRRSlicer outlines")
        self._worker.submit((self._surfaces[1], beam), interrupt=False)
        self.pending = True

    def collect(self):
        """Draw what is ready; returns whether more is to come. Raises InputError."""
        outcome = self._worker.collect() if self._worker is not None else None
        if outcome is None:
            return self.pending
        if outcome.newest:
            self.pending = False
        if outcome.error is not None:
            self.pending = False
            raise outcome.error
        _draw(outcome.result)
        return self.pending

    def clear(self):
        """Take the outlines away."""
        if self._worker is not None:
            self._worker.cancel()
        self.pending = False
        _removeOutlines()

    def close(self):
        """End the thread, and let go of the segments."""
        if self._worker is not None:
            self._worker.close(_PATIENCE)
        self._worker, self._surfaces, self.pending = None, (None, []), False


def silhouette(surface, beam):
    """[(n, 2)] closed outlines, mm on the image plane, of the shadow of a surface."""
    from DeepDRRSlicerLib.projection.thickness import surface_thickness

    step = max(1, -(-max(beam.size) // _PIXELS))
    coarse = beam.thinned(step)
    thickness = surface_thickness(surface, coarse)
    level = max(surface.least_thickness, 0.05)
    padded = np.pad(np.minimum(thickness, 2 * level), 1)
    image = vtk.vtkImageData()
    image.SetDimensions(padded.shape[1], padded.shape[0], 1)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(padded).ravel(), deep=True))
    contour = vtk.vtkFlyingEdges2D()
    contour.SetInputData(image)
    contour.SetValue(0, level)
    strips = vtk.vtkStripper()
    strips.SetInputConnection(contour.GetOutputPort())
    strips.JoinContiguousSegmentsOn()
    strips.Update()
    found = strips.GetOutput()
    if found.GetNumberOfPoints() == 0:
        return []
    pixels = vtk_to_numpy(found.GetPoints().GetData())[:, :2] - 1  # without the border that was added
    places = (pixels * step - (np.array(beam.size[::-1]) - 1) / 2) * beam.pitch
    cells, ids = [], vtk.vtkIdList()
    lines = found.GetLines()
    lines.InitTraversal()
    while lines.GetNextCell(ids):
        cells.append(places[[ids.GetId(i) for i in range(ids.GetNumberOfIds())]])
    return cells


def _fingerprint(node):
    segmentation, display = node.GetSegmentation(), node.GetDisplayNode()
    ids = segmentation.GetSegmentIDs()
    visible = [display is None or display.GetSegmentVisibility(each) for each in ids]
    labelmaps = (node.GetBinaryLabelmapInternalRepresentation(each) for each in ids)
    drawn = [labelmap.GetMTime() if labelmap is not None else 0 for labelmap in labelmaps]
    try:
        place = worldMatrix(node).tobytes()
    except InputError:
        place = None
    return node.GetID(), ids, tuple(visible), tuple(drawn), place


def _work(job, shouldStop):
    segments, beam = job
    found = []
    for number, segment in enumerate(segments):
        if shouldStop():
            return []
        if not isinstance(segment, SegmentSurface):
            segments[number] = segment = SegmentSurface.from_segment(segment)  # once: the list is the caller's
        found.append((segment.color, silhouette(segment, beam)))
    return found


def _draw(outlines):
    """outlines: [(color, [(n, 2) mm])]; a model for each, for a slice view shows one colour of lines per model."""
    for number, (color, lines) in enumerate(outlines):
        node, isNew = ensureImageNode(f"{_OUTLINES}{number}", _MODEL, "Outline of a segment")
        firsts = np.cumsum([0, *(len(line) for line in lines)])
        cells = [range(first, end) for first, end in zip(firsts[:-1], firsts[1:], strict=True)]
        points = np.concatenate([*lines, np.empty((0, 2))])
        node.SetAndObservePolyData(polyData(np.column_stack([points, np.zeros(len(points))]), lines=cells))
        if isNew:
            showLines(node, color)
        node.GetDisplayNode().SetColor(*color)
        node.GetDisplayNode().SetViewNodeIDs(xrayViewIDs())
    _removeOutlines(len(outlines))


def _removeOutlines(first=0):
    """Remove the models of outlines from a number on."""
    while findNode(f"{_OUTLINES}{first}", _MODEL) is not None:
        removeImageNode(f"{_OUTLINES}{first}", _MODEL)
        first += 1


def showLines(node, color, width=2):
    """Show a model of lines on the image plane in the X-ray views alone."""
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetVisibility3D(False)
    display.SetVisibility2D(True)
    display.SetSliceDisplayModeToProjection()
    display.SetSliceIntersectionThickness(width)
    display.SetColor(*color)
    onPlane(node)
