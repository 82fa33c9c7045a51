"""Where to turn the stand so that a view can be had without touching patient or table.

A stand at the head end cannot reach far down the table: head and table top run into its bearing. There it is turned,
or wheeled, to the side.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from DeepDRRSlicerLib.geometry.collision import Surroundings, clearance
from DeepDRRSlicerLib.geometry.joints import VIEW_JOINTS
from DeepDRRSlicerLib.geometry.positioning import stand_joints
from DeepDRRSlicerLib.geometry.room import machine_values

_STEP = 15.0  # degrees between the places that are tried


def clear_stand(
    around: Surroundings, view, others: Mapping[str, float] | None = None, margin: float = 10.0
) -> float | None:
    """Degrees of the outermost joint of the stand, nearest to where it is, that give the view with `margin` mm spare.

    view: a View or CArmPose; others: as for machine_values, the stand's present angle included. None where there is no
    such angle, or the device has no stand that turns.
    """
    device, others = around.device, dict(others or {})
    joints = stand_joints(device.joints)
    if not joints:
        return None
    joint = joints[0]
    here = others.get(joint.name, 0.0)
    angles = {here, *np.arange(joint.limits[0], joint.limits[1] + _STEP / 2, _STEP).tolist()}
    for angle in sorted(angles, key=lambda angle: (abs(angle - here), angle)):
        values = machine_values(device, around.lying, view, others | {joint.name: angle})
        within = all(low <= values[name] <= high for name in VIEW_JOINTS for low, high in [device.joint(name).limits])
        if within:
            nearest = clearance(around, values, view.isocenter)
            if nearest is None or nearest.distance >= margin:
                return float(angle)
    return None
