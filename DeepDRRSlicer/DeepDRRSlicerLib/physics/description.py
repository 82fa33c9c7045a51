"""JSON objects to frozen dataclasses, strictly: unknown, missing and mistyped keys are named.

Everything here raises ValueError with a clause that names the key; the reader of the file makes a sentence of it.
"""

import math
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import get_args, get_origin


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
    if kind in (int, float) and type(value) in (int, float) and math.isfinite(value) and kind(value) == value:
        return kind(value)
    expected = {int: "a whole number", float: "a number", str: "text"}.get(kind, "a list")
    raise ValueError(f"{key} must be {expected}, not {value!r}")
