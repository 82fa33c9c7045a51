"""What the CT of the scene is made of: the choice, the segments and their materials, and whether they have changed."""

import json
from dataclasses import dataclass

import numpy as np
import slicer
import slicer.util

from DeepDRRSlicerLib.anatomy.segment_materials import UNSEGMENTED, automatic_material
from DeepDRRSlicerLib.anatomy.segmentation import segments_of_labels
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.scene.mrml import segmentsFromNode, terminologyOf, volumeFromNode, worldMatrix

AUTOMATIC, THRESHOLD, SEGMENTATION, LABEL_MAP = "automatic", "threshold", "segmentation", "label map"
MODES = (AUTOMATIC, THRESHOLD, SEGMENTATION, LABEL_MAP)
BY_HAND = "DeepDRRSlicer.Materials"  # attribute of segmentation or label map: JSON {segment ID or label: material}


@dataclass(frozen=True)
class Row:
    """A segment and its material: chosen by hand or None, and what terminology or name tell, or None."""

    id: str
    name: str
    chosen: str | None
    automatic: str | None

    @property
    def material(self):
        """What holds."""
        return self.chosen or self.automatic or UNSEGMENTED


def materialsNode(parameters):
    """The segmentation or label map whose segments are materials; None in another mode, or where none is chosen."""
    if parameters.materials == SEGMENTATION:
        return parameters.materialsSegmentation
    return parameters.materialsLabelMap if parameters.materials == LABEL_MAP else None


def rows(node):
    """The segments of a segmentation or label map, without a look at the voxels of a segmentation."""
    byHand = _byHand(node)
    if isinstance(node, slicer.vtkMRMLSegmentationNode):
        segmentation = node.GetSegmentation()
        segments = [(each, segmentation.GetSegment(each)) for each in segmentation.GetSegmentIDs()]
        named = [(each, segment.GetName(), terminologyOf(segment)) for each, segment in segments]
    else:
        named = [(str(label), name, "") for label, name in _labels(node).items()]
    return [Row(each, name, byHand.get(each), automatic_material(name, entry)) for each, name, entry in named]


def chooseMaterial(node, ids, material):
    """Name the material of segments by hand, or leave it to terminology and name again: None."""
    byHand = _byHand(node)
    for each in ids:
        byHand.pop(each, None)
        if material is not None:
            byHand[each] = material
    node.SetAttribute(BY_HAND, json.dumps(byHand, sort_keys=True))


def segmentsAndMaterials(node):
    """(Segments that are not empty, the material of each, whether it was chosen by hand), a copy of the node's voxels.

    Raises InputError where there is nothing, or it is no label map.
    """
    if isinstance(node, slicer.vtkMRMLSegmentationNode):
        segments = segmentsFromNode(node)
    else:
        volume = volumeFromNode(node)
        copied = Volume(volume.array.copy(), volume.ijk_to_ras)
        segments = segments_of_labels(copied, _labels(node), node.GetName())
    segments = [segment for segment in segments if segment.mask.array.any()]
    if not segments:
        raise InputError(f"{node.GetName()} holds no voxel of any segment; draw or import one, or choose another.")
    known = {row.id: row for row in rows(node)}
    found = [known[segment.id] for segment in segments]
    return segments, [row.material for row in found], [row.chosen is not None for row in found]


def materialsOfJob(parameters):
    """(Segments that are materials, {ID: material} of those that a job could not tell by itself), or None."""
    node = materialsNode(parameters)
    if node is None:
        return None
    known = {row.id: row for row in rows(node)}
    segments = segmentsAndMaterials(node)[0]
    named = {each.id: known[each.id] for each in segments}
    return segments, {each: row.material for each, row in named.items() if row.chosen or row.automatic is None}


def materialsFingerprint(parameters):
    """Equal values for the same choice of the same segments; does not raise."""
    node = materialsNode(parameters)
    return parameters.materials, parameters.keepCouch, None if node is None else nodeFingerprint(node)


def nodeFingerprint(node):
    """Equal values for the same segments in the same place with the same materials; does not raise."""
    try:
        place = worldMatrix(node).tobytes()
    except InputError:  # whoever asks for the segments is told
        place = None
    if isinstance(node, slicer.vtkMRMLSegmentationNode):
        segmentation = node.GetSegmentation()
        drawn = []
        for each in segmentation.GetSegmentIDs():
            labelmap = node.GetBinaryLabelmapInternalRepresentation(each)
            segment = segmentation.GetSegment(each)
            drawn.append((each, segment.GetName(), terminologyOf(segment), labelmap and labelmap.GetMTime()))
        content = tuple(drawn)
    else:
        image = node.GetImageData()
        content = image.GetMTime() if image is not None else None
    return node.GetID(), place, content, node.GetAttribute(BY_HAND)


def _byHand(node):
    try:
        found = json.loads(node.GetAttribute(BY_HAND) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _labels(node):
    """{label: name} of the labels of a label map, by its colour table."""
    image = node.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None:
        return {}
    present = sorted({int(label) for label in np.unique(slicer.util.arrayFromVolume(node))} - {0})
    return {label: name or f"label {label}" for label, name in _names(node, present).items()}


def _names(node, labels):
    """{label: name} in the colour table of a label map; without one, or one of mere numbers, names are empty."""
    display = node.GetDisplayNode()
    table = display.GetColorNode() if display is not None else None
    names = {label: table.GetColorName(label) or "" if table is not None else "" for label in labels}
    return {label: "" if name == str(label) or name.lower() in ("(none)", "invalid") else name
            for label, name in names.items()}  # fmt: skip
