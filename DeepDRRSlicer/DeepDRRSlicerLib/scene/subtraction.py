"""Contrast in a vessel segment, the mask, and the map of vessels for the roadmap.

The mask is a picture kept as it is; the map is the most opacified of the differences to it while contrast is given.
Both are images in the plane of the detector that move with it, as a mask on an X-ray system does: where the C-arm or
the patient has moved, they no longer match, which is seen in the picture.
"""

import json

import numpy as np
import slicer.util

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.files import beam_to_dict
from DeepDRRSlicerLib.scene.image_nodes import ensureImageNode, removeImageNode
from DeepDRRSlicerLib.scene.mrml import segmentsFromNode, worldMatrix
from DeepDRRSlicerLib.scene.nodes import findNode
from DeepDRRSlicerLib.scene.xray_image import (
    CONTRAST,
    LOG_ATTENUATION,
    QUANTITY,
    SHUT,
    SHUT_BELOW,
    VIEW,
    arrayOf,
    shownImage,
    xrayNode,
)
from DeepDRRSlicerLib.simulation.contrast import Contrast, Vessel, most_opacified, subtracted

NONE, DSA, ROADMAP = "none", "dsa", "roadmap"
MODES = (NONE, DSA, ROADMAP)
_MASK, _VESSELS = "image.mask", "image.vessels"
_VOLUME = "vtkMRMLScalarVolumeNode"
_SAME_FIELD = 0.5  # mm
_latest = {}  # the segment last asked for, so that its surface is made once: key -> Vessel


def contrastOf(parameters):
    """The Contrast that the parameter node gives to a segment, or None. Raises InputError where there is none such."""
    if not parameters.contrastGiven or parameters.contrastIodine == 0:
        return None
    node, segmentID = parameters.segmentation, parameters.contrastSegment
    if node is None:
        raise InputError("Contrast needs a vessel: choose a segmentation under Patient and its segment under Image.")
    if node.GetSegmentation().GetSegment(segmentID) is None:
        raise InputError(f"{node.GetName()} has no segment that could be given contrast; choose one under Image.")
    key = contrastFingerprint(parameters)[1:]
    if key not in _latest:
        segment = next(found for found in segmentsFromNode(node) if found.id == segmentID)
        if not segment.mask.array.any():
            raise InputError(f"The segment {segment.name} is empty; choose another one for the contrast.")
        _latest.clear()
        _latest[key] = Vessel(segment, key)
    return Contrast(_latest[key], parameters.contrastIodine)


def contrastFingerprint(parameters):
    """Equal values for the same contrast in the same vessels: for noticing that a picture is out of date."""
    if not parameters.contrastGiven:
        return None
    node, segmentID = parameters.segmentation, parameters.contrastSegment
    if node is None:
        return (parameters.contrastIodine,)
    labelmap = node.GetBinaryLabelmapInternalRepresentation(segmentID)
    try:
        place = worldMatrix(node).tobytes()
    except InputError:  # whoever asks for the contrast is told
        place = None
    drawn = labelmap.GetMTime() if labelmap is not None else node.GetSegmentation().GetMTime()
    return (parameters.contrastIodine, node.GetID(), segmentID, drawn, place)


def forgetContrast():
    """Let go of the segment last used."""
    _latest.clear()


def takeMask():
    """Keep the present picture as the mask, and begin a new map of vessels. Raises InputError for none."""
    shown = shownImage()
    if shown is None:
        raise InputError("There is no picture to be the mask; take one first.")
    _keep(_MASK, "Mask", *shown, xrayNode().GetAttribute(CONTRAST))
    removeImageNode(_VESSELS, _VOLUME)


def clearMask():
    """Forget mask and map."""
    for role in (_MASK, _VESSELS):
        removeImageNode(role, _VOLUME)


def maskNode():
    """The mask, or None."""
    return findNode(_MASK, _VOLUME)


def vesselNode():
    """The map of vessels, or None."""
    return findNode(_VESSELS, _VOLUME)


def takeIn(parameters, node, image, beam):
    """Hand over a picture that was taken: the first one without contrast is the mask, others add to the map."""
    if parameters.subtraction != DSA:
        return
    opacified = node.GetAttribute(CONTRAST) != "0"
    if maskNode() is None:
        if not opacified:
            takeMask()
        return
    mask = arrayOf(maskNode())
    if not opacified or mask.shape != image.shape or not isOfField(maskNode(), beam):
        return
    known = vesselNode()
    vessels = arrayOf(known) if known is not None and arrayOf(known).shape == image.shape else None
    _keep(_VESSELS, "Vessels", most_opacified(vessels, difference(image, mask)), beam, "0")


def difference(image, mask):
    """The image less the mask; SHUT where either of them saw nothing."""
    new = subtracted(image, mask)
    return np.where((image > SHUT_BELOW) & (np.abs(new) < -SHUT_BELOW), new, np.float32(SHUT))


def isOfField(node, beam):
    """Whether a kept image is of a field as large as the beam's."""
    kept = json.loads(node.GetAttribute(VIEW))
    sizes = [(n * p) for n, p in zip(beam.size, reversed(beam.pitch), strict=True)]
    others = [(n * p) for n, p in zip(kept["size"], reversed(kept["pitch"]), strict=True)]
    return np.abs(np.subtract(sizes, others)).max() < _SAME_FIELD


def _keep(role, name, image, beam, contrast):
    node, isNew = ensureImageNode(role, _VOLUME, name, saved=True)
    if isNew:
        node.SetAttribute(QUANTITY, LOG_ATTENUATION if role == _MASK else "difference to the mask")
    slicer.util.updateVolumeFromArray(node, np.array(image, np.float32)[np.newaxis])
    node.SetAttribute(VIEW, json.dumps(beam_to_dict(beam)))
    node.SetAttribute(CONTRAST, contrast)
