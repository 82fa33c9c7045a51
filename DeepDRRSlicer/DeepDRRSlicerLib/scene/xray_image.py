"""The radiograph in the scene: a one-slice scalar volume that lies on the detector."""

import json

import numpy as np
import slicer
import slicer.util

from DeepDRRSlicerLib.geometry.files import beam_to_dict
from DeepDRRSlicerLib.scene.nodes import ensureNode

SETTINGS_HASH = "DeepDRRSlicer.SettingsHash"
QUANTITY = "DeepDRRSlicer.Quantity"
VIEW = "DeepDRRSlicer.View"
_IMAGE = "xray.image"


def xrayNode():
    """The scene's X-ray image node, made if there is none."""
    return ensureNode(_IMAGE, "vtkMRMLScalarVolumeNode", "X-ray")


def updateXRayNode(node, array, beam, windowMin, windowMax, attributes=None):
    """Put an image [rows, columns] in place of the node's present one; stored as float32.

    beam: the ConeBeam that made it; it places the image in space and is kept as JSON in the attribute VIEW.
    windowMin, windowMax: values shown black and white, whatever the image holds. attributes: further node attributes,
    such as {SETTINGS_HASH: ..., QUANTITY: ...}.
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
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    with slicer.util.NodeModify(display):
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(float(windowMin), float(windowMax))
        display.SetInterpolate(True)
        display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
