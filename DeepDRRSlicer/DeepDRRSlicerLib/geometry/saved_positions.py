"""A person's own C-arm positions as plain JSON values, read strictly.

    {"format": "DeepDRRSlicer positions 1", "positions": {NAME: {"primary_angle", "secondary_angle", "isocenter", "sid",
                                                                 "others": {}}}}

Angles are patient-based degrees, lengths mm, the isocentre RAS; `others` holds what a view leaves open (the stand's
joints, table_tilt), by the names of geometry/motion.py, and may be left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.json_values import build, number, positive, vector

FORMAT = "DeepDRRSlicer positions 1"
_MOST, _LONGEST_NAME = 500, 80


@dataclass(frozen=True)
class SavedPosition:
    """A view and how the machine stands for it."""

    primary_angle: float
    secondary_angle: float
    isocenter: tuple[float, float, float]
    sid: float
    others: dict[str, float] = field(default_factory=dict)


def positions_to_json(positions: Mapping[str, SavedPosition]) -> dict:
    """Plain values, for json.dumps, in the order given."""
    return {
        "format": FORMAT,
        "positions": {
            name: {
                "primary_angle": saved.primary_angle,
                "secondary_angle": saved.secondary_angle,
                "isocenter": list(saved.isocenter),
                "sid": saved.sid,
                "others": dict(saved.others),
            }
            for name, saved in positions.items()
        },
    }


def positions_from_json(data) -> dict[str, SavedPosition]:
    """The inverse of positions_to_json. Raises InputError naming what is wrong and where."""
    try:
        if not isinstance(data, dict) or data.get("format") != FORMAT or set(data) != {"format", "positions"}:
            raise ValueError(f'it must hold "format": "{FORMAT}" and "positions", and nothing else')
        entries = data["positions"]
        if not isinstance(entries, dict) or len(entries) > _MOST:
            raise ValueError(f"positions must be an object of at most {_MOST} positions by name")
        return {
            _name(name): build(f"position {name}", SavedPosition, _POSITION, entry) for name, entry in entries.items()
        }
    except ValueError as error:
        raise InputError(f"The saved positions cannot be used: {error}.") from error


def _name(name: str) -> str:
    if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ValueError(f"a position needs a name of 1 to {_LONGEST_NAME} printable characters, not {name[:99]!r}")
    return name


def _angle(most: float):
    def read(where: str, value) -> float:
        if abs(number(where, value)) > most:
            raise ValueError(f"{where} must lie between -{most:g} and {most:g}")
        return float(value)

    return read


def _others(where: str, value) -> dict[str, float]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be an object of numbers by name")
    return {name: number(f"{where}.{name}", item) for name, item in value.items()}


_POSITION = {
    "primary_angle": _angle(180.0),
    "secondary_angle": _angle(90.0),
    "isocenter": vector,
    "sid": positive,
    "others": _others,
}
