"""Named points from Slicer's markups files or a plain JSON file, in RAS."""

import csv
import json
import math
from dataclasses import dataclass

from DeepDRRSlicerLib.anatomy.image_io import existing
from DeepDRRSlicerLib.errors import InputError

# Signs of x, y, z that lead to RAS; the numbers are those of .fcsv files before Slicer 4.11.
TO_RAS = {"RAS": (1.0, 1.0, 1.0), "LPS": (-1.0, -1.0, 1.0)}
NUMBERED_SYSTEMS = {"0": "RAS", "1": "LPS", "2": "IJK"}
FCSV_COLUMNS = ("id", "x", "y", "z", "ow", "ox", "oy", "oz", "vis", "sel", "lock", "label")
# Column 14 of .fcsv since Slicer 4.13, and what it says of a point that was placed.
FCSV_STATUS_COLUMN, FCSV_DEFINED = 14, "2"
_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)


@dataclass(frozen=True)
class Landmark:
    """A point of the patient; position_ras: three RAS coordinates in mm."""

    name: str
    position_ras: tuple[float, float, float]


def read_landmarks(path) -> list[Landmark]:
    """The points of a Slicer point list (.mrk.json, .fcsv) or of a JSON file {name: [R, A, S]}, in the file's order.

    Points that were never placed are left out. Raises InputError when the file holds no point list, or holds positions
    that are not three finite numbers in RAS or LPS millimetres.
    """
    path = existing(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        return _from_fcsv(text) if path.suffix.lower() == ".fcsv" else _from_json(json.loads(text))
    except KeyError as error:
        reason = f"it lacks {error}"
    except RecursionError:
        reason = "it is nested too deeply"
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, csv.Error) as error:
        reason = " ".join(str(error).split()).rstrip(".")[:150]
    raise InputError(
        f"'{path.name}' is not a list of landmarks ({reason}); use a Slicer point list (.mrk.json, .fcsv) or a JSON "
        "file {name: [R, A, S]}."
    )


def landmarks_text(landmarks) -> str:
    """Landmarks as the text of a .mrk.json file, which Slicer opens as a point list; the same ones, the same text."""
    points = [
        {"id": str(n + 1), "label": one.name, "position": list(one.position_ras), "positionStatus": "defined"}
        for n, one in enumerate(landmarks)
    ]
    markup = {"type": "Fiducial", "coordinateSystem": "RAS", "coordinateUnits": "mm", "controlPoints": points}
    content = {"@schema": _SCHEMA, "markups": [markup]}
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _from_json(content) -> list[Landmark]:
    if not isinstance(content, dict):
        raise ValueError("no names at its top")
    markups = content.get("markups")
    if isinstance(markups, list) and all(isinstance(markup, dict) for markup in markups):
        return _from_markups(markups)
    return [_landmark(name, position, "RAS") for name, position in content.items()]


def _from_markups(markups: list[dict]) -> list[Landmark]:
    point_lists = [markup for markup in markups if markup["type"] == "Fiducial"]
    if not point_lists:
        raise ValueError("it holds other markups than points")
    landmarks = []
    for markup in point_lists:
        if markup.get("coordinateUnits", "mm") != "mm":
            raise ValueError("its unit is not mm")
        for number, point in enumerate(markup["controlPoints"]):
            if point.get("positionStatus", "defined") == "defined":
                name = point.get("label") or f"point {number + 1}"
                landmarks.append(_landmark(name, point["position"], markup.get("coordinateSystem", "LPS")))
    return landmarks


def _from_fcsv(text: str) -> list[Landmark]:
    system, columns, rows = "RAS", list(FCSV_COLUMNS), []
    for line in text.splitlines():
        key, _, value = line.lstrip("# ").partition("=")
        if not line.startswith("#"):
            rows.append(line)
        elif key.strip() == "CoordinateSystem":
            system = NUMBERED_SYSTEMS.get(value.strip(), value.strip())
        elif key.strip() == "columns":
            columns = [column.strip() for column in value.split(",")]
    x, label = columns.index("x"), columns.index("label")
    landmarks = []
    for number, row in enumerate(row for row in csv.reader(rows) if row):
        if len(row) < x + 3:
            raise ValueError(f"point {number + 1} has {len(row)} columns")
        if len(row) > FCSV_STATUS_COLUMN and row[FCSV_STATUS_COLUMN] != FCSV_DEFINED:
            continue
        name = row[label] if len(row) > label else ""
        landmarks.append(_landmark(name or f"point {number + 1}", [float(part) for part in row[x : x + 3]], system))
    return landmarks


def _landmark(name: str, position, system: str) -> Landmark:
    if system not in TO_RAS:
        raise ValueError(f"its coordinate system {system} is neither RAS nor LPS")
    if not isinstance(position, list) or len(position) != 3 or not all(type(part) in (int, float) for part in position):
        raise ValueError(f"the position of {name} is not three numbers")
    r, a, s = (sign * float(part) + 0.0 for sign, part in zip(TO_RAS[system], position, strict=True))  # no -0.0
    if not all(math.isfinite(part) for part in (r, a, s)):
        raise ValueError(f"the position of {name} is not finite")
    return Landmark(str(name), (r, a, s))
