"""Values of a JSON description, read strictly: each reader takes where the value stands and the value.

Raises ValueError with a clause that names the place; whoever reads the file makes a sentence of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields

import numpy as np

_LARGEST = 1e6


def build(where: str, kind: type, readers: dict[str, Callable], entry: dict):
    """The dataclass `kind` from an object whose keys are those of `readers`; each reads the value of its key."""
    if not isinstance(entry, dict):
        raise ValueError(f"{where} must be an object with the keys {', '.join(readers)}")
    place = f" in {where}" if where else ""
    if unknown := set(entry) - set(readers):
        raise ValueError(f"there is no key {', '.join(sorted(unknown))}{place}; the keys are {', '.join(readers)}")
    if missing := {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING} - set(entry):
        raise ValueError(f"the key {', '.join(sorted(missing))} is missing{place}")
    return kind(**{key: readers[key](f"{where}.{key}".lstrip("."), value) for key, value in entry.items()})


def text(where: str, value) -> str:
    """Text as it is."""
    if not isinstance(value, str):
        raise ValueError(f"{where} must be text")
    return value


def text_or_none(where: str, value) -> str | None:
    """Text, or None for null."""
    return None if value is None else text(where, value)


def number(where: str, value) -> float:
    """A number whose size is at most 1e6."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= _LARGEST:
        raise ValueError(f"{where} must be a number")
    return float(value)


def positive(where: str, value) -> float:
    """A number above 0."""
    if number(where, value) <= 0:
        raise ValueError(f"{where} must be greater than 0")
    return float(value)


def list_of(of: Callable, length: int | None = None) -> Callable:
    """The reader of a list, of `length` if given, whose items the reader `of` reads."""

    def read(where: str, value) -> tuple:
        if not isinstance(value, list) or length not in (None, len(value)):
            raise ValueError(f"{where} must be a list" + (f" of {length} numbers" if length else ""))
        return tuple(of(f"{where}[{n}]", item) for n, item in enumerate(value))

    return read


vector = list_of(number, 3)  # three numbers


def direction_of(length: int) -> Callable:
    """The reader of a unit vector of `length` numbers."""

    def read(where: str, value) -> tuple[float, ...]:
        found = list_of(number, length)(where, value)
        if not np.isclose(np.linalg.norm(found), 1, atol=1e-6):
            raise ValueError(f"{where} must have length 1")
        return found

    return read


direction = direction_of(3)


def limits(where: str, value) -> tuple[float, float]:
    """[lowest, highest]."""
    low, high = list_of(number, 2)(where, value)
    if low > high:
        raise ValueError(f"{where} must be [lowest, highest]")
    return low, high
