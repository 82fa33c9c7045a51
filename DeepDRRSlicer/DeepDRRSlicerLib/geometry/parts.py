"""Parts of a machine: primitives and meshes that hang on its frames, read from its description.

A part's shape, in mm of its frame:
  {"type": "box", "center", "size"}            {"type": "cylinder", "start", "end", "radius"}
  {"type": "arc", "center", "axis", "from", "start", "stop", "radius", "width", "thickness"}
                                               start, stop: degrees about axis; axis, from: unit vectors; width along
                                               the axis, thickness along the radius
  {"type": "mesh", "file"}                     a file beside the description
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.geometry.json_values import (
    build,
    direction,
    list_of,
    number,
    positive,
    text,
    text_or_none,
    vector,
)


@dataclass(frozen=True)
class Part:
    """Something to draw: a shape in the frame of a joint (None: the base), with an RGB colour in 0-1."""

    name: str
    joint: str | None
    shape: dict
    color: tuple[float, float, float] = (0.8, 0.8, 0.82)


def read_part(where: str, value) -> Part:
    """A part from its JSON object. Raises ValueError with a clause that names the place."""
    return build(where, Part, _PART, value)


def check_parts(parts: tuple[Part, ...], frames: set[str | None]) -> None:
    """ValueError unless each part hangs on one of the frames and has a name of its own."""
    for part in parts:
        if part.joint not in frames:
            raise ValueError(f"part {part.name} hangs on the unknown joint {part.joint!r}")
    if len({part.name for part in parts}) < len(parts):
        raise ValueError("two parts have the same name")


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


_SHAPES: dict[str, dict[str, Callable]] = {
    "box": {"center": vector, "size": list_of(positive, 3)},
    "cylinder": {"start": vector, "end": vector, "radius": positive},
    "arc": {"center": vector, "axis": direction, "from": direction, "start": number, "stop": number,
            "radius": positive, "width": positive, "thickness": positive},
    "mesh": {"file": text},
}  # fmt: skip
_PART = {"name": text, "joint": text_or_none, "shape": _shape, "color": _color}
