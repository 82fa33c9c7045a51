"""Which way up the picture is shown, and the letters that say so.

The picture is turned by the axes of the slice view, never by its voxels, so that its geometry stays true. The letters
stand on the detector, each at the side towards which that direction of the patient's body points: they turn with the
picture and cannot be wrong, however the view is turned.
"""

import json

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.geometry.dicom_pose import turned_axes
from DeepDRRSlicerLib.geometry.positioning import image_roll
from DeepDRRSlicerLib.scene.image_nodes import (
    ensureImageNode,
    onPlane,
    removeImageNode,
    setPoints,
    xrayViewIDs,
)

_MARKERS = "image.markers"
_AXES = (("R", "L"), ("A", "P"), ("S", "I"))  # directions of RAS: positive, negative
_HEAD_AND_FEET = str.maketrans("SI", "HF")  # as DICOM's Patient Orientation has them
_SECOND = np.sin(np.deg2rad(15))  # a second letter for a side that points this far towards another direction
_INSET = 0.14  # of the side of the image, so that two letters fit beside it
_BESIDE = 0.2  # of the side of the image from its middle: words about the picture are written there
_COLOR = (1.0, 0.85, 0.3)


def displayAxes(beam, turn=0.0, flip=False):
    """(right, up): RAS unit vectors along the screen of a picture turned clockwise, then flipped sideways."""
    angle = np.deg2rad(turn)
    sine, cosine = np.round([np.sin(angle), np.cos(angle)], 15)
    right = cosine * beam.e_c - sine * beam.e_r
    up = -cosine * beam.e_r - sine * beam.e_c
    return (-right if flip else right), up


def displayTurn(parameters):
    """(degrees clockwise, whether flipped) of the picture, from the parameter node.

    The patient is upright at 0, head up at AP; "as on the device" adds the roll of the detector as it is mounted, which
    depends on how the patient lies. Where the device cannot take the view it adds nothing.
    """
    turn = float(parameters.imageRotation)
    if parameters.imageAsOnDevice:
        turn += deviceRoll(parameters)
    return turn % 360.0, parameters.imageFlip


def deviceRoll(parameters):
    """Degrees clockwise by which the device itself would show the picture turned."""
    try:
        device = load_device(parameters.device)
        return image_roll(
            parameters.primaryAngle,
            parameters.secondaryAngle,
            device.joints,
            parameters.patientPosition,
            parameters.tableTilt,
            json.loads(parameters.standJoints or "{}"),
        )
    except InputError:
        return 0.0


def directionLetters(direction):
    """The patient's directions that a RAS vector points to, the strongest first: "L", "AL", "HP"."""
    vector = np.asarray(direction, float) / np.linalg.norm(direction)
    found = [(abs(part), names[0 if part > 0 else 1]) for part, names in zip(vector, _AXES, strict=True)]
    found = [entry for entry in found if entry[0] >= _SECOND]
    found.sort(key=lambda entry: -entry[0])
    return "".join(letter for _size, letter in found[:2]).translate(_HEAD_AND_FEET)


def updateMarkers(beam, shown):
    """Put the letters on the detector of a beam, or take them away."""
    if not shown:
        removeImageNode(_MARKERS, "vtkMRMLMarkupsFiducialNode")
        return
    node, isNew = ensureImageNode(_MARKERS, "vtkMRMLMarkupsFiducialNode", "Sides of the patient")
    if isNew:
        node.SetLocked(True)
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetGlyphType(display.GlyphTypeInvalid)
        display.SetTextScale(5.0)
        display.SetSelectedColor(*_COLOR)
        display.SetActiveColor(*_COLOR)
        display.SetVisibility3D(False)
        onPlane(node)
    node.GetDisplayNode().SetViewNodeIDs(xrayViewIDs())
    rows, columns = beam.size
    halfWidth, halfHeight = columns * beam.pitch[0] / 2, rows * beam.pitch[1] / 2
    x, y = (1 - 2 * _INSET) * halfWidth, (1 - 2 * _INSET) * halfHeight
    across, down = -2 * _BESIDE * halfWidth, -2 * _BESIDE * halfHeight
    sides = [((x, down), beam.e_c), ((-x, down), -beam.e_c), ((across, y), beam.e_r), ((across, -y), -beam.e_r)]
    setPoints(node, [place for place, _direction in sides], [directionLetters(way) for _place, way in sides])


def displayedSides(turn, flip):
    """{side of the picture as shown: side of the image there}; of a picture between quarter turns the nearest ones."""
    across, down = turned_axes((1.0, 0.0), (0.0, 1.0), turn, flip)
    names = {(1, 0): "right", (-1, 0): "left", (0, 1): "bottom", (0, -1): "top"}
    ways = {"right": across, "left": -across, "bottom": down, "top": -down}
    return {side: names[tuple(int(x) for x in np.round(way))] for side, way in ways.items()}
