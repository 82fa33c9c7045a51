"""The radiograph in the scene: a one-slice scalar volume that lies on the detector, and how it is shown."""

import json

import numpy as np
import slicer
import slicer.util

from DeepDRRSlicerLib.geometry.files import beam_from_dict, beam_to_dict
from DeepDRRSlicerLib.scene.nodes import ensureNode, findNode
from DeepDRRSlicerLib.simulation.display import WINDOWS, Window

SETTINGS_HASH = "DeepDRRSlicer.SettingsHash"
QUANTITY = "DeepDRRSlicer.Quantity"
VIEW = "DeepDRRSlicer.View"
CONTRAST = "DeepDRRSlicer.Contrast"  # iodine in mg/ml that was in the vessel, 0 for none
SHUTTERS = "DeepDRRSlicer.Shutters"  # the collimation, as shutter_handles.collimationText has it
SCATTER = "DeepDRRSlicer.Scatter"  # JSON: the model, and what it says of itself
LOG_ATTENUATION = "-ln(signal / open field)"
# Voxel value outside the shutters: less than any attenuation or difference, and drawn black whatever the window. It is
# that far away so that the border is not seen to fade.
SHUT = -100.0
SHUT_BELOW = -10.0
_IMAGE = "xray.image"


def xrayNode():
    """The scene's X-ray image node, made if there is none."""
    return ensureNode(_IMAGE, "vtkMRMLScalarVolumeNode", "X-ray")


def updateXRayNode(node, array, beam, windowMin, windowMax, attributes=None, inverted=False):
    """Put an image [rows, columns] in place of the node's present one; stored as float32.

    beam: the ConeBeam that made it; it places the image in space and is kept as JSON in the attribute VIEW.
    windowMin, windowMax: values shown black and white, or white and black if inverted, whatever the image holds; what
    is SHUT is black. attributes: further node attributes, such as {SETTINGS_HASH: ..., QUANTITY: ...}.
    """
    array = np.asarray(array, dtype=np.float32)
    if array.shape != tuple(beam.size):
        raise ValueError(f"The image has the shape {array.shape}, the detector {tuple(beam.size)}.")
    with slicer.util.NodeModify(node):
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(beam.image_to_ras()))
        # Fires ImageDataModifiedEvent as well as Modified; views need the first, the user interface the second.
        slicer.util.updateVolumeFromArray(node, array[np.newaxis])
        for name, value in {VIEW: json.dumps(beam_to_dict(beam)), **(attributes or {})}.items():
            node.SetAttribute(name, value)
    setWindow(node, windowMin, windowMax, inverted)


def setWindow(node, windowMin, windowMax, inverted=False):
    """Show these values of an image black and white, or white and black."""
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    with slicer.util.NodeModify(display):
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(float(windowMin), float(windowMax))
        display.SetInterpolate(True)
        display.SetThreshold(SHUT_BELOW, 1e6)  # what is below is transparent, before the black of the view
        display.SetApplyThreshold(True)
        display.SetAndObserveColorNodeID("vtkMRMLColorTableNode" + ("InvertedGrey" if inverted else "Grey"))


def windowOf(parameters):
    """The display Window that the parameter node asks for; typed values that do not rise stand a little apart."""
    if parameters.windowName in WINDOWS:
        return WINDOWS[parameters.windowName]
    return Window(parameters.windowLow, max(parameters.windowHigh, parameters.windowLow + 0.05))


def isImageThere():
    """Whether the scene has an X-ray image."""
    node = findNode(_IMAGE, "vtkMRMLScalarVolumeNode")
    return node is not None and node.GetImageData() is not None and bool(node.GetAttribute(VIEW))


def shownImage():
    """(log attenuation [rows, columns], ConeBeam) of the X-ray image in the scene, or None."""
    node = findNode(_IMAGE, "vtkMRMLScalarVolumeNode")
    text = node.GetAttribute(VIEW) if node is not None else None
    if not text or node.GetImageData() is None:
        return None
    return arrayOf(node), beam_from_dict(json.loads(text))


def arrayOf(node):
    """The pixels of a one-slice volume, (rows, columns): the node's own memory."""
    return slicer.util.arrayFromVolume(node)[0]


def logAttenuation(radiograph):
    """-ln(signal / open field), (rows, columns) float32; SHUT outside the field."""
    return np.where(radiograph.lit, radiograph.log_attenuation, np.float32(SHUT))
