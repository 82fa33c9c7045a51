"""Segmentations and landmarks exchanged with Slicer's own storage nodes, from the slicer-core wheel."""

import numpy as np
import pytest
from test_anatomy_segmentation import BEAM, shadows, voxels

from DeepDRRSlicerLib.anatomy.landmarks import Landmark, read_landmarks
from DeepDRRSlicerLib.anatomy.seg_nrrd import write_seg_nrrd
from DeepDRRSlicerLib.anatomy.segmentation import read_segmentation

slicer = pytest.importorskip("slicer")
vtk = pytest.importorskip("vtk")
if not hasattr(slicer, "vtkMRMLSegmentationNode"):
    pytest.skip("slicer-core is not installed", allow_module_level=True)

REPRESENTATION = "Binary labelmap"


@pytest.fixture
def scene():
    import slicer.util  # the host looks for it as a part of slicer

    scene = slicer.vtkMRMLScene()
    for name in ("SegmentationNode", "SegmentationStorageNode", "SegmentationDisplayNode"):
        scene.RegisterNodeClass(getattr(slicer, f"vtkMRML{name}")())
    for name in ("MarkupsFiducialNode", "MarkupsFiducialStorageNode", "MarkupsJsonStorageNode"):
        scene.RegisterNodeClass(getattr(slicer, f"vtkMRML{name}")())
    yield scene
    scene.Clear(1)


def slicer_voxels(node, name):
    """Sorted RAS of a segment's voxels as Slicer understands the file, and the segment."""
    from vtk.util.numpy_support import vtk_to_numpy

    segmentation = node.GetSegmentation()
    segment = segmentation.GetSegment(segmentation.GetSegmentIdBySegmentName(name))
    image = segment.GetRepresentation(REPRESENTATION)
    extent = image.GetExtent()
    shape = [extent[2 * a + 1] - extent[2 * a] + 1 for a in (2, 1, 0)]
    if min(shape) <= 0:
        return np.zeros((0, 3)), segment
    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape)
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    to_ras = np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])
    k, j, i = np.nonzero(array == segment.GetLabelValue())
    index = np.column_stack([i + extent[0], j + extent[2], k + extent[4], np.ones(len(i))])
    places = np.round((index @ to_ras.T)[:, :3], 5) + 0.0
    return places[np.lexsort(places.T)], segment


@pytest.mark.parametrize("count", [1, 2, 9])
def test_slicer_reads_our_masks_where_they_are(scene, tmp_path, count):
    masks = shadows(count + 1, seed=2)[:-1]
    names = [f"Rippe {n} \\ ü" for n in range(count)]
    colors = [(1.0, 0.5, n / 16) for n in range(count)]
    path = tmp_path / "masks.seg.nrrd"
    write_seg_nrrd(path, names, masks, BEAM.image_to_ras(), colors)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = scene.CreateNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(path))
    assert storage.ReadData(node) == 1
    assert node.GetSegmentation().GetNumberOfSegments() == count
    for name, mask, color in zip(names, masks, colors, strict=True):
        row, column = np.nonzero(mask)
        expected = np.round(BEAM.pixel_to_ras(column, row), 5) + 0.0
        places, segment = slicer_voxels(node, name)
        np.testing.assert_allclose(places, expected[np.lexsort(expected.T)], atol=2e-5)
        np.testing.assert_allclose(segment.GetColor(), color, atol=1e-5)


def test_slicer_reads_an_empty_mask_among_others(scene, tmp_path):
    path = tmp_path / "masks.seg.nrrd"
    write_seg_nrrd(path, ["full", "empty"], np.stack([np.ones((4, 5)), np.zeros((4, 5))]), np.eye(4))
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = scene.CreateNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(path))
    assert storage.ReadData(node) == 1
    assert len(slicer_voxels(node, "full")[0]) == 20 and len(slicer_voxels(node, "empty")[0]) == 0


def add_segment(node, name, matrix, low, high, shape=(10, 15, 20)):
    from vtk.util.numpy_support import vtk_to_numpy

    image = slicer.vtkOrientedImageData()
    image.SetDimensions(*shape[::-1])
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape)
    array[:] = 0
    array[low[2] : high[2], low[1] : high[1], low[0] : high[0]] = 1
    to_ras = vtk.vtkMatrix4x4()
    to_ras.DeepCopy(np.asarray(matrix, float).ravel().tolist())
    image.SetImageToWorldMatrix(to_ras)
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetColor(1.0, 0.5, 0.25)
    segment.SetTag("TerminologyEntry", f"General~SCT^1^{name}")
    segment.AddRepresentation(REPRESENTATION, image)
    node.GetSegmentation().AddSegment(segment)


@pytest.mark.parametrize("overlapping", [False, True])
def test_we_read_slicers_segments_where_they_are(scene, tmp_path, overlapping):
    matrix = np.array([[0, -2, 0, 5], [1.5, 0, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1.0]])
    boxes = {"liver": ((1, 1, 1), (8, 8, 8)), "Gefäß": ((10, 5, 5), (12, 12, 9)), "rib": ((14, 1, 1), (18, 3, 3))}
    if overlapping:
        boxes["vessel"] = ((5, 5, 5), (15, 9, 9))
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.GetSegmentation().SetSourceRepresentationName(REPRESENTATION)
    for name, (low, high) in boxes.items():
        add_segment(node, name, matrix, low, high)
    storage = scene.CreateNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(tmp_path / "s.seg.nrrd"))
    assert storage.WriteData(node) == 1
    segments = {s.name: s for s in read_segmentation(tmp_path / "s.seg.nrrd")}
    assert list(segments) == list(boxes)
    for name, (low, high) in boxes.items():
        segment = segments[name]
        assert segment.mask.size == tuple(np.subtract(high, low))
        assert segment.color == (1.0, 0.5, 0.25) and segment.id and segment.terminology == f"General~SCT^1^{name}"
        expected, _ = slicer_voxels(node, name)
        np.testing.assert_allclose(voxels(segment.mask), expected, atol=2e-5)


@pytest.mark.parametrize("kind", ["Fiducial", "Json"])
@pytest.mark.parametrize("system", ["RAS", "LPS"])
def test_we_read_slicers_points(scene, tmp_path, kind, system):
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    node.AddControlPoint(1, 2, 3, 'a, "b" ü')
    node.AddControlPoint(4, 5, 6, "never placed")
    node.UnsetNthControlPointPosition(1)
    node.AddControlPoint(7, 8, 9, "missing")
    node.SetNthControlPointPositionMissing(2)
    node.AddControlPoint(-10, -11.5, 12, "c")
    storage = scene.CreateNodeByClass(f"vtkMRMLMarkups{kind}StorageNode")
    storage.SetCoordinateSystem({"RAS": 0, "LPS": 1}[system])
    path = tmp_path / ("p.fcsv" if kind == "Fiducial" else "p.mrk.json")
    storage.SetFileName(str(path))
    assert storage.WriteData(node) == 1
    assert system in path.read_text()
    assert read_landmarks(path) == [Landmark('a, "b" ü', (1, 2, 3)), Landmark("c", (-10, -11.5, 12))]
