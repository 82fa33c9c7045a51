"""From a view of the patient to what every joint and the table stand at, and back.

The view (patient-based angles, isocentre in RAS, SID) is what a scene keeps. The machine's values follow from it, from
how the patient lies, and from what the view leaves open: where the stand is turned to and how far the table is tilted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from DeepDRRSlicerLib.geometry.joints import VIEW_JOINTS
from DeepDRRSlicerLib.geometry.machine import Device
from DeepDRRSlicerLib.geometry.positioning import device_angles, patient_angles
from DeepDRRSlicerLib.geometry.table import Lying, isocenter_of, table_values

_HALVINGS = 40


@dataclass(frozen=True)
class View:
    """Patient-based angles in degrees, isocentre in RAS mm, source-image distance in mm."""

    primary_angle: float
    secondary_angle: float
    isocenter: tuple[float, float, float]
    sid: float


def machine_values(
    device: Device, lying: Lying, view, others: Mapping[str, float] | None = None, near: float = 0.0
) -> dict[str, float]:
    """The value of every joint and, for a device with a table, of its axes (geometry/motion.py), limits aside.

    view: a View or a CArmPose. others: what the view leaves open, 0 where missing: the stand's joints and table_tilt.
    near: where primary_angle stands, so that of two ways to the same view the nearer one is taken.
    """
    others = dict(others or {})
    tilt = others.get("table_tilt", 0.0)
    angles = device_angles(view.primary_angle, view.secondary_angle, device.joints, lying.position, tilt, others, near)
    values = {joint.name: float(others.get(joint.name, 0.0)) for joint in device.joints}
    values |= dict(zip(VIEW_JOINTS, (*angles, float(view.sid)), strict=True))
    if device.table is not None:
        values |= table_values(device.table, lying, view.isocenter, tilt, device.isocenter_height)
    return values


def patient_view(device: Device, lying: Lying, values: Mapping[str, float], isocenter=None) -> View:
    """The view that the machine has at `values`: the inverse of machine_values.

    isocenter: RAS mm, for a device without a table, whose values do not say it.
    """
    tilt = values.get("table_tilt", 0.0)
    primary, secondary = patient_angles(values, device.joints, lying.position, tilt)
    if device.table is not None:
        isocenter = isocenter_of(device.table, lying, values, device.isocenter_height)
    r, a, s = (float(x) for x in isocenter)
    return View(primary, secondary, (r, a, s), float(values["sid"]))


def tilted(device: Device, lying: Lying, values: Mapping[str, float], table_tilt: float) -> dict[str, float]:
    """The values with the table tilted about the isocentre, as far as its tilt and its height allow.

    The machine stands still, so the patient-based angles change (patient_view tells); the isocentre stays where it is
    in the patient.
    """
    table = device.table
    if table is None:
        raise ValueError(f"{device.name} has no table that could be tilted")
    (low, high), (lowest, highest) = table.tilt.limits, table.height.limits
    isocenter = isocenter_of(table, lying, values, device.isocenter_height)

    def at(tilt: float) -> dict[str, float]:
        return dict(values) | table_values(table, lying, isocenter, tilt, device.isocenter_height)

    here, wanted = values["table_tilt"], min(max(table_tilt, low), high)
    allowed = [min(lowest, values["table_height"]), max(highest, values["table_height"])]
    if allowed[0] <= at(wanted)["table_height"] <= allowed[1]:
        return at(wanted)
    for _ in range(_HALVINGS):  # the height changes steadily with the tilt
        middle = (here + wanted) / 2
        inside = allowed[0] <= at(middle)["table_height"] <= allowed[1]
        here, wanted = (middle, wanted) if inside else (here, middle)
    return at(here)
