"""Tables that name the labels of a label map, and the colours of labels that have none."""

import colorsys
import csv
import json
from collections.abc import Mapping
from pathlib import Path

from DeepDRRSlicerLib.anatomy.image_io import existing
from DeepDRRSlicerLib.errors import InputError

LABEL_COLUMNS = ("label", "id", "value", "index", "labelvalue", "label_id")
NAME_COLUMNS = ("name", "structure", "segment", "label_name")


def label_names(names, image: Path) -> dict[int, str]:
    """Names by label: `names` itself (a mapping), the CSV or JSON file it is, or, if None, the table beside `image`.

    Beside the image counts a .csv or .json of the same name, else structures.csv. A CSV has a header with one column of
    `LABEL_COLUMNS` and one of `NAME_COLUMNS`; a JSON file is {label: name} or {name: label}.
    Raises InputError when the table cannot be read.
    """
    if isinstance(names, Mapping):
        return {int(label): str(name) for label, name in names.items()}
    if names is not None:
        return _read_table(existing(names))
    stem = image.name.split(".")[0]
    for candidate in (f"{stem}.csv", f"{stem}.json", "structures.csv"):
        if (image.parent / candidate).is_file():
            return _read_table(image.parent / candidate)
    return {}


def _read_table(path: Path) -> dict[int, str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        return _from_json(json.loads(text)) if path.suffix.lower() == ".json" else _from_csv(text)
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError, csv.Error) as error:
        raise InputError(
            f"'{path.name}' does not name labels; give a CSV with columns label and name, or a JSON {{label: name}}."
        ) from error


def _from_json(content: dict) -> dict[int, str]:
    pairs = list(content.items())
    if all(isinstance(value, str) for _, value in pairs):
        return {int(label): name for label, name in pairs}
    return {int(label): name for name, label in pairs}


def _from_csv(text: str) -> dict[int, str]:
    rows = csv.DictReader(text.splitlines())
    columns = {str(column).strip().lower(): column for column in rows.fieldnames or ()}
    label, name = (next((columns[c] for c in known if c in columns), None) for known in (LABEL_COLUMNS, NAME_COLUMNS))
    if label is None or name is None:
        raise ValueError(f"columns {', '.join(columns)}")
    return {int(row[label]): row[name].strip() for row in rows if row[label]}


def label_color(label: int) -> tuple[float, float, float]:
    """A colour (r, g, b from 0 to 1) unlike those of the neighbouring labels: hues a golden angle apart."""
    return colorsys.hsv_to_rgb(label * 0.61803398875 % 1.0, 0.65, 0.95)
