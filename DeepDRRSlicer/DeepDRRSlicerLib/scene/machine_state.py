"""What every joint and the table stand at for the choices of the parameter node, and the way back.

The view of the patient is what the parameters keep (geometry/room.py). A value of primary_angle that is not the one
nearest to 0 for its view, as past half a turn, is kept with the joints that the view leaves open.
"""

import json
from dataclasses import dataclass

import numpy as np
import slicer.util

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.device import Device, load_device
from DeepDRRSlicerLib.geometry.positioning import stand_joints
from DeepDRRSlicerLib.geometry.room import View, machine_values, patient_view
from DeepDRRSlicerLib.geometry.table import Lying, lie_down
from DeepDRRSlicerLib.scene.body import Body, bodyOf

_LYING_NOWHERE = np.array([[-150.0, -120.0, -300.0], [150.0, 120.0, 300.0]])  # mm from the isocentre, without a body
_NEAR = "primary_angle"
_SAME = 1e-6  # degrees


@dataclass(frozen=True, eq=False)
class Machine:
    """device; lying: the patient on its table; body: of the CT; values: of joints and table (geometry/motion.py)."""

    device: Device
    lying: Lying
    body: Body
    isocenter: tuple[float, float, float]
    values: dict[str, float]


def machineOf(parameters):
    """The Machine that the parameter node stands for. Raises InputError for a device or CT that cannot be used."""
    device = load_device(parameters.device)
    body = bodyOf(parameters.ct)
    isocenter = isocenterOf(parameters)
    lying = _lying(device, body, isocenter, parameters.patientPosition)
    others = openJoints(parameters, device) | {"table_tilt": parameters.tableTilt}
    view = View(parameters.primaryAngle, parameters.secondaryAngle, isocenter, parameters.sid)
    values = machine_values(device, lying, view, others, near=others.get(_NEAR, 0.0))
    return Machine(device, lying, body, isocenter, values)


def writeValues(parameters, machine, values):
    """Put the parameters to what joints and table at `values` show of the patient; returns whether anything changed."""
    view = patient_view(machine.device, machine.lying, machine.values | values, machine.isocenter)
    others = {joint.name: values.get(joint.name, 0.0) for joint in stand_joints(machine.device.joints)}
    tilt = values.get("table_tilt", 0.0)
    usual = machine_values(machine.device, machine.lying, view, others | {"table_tilt": tilt})[_NEAR]
    if abs(usual - values[_NEAR]) > _SAME:
        others[_NEAR] = values[_NEAR]
    wanted = {
        "primaryAngle": _tidy(view.primary_angle),
        "secondaryAngle": _tidy(view.secondary_angle),
        "isocenterR": _tidy(view.isocenter[0]),
        "isocenterA": _tidy(view.isocenter[1]),
        "isocenterS": _tidy(view.isocenter[2]),
        "sid": _tidy(view.sid),
        "tableTilt": _tidy(tilt),
        "standJoints": json.dumps({name: _tidy(value) for name, value in others.items() if value}),
    }
    if wanted["standJoints"] == "{}":
        wanted["standJoints"] = ""
    changed = {name: value for name, value in wanted.items() if getattr(parameters, name) != value}
    with slicer.util.NodeModify(parameters):
        for name, value in changed.items():
            setattr(parameters, name, value)
    return bool(changed)


def isocenterOf(parameters):
    """(R, A, S) in mm."""
    return parameters.isocenterR, parameters.isocenterA, parameters.isocenterS


def setIsocenter(parameters, point):
    """Put the isocentre to a point in RAS mm, to a tenth of a millimetre."""
    with slicer.util.NodeModify(parameters):
        for name, value in zip(("isocenterR", "isocenterA", "isocenterS"), point, strict=True):
            setattr(parameters, name, round(float(value), 1) + 0.0)


def openJoints(parameters, device):
    """Values of the device's joints that the view leaves open, by name. Raises InputError for unreadable ones."""
    try:
        found = json.loads(parameters.standJoints or "{}")
        values = {str(name): float(value) for name, value in found.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError("The scene's stand joints cannot be read; choose the device again.") from error
    known = {joint.name for joint in stand_joints(device.joints)} | {_NEAR}
    return {name: value for name, value in values.items() if name in known}


def _lying(device, body, isocenter, position):
    if device.table is None:
        return Lying(position, tuple(isocenter))
    if not len(body.points):
        return lie_down(device.table, isocenter + _LYING_NOWHERE, position)
    known = body.lying.get(position)  # asked for several times during each movement
    if known is None or known[0] != device.table:
        known = body.lying[position] = device.table, lie_down(device.table, body.points, position)
    return known[1]


def _tidy(value):
    """To a hundred-thousandth, so that a view that comes back from the joints is the one that was chosen."""
    return round(float(value), 5) + 0.0
