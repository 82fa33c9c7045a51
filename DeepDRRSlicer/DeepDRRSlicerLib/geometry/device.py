"""C-arm description files: joints, parts, distances and what the tube and detector are called.

A file is JSON with `"format": "DeepDRRSlicer device 1"`. Its base frame has its origin at the isocentre and the
patient's RAS axes when every joint is 0. Each joint moves its frame relative to its parent's: a rotation by
`value` degrees about `axis` through `origin`, or a translation of `value` mm along `axis`. The joints named
`primary_angle`, `secondary_angle` and `sid` follow the view; further joints keep their value until moved.

The source stands at (0, -source_isocenter_distance, 0) of the secondary frame. Parts hung on `sid` are drawn with
the detector's entrance face at that same point, so that a translation by the source-image distance puts it in place.
A part's shape, in mm of its joint's frame (`"joint": null` is the base frame):
  {"type": "box", "center", "size"}            {"type": "cylinder", "start", "end", "radius"}
  {"type": "arc", "center", "axis", "from", "start", "stop", "radius", "width", "thickness"}  degrees about axis
  {"type": "mesh", "file"}                     a file beside the JSON
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from importlib.resources import files
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose

FORMAT = "DeepDRRSlicer device 1"
VIEW_JOINTS = ("primary_angle", "secondary_angle", "sid")
_SHAPES = {
    "box": {"center", "size"},
    "cylinder": {"start", "end", "radius"},
    "arc": {"center", "axis", "from", "start", "stop", "radius", "width", "thickness"},
    "mesh": {"file"},
}


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
    """A C-arm. Distances mm, tube_voltage kVp, tube_load mAs per image, filtration mm by metal, focal_spot mm."""

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
    focal_spot: float = 0.6
    grid: str = "none"
    source: str = ""
    folder: Path | None = field(default=None, compare=False)

    def joint(self, name: str) -> Joint:
        return next(joint for joint in self.joints if joint.name == name)


def device_names() -> list[str]:
    """Names of the devices that ship, for load_device."""
    return sorted(entry.name[:-5] for entry in _shipped().iterdir() if entry.name.endswith(".json"))


def load_device(name: str | Path) -> Device:
    """A shipped device by name, or any device file by path. Raises InputError naming the fault and its place."""
    shipped = _shipped() / f"{name}.json"
    path = shipped if shipped.is_file() else Path(name)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"There is no device {str(name)!r}; give the path of a device file or one of: {', '.join(device_names())}."
        ) from error
    except ValueError as error:
        raise InputError(f"The device file {name} is not valid JSON: {error}.") from error
    try:
        return _parse(data, path.parent if isinstance(path, Path) else None)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        cause = f"the key {error} is missing" if isinstance(error, KeyError) else str(error).rstrip(".")
        raise InputError(f"The device file {name} cannot be used: {cause}.") from error


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


def _shipped():
    return files("DeepDRRSlicerLib") / "data" / "devices"


def _parse(data: dict, folder: Path | None) -> Device:
    data = dict(data)
    if data.pop("format", None) != FORMAT:
        raise ValueError(f'its "format" must be "{FORMAT}"')
    unknown = set(data) - {f.name for f in fields(Device)} | ({"folder"} & set(data))
    if unknown:
        raise ValueError(f"unknown keys {', '.join(sorted(unknown))}")
    data["joints"] = tuple(_joint(entry) for entry in data["joints"])
    data["parts"] = tuple(_part(entry) for entry in data.get("parts", ()))
    for key in ("source_image_distance", "tube_voltage", "tube_load"):
        data[key] = _range(key, data[key])
    device = Device(folder=folder, **data)
    _check(device)
    return device


def _joint(entry: dict) -> Joint:
    axis = _vector(f"axis of joint {entry.get('name')}", entry["axis"])
    if entry["type"] not in ("rotation", "translation"):
        raise ValueError(f"joint {entry['name']} must be a rotation or a translation, not {entry['type']!r}")
    if not np.isclose(np.linalg.norm(axis), 1, atol=1e-6):
        raise ValueError(f"the axis of joint {entry['name']} must have length 1")
    low, high = (float(x) for x in entry["limits"])
    if not low <= 0 <= high and entry["name"] != "sid":
        raise ValueError(f"the limits of joint {entry['name']} must include 0")
    origin = _vector(f"origin of joint {entry['name']}", entry.get("origin", (0, 0, 0)))
    return Joint(**{**entry, "axis": axis, "limits": (low, high), "origin": origin})


def _part(entry: dict) -> Part:
    shape = dict(entry["shape"])
    kind = shape.get("type")
    if kind not in _SHAPES:
        raise ValueError(f"part {entry.get('name')} has the unknown shape {kind!r}; use one of {', '.join(_SHAPES)}")
    if set(shape) - {"type"} != _SHAPES[kind]:
        raise ValueError(f"the {kind} of part {entry.get('name')} needs exactly {', '.join(sorted(_SHAPES[kind]))}")
    return Part(**{**entry, "shape": shape, "color": _vector("color", entry.get("color", Part.color))})


def _range(name: str, entry: dict) -> Range:
    low, high = (float(x) for x in entry["limits"])
    if not low <= float(entry["default"]) <= high:
        raise ValueError(f"the default of {name} lies outside its limits")
    return Range(float(entry["default"]), (low, high))


def _vector(what: str, value) -> tuple[float, float, float]:
    vector = tuple(float(x) for x in value)
    if len(vector) != 3 or not np.isfinite(vector).all():
        raise ValueError(f"the {what} must be three finite numbers")
    return vector


def _check(device: Device) -> None:
    known: set[str] = set()
    for joint in device.joints:
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
    if not 0 < device.source_isocenter_distance < device.source_image_distance.limits[0]:
        raise ValueError("the isocentre must lie between source and detector at every source-image distance")
