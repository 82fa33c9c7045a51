"""Reading the `table` of a device's description strictly.

    {"name", "height", "longitudinal", "lateral", "tilt": {"limits": [low, high], "speed"}, "base_distance",
     "rolls": false, "head_room": 80, "parts": [{"name", "joint": one of TABLE_FRAMES, "shape", "color"}, ...]}

The words are those of geometry/table.py, the shapes those of geometry/parts.py.
"""

from __future__ import annotations

from DeepDRRSlicerLib.geometry.json_values import build, limits, list_of, number, positive, text
from DeepDRRSlicerLib.geometry.parts import check_parts, read_part
from DeepDRRSlicerLib.geometry.table import TABLE_AXES, TABLE_FRAMES, Table, TableAxis

_STEEPEST = 60.0  # degrees of tilt


def read_table(where: str, value) -> Table:
    """A table from its JSON object. Raises ValueError with a clause that names the place."""
    return build(where, Table, _TABLE, value)


def check_table(table: Table) -> None:
    """ValueError unless the axes can be used and the parts hang on the table's frames."""
    for name in TABLE_AXES:
        axis = table.axis(name)
        if not axis.limits[0] < axis.limits[1]:
            raise ValueError(f"the limits of {name.replace('_', '.')} must leave room to move")
    if not -_STEEPEST <= table.tilt.limits[0] <= 0 <= table.tilt.limits[1] <= _STEEPEST:
        raise ValueError(f"the limits of table.tilt must include 0 and lie between -{_STEEPEST:g} and {_STEEPEST:g}")
    if table.height.limits[0] <= 0:
        raise ValueError("the limits of table.height must be above 0, the floor")
    if not table.lateral.limits[0] <= 0 <= table.lateral.limits[1]:
        raise ValueError("the limits of table.lateral must include 0")
    for part in table.parts:
        if part.shape["type"] not in ("box", "cylinder"):
            raise ValueError(f"part {part.name} of the table must be a box or a cylinder")
    check_parts(table.parts, set(TABLE_FRAMES))


def _axis(where: str, value) -> TableAxis:
    return build(where, TableAxis, {"limits": limits, "speed": positive}, value)


def _yes_or_no(where: str, value) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{where} must be true or false")
    return value


_TABLE = {
    "name": text,
    "height": _axis,
    "longitudinal": _axis,
    "lateral": _axis,
    "tilt": _axis,
    "base_distance": number,
    "parts": list_of(read_part),
    "rolls": _yes_or_no,
    "head_room": positive,
}
