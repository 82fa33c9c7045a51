"""C-arm description files: joints, parts, distances and what the tube and detector are called.

A file is JSON with `"format": "DeepDRRSlicer device 1"`. Its base frame has its origin at the isocentre and the
patient's RAS axes when every joint is 0. Each joint moves its frame relative to its parent's: a rotation by
`value` degrees about `axis` through `origin`, or a translation of `value` mm along `axis`. The joints named
`primary_angle`, `secondary_angle` and `sid` follow the view; further joints keep their value until moved. While these
stand at 0, the three turn and shift the detector as the angles of a pose say (geometry/carm.py).

The source stands at (0, -source_isocenter_distance, 0) of the secondary frame. Parts hung on `sid` are drawn with
the detector's entrance face at that same point, so that a translation by the source-image distance puts it in place.
Parts are shapes of geometry/parts.py in the frame of a joint (`"joint": null` is the base frame).

Joints that carry `primary_angle` turn the whole stand; their axes pass through the isocentre, so that the beam still
meets there. `isocenter_height` is mm above the floor. `table` describes the patient's table (geometry/table_file.py).
The image fields to choose from are those of the named detector.

The tube: `filtration` is always in the beam, in mm by material; `anode_angle` degrees; `anode_direction` the unit
vector [along a row, down a column] of the image that points towards the anode; `focal_spot` mm, side of a square;
`collimator_distance` mm from the focal spot to shutters and iris; `generator_power` kW, largest product of kV and mA;
`exposure_modes` an object of modes by name ("fluoro", "spot", "cine"), whose keys are the fields of ExposureMode.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from DeepDRRSlicerLib.descriptions import read_description, shipped_names
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device_file import FORMAT, parse
from DeepDRRSlicerLib.geometry.joints import VIEW_JOINTS, Joint, joint_motion
from DeepDRRSlicerLib.geometry.machine import Device, Range, joint_frames
from DeepDRRSlicerLib.geometry.parts import Part
from DeepDRRSlicerLib.geometry.positioning import DEFAULT_POSITION, device_angles

__all__ = [
    "FORMAT", "VIEW_JOINTS", "Device", "Joint", "Part", "Range", "check_reach", "device_names", "joint_frames",
    "joint_motion", "load_device",
]  # fmt: skip


def device_names() -> list[str]:
    """Names of the devices that ship, for load_device."""
    return shipped_names("device")


def load_device(name: str | Path) -> Device:
    """A shipped device by name, or any device file by path. Raises InputError naming the fault and its place."""
    return read_description("device", name, parse)


def check_reach(
    pose: CArmPose,
    device: Device,
    position: str = DEFAULT_POSITION,
    table_tilt: float = 0.0,
    stand: Mapping[str, float] | None = None,
) -> None:
    """Raises InputError where the view lies outside the limits of the device's joints.

    position, table_tilt, stand: how the patient lies and where the stand is turned to (geometry/positioning.py).
    """
    angles = device_angles(pose.primary_angle, pose.secondary_angle, device.joints, position, table_tilt, stand)
    usual = angles == (pose.primary_angle, pose.secondary_angle)
    for name, unit, value in zip(VIEW_JOINTS, ("degrees", "degrees", "mm"), (*angles, pose.sid), strict=True):
        low, high = device.joint(name).limits
        if not low <= value <= high:
            of = f"{device.name}" if usual or name == "sid" else f"{device.name}, with the patient as they lie"
            raise InputError(
                f"The {name.replace('_', ' ')} of {value:g} lies outside the {low:g} to {high:g} {unit} of {of}."
            )
