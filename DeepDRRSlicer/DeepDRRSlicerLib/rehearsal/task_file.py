"""Task files, JSON: those that ship in data/tasks, and those that teachers make.

Read strictly: unknown, missing and mistyped keys and impossible values are named in a sentence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from DeepDRRSlicerLib.descriptions import check, description_file, read_description, shipped_names
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry import json_values as json_
from DeepDRRSlicerLib.geometry.positioning import POSITIONS
from DeepDRRSlicerLib.rehearsal.task import Limits, Patient, Pose, Task, ViewGoal, WireGoal

FORMAT = "DeepDRRSlicer task 1"
_MOST_BYTES = 1_000_000
_OUTERMOST = 1e4  # mm from the origin


def shipped_tasks() -> list[str]:
    """Names of the tasks that ship."""
    return shipped_names("task")


def load_task(name: str | Path) -> Task:
    """A shipped task by name, or any by the path of its file. Raises InputError."""
    path = description_file("task", name)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"The task file {name} is far too large for a task; choose another file.")
    except (OSError, ValueError):
        pass  # which reading it says better
    return read_description("task", name, lambda data, path: _parse(data))


def parse_task(text: str) -> Task:
    """The task of a file's text, as kept in a scene. Raises InputError."""
    try:
        return _parse(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"The task cannot be used: {str(error).rstrip('.')}; make it anew or choose another."
        ) from error


def task_text(task: Task) -> str:
    """The file of a task."""
    text = json.dumps({"format": FORMAT} | _stated(asdict(task)), indent=1, ensure_ascii=False)
    return re.sub(r"\[\s+([^][{}\"]*?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text) + "\n"


def _stated(data: dict) -> dict:
    """Without the keys that are null."""
    return {
        key: _stated(value) if isinstance(value, dict) else value for key, value in data.items() if value is not None
    }


def _parse(data) -> Task:
    check(isinstance(data, dict), "a task must be an object with keys")
    check(data.get("format") == FORMAT, f"format must be {FORMAT!r}")
    try:
        return json_.build("", Task, _TASK, {key: value for key, value in data.items() if key != "format"})
    except ValueError as error:  # keys of a damaged file may have line breaks
        raise ValueError(" ".join(str(error).split())) from error


def _number(low: float, high: float) -> Callable:
    def read(where, value):
        found = json_.number(where, value)
        check(low <= found <= high, f"{where} must lie between {low:g} and {high:g}")
        return found

    return read


def _whole(where, value):
    found = json_.number(where, value)
    check(found >= 1 and found == int(found), f"{where} must be a whole number from 1 on")
    return int(found)


def _or_none(read: Callable) -> Callable:
    return lambda where, value: None if value is None else read(where, value)


def _words(least: int, most: int) -> Callable:
    def read(where, value):
        found = json_.text(where, value)
        check(least <= len(found) <= most, f"{where} must have {least} to {most} characters")
        try:
            found.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{where} has characters that no file can hold") from None
        return found

    return read


def _line(least: int, most: int) -> Callable:
    def read(where, value):
        found = _words(least, most)(where, value)
        check(found.isprintable(), f"{where} must be one line of text")
        return found

    return read


def _position(where, value):
    check(isinstance(value, str) and value in POSITIONS, f"{where} must be one of {', '.join(POSITIONS)}")
    return value


def _object(kind: type, readers: dict) -> Callable:
    return lambda where, value: json_.build(where, kind, readers, value)


_point = json_.list_of(_number(-_OUTERMOST, _OUTERMOST), 3)
_primary, _secondary = _number(-180, 180), _number(-90, 90)


def _view(where, value):
    check(isinstance(value, list) and len(value) == 2, f"{where} must be [primary angle, secondary angle]")
    return _primary(f"{where}[0]", value[0]), _secondary(f"{where}[1]", value[1])


_ANGLES = {"primary_angle": _primary, "secondary_angle": _secondary, "isocenter": _point}
_TASK = {
    "title": _line(1, 100),
    "instructions": _words(0, 5000),
    "patient": _object(
        Patient, {"name": _line(0, 200), "low": _point, "high": _point, "voxels": _or_none(_line(64, 64))}
    ),
    "position": _position,
    "start": _object(Pose, _ANGLES | {"sid": _or_none(_number(100, 5000))}),
    "view": _or_none(_object(ViewGoal, _ANGLES | {"angle": _number(0.1, 90), "offset": _number(0.1, 500)})),
    "wire": _or_none(
        _object(
            WireGoal,
            {
                "entry": _point,
                "target": _point,
                "corridor": _number(0.1, 100),
                "reach": _number(0.1, 100),
                "diameter": _number(0.3, 10),
                "length": _number(5, 1000),
                "apex": _or_none(_point),
                "tip_apex": _number(0.1, 500),
                "apex_views": json_.list_of(_view, 2),
            },
        )
    ),
    "limits": _object(
        Limits,
        {
            "images": _or_none(_whole),
            "beam_on_time": _or_none(json_.positive),
            "air_kerma": _or_none(json_.positive),
            "kerma_area_product": _or_none(json_.positive),
            "time": _or_none(json_.positive),
        },
    ),
}
