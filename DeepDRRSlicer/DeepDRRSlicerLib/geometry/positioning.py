"""How the patient lies on the table, and what the angles of a view are to the machine.

The room's axes are those of a patient who lies supine, head first, on a level table: x to that patient's right, y up,
z towards the head end of the table. A pose (geometry/carm.py) names a view by the patient's own axes, whichever way
the patient lies; the joints of the machine, and their limits, belong to the room.

Positions are DICOM's Patient Position (0018,5100): HF or FF, head or feet first (towards the table's head end), then
S supine, P prone, DL or DR decubitus, lying on the left or right side.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import detector_axes, positioner_angles
from DeepDRRSlicerLib.geometry.joints import Joint, chain_frames

POSITIONS: dict[str, str] = {
    "HFS": "Supine, head first",
    "HFP": "Prone, head first",
    "HFDL": "On the left side, head first",
    "HFDR": "On the right side, head first",
    "FFS": "Supine, feet first",
    "FFP": "Prone, feet first",
    "FFDL": "On the left side, feet first",
    "FFDR": "On the right side, feet first",
}
DEFAULT_POSITION = "HFS"
# Where the patient's right points in the room: across the table, or down or up for those who lie on a side.
_RIGHT = {
    "HFS": (1, 0, 0), "HFP": (-1, 0, 0), "HFDL": (0, 1, 0), "HFDR": (0, -1, 0),
    "FFS": (-1, 0, 0), "FFP": (1, 0, 0), "FFDL": (0, 1, 0), "FFDR": (0, -1, 0),
}  # fmt: skip
_ALONG = 1e-9  # sine of the angle to the axis of primary_angle below which only the picture tells that angle
_EXACT = 1e-6  # degrees within which a roll is a quarter turn


def patient_to_room(position: str = DEFAULT_POSITION, table_tilt: float = 0.0) -> np.ndarray:
    """3x3 rotation from patient RAS to the room's axes; table_tilt in degrees, + with the table's head end up.

    Raises InputError for a position that DICOM does not know.
    """
    if position not in POSITIONS:
        raise InputError(f"The patient position must be one of {', '.join(POSITIONS)}, not {position!r}.")
    superior = np.array([0.0, 0.0, 1.0 if position.startswith("HF") else -1.0])
    right = np.array(_RIGHT[position], dtype=np.float64)
    lying = np.column_stack([right, np.cross(superior, right), superior]) + 0.0  # no -0.0
    if table_tilt == 0:
        return lying
    sine, cosine = np.sin(np.deg2rad(table_tilt)), np.cos(np.deg2rad(table_tilt))
    return np.array([[1, 0, 0], [0, cosine, sine], [0, -sine, cosine]]) @ lying


def room_to_ras(position: str, table_tilt: float, isocenter) -> np.ndarray:
    """4x4 from the room, in mm about the isocentre, to patient RAS: the root of everything that stands in the room."""
    matrix = np.eye(4)
    matrix[:3, :3] = patient_to_room(position, table_tilt).T
    matrix[:3, 3] = isocenter
    return matrix


def stand_joints(joints: tuple[Joint, ...]) -> tuple[Joint, ...]:
    """The joints that carry primary_angle, outermost first: where the stand or cart is turned to."""
    by_name = {joint.name: joint for joint in joints}
    found: list[Joint] = []
    name = by_name["primary_angle"].parent
    while name is not None:
        found.insert(0, by_name[name])
        name = by_name[name].parent
    return tuple(found)


def device_angles(
    primary_angle: float,
    secondary_angle: float,
    joints: tuple[Joint, ...],
    position: str = DEFAULT_POSITION,
    table_tilt: float = 0.0,
    stand: Mapping[str, float] | None = None,
    near: float = 0.0,
) -> tuple[float, float]:
    """(primary_angle, secondary_angle) degrees of the machine's joints for a patient-based view.

    stand: values of the joints that carry primary_angle (stand_joints), 0 where missing. Of the turns by 360 degrees
    that give the same view, the primary angle is the one within the joint's limits that is nearest to `near`.
    Limits are not checked: see check_reach in geometry/device.py.
    """
    turn = _stand_turn(joints, stand or {}).T @ patient_to_room(position, table_tilt)
    if np.array_equal(turn, np.eye(3)):
        primary, secondary = float(primary_angle), float(secondary_angle)
    else:
        primary, secondary = _angles(turn, primary_angle, secondary_angle)
    limits = next(joint.limits for joint in joints if joint.name == "primary_angle")
    return _within(primary, limits, near), secondary


def patient_angles(
    values: Mapping[str, float],
    joints: tuple[Joint, ...],
    position: str = DEFAULT_POSITION,
    table_tilt: float = 0.0,
) -> tuple[float, float]:
    """(primary, secondary) degrees, patient-based, primary in (-180, 180], of joints that stand at `values`."""
    turn = patient_to_room(position, table_tilt).T @ _stand_turn(joints, values)
    primary, secondary = values.get("primary_angle", 0.0), values.get("secondary_angle", 0.0)
    if np.array_equal(turn, np.eye(3)):
        return 180.0 - (180.0 - primary) % 360.0, float(secondary)
    return _angles(turn, primary, secondary)


def image_roll(
    primary_angle: float,
    secondary_angle: float,
    joints: tuple[Joint, ...],
    position: str = DEFAULT_POSITION,
    table_tilt: float = 0.0,
    stand: Mapping[str, float] | None = None,
) -> float:
    """Degrees in (-180, 180] by which the picture as the detector is mounted is turned against the patient-based one.

    Positive: the patient-based picture (head up, as detector_axes has it) is turned clockwise, seen on the screen, to
    give the one that the machine itself shows. Both are seen from the detector towards the source, so that one never
    mirrors the other.
    """
    room = patient_to_room(position, table_tilt)
    turn = _stand_turn(joints, stand or {})
    angles = device_angles(primary_angle, secondary_angle, joints, position, table_tilt, stand)
    across, down, _ = (room @ axis for axis in detector_axes(primary_angle, secondary_angle))
    mounted = turn @ detector_axes(*angles)[0]
    roll = float(np.rad2deg(np.arctan2(-mounted @ down, mounted @ across)))
    return roll if roll > -180.0 + _EXACT else roll + 360.0


def quarter_turns(roll: float) -> int | None:
    """How many clockwise quarter turns (0-3) a roll in degrees is, exactly; None for any other roll."""
    turns = round(roll / 90.0)
    return turns % 4 if abs(roll - 90.0 * turns) < _EXACT else None


def _stand_turn(joints: tuple[Joint, ...], values: Mapping[str, float]) -> np.ndarray:
    """3x3 from the frame in which primary_angle turns to that of the room."""
    stand = stand_joints(joints)
    return chain_frames(stand, values)[stand[-1].name][:3, :3] if stand else np.eye(3)


def _angles(turn: np.ndarray, primary_angle: float, secondary_angle: float) -> tuple[float, float]:
    """The angles of a view after a rotation of everything."""
    across, _, towards = (turn @ axis for axis in detector_axes(primary_angle, secondary_angle))
    primary, secondary = positioner_angles(towards)
    if np.hypot(towards[0], towards[1]) < _ALONG:
        primary = float(np.rad2deg(np.arctan2(-across[1], -across[0])))
    primary = _tidy(primary)
    return primary if primary > -180.0 else 180.0, _tidy(secondary)


def _tidy(angle: float) -> float:
    """Without the last digits, so that a limit of 50 degrees is not missed by 1e-14."""
    return round(angle, 9) + 0.0


def _within(angle: float, limits: tuple[float, float], near: float) -> float:
    """The angle, or the same turn within limits that is nearest to another."""
    turns = [turn for turn in (angle, angle - 360.0, angle + 360.0) if limits[0] <= turn <= limits[1]]
    return min(turns, key=lambda turn: abs(turn - near), default=angle)
