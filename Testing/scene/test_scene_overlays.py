"""Landmarks and outlines over the image, against where the beam projects them."""

import time

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from image_scene import ISOCENTER, Choices, beamOf, radiograph

from DeepDRRSlicerLib.anatomy.surface import SegmentSurface
from DeepDRRSlicerLib.scene.nodes import findNode
from DeepDRRSlicerLib.scene.overlays import SegmentOutlines, planePoints, silhouette
from DeepDRRSlicerLib.scene.picture import refreshPicture, showRadiograph
from DeepDRRSlicerLib.scene.xray_layout import installLayout
from host.views import OffscreenSliceView

RADIUS = 22.0


@pytest.fixture
def xray(scene):
    installLayout()
    view = OffscreenSliceView("XRay", (360, 360))
    yield view
    view.close()


@pytest.fixture
def outlines():
    made = SegmentOutlines()
    yield made
    made.close()


def show(parameters, **changes):
    for name, value in changes.items():
        setattr(parameters, name, value)
    beam = beamOf(parameters)
    showRadiograph(parameters, radiograph(beam, np.full(beam.size, 1.4)))
    return beam


def test_landmarks_lie_where_the_beam_projects_them(scene, xray):
    chosen = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "F")
    points = ISOCENTER + np.array([(0, 0, 0), (30, 10, -20), (-500, 0, 0)])
    for number, point in enumerate(points):
        chosen.AddControlPointWorld(vtk.vtkVector3d(*point), f"P{number}")
    parameters = Choices(landmarks=chosen, overlayLandmarks=True)
    for primary in (0.0, 40.0):
        beam = show(parameters, primaryAngle=primary)
        node = findNode("image.landmarks", "vtkMRMLMarkupsFiducialNode")
        places = slicer.util.arrayFromMarkupsControlPoints(node, world=True)
        expected = [beam.pixel_to_ras(*beam.project(point)[0]) for point in points[:2]]
        np.testing.assert_allclose(places, expected, atol=1e-6)  # the third one is beside the field
        assert [node.GetNthControlPointLabel(i) for i in range(2)] == ["P0", "P1"]
        assert (np.abs(xray.render().astype(int)[:, :, 1] - xray.render().astype(int)[:, :, 0]) > 60).any()  # green
    parameters.overlayLandmarks = False
    refreshPicture(parameters)
    assert findNode("image.landmarks", "vtkMRMLMarkupsFiducialNode") is None


def ball(center, radius=RADIUS, step=64):
    source = vtk.vtkSphereSource()
    source.SetCenter(*center)
    source.SetRadius(radius)
    source.SetThetaResolution(step)
    source.SetPhiResolution(step)
    source.Update()
    data = source.GetOutput()
    vertices = vtk.util.numpy_support.vtk_to_numpy(data.GetPoints().GetData())
    faces = vtk.util.numpy_support.vtk_to_numpy(data.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    return SegmentSurface.from_mesh("ball", (1, 0, 0), vertices, faces)


@pytest.mark.parametrize("angles", [(0.0, 0.0), (35.0, -20.0)])
def test_the_outline_of_a_ball_is_that_of_its_shadow(angles):
    """The cone about a ball on the central ray cuts the detector in a circle of R = SID tan(asin(r / SOD))."""
    parameters = Choices(primaryAngle=angles[0], secondaryAngle=angles[1])
    beam = beamOf(parameters)
    lines = silhouette(ball(ISOCENTER), beam)
    assert len(lines) == 1
    radii = np.linalg.norm(lines[0], axis=1)
    expected = 1000 * np.tan(np.arcsin(RADIUS / 600))
    coarse = 2 * beam.pitch[0]
    assert abs(radii.mean() - expected) < 0.5 * coarse and np.abs(radii - expected).max() < coarse


def test_an_outline_off_the_axis_lies_about_the_projected_middle():
    beam = beamOf(Choices(primaryAngle=20.0), 3)  # an odd matrix: the coarse pixels do not share its middle
    center = ISOCENTER + (25.0, 10.0, -30.0)
    (line,) = silhouette(ball(center, 6.0), beam)
    np.testing.assert_allclose(line.mean(axis=0), planePoints(beam, [center])[0], atol=1.0)


def segmentation(scene):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "S")
    node.CreateDefaultDisplayNodes()
    for number, color in enumerate(((1.0, 0.2, 0.2), (0.2, 0.4, 1.0))):
        image = slicer.vtkOrientedImageData()
        image.SetDimensions(20, 20, 20)
        image.SetSpacing(2, 2, 2)
        image.SetOrigin(*(ISOCENTER + (-60 + 70 * number, -20, -20)))
        image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
        vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())[:] = 1
        node.AddSegmentFromBinaryLabelmapRepresentation(image, f"S{number}", color)
    return node


def finish(outlines):
    end = time.monotonic() + 60
    while outlines.collect():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_outlines_follow_the_pose_in_the_segments_colours(scene, xray, outlines):
    node = segmentation(scene)
    parameters = Choices(segmentation=node, overlaySegments=True, imageMarkers=False)
    centers = []
    for primary in (0.0, 50.0):
        beam = show(parameters, primaryAngle=primary)
        outlines.request(parameters, beam)
        finish(outlines)
        points = slicer.util.arrayFromModelPoints(findNode("image.outline.0", "vtkMRMLModelNode"))
        centers.append(points.mean(axis=0))
        picture = xray.render().astype(int)
        red = (picture[..., 0] - picture[..., 2] > 90).sum()
        blue = (picture[..., 2] - picture[..., 0] > 90).sum()
        assert red > 100 and blue > 100
    assert np.linalg.norm(centers[1] - centers[0]) > 5
    node.GetDisplayNode().SetSegmentVisibility(node.GetSegmentation().GetSegmentIDs()[0], False)
    outlines.request(parameters, beam)
    finish(outlines)
    picture = xray.render().astype(int)
    assert (picture[..., 0] - picture[..., 2] > 90).sum() == 0
    assert findNode("image.outline.1", "vtkMRMLModelNode") is None
    parameters.overlaySegments = False
    outlines.request(parameters, beam)
    assert findNode("image.outline.0", "vtkMRMLModelNode") is None and not outlines.pending


def test_the_thread_ends(scene, outlines):
    import threading

    before = threading.active_count()
    parameters = Choices(segmentation=segmentation(scene), overlaySegments=True)
    outlines.request(parameters, show(parameters))
    assert threading.active_count() == before + 1
    outlines.close()
    assert threading.active_count() == before
