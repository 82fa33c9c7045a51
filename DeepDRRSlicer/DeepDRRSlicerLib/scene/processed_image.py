"""The picture as it is processed for display: subtraction, roadmap and edge enhancement.

The X-ray image node keeps the log attenuation as measured; what is processed lies in a node of its own, which is made
when there is something to process, and shown in its place.
"""

import numpy as np

from DeepDRRSlicerLib.scene.image_nodes import ensureImageNode, removeImageNode
from DeepDRRSlicerLib.scene.subtraction import DSA, ROADMAP, difference, isOfField, maskNode, vesselNode
from DeepDRRSlicerLib.scene.xray_image import QUANTITY, SHUT_BELOW, arrayOf, updateXRayNode, windowOf
from DeepDRRSlicerLib.simulation.contrast import on_matrix
from DeepDRRSlicerLib.simulation.display import Window
from DeepDRRSlicerLib.simulation.edge_enhancement import enhanced

_PROCESSED = "image.processed"
_VOLUME = "vtkMRMLScalarVolumeNode"
_ROADMAP_GAIN = 3.0  # of the vessels over the live picture, whose window is several times wider than theirs
_NOISE = 0.05  # log attenuation, below which the map of vessels shows noise


def processedImage(parameters, node, image, beam):
    """The node to show for an X-ray image node, its pixels and its beam: the node itself where nothing is processed."""
    window, inverted, quantity = windowOf(parameters), parameters.imageInvert, []
    if parameters.subtraction == DSA and _fits(maskNode(), beam):
        image = difference(image, arrayOf(maskNode()))
        # As on an angiography system: vessels dark on grey.
        window, inverted = subtractionWindow(parameters), not inverted
        quantity.append("less the mask")
    elif parameters.subtraction == ROADMAP and _fits(vesselNode(), beam):
        image = withRoadmap(image, arrayOf(vesselNode()), parameters.roadmapOpacity)
        quantity.append("with roadmap")
    if parameters.edgeGain > 0:
        image = _sharpened(parameters, image, beam, window)
        quantity.append(f"edges enhanced by {parameters.edgeGain:g} at {parameters.edgeRadius:g} mm")
    if not quantity:
        removeImageNode(_PROCESSED, _VOLUME)
        return node
    shown, _isNew = ensureImageNode(_PROCESSED, _VOLUME, "X-ray as displayed")
    attributes = {QUANTITY: f"{node.GetAttribute(QUANTITY)}, {', '.join(quantity)}"}
    updateXRayNode(shown, image, beam, window.low, window.high, attributes, inverted)
    return shown


def subtractionWindow(parameters):
    """The Window of a difference to the mask: iodine of the range's attenuation is black."""
    return Window(-parameters.subtractionRange / 2, parameters.subtractionRange)


def withRoadmap(image, vessels, opacity):
    """A live picture with the map of vessels over it, white; the map moves with the detector."""
    over = np.clip(on_matrix(vessels, image.shape) - _NOISE, 0, None) * np.float32(opacity * _ROADMAP_GAIN)
    return np.where(image > SHUT_BELOW, image + over, image)


def _fits(node, beam):
    return node is not None and isOfField(node, beam)


def _sharpened(parameters, image, beam, window):
    """Limited to the window and as much again on either side, so that metal makes no wide halo."""
    low, high = window.low, window.high
    shown = image > SHUT_BELOW
    limited = np.clip(image, 2 * low - high, 2 * high - low)
    sharp = enhanced(limited, parameters.edgeRadius / beam.pitch[0], parameters.edgeGain, shown)
    return np.where(shown, sharp, image)
