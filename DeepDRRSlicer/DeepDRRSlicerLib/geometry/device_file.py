"""Reading a device's description (geometry/device.py) strictly, and what must hold in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.geometry.carm import detector_axes
from DeepDRRSlicerLib.geometry.exposure_modes import ExposureMode
from DeepDRRSlicerLib.geometry.joints import VIEW_JOINTS, Joint
from DeepDRRSlicerLib.geometry.json_values import (
    build,
    direction,
    direction_of,
    limits,
    list_of,
    number,
    positive,
    text,
    text_or_none,
    vector,
)
from DeepDRRSlicerLib.geometry.machine import Device, Range, joint_frames
from DeepDRRSlicerLib.geometry.parts import check_parts, read_part
from DeepDRRSlicerLib.geometry.positioning import stand_joints
from DeepDRRSlicerLib.geometry.table import TABLE_AXES
from DeepDRRSlicerLib.geometry.table_file import check_table, read_table

FORMAT = "DeepDRRSlicer device 1"


def parse(data: dict, path: Path) -> Device:
    """The device of a description. Raises ValueError with a clause that names the fault and its place."""
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError(f'its "format" must be "{FORMAT}"')
    device = build("", Device, _DEVICE, {key: value for key, value in data.items() if key != "format"})
    _check(device)
    return replace(device, folder=path.parent if isinstance(path, Path) else None)


def _range(where: str, value) -> Range:
    found = build(where, Range, {"default": positive, "limits": limits}, value)
    if not 0 < found.limits[0] <= found.default <= found.limits[1]:
        raise ValueError(f"the default of {where} must lie within its limits, and both above 0")
    return found


def _filtration(where: str, value) -> dict[str, float]:
    if not isinstance(value, dict) or any(number(f"{where}.{metal}", mm) < 0 for metal, mm in value.items()):
        raise ValueError(f"{where} must be an object of metals and their mm, 0 or more")
    return {metal: float(mm) for metal, mm in value.items()}


def _modes(where: str, value) -> tuple[ExposureMode, ...]:
    if not isinstance(value, dict) or not all(
        isinstance(entry, dict) and "name" not in entry for entry in value.values()
    ):
        raise ValueError(f"{where} must be an object of modes by name, each an object")
    return tuple(build(f"{where}.{name}", ExposureMode, _MODE, entry | {"name": name}) for name, entry in value.items())


_JOINT = {
    "name": text, "type": text, "axis": direction, "limits": limits, "speed": positive,
    "parent": text_or_none, "origin": vector,
}  # fmt: skip
_MODE = {
    "name": text,
    "detector_kerma": positive,
    "curve": list_of(list_of(positive, 3)),
    "shortest_pulse": positive,
    "lowest_current": positive,
    "pulse_rates": list_of(positive),
    "pulse_rate": positive,
    "added_filtration": _filtration,
    "kerma_rate_limit": positive,
}
_DEVICE = {
    "name": text,
    "detector": text,
    "source_isocenter_distance": positive,
    "source_image_distance": _range,
    "joints": list_of(lambda where, value: build(where, Joint, _JOINT, value)),
    "tube_voltage": _range,
    "tube_load": _range,
    "filtration": _filtration,
    "parts": list_of(read_part),
    "anode_angle": positive,
    "anode_direction": direction_of(2),
    "focal_spot": positive,
    "collimator_distance": positive,
    "generator_power": positive,
    "exposure_modes": _modes,
    "grid": text,
    "isocenter_height": positive,
    "table": read_table,
    "source": text,
}


def _check(device: Device) -> None:
    known: set[str] = set()
    for joint in device.joints:
        if joint.type not in ("rotation", "translation"):
            raise ValueError(f"joint {joint.name} must be a rotation or a translation, not {joint.type!r}")
        if not joint.limits[0] <= 0 <= joint.limits[1] and joint.name != "sid":
            raise ValueError(f"the limits of joint {joint.name} must include 0")
        if joint.parent is not None and joint.parent not in known:
            raise ValueError(f"the parent {joint.parent!r} of joint {joint.name} must stand before it")
        if joint.name in known:
            raise ValueError(f"joint {joint.name} is there twice")
        known.add(joint.name)
    if taken := known & set(TABLE_AXES):
        raise ValueError(f"a joint must not be called {', '.join(sorted(taken))}, which is the table's")
    missing = set(VIEW_JOINTS) - known
    if missing:
        raise ValueError(f"the joints {', '.join(sorted(missing))} are missing")
    check_parts(device.parts, {None, *known})
    if not device.source_isocenter_distance < device.source_image_distance.limits[0]:
        raise ValueError("the isocentre must lie between source and detector at every source-image distance")
    if device.joint("sid").limits != device.source_image_distance.limits:
        raise ValueError("the joint sid and source_image_distance must have the same limits")
    _check_tube(device)
    _check_motion(device)
    for joint in stand_joints(device.joints):
        if joint.type != "rotation" or np.linalg.norm(np.cross(joint.origin, joint.axis)) > 1e-3:
            raise ValueError(
                f"joint {joint.name} carries primary_angle, so it must turn about a line through the isocentre"
            )
    if device.table is not None:
        check_table(device.table)


def _check_tube(device: Device) -> None:
    if not device.collimator_distance < device.source_isocenter_distance:
        raise ValueError("the collimator must stand between source and isocentre")
    (lowest, highest), (least, most) = device.tube_voltage.limits, device.tube_load.limits
    for mode in device.exposure_modes:
        first, last = mode.curve[0][0], mode.curve[-1][0]
        if not lowest <= first <= last <= highest or np.ceil(first) > last:
            raise ValueError(f"the curve of exposure mode {mode.name} must lie within the limits of tube_voltage")
        if not least <= mode.least_load <= mode.at(last)[1] <= most:
            raise ValueError(f"the mAs of exposure mode {mode.name} must lie within the limits of tube_load")
        voltages = np.linspace(first, last, 101)
        if device.generator_power is not None and any(
            voltage * mode.at(voltage)[0] > device.generator_power * 1000 for voltage in voltages
        ):
            raise ValueError(f"the curve of exposure mode {mode.name} needs more than the generator_power")


def _check_motion(device: Device) -> None:
    """ValueError unless the joints of the view move source and detector as the angles of a pose say."""
    values = dict(zip(VIEW_JOINTS, (30.0, 20.0, 1000.0), strict=True))
    frames = joint_frames(device, values)
    e_c, e_r, d = detector_axes(values["primary_angle"], values["secondary_angle"])
    gantry, detector = np.eye(4), np.eye(4)
    gantry[:3, :3] = detector[:3, :3] = np.column_stack([-e_c, d, -e_r])
    detector[:3, 3] = values["sid"] * d
    if not np.allclose(frames["secondary_angle"], gantry, atol=1e-3) or not np.allclose(
        frames["sid"], detector, atol=1e-3
    ):
        raise ValueError(
            "with every other joint at 0, primary_angle must turn about (0, 0, 1), secondary_angle with it about "
            "(1, 0, 0), both through the isocentre, and sid must move with them along (0, 1, 0)"
        )
