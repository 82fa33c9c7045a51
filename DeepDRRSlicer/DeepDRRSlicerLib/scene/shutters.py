"""Shutters, iris and magnification of the parameter node, as the engine takes them.

The parameters keep what was asked for, so that a smaller magnification field forgets nothing; what is beyond the field
of the detector is open.
"""

import json
from dataclasses import asdict

import slicer.util

from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.physics.collimation import Collimation
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.physics.grid import load_grid
from DeepDRRSlicerLib.scene.real_xray import givenPose

OPEN = 1000.0  # mm: beyond every detector
LEAST_FIELD = 10.0  # mm at the detector between two opposite shutters
FULL = "full"
SIDES = ("left", "right", "top", "bottom")
PARAMETERS = {side: f"shutter{side.capitalize()}" for side in SIDES}
_OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}


def fieldOf(parameters, device):
    """((rows, columns), pitch in mm) of the image: the magnification field, read out with the binning chosen.

    Without a binning of one's own a field has that of the detector's file. A field that the detector does not have,
    as after another device was chosen, is the full one.
    """
    detector = load_detector(device.detector)
    names = [field.name for field in detector.all_fields]
    field = parameters.magnificationField if parameters.magnificationField in names else FULL
    return detector.pixel_grid(field, parameters.binning or None)


def halfField(parameters):
    """(half the width, half the height) of the image in mm at the detector."""
    device = load_device(parameters.device)
    given = givenPose(parameters, device)
    if given is not None:
        return given.size[1] * given.pitch[0] / 2, given.size[0] * given.pitch[1] / 2
    (rows, columns), pitch = fieldOf(parameters, device)
    return columns * pitch / 2, rows * pitch / 2


def shutterEdges(parameters):
    """{side: mm from the middle of the image}: where the shutters stand, at most at the border of the field."""
    return _edges(parameters, halfField(parameters))


def _edges(parameters, field):
    edges = {}
    for before, after, half in (("left", "right", field[0]), ("top", "bottom", field[1])):
        first = min(max(getattr(parameters, PARAMETERS[before]), LEAST_FIELD - half), half)
        second = min(max(getattr(parameters, PARAMETERS[after]), LEAST_FIELD - first), half)
        edges[before], edges[after] = first, second
    return edges


def irisRadius(parameters):
    """mm at the detector, or None where the iris is open as far as the corners of the field or farther."""
    return _iris(parameters, halfField(parameters))


def _iris(parameters, field):
    return None if parameters.iris**2 >= field[0] ** 2 + field[1] ** 2 else max(parameters.iris, LEAST_FIELD / 2)


def collimationOf(parameters):
    """The Collimation, or None where nothing is closed. Shutters never meet: LEAST_FIELD stays open."""
    field = halfWidth, halfHeight = halfField(parameters)
    edges, iris = _edges(parameters, field), _iris(parameters, field)
    if iris is None and edges == {"left": halfWidth, "right": halfWidth, "top": halfHeight, "bottom": halfHeight}:
        return None
    return Collimation(**edges, iris=iris)


def moveShutter(parameters, side, distance):
    """Put a shutter, or the "iris", mm from the middle of the image; at the border of the field it is open.

    Opposite shutters keep LEAST_FIELD between them.
    """
    halfWidth, halfHeight = halfField(parameters)
    if side == "iris":
        corner = (halfWidth**2 + halfHeight**2) ** 0.5
        parameters.iris = OPEN if distance >= corner else max(float(distance), LEAST_FIELD / 2)
        return
    half = halfWidth if side in ("left", "right") else halfHeight
    least = LEAST_FIELD - shutterEdges(parameters)[_OPPOSITE[side]]
    setattr(parameters, PARAMETERS[side], OPEN if distance >= half else max(float(distance), least))


def resetShutters(parameters):
    """Open them all."""
    with slicer.util.NodeModify(parameters):
        for name in (*PARAMETERS.values(), "iris"):
            setattr(parameters, name, OPEN)


def gridOf(parameters):
    """The anti-scatter Grid chosen, or None for the device's own."""
    return load_grid(parameters.gridName) if parameters.gridName else None


def shutterState(parameters):
    """Text that tells one collimation from another: that of the next picture."""
    collimation = collimationOf(parameters)
    return collimationText(collimation and asdict(collimation))


def collimationText(fields):
    """The same, of a Collimation as plain data, as a radiograph's metadata have it; None is open."""
    if fields is None:
        return "open"
    values = [fields[name] for name in (*SIDES, "iris")]
    return json.dumps([value if value is None else round(value, 3) for value in values])
