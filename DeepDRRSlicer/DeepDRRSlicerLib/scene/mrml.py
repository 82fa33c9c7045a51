"""From nodes of the scene to the engine's data, in world RAS: parent transforms are applied."""

import numpy as np
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from DeepDRRSlicerLib.anatomy.landmarks import Landmark
from DeepDRRSlicerLib.anatomy.segmentation import Segment
from DeepDRRSlicerLib.anatomy.volume import Volume, shifted_affine
from DeepDRRSlicerLib.errors import InputError


def worldMatrix(node):
    """4x4 from the node's own coordinates to world RAS; InputError when a parent transform is not linear."""
    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        raise InputError(
            f"{node.GetName()} lies under the non-linear transform {parent.GetName()}; harden the transform first."
        )
    return slicer.util.arrayFromTransformMatrix(parent, toWorld=True)


def volumeFromNode(node):
    """The scalar volume as a Volume. Its array is the node's own memory, not a copy."""
    image = node.GetImageData() if node is not None else None
    if image is None or 0 in image.GetDimensions() or image.GetPointData().GetScalars() is None:
        raise InputError("The volume holds no voxels; choose or load a CT.")
    if image.GetNumberOfScalarComponents() != 1:
        raise InputError(f"{node.GetName()} has several values per voxel; choose a CT, which has one.")
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return Volume(slicer.util.arrayFromVolume(node), worldMatrix(node) @ slicer.util.arrayFromVTKMatrix(matrix))


def segmentsFromNode(node, visibleOnly=False):
    """The segmentation as Segments, each cropped to its own box. Raises InputError like volumeFromNode."""
    matrix = worldMatrix(node)
    if not node.CreateBinaryLabelmapRepresentation():
        raise InputError(f"The segmentation {node.GetName()} cannot be turned into voxels; draw or import it again.")
    segmentation, display = node.GetSegmentation(), node.GetDisplayNode()
    segments = []
    for segmentId in segmentation.GetSegmentIDs():
        if visibleOnly and display is not None and not display.GetSegmentVisibility(segmentId):
            continue
        segment = segmentation.GetSegment(segmentId)
        labelmap = node.GetBinaryLabelmapInternalRepresentation(segmentId)
        segments.append(
            Segment(
                name=segment.GetName(),
                mask=_maskFromLabelmap(labelmap, segment.GetLabelValue(), matrix),
                color=tuple(segment.GetColor()),
                id=segmentId,
                terminology=terminologyOf(segment),
            )
        )
    return segments


def terminologyOf(segment):
    """What a vtkSegment is, as Slicer stores it."""
    terminology = vtk.reference("")
    segment.GetTag("TerminologyEntry", terminology)
    return str(terminology)


def landmarksFromNode(node):
    """Every control point that has a position, as Landmark in world RAS."""
    points = slicer.util.arrayFromMarkupsControlPoints(node, world=True)
    return [
        Landmark(node.GetNthControlPointLabel(i), tuple(float(x) for x in points[i]))
        for i in range(len(points))
        if node.GetNthControlPointPositionStatus(i) == slicer.vtkMRMLMarkupsNode.PositionDefined
    ]


def _maskFromLabelmap(labelmap, label, toWorld):
    """Voxels of one label of a vtkOrientedImageData, which segments may share; one empty voxel when there is none.

    Cropped, because a hundred masks of a whole CT would not fit into memory.
    """
    empty = Volume(np.zeros((1, 1, 1), np.uint8), toWorld)
    if labelmap is None or labelmap.IsEmpty():
        return empty
    array = vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(labelmap.GetDimensions()[::-1]) == label
    filled = [np.flatnonzero(array.any(axis=others)) for others in ((0, 1), (0, 2), (1, 2))]  # i, j, k
    if not filled[0].size:
        return empty
    low = np.array([indices[0] for indices in filled])
    window = tuple(slice(indices[0], indices[-1] + 1) for indices in reversed(filled))
    imageToWorld = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(imageToWorld)
    ijkToRas = toWorld @ slicer.util.arrayFromVTKMatrix(imageToWorld)
    # The first voxel of the array has the index of the extent's corner, which need not be (0, 0, 0).
    return Volume(array[window].astype(np.uint8), shifted_affine(ijkToRas, low + labelmap.GetExtent()[::2]))
