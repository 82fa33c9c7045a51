"""Description files, JSON: those that ship in data/, and a person's own of the same kind.

They are read strictly into frozen dataclasses: unknown, missing and mistyped keys are named. What checks raises
ValueError with a clause that names the key; read_description makes a sentence of it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from types import NoneType, UnionType
from typing import get_args, get_origin

from DeepDRRSlicerLib.errors import InputError

_LARGEST = sys.float_info.max


def shipped_names(kind: str) -> list[str]:
    """Names of the files that ship in data/<kind>s, kind being "device", "detector" or "grid"."""
    return sorted(entry.name.removesuffix(".json") for entry in _folder(kind).iterdir() if entry.name.endswith(".json"))


def read_description(kind: str, name: str | Path, parse: Callable):
    """parse(data, path) of a shipped description by name, or of any file by path.

    Raises InputError where there is no such file, it is not JSON, or parse raises ValueError, whose clause names the
    fault and its place. The same file gives the same object again: nobody may change it.
    """
    path = description_file(kind, name)
    try:
        text = _text(path, None if str(name) in _shipped(kind) else _state(path))
    except OSError as error:
        raise InputError(
            f"There is no {kind} {str(name)!r}; give the path of a {kind} file or one of: "
            f"{', '.join(shipped_names(kind))}."
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"The {kind} file {name} is not valid JSON: {error}.") from error
    try:
        return _parsed(parse, path, text)
    except ValueError as error:
        raise InputError(f"The {kind} file {name} cannot be used: {str(error).rstrip('.')}.") from error


def _state(path: Path):
    """What changes with a file's contents; those that ship do not change."""
    found = path.stat()
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=32)
def _text(path, state) -> str:
    """The text of a JSON file, read anew only when it has changed: a C-arm that is dragged asks many times."""
    text = path.read_text(encoding="utf-8")
    json.loads(text)
    return text


@lru_cache(maxsize=32)
def _parsed(parse: Callable, path, text: str):
    return parse(json.loads(text), path)


def description_file(kind: str, name: str | Path):
    """The file of a shipped description by name, or of any by path; it need not be there."""
    return _folder(kind) / f"{name}.json" if str(name) in _shipped(kind) else Path(name)


@lru_cache
def _shipped(kind: str) -> frozenset[str]:
    return frozenset(shipped_names(kind))


@lru_cache
def _folder(kind: str):
    return files("DeepDRRSlicerLib") / "data" / f"{kind}s"


def check(holds: bool, rule: str) -> None:
    """ValueError with the rule when it does not hold; for __post_init__."""
    if not holds:
        raise ValueError(rule)


def check_keys(where: str, data: dict, known: set[str], needed: set[str]) -> None:
    """ValueError unless data is an object with no key outside `known` and every key of `needed`."""
    check(isinstance(data, dict), f"{where} must be an object with the keys {', '.join(sorted(known))}")
    check(not set(data) - known, f"{where} has the unknown key {', '.join(sorted(set(data) - known))}")
    check(not needed - set(data), f"{where} lacks the key {', '.join(sorted(needed - set(data)))}")


def split_type(where: str, data: dict, kinds: tuple[str, ...]) -> tuple[str, dict]:
    """The "type" of an object, one of `kinds`, and the rest of it."""
    known = isinstance(data, dict) and data.get("type") in kinds
    check(known, f"the type of {where} must be one of {', '.join(kinds)}")
    return data["type"], {key: value for key, value in data.items() if key != "type"}


def build(where: str, kind: type, data: dict):
    """The dataclass `kind` from an object with its field names as keys; nested dataclasses must be built before."""
    types = {field.name: field.type for field in fields(kind)}
    check_keys(where, data, set(types), {field.name for field in fields(kind) if field.default is MISSING})
    return kind(**{key: _typed(key, types[key], value) for key, value in data.items()})


def _typed(key: str, kind, value):
    """A JSON value as the type that a dataclass declares: str, int, float, a tuple of these, or None if allowed."""
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if is_dataclass(value) or (value is None and NoneType in kinds):
        return value
    kind = kinds[0]
    if get_origin(kind) is tuple and isinstance(value, list):
        return tuple(_typed(key, get_args(kind)[0], item) for item in value)
    if kind is str and isinstance(value, str):
        return value
    if kind in (int, float) and type(value) in (int, float) and abs(value) <= _LARGEST and kind(value) == value:
        return kind(value)
    expected = {int: "a whole number", float: "a number", str: "text"}.get(kind, "a list")
    raise ValueError(f"{key} must be {expected}, not {value!r}")
