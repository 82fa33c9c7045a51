"""The newest radiograph as a person sees it: window, subtraction, orientation, and what is drawn over it."""

import json

from DeepDRRSlicerLib.scene.image_nodes import setPlane
from DeepDRRSlicerLib.scene.image_orientation import displayTurn, updateMarkers
from DeepDRRSlicerLib.scene.overlays import updateLandmarks
from DeepDRRSlicerLib.scene.processed_image import processedImage
from DeepDRRSlicerLib.scene.ray_lines import updateRayLines
from DeepDRRSlicerLib.scene.real_xray import followBeam
from DeepDRRSlicerLib.scene.shutters import collimationText
from DeepDRRSlicerLib.scene.subtraction import takeIn
from DeepDRRSlicerLib.scene.xray_image import (
    CONTRAST,
    LOG_ATTENUATION,
    QUANTITY,
    SCATTER,
    SETTINGS_HASH,
    SHUTTERS,
    logAttenuation,
    setWindow,
    shownImage,
    updateXRayNode,
    windowOf,
    xrayNode,
)
from DeepDRRSlicerLib.scene.xray_view import showInXRayView


def showRadiograph(parameters, radiograph, exposed=True):
    """Put a radiograph into the scene's X-ray image and show it as the parameter node says. Returns the image node.

    exposed: whether it is a picture that was taken, which may be a mask or add to the roadmap, or a preview.
    """
    node, image, window = xrayNode(), logAttenuation(radiograph), windowOf(parameters)
    medium = radiograph.metadata.get("contrast")
    attributes = {
        SETTINGS_HASH: radiograph.settings_hash,
        QUANTITY: LOG_ATTENUATION,
        CONTRAST: f"{medium['iodine_mg_per_ml']:g}" if medium else "0",
        SHUTTERS: collimationText(radiograph.metadata["collimation_mm"]),
        SCATTER: json.dumps(radiograph.metadata["scatter"]),
    }
    updateXRayNode(node, image, radiograph.beam, window.low, window.high, attributes, parameters.imageInvert)
    if parameters.xray is not node:
        parameters.xray = node
    if exposed:
        takeIn(parameters, node, image, radiograph.beam)
    _show(parameters, node, image, radiograph.beam)
    return node


def refreshPicture(parameters):
    """Show the present image anew, after a choice of how it is shown has changed."""
    shown = shownImage()
    if shown is None:
        return
    node, window = xrayNode(), windowOf(parameters)
    setWindow(node, window.low, window.high, parameters.imageInvert)
    _show(parameters, node, *shown)


def _show(parameters, node, image, beam):
    setPlane(beam)
    updateMarkers(beam, parameters.imageMarkers)
    updateLandmarks(parameters, beam)
    updateRayLines(beam)
    followBeam(parameters, beam)
    showInXRayView(processedImage(parameters, node, image, beam), beam, *displayTurn(parameters))
