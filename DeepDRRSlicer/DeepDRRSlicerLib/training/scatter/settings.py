"""How the scatter network is made: its pairs and its training, as JSON."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.training.scatter.pairs import PairSettings
from DeepDRRSlicerLib.training.scatter.train import ScatterSettings

CONFIGURATION = "configuration.json"  # of the shipped weights
_PARTS = {"pairs": PairSettings, "training": ScatterSettings}
_FROM_ZERO = ("seed", "ct_share", "warm_up")


def read_settings(path: str | Path | None = None) -> tuple[PairSettings, ScatterSettings]:
    """Settings of a JSON file, by default of the shipped weights; the usual ones where it is silent.

    Raises InputError, which names the field.
    """
    path = Path(path or Path(__file__).with_name(CONFIGURATION))
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"The settings '{path}' cannot be read ({error.strerror}); check the path.") from error
    except ValueError as error:
        raise InputError(f"The settings '{path}' are no JSON ({error}); correct the file.") from error
    if not isinstance(found, dict) or not set(found) <= set(_PARTS):
        raise InputError(f"The settings '{path}' must be an object with the fields {', '.join(_PARTS)}; correct it.")
    return tuple(_part(name, into, found.get(name, {})) for name, into in _PARTS.items())


def _part(name: str, into, found):
    usual = {item.name: getattr(into(), item.name) for item in fields(into)}
    if not isinstance(found, dict):
        raise InputError(f"The field {name!r} of the settings must be an object; write fields in braces.")
    values = {}
    for key, value in found.items():
        if key not in usual:
            raise InputError(f"The settings have no field '{name}.{key}'; choose from: {', '.join(sorted(usual))}.")
        if not _fits(value, usual[key]) or (isinstance(value, int | float) and value == 0 and key not in _FROM_ZERO):
            raise InputError(f"The field '{name}.{key}' of the settings cannot be {value!r}; see {CONFIGURATION}.")
        values[key] = tuple(value) if isinstance(value, list) else value
    return into(**values)


def _fits(value, usual) -> bool:
    """Whether a value may stand where the usual one does."""
    if isinstance(usual, tuple):
        kind = str if not usual else int
        return isinstance(value, list) and all(isinstance(item, kind) and item not in ("", 0) for item in value)
    if isinstance(value, bool):
        return False
    return isinstance(value, int if isinstance(usual, int) else int | float) and value >= 0
