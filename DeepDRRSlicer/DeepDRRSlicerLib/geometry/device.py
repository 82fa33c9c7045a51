"""C-arm description files: joints, parts, distances and what the tube and detector are called.

A file is JSON with `"format": "DeepDRRSlicer device 1"`. Its base frame has its origin at the isocentre and the
patient's RAS axes when every joint is 0. Each joint moves its frame relative to its parent's: a rotation by
`value` degrees about `axis` through `origin`, or a translation of `value` mm along `axis`. The joints named
`primary_angle`, `secondary_angle` and `sid` follow the view; further joints keep their value until moved. While these
stand at 0, the three turn and shift the detector as the angles of a pose say (geometry/carm.py).

The source stands at (0, -source_isocenter_distance, 0) of the secondary frame. Parts hung on `sid` are drawn with
the detector's entrance face at that same point, so that a translation by the source-image distance puts it in place.
A part's shape, in mm of its joint's frame (`"joint": null` is the base frame):
  {"type": "box", "center", "size"}            {"type": "cylinder", "start", "end", "radius"}
  {"type": "arc", "center", "axis", "from", "start", "stop", "radius", "width", "thickness"}
                                               start, stop: degrees about axis; axis, from: unit vectors
  {"type": "mesh", "file"}                     a file beside the JSON

The tube: `filtration` is always in the beam, in mm by material; `anode_angle` degrees; `anode_direction` the unit
vector [along a row, down a column] of the image that points towards the anode; `focal_spot` mm, side of a square;
`collimator_distance` mm from the focal spot to shutters and iris; `generator_power` kW, largest product of kV and mA;
`exposure_modes` an object of modes by name ("fluoro", "spot", "cine"), whose keys are the fields of ExposureMode.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.descriptions import read_description, shipped_names
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose, detector_axes
from DeepDRRSlicerLib.geometry.exposure_modes import ExposureMode
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

FORMAT = "DeepDRRSlicer device 1"
VIEW_JOINTS = ("primary_angle", "secondary_angle", "sid")


@dataclass(frozen=True)
class Joint:
    """axis (unit vector) and origin in the parent's frame; limits and speed in degrees or mm (per second)."""

    name: str
    type: str
    axis: tuple[float, float, float]
    limits: tuple[float, float]
    speed: float
    parent: str | None = None
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Part:
    """Something to draw: a shape in the frame of a joint (None: the base), with an RGB colour in 0-1."""

    name: str
    joint: str | None
    shape: dict
    color: tuple[float, float, float] = (0.8, 0.8, 0.82)


@dataclass(frozen=True)
class Range:
    """A default and the limits that the machine keeps."""

    default: float
    limits: tuple[float, float]


@dataclass(frozen=True)
class Device:
    """A C-arm. Distances mm, tube_voltage kVp, tube_load mAs per image, filtration mm by metal, focal_spot mm.

    anode_direction: unit vector (along a row, down a column) towards the anode. collimator_distance: mm from the focal
    spot to the shutters. generator_power: kW.
    """

    name: str
    detector: str
    source_isocenter_distance: float
    source_image_distance: Range
    joints: tuple[Joint, ...]
    tube_voltage: Range
    tube_load: Range
    filtration: dict[str, float]
    parts: tuple[Part, ...] = ()
    anode_angle: float = 12.0
    anode_direction: tuple[float, float] = (1.0, 0.0)
    focal_spot: float = 0.6
    collimator_distance: float = 150.0
    generator_power: float | None = None
    exposure_modes: tuple[ExposureMode, ...] = ()
    grid: str = "none"
    source: str = ""
    folder: Path | None = field(default=None, compare=False)

    def joint(self, name: str) -> Joint:
        """The joint of that name, which must be there."""
        return next(joint for joint in self.joints if joint.name == name)

    def exposure_mode(self, name: str) -> ExposureMode:
        """The exposure mode of that name. Raises InputError naming those that the device has."""
        found = next((mode for mode in self.exposure_modes if mode.name == name), None)
        if found is None:
            names = ", ".join(mode.name for mode in self.exposure_modes) or "none, so that kVp and mAs are set by hand"
            raise InputError(f"The {self.name} has no exposure mode {name!r}; it has {names}.")
        return found


def device_names() -> list[str]:
    """Names of the devices that ship, for load_device."""
    return shipped_names("device")


def load_device(name: str | Path) -> Device:
    """A shipped device by name, or any device file by path. Raises InputError naming the fault and its place."""
    return read_description("device", name, _parse)


def joint_motion(joint: Joint, value: float) -> np.ndarray:
    """4x4 of the joint at a value in degrees or mm, in its parent's frame."""
    motion = np.eye(4)
    axis = np.asarray(joint.axis)
    if joint.type == "translation":
        motion[:3, 3] = value * axis
        return motion
    angle = np.deg2rad(value)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    motion[:3, :3] = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    motion[:3, 3] = np.asarray(joint.origin) - motion[:3, :3] @ np.asarray(joint.origin)
    return motion


def joint_frames(device: Device, values: dict[str, float]) -> dict[str, np.ndarray]:
    """4x4 from each joint's frame to the base frame; a joint without a value stands at 0."""
    frames: dict[str, np.ndarray] = {}
    for joint in device.joints:
        parent = frames[joint.parent] if joint.parent else np.eye(4)
        frames[joint.name] = parent @ joint_motion(joint, values.get(joint.name, 0.0))
    return frames


def check_reach(pose: CArmPose, device: Device) -> None:
    """Raises InputError where the view lies outside the limits of the device's joints."""
    for name, unit in zip(VIEW_JOINTS, ("degrees", "degrees", "mm"), strict=True):
        value, (low, high) = getattr(pose, name), device.joint(name).limits
        if not low <= value <= high:
            raise InputError(
                f"The {name.replace('_', ' ')} of {value:g} lies outside the {low:g} to {high:g} {unit} "
                f"of {device.name}."
            )


def _parse(data: dict, path: Path) -> Device:
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


def _shape(where: str, value) -> dict:
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in _SHAPES:
        raise ValueError(f"the type of {where} must be one of {', '.join(_SHAPES)}")
    readers = _SHAPES[kind]
    if set(value) - {"type"} != set(readers):
        raise ValueError(f"the {kind} {where} needs exactly {', '.join(readers)}")
    shape = {"type": kind} | {key: read(f"{where}.{key}", value[key]) for key, read in readers.items()}
    if kind == "cylinder" and shape["start"] == shape["end"]:
        raise ValueError(f"the cylinder {where} has no length")
    if kind == "arc" and abs(np.dot(shape["axis"], shape["from"])) > 1e-6:
        raise ValueError(f"the arc {where} must start at a right angle to its axis")
    return shape


def _color(where: str, value) -> tuple[float, float, float]:
    if not all(0 <= part <= 1 for part in vector(where, value)):
        raise ValueError(f"{where} must be red, green and blue from 0 to 1")
    return vector(where, value)


_SHAPES = {
    "box": {"center": vector, "size": list_of(positive, 3)},
    "cylinder": {"start": vector, "end": vector, "radius": positive},
    "arc": {"center": vector, "axis": direction, "from": direction, "start": number, "stop": number,
            "radius": positive, "width": positive, "thickness": positive},
    "mesh": {"file": text},
}  # fmt: skip
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
_PART = {"name": text, "joint": text_or_none, "shape": _shape, "color": _color}
_DEVICE = {
    "name": text,
    "detector": text,
    "source_isocenter_distance": positive,
    "source_image_distance": _range,
    "joints": list_of(lambda where, value: build(where, Joint, _JOINT, value)),
    "tube_voltage": _range,
    "tube_load": _range,
    "filtration": _filtration,
    "parts": list_of(lambda where, value: build(where, Part, _PART, value)),
    "anode_angle": positive,
    "anode_direction": direction_of(2),
    "focal_spot": positive,
    "collimator_distance": positive,
    "generator_power": positive,
    "exposure_modes": _modes,
    "grid": text,
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
    missing = set(VIEW_JOINTS) - known
    if missing:
        raise ValueError(f"the joints {', '.join(sorted(missing))} are missing")
    for part in device.parts:
        if part.joint is not None and part.joint not in known:
            raise ValueError(f"part {part.name} hangs on the unknown joint {part.joint!r}")
    if len({part.name for part in device.parts}) < len(device.parts):
        raise ValueError("two parts have the same name")
    if not device.source_isocenter_distance < device.source_image_distance.limits[0]:
        raise ValueError("the isocentre must lie between source and detector at every source-image distance")
    if device.joint("sid").limits != device.source_image_distance.limits:
        raise ValueError("the joint sid and source_image_distance must have the same limits")
    _check_tube(device)
    _check_motion(device)


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
