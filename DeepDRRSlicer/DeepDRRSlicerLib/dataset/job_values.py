"""Values of a job file: each knows how to read itself strictly, with its place, and its JSON Schema.

A reader takes where the value stands and the value, and raises ValueError with a clause that begins with the place.
Reader and schema stand side by side, so that the published schema cannot say anything else than the code.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from DeepDRRSlicerLib.dataset.distributions import LEAST_SHARE, Choice, Constant, LogUniform, Normal, Uniform

LARGEST = 1e6
_DISTRIBUTIONS = {
    "uniform": ({"range"}, set()),
    "log-uniform": ({"range"}, set()),
    "normal": ({"mean", "sd", "range"}, set()),
    "choice": ({"values"}, {"weights"}),
}
_NEEDED = object()


@dataclass(frozen=True)
class Value:
    """read(place, JSON value) gives the Python value; schema is its JSON Schema."""

    read: Callable[[str, Any], Any]
    schema: dict


def shown(value) -> str:
    """A JSON value, short enough for a sentence."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # an integer of thousands of digits
        return "that"
    return text if len(text) <= 40 else text[:37] + "..."


def _number(where: str, value, low: float, high: float, unit: str, whole: bool = False, above: bool = False):
    kind = "a whole number" if whole else "a number"
    of_unit = f" of {unit}" if unit else ""
    good = type(value) is int or (type(value) is float and math.isfinite(value))
    if not good or (whole and value != int(value)):
        raise ValueError(f"{where} must be {kind}{of_unit}, not {shown(value)}")
    if not low <= value <= high or (above and value == low):
        least = f"above {low:g}" if above else f"at least {low:g}"
        given = f"{value:g}" if abs(value) < 1e300 else shown(value)
        raise ValueError(f"{where} must be {least} and at most {high:g}{' ' + unit if unit else ''}, not {given}")
    return int(value) if whole else float(value)


def _number_schema(low, high, above: bool = False) -> dict:
    return {"exclusiveMinimum" if above else "minimum": low, "maximum": high}


def number(low: float = -LARGEST, high: float = LARGEST, unit: str = "", above: bool = False) -> Value:
    """A number from low to high; above: low itself is too small."""
    schema = {"type": "number", **_number_schema(low, high, above)}
    return Value(lambda where, value: _number(where, value, low, high, unit, above=above), schema | _unit_note(unit))


def whole(low: int = 0, high: int = 2**53) -> Value:
    """A whole number from low to high."""
    schema = {"type": "integer", **_number_schema(low, high)}
    return Value(lambda where, value: _number(where, value, low, high, "", whole=True), schema)


def text(pattern: str = r"(?s:.*)", rule: str = "text", longest: int = 10_000) -> Value:
    """Text that a pattern matches as a whole; rule: what a message calls it."""

    def read(where, value):
        if not isinstance(value, str) or len(value) > longest or not re.fullmatch(pattern, value):
            raise ValueError(f"{where} must be {rule}, not {shown(value)}")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{where} has characters that no file can hold") from None
        return value

    plain = pattern == r"(?s:.*)"
    return Value(read, {"type": "string", "maxLength": longest} | ({} if plain else {"pattern": f"^(?:{pattern})$"}))


def flag() -> Value:
    """true or false."""

    def read(where, value):
        if not isinstance(value, bool):
            raise ValueError(f"{where} must be true or false, not {shown(value)}")
        return value

    return Value(read, {"type": "boolean"})


def one_of(*words: str) -> Value:
    """One of some words."""

    def read(where, value):
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"{where} must be one of {', '.join(words)}, not {shown(value)}")
        return value

    return Value(read, {"enum": list(words)})


def or_null(of: Value) -> Value:
    """Such a value, or null."""
    return Value(lambda where, value: None if value is None else of.read(where, value),
                 {"anyOf": [of.schema, {"type": "null"}]})  # fmt: skip


def either(by_type: dict[type, Value]) -> Value:
    """A value of one of some JSON types, each with its own reader; NoneType is null."""

    def read(where, value):
        if type(value) not in by_type:
            names = {str: "text", int: "a whole number", list: "a list", dict: "an object", type(None): "null"}
            raise ValueError(f"{where} must be {' or '.join(names[kind] for kind in by_type)}, not {shown(value)}")
        return by_type[type(value)].read(where, value)

    return Value(read, {"anyOf": [of.schema for of in by_type.values()]})


def null() -> Value:
    """null alone."""
    return Value(lambda where, value: None, {"type": "null"})


def row_of(*values: Value) -> Value:
    """A list with one value for each place, as a tuple."""

    def read(where, value):
        if not isinstance(value, list) or len(value) != len(values):
            raise ValueError(f"{where} must be a list of {len(values)} entries, not {shown(value)}")
        return tuple(of.read(f"{where}[{n}]", item) for n, (of, item) in enumerate(zip(values, value)))

    schemas = [of.schema for of in values]
    return Value(read, {"type": "array", "prefixItems": schemas, "minItems": len(values), "maxItems": len(values)})


def list_of(of: Value, least: int = 0, most: int = 100_000) -> Value:
    """A list of such values, as a tuple."""

    def read(where, value):
        count = f"{least}" if least == most else f"{least} to {most}"
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise ValueError(f"{where} must be a list of {count} entries, not {shown(value)}")
        return tuple(of.read(f"{where}[{n}]", item) for n, item in enumerate(value))

    return Value(read, {"type": "array", "items": of.schema, "minItems": least, "maxItems": most})


def mapping(key: Value, of: Value) -> Value:
    """An object with free keys."""

    def read(where, value):
        if not isinstance(value, dict):
            raise ValueError(f"{where} must be an object, not {shown(value)}")
        return {key.read(f"a key of {where}", k): of.read(f"{where}.{k}", v) for k, v in value.items()}

    return Value(read, {"type": "object", "propertyNames": key.schema, "additionalProperties": of.schema})


@dataclass(frozen=True)
class Field:
    """One key of an object. default: the JSON value that a missing key stands for; needed where there is none."""

    value: Value
    note: str = ""
    default: Any = _NEEDED

    @property
    def needed(self) -> bool:
        """Whether the key must be there."""
        return self.default is _NEEDED


def record(into: Callable, fields: dict[str, Field], fixed: dict | None = None) -> Value:
    """An object with exactly these keys, as into(**values). fixed: keys with one possible value, not handed on."""
    fixed = fixed or {}

    def read(where, value):
        if not isinstance(value, dict):
            raise ValueError(f"{where or 'the job'} must be an object with keys, not {shown(value)}")
        place = f"{where}." if where else ""
        for key in value:
            if key not in fields and key not in fixed:
                known = ", ".join([*fixed, *fields])
                raise ValueError(f"{place}{shown(key)[1:-1]} is not a key of a job; the keys there are {known}")
        for key, only in fixed.items():
            if value.get(key) != only:
                raise ValueError(f"{place}{key} must be {only!r}, not {shown(value.get(key))}")
        values = {}
        for key, field in fields.items():
            if field.needed and key not in value:
                raise ValueError(f"{place}{key} is missing")
            values[key] = field.value.read(f"{place}{key}", value.get(key, field.default))
        return into(**values)

    properties = {key: {"const": only} for key, only in fixed.items()}
    for key, field in fields.items():
        properties[key] = field.value.schema | ({"description": field.note} if field.note else {})
        if not field.needed:
            properties[key] = properties[key] | {"default": field.default}
    needed = [*fixed, *(key for key, field in fields.items() if field.needed)]
    return Value(read, {"type": "object", "properties": properties, "required": needed, "additionalProperties": False})


def one_kind(key: str, kinds: dict[str, Value]) -> Value:
    """An object whose `key` says which of some objects it is; their schemas fix that key."""

    def read(where, value):
        found = value.get(key) if isinstance(value, dict) else None
        if not isinstance(found, str) or found not in kinds:
            raise ValueError(f"{where}.{key} must be one of {', '.join(kinds)}, not {shown(found)}")
        return kinds[found].read(where, value)

    return Value(read, {"oneOf": [kind.schema for kind in kinds.values()]})


def distribution(low: float, high: float, unit: str = "", above: bool = False) -> Value:
    """A number, which is drawn always, or an object {"distribution": ..., ...} whose draws stay in low..high.

    "uniform" and "log-uniform" need range [lowest, highest]; "normal" mean, sd and the range that truncates it;
    "choice" values, and weights on request. "unit" may be said; it must then be the unit of the quantity.
    """

    def inside(where, value):
        return _number(where, value, low, high, unit, above=above)

    def read(where, value):
        if not isinstance(value, dict):
            return Constant(inside(where, value))
        kind = value.get("distribution")
        if not isinstance(kind, str) or kind not in _DISTRIBUTIONS:
            known = ", ".join(_DISTRIBUTIONS)
            raise ValueError(f"{where}.distribution must be one of {known}, not {shown(kind)}")
        needed, more = _DISTRIBUTIONS[kind]
        for key in value:
            if key not in needed | more | {"distribution", "unit"}:
                keys = ", ".join(sorted(needed | more))
                raise ValueError(f"{where}.{shown(key)[1:-1]} is not a key of a {kind} distribution, which has {keys}")
        for key in sorted(needed - set(value)):
            raise ValueError(f"{where}.{key} is missing")
        if value.get("unit", unit) != unit:
            raise ValueError(f"{where}.unit must be {unit!r}, not {shown(value['unit'])}; convert the numbers")
        if kind == "choice":
            return _choice(where, value, inside)
        first, last = _range(f"{where}.range", value["range"], inside)
        if kind == "uniform":
            return Uniform(first, last)
        if kind == "log-uniform":
            if first <= 0:
                raise ValueError(f"{where}.range[0] must be above 0 for a log-uniform distribution, not {first:g}")
            return LogUniform(first, last)
        return _normal(where, value, first, last)

    return Value(read, _distribution_schema(low, high, unit, above))


def _range(where: str, value, inside) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"{where} must be [lowest, highest], not {shown(value)}")
    first, last = inside(f"{where}[0]", value[0]), inside(f"{where}[1]", value[1])
    if first > last:
        raise ValueError(f"{where} must be [lowest, highest], but {first:g} is above {last:g}")
    return first, last


def _choice(where: str, value: dict, inside) -> Choice:
    values = value["values"]
    if not isinstance(values, list) or not 1 <= len(values) <= 1000:
        raise ValueError(f"{where}.values must be a list of 1 to 1000 numbers, not {shown(values)}")
    values = tuple(inside(f"{where}.values[{n}]", item) for n, item in enumerate(values))
    return Choice(values, _weights(f"{where}.weights", value.get("weights"), len(values)))


def _weights(where: str, value, count: int) -> tuple[float, ...]:
    if value is None:
        return (1.0,) * count
    if not isinstance(value, list) or len(value) != count:
        raise ValueError(f"{where} must be a list of {count} numbers, one for each value, not {shown(value)}")
    weights = tuple(_number(f"{where}[{n}]", item, 0, LARGEST, "") for n, item in enumerate(value))
    if not sum(weights) > 0:
        raise ValueError(f"{where} must not all be 0")
    return weights


def _normal(where: str, value: dict, first: float, last: float) -> Normal:
    mean = _number(f"{where}.mean", value["mean"], -LARGEST, LARGEST, "")
    sd = _number(f"{where}.sd", value["sd"], 0, LARGEST, "", above=True)
    if not sd >= LARGEST * 1e-15:
        raise ValueError(f"{where}.sd of {sd:g} is too small; give a constant")
    found = Normal(mean, sd, first, last)
    low, high = found.share
    if high - low < LEAST_SHARE:
        raise ValueError(f"{where}.range holds less than a millionth of the normal distribution {mean:g} +- {sd:g}")
    return found


def definitions() -> dict:
    """The $defs that schemas with distributions refer to. The limits of the single quantity are checked on reading."""
    interval = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
    units = {"unit": {"type": "string"}}
    forms = [
        {"distribution": {"const": "uniform"}, "range": interval},
        {"distribution": {"const": "log-uniform"}, "range": interval},
        {"distribution": {"const": "normal"}, "mean": {"type": "number"},
         "sd": {"type": "number", "exclusiveMinimum": 0}, "range": interval},
        {"distribution": {"const": "choice"},
         "values": {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 1000}},
    ]  # fmt: skip
    weights = {"weights": {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 1}}
    objects = [
        {
            "type": "object",
            "properties": form | units | (weights if "values" in form else {}),
            "required": list(form),
            "additionalProperties": False,
        }
        for form in forms
    ]
    return {"distribution": {"oneOf": objects}}


def _distribution_schema(low: float, high: float, unit: str, above: bool) -> dict:
    inside = {"type": "number", **_number_schema(low, high, above)}
    return {"anyOf": [inside, {"$ref": "#/$defs/distribution"}]} | _unit_note(unit)


def _unit_note(unit: str) -> dict:
    return {"$comment": f"unit: {unit}"} if unit else {}
