"""The table under the patient: its axes, where the patient lies on it, and where it stands in the room.

The table's own frame: origin in the middle of the head-end edge of the upper surface of its top; x across, y out of
the surface, z along the top towards the head end. On a level table these are the room's axes (positioning.py). Its
four axes are said about the isocentre, which stands still in the room:

    table_height        mm of the surface above the floor, at the pivot of the carriage on its column
    table_longitudinal  mm along the top by which its head end reaches beyond the isocentre
    table_lateral       mm of the top's middle line from the isocentre, + to the right of a patient lying HFS
    table_tilt          degrees about the lateral line through the isocentre, + with the head end up

To tilt about the isocentre, table_height must change with table_tilt (tilted in room.py): a table far from its column
soon reaches its limit.

Parts hang on one of four frames, in mm. Origin of `floor`: the isocentre, or, where the base rolls (`rolls`), that
moved along with the top. `column`: under the pivot of the carriage, upright, at the height of the surface there.
`carriage`: the same, tilted. `top`: the table's own frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.parts import Part
from DeepDRRSlicerLib.geometry.positioning import patient_to_room

TABLE_AXES = ("table_height", "table_longitudinal", "table_lateral", "table_tilt")
TABLE_FRAMES = ("floor", "column", "carriage", "top")


@dataclass(frozen=True)
class TableAxis:
    """limits and speed of one axis in mm or degrees (per second)."""

    limits: tuple[float, float]
    speed: float


@dataclass(frozen=True)
class Table:
    """A patient table.

    base_distance: mm from the isocentre (for a base that rolls: from the head end) to the carriage's pivot, towards
    the feet. rolls: the base moves with the top, as an operating table and a mobile C-arm do against each other.
    head_room: mm between the head end and the patient's nearest part in the CT, to begin with.
    parts: shapes hung on TABLE_FRAMES; those on `top` must not rise above its surface.
    """

    name: str
    height: TableAxis
    longitudinal: TableAxis
    lateral: TableAxis
    tilt: TableAxis
    base_distance: float
    parts: tuple[Part, ...]
    rolls: bool = False
    head_room: float = 80.0

    def axis(self, name: str) -> TableAxis:
        """The axis called by one of TABLE_AXES."""
        return getattr(self, name.removeprefix("table_"))


@dataclass(frozen=True)
class Lying:
    """Where a patient lies on the table. position: see positioning.py; origin: RAS mm of the table frame's origin."""

    position: str
    origin: tuple[float, float, float]


def lie_down(table: Table, body_points, position: str = "HFS") -> Lying:
    """The patient in the middle of the table, the lowest point on its surface, head_room mm from its head end.

    body_points: (n, 3) RAS mm, of the body's surface. Raises InputError for no points or an unknown position.
    """
    points = np.asarray(body_points, dtype=np.float64).reshape(-1, 3)
    if not len(points):
        raise InputError("There is no body to lay on the table; choose a CT with a patient in it.")
    turn = patient_to_room(position)
    low, high = (points @ turn.T).min(axis=0), (points @ turn.T).max(axis=0)
    r, a, s = (float(x) for x in turn.T @ ((low[0] + high[0]) / 2, low[1], high[2] + table.head_room))
    return Lying(position, (r, a, s))


def table_values(table: Table, lying: Lying, isocenter, table_tilt: float, isocenter_height: float) -> dict[str, float]:
    """The values of TABLE_AXES that bring a point of the patient (RAS mm) to the isocentre, limits aside."""
    place = patient_to_room(lying.position) @ (np.asarray(isocenter, dtype=np.float64) - lying.origin)
    lateral, drop, longitudinal = -place
    tilt = np.deg2rad(table_tilt)
    rise = (drop + _pivot(table, longitudinal) * np.sin(tilt)) / np.cos(tilt)
    return {
        "table_height": float(isocenter_height + rise),
        "table_longitudinal": float(longitudinal),
        "table_lateral": float(lateral),
        "table_tilt": float(table_tilt),
    }


def isocenter_of(table: Table, lying: Lying, values: Mapping[str, float], isocenter_height: float) -> np.ndarray:
    """(3,) RAS mm: the point of the patient that lies at the isocentre for values of TABLE_AXES."""
    place = -np.array([values["table_lateral"], _drop(table, values, isocenter_height), values["table_longitudinal"]])
    return patient_to_room(lying.position).T @ place + lying.origin


def table_frames(table: Table, values: Mapping[str, float], isocenter_height: float) -> dict[str, np.ndarray]:
    """4x4 of each of TABLE_FRAMES to the room about the isocentre, for values of TABLE_AXES."""
    turn = patient_to_room("HFS", values["table_tilt"])
    lateral, longitudinal = values["table_lateral"], values["table_longitudinal"]
    floor, column, carriage, top = (np.eye(4) for _ in TABLE_FRAMES)
    if table.rolls:
        floor[[0, 2], 3] = lateral, longitudinal
    column[:3, 3] = floor[0, 3], values["table_height"] - isocenter_height, _pivot(table, longitudinal)
    carriage[:3, :3], carriage[:3, 3] = turn, column[:3, 3]
    top[:3, :3] = turn
    top[:3, 3] = turn @ (lateral, _drop(table, values, isocenter_height), longitudinal)
    return dict(zip(TABLE_FRAMES, (floor, column, carriage, top), strict=True))


def _pivot(table: Table, longitudinal: float) -> float:
    """mm along the room's z from the isocentre to the pivot of the carriage."""
    return (longitudinal if table.rolls else 0.0) - table.base_distance


def _drop(table: Table, values: Mapping[str, float], isocenter_height: float) -> float:
    """mm from the isocentre to the surface of the top, along its normal; negative below."""
    tilt = np.deg2rad(values["table_tilt"])
    rise = values["table_height"] - isocenter_height
    return float(rise * np.cos(tilt) - _pivot(table, values["table_longitudinal"]) * np.sin(tilt))
