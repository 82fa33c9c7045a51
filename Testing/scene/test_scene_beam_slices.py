"""The lit field in 3D and in the slices, and the laser cross on the skin, against closed forms."""

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from room_parameters import RoomParameters, waterPatient
from vtk.util.numpy_support import vtk_to_numpy

from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.physics.collimation import Collimation
from DeepDRRSlicerLib.scene.beam import fieldOutline
from DeepDRRSlicerLib.scene.beam_in_slices import updateBeamInSlices
from DeepDRRSlicerLib.scene.body import NOBODY, bodyOf
from DeepDRRSlicerLib.scene.laser import laserLines, skinHits
from DeepDRRSlicerLib.scene.nodes import findNode
from DeepDRRSlicerLib.scene.room import moveRoom
from host.views import OffscreenSliceView

BEAM = CArmPose(0.0, 0.0, (0.0, 0.0, 0.0), 1000.0, 600.0, (300, 400), (1.0, 1.0)).beam()


def onDetector(points):
    """(n, 2) mm along a row and down a column from the middle of the image."""
    return np.column_stack([(points - BEAM.detector_center) @ BEAM.e_c, (points - BEAM.detector_center) @ BEAM.e_r])


def area(corners):
    x, y = corners.T
    return 0.5 * abs(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def test_the_outline_is_the_image_the_shutters_or_the_iris():
    np.testing.assert_allclose(
        onDetector(fieldOutline(BEAM)), [(-200, -150), (200, -150), (200, 150), (-200, 150)], atol=1e-9
    )
    shut = onDetector(fieldOutline(BEAM, Collimation(left=50, right=80, top=30, bottom=-10)))
    np.testing.assert_allclose(shut, [(-50, -30), (80, -30), (80, -10), (-50, -10)], atol=1e-9)
    wide = onDetector(fieldOutline(BEAM, Collimation(500, 500, 500, 500)))
    np.testing.assert_allclose(wide, onDetector(fieldOutline(BEAM)), atol=1e-9)
    round_ = onDetector(fieldOutline(BEAM, Collimation(200, 200, 150, 150, iris=100)))
    np.testing.assert_allclose(np.linalg.norm(round_, axis=1), 100, atol=1e-9)
    assert area(round_) == pytest.approx(np.pi * 100**2, rel=0.005)


def test_iris_and_shutters_cut_each_other():
    """A circle of 100 mm cut by a chord at 40 mm on one side: area of the circle less its segment."""
    cut = onDetector(fieldOutline(BEAM, Collimation(200, 40, 150, 150, iris=100)))
    segment = 100**2 * np.arccos(0.4) - 40 * np.sqrt(100**2 - 40**2)
    assert area(cut) == pytest.approx(np.pi * 100**2 - segment, rel=0.005)
    assert cut[:, 0].max() == pytest.approx(40)


def cutBySlice(view):
    """(n, 3) RAS mm: where the displayed model is cut by the slice, as Slicer draws it."""
    node = findNode("beam.slices.field", "vtkMRMLModelNode")
    plane = vtk.vtkPlane()
    matrix = slicer.util.arrayFromVTKMatrix(view.view_node.GetSliceToRAS())
    plane.SetOrigin(*matrix[:3, 3])
    plane.SetNormal(*matrix[:3, 2])
    cutter = vtk.vtkCutter()
    cutter.SetInputData(node.GetPolyData())
    cutter.SetCutFunction(plane)
    cutter.Update()
    return vtk_to_numpy(cutter.GetOutput().GetPoints().GetData())


def slice_(name, orientation, offset):
    view = OffscreenSliceView(name, (400, 400))
    view.view_node.SetOrientation(orientation)
    view.view_node.SetSliceOffset(offset)
    view.view_node.SetFieldOfView(400, 400, 1)
    return view


def amber(view):
    """Pixels of the outline's colour, (n, 2) as RAS offsets along the screen in mm (the view has 1 mm per pixel)."""
    picture = view.render().astype(int)
    rows, columns = np.nonzero((picture[..., 0] > 200) & (abs(picture[..., 1] - 204) < 40) & (picture[..., 2] < 110))
    return np.column_stack([columns - 199.5, 199.5 - rows])


def test_a_coronal_slice_shows_the_field_at_its_magnification(scene):
    view, xray = slice_("Red", "Coronal", 0.0), slice_("XRay", "Coronal", 0.0)
    updateBeamInSlices(BEAM, None, True)
    try:
        corners = cutBySlice(view)
        # Through the isocentre the field is smaller by source-isocentre over source-image distance.
        np.testing.assert_allclose(np.abs(corners[:, 0]).max(), 200 * 0.6, atol=1e-3)
        np.testing.assert_allclose(np.abs(corners[:, 2]).max(), 150 * 0.6, atol=1e-3)
        drawn = amber(view)
        assert len(drawn) > 300
        np.testing.assert_allclose(np.abs(drawn).max(axis=0), [120, 90], atol=2.5)
        assert len(amber(xray)) == 0  # it is the detector itself
        updateBeamInSlices(BEAM, Collimation(60, 60, 60, 60), True)
        np.testing.assert_allclose(np.abs(amber(view)).max(axis=0), [36, 36], atol=2.5)
        updateBeamInSlices(BEAM, None, False)
        assert len(amber(view)) == 0
    finally:
        view.close()
        xray.close()


def test_the_outline_is_not_drawn_in_3d(scene):
    updateBeamInSlices(BEAM, None, True)
    assert not findNode("beam.slices.field", "vtkMRMLModelNode").GetDisplayNode().GetVisibility3D()


def test_laser_lines_lie_on_the_skin_of_a_cylinder(scene):
    body = bodyOf(waterPatient((150, 100, 120), voxel=3.0))
    points, lines = laserLines(BEAM, body)
    assert len(lines) == 2 and len(points) > 100
    off = np.hypot(points[:, 0] / 150, points[:, 1] / 100) - 1
    radius = np.linalg.norm(points[:, :2], axis=1)
    # 1.5 mm in front of the skin, which voxels of 3 mm tell between 2.1 mm within and 0.9 mm outside of it.
    distance = off * radius / (1 + off)
    assert distance.min() > 1.5 - 2.1 - 0.3 and distance.max() < 1.5 + 0.9 + 0.3
    assert (points[:, 1] > 0).all()  # on the side of the detector
    for line, axis in zip(lines, (2, 0)):
        np.testing.assert_allclose(points[list(line), axis], 0, atol=0.6)  # half a pixel at the isocentre


def test_no_laser_without_a_body_and_none_beside_it(scene):
    assert laserLines(BEAM, NOBODY)[1] == []
    body = bodyOf(waterPatient((30, 30, 30), voxel=3.0))
    starts = np.array([[0.0, 400.0, 0.0], [190.0, 400.0, 0.0]])
    hits = skinHits(starts, BEAM.source, body)
    assert hits[0, 1] == pytest.approx(30, abs=3.0) and np.isnan(hits[1]).all()


def test_the_cross_can_be_switched(scene):
    parameters = RoomParameters(ct=waterPatient(), laserCross=True)
    moveRoom(parameters)
    assert findNode("beam.laser", "vtkMRMLModelNode").GetPolyData().GetNumberOfLines() == 2
    assert findNode("beam.slices.cross", "vtkMRMLModelNode").GetDisplayNode().GetVisibility2D()
    parameters.laserCross = False
    moveRoom(parameters)
    assert findNode("beam.laser", "vtkMRMLModelNode") is None
    assert not findNode("beam.slices.cross", "vtkMRMLModelNode").GetDisplayNode().GetVisibility2D()


def test_the_body_is_computed_once_and_anew_when_the_ct_changes(scene):
    node = waterPatient((60, 60, 60))
    first = bodyOf(node)
    assert bodyOf(node) is first
    array = slicer.util.arrayFromVolume(node)
    array[: len(array) // 2] = -1000
    slicer.util.arrayFromVolumeModified(node)
    node.GetImageData().Modified()
    assert bodyOf(node) is not first and bodyOf(node).points[:, 2].min() > -10
