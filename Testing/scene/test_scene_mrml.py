"""Nodes become engine data in world RAS, whatever transforms they lie under."""

import numpy as np
import pytest
import slicer
import slicer.util
import vtk

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.scene.mrml import landmarksFromNode, segmentsFromNode, volumeFromNode

OBLIQUE = np.array([[0.0, 1.9, 0.6, -20.0], [-1.5, 0.0, 0.0, 30.0], [0.0, -0.7, 2.4, 5.0], [0.0, 0.0, 0.0, 1.0]])


def rotationMatrix():
    transform = vtk.vtkTransform()
    transform.Translate(11, -7, 40)
    transform.RotateWXYZ(70, 1, 2, -0.5)
    return slicer.util.arrayFromVTKMatrix(transform.GetMatrix())


@pytest.fixture
def parent(scene):
    """Two linear transforms, one under the other; returns the lower one and the product."""
    outer = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "outer")
    inner = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "inner")
    matrix = rotationMatrix()
    slicer.util.updateTransformMatrixFromArray(outer, matrix)
    slicer.util.updateTransformMatrixFromArray(inner, np.diag([1.0, -1.0, 1.0, 1.0]))
    inner.SetAndObserveTransformNodeID(outer.GetID())
    return inner, matrix @ np.diag([1.0, -1.0, 1.0, 1.0])


@pytest.fixture
def volume(scene):
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    slicer.util.updateVolumeFromArray(node, np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(OBLIQUE))
    return node


@pytest.fixture
def warp(scene):
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "warp")
    spline = vtk.vtkThinPlateSplineTransform()
    spline.SetBasisToR()
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for point in [(0, 0, 0), (100, 0, 0), (0, 100, 0), (0, 0, 100), (50, 50, 50)]:
        source.InsertNextPoint(point)
        target.InsertNextPoint(np.array(point) + (np.array([0, 0, 20]) if point[0] == 50 else 0))
    spline.SetSourceLandmarks(source)
    spline.SetTargetLandmarks(target)
    node.SetAndObserveTransformToParent(spline)
    return node


def test_volume_shares_its_voxels_and_keeps_its_geometry(volume):
    found = volumeFromNode(volume)
    assert found.array.shape == (2, 3, 4)
    assert np.shares_memory(found.array, slicer.util.arrayFromVolume(volume))
    np.testing.assert_allclose(found.ijk_to_ras, OBLIQUE, atol=1e-12)


def test_parent_transforms_are_applied(volume, parent):
    node, matrix = parent
    volume.SetAndObserveTransformNodeID(node.GetID())
    np.testing.assert_allclose(volumeFromNode(volume).ijk_to_ras, matrix @ OBLIQUE, atol=1e-9)
    volume.HardenTransform()  # Slicer's own way to the same place
    np.testing.assert_allclose(volumeFromNode(volume).ijk_to_ras, matrix @ OBLIQUE, atol=1e-9)


def test_non_linear_parent_is_refused(volume, parent, warp):
    volume.SetAndObserveTransformNodeID(warp.GetID())
    with pytest.raises(InputError, match="harden"):
        volumeFromNode(volume)
    volume.SetAndObserveTransformNodeID(parent[0].GetID())
    slicer.util.getNode("outer").SetAndObserveTransformNodeID(warp.GetID())  # two levels up it is as bad
    with pytest.raises(InputError, match="harden"):
        volumeFromNode(volume)


def test_empty_and_vector_volumes_are_refused(scene):
    with pytest.raises(InputError, match="no voxels"):
        volumeFromNode(None)
    with pytest.raises(InputError, match="no voxels"):
        volumeFromNode(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty"))
    color = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "photo")
    slicer.util.updateVolumeFromArray(color, np.zeros((3, 4, 5, 3), np.uint8))
    with pytest.raises(InputError, match="several values"):
        volumeFromNode(color)


def makeSegmentation(scene, volume):
    """Two touching segments in one shared labelmap, on the volume's oblique grid."""
    labels = np.zeros((8, 9, 10), np.uint8)
    labels[2:5, 3:6, 1:4] = 1
    labels[5:7, 3:4, 1:9] = 2
    labelmap = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    labelmap.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(OBLIQUE))
    slicer.util.updateVolumeFromArray(labelmap, labels)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
    node.CreateDefaultDisplayNodes()
    assert slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(labelmap, node)
    for number, (name, color) in enumerate([("rib", (1, 0, 0)), ("heart", (0, 0, 1))]):
        segment = node.GetSegmentation().GetNthSegment(number)
        segment.SetName(name)
        segment.SetColor(*color)
    return node, labels


def filledPoints(mask):
    k, j, i = np.nonzero(mask.array)
    points = np.column_stack([i, j, k]) @ mask.ijk_to_ras[:3, :3].T + mask.ijk_to_ras[:3, 3]
    return points[np.lexsort(np.round(points, 3).T)]


def test_segments_lie_where_they_were_drawn(scene, volume, parent):
    node, labels = makeSegmentation(scene, volume)
    matrix = np.eye(4)
    for transform in (None, parent):
        if transform:
            node.SetAndObserveTransformNodeID(transform[0].GetID())
            matrix = transform[1]
        rib, heart = segmentsFromNode(node)
        assert (rib.name, heart.name) == ("rib", "heart") and heart.color == (0, 0, 1)
        assert rib.id == node.GetSegmentation().GetNthSegmentID(0) and rib.mask.array.shape == (3, 3, 3)
        for segment, label in ((rib, 1), (heart, 2)):
            k, j, i = np.nonzero(labels == label)
            expected = np.column_stack([i, j, k, np.ones(len(i))]) @ (matrix @ OBLIQUE).T
            expected = expected[np.lexsort(np.round(expected[:, :3], 3).T), :3]
            np.testing.assert_allclose(filledPoints(segment.mask), expected, atol=1e-3)


def test_empty_segments_are_empty_and_hidden_ones_can_be_left_out(scene, volume):
    node, _ = makeSegmentation(scene, volume)
    node.GetSegmentation().AddEmptySegment("nothing", "tumour")
    assert [(segment.name, int(segment.mask.array.sum())) for segment in segmentsFromNode(node)] == [
        ("rib", 27),
        ("heart", 16),
        ("tumour", 0),
    ]
    node.GetSegmentation().RemoveSegment("nothing")
    node.GetDisplayNode().SetSegmentVisibility(node.GetSegmentation().GetNthSegmentID(0), False)
    assert [segment.name for segment in segmentsFromNode(node, visibleOnly=True)] == ["heart"]


def test_a_warped_segmentation_is_refused(scene, volume, warp):
    node, _ = makeSegmentation(scene, volume)
    node.SetAndObserveTransformNodeID(warp.GetID())
    with pytest.raises(InputError, match="harden"):
        segmentsFromNode(node)


def test_a_surface_becomes_voxels(scene):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
    sphere = vtk.vtkSphereSource()
    sphere.SetRadius(15)
    sphere.SetCenter(10, 20, -30)
    sphere.SetThetaResolution(48)
    sphere.SetPhiResolution(48)
    sphere.Update()
    node.AddSegmentFromClosedSurfaceRepresentation(sphere.GetOutput(), "ball", (0.1, 0.2, 0.3))
    (ball,) = segmentsFromNode(node)
    volume = ball.mask.array.sum() * abs(np.linalg.det(ball.mask.ijk_to_ras[:3, :3]))
    assert volume == pytest.approx(4 / 3 * np.pi * 15**3, rel=0.05)
    np.testing.assert_allclose(filledPoints(ball.mask).mean(axis=0), (10, 20, -30), atol=0.5)


def test_landmarks_in_world_coordinates(scene, parent):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "points")
    node.AddControlPoint(vtk.vtkVector3d(1, 2, 3), "T1")
    node.AddControlPoint(vtk.vtkVector3d(4, 5, 6), "T2")
    node.AddControlPoint(vtk.vtkVector3d(7, 8, 9), "skipped")
    node.UnsetNthControlPointPosition(2)
    node.SetAndObserveTransformNodeID(parent[0].GetID())
    found = landmarksFromNode(node)
    assert [landmark.name for landmark in found] == ["T1", "T2"]
    np.testing.assert_allclose(found[1].position_ras, (parent[1] @ [4, 5, 6, 1])[:3], atol=1e-9)
