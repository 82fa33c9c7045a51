"""The record of one sample: everything that is known of it beside its arrays, as plain JSON data.

A sample whose record is in the set's folder `records` is complete. Records are all that the assembled files, the
inspection, the merge and the readers need beside the files themselves.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from DeepDRRSlicerLib.dataset.rle import mask_box, mask_to_rle
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.geometry.files import beam_from_dict, beam_to_dict
from DeepDRRSlicerLib.projection.projector import Stopped

FORMAT = "DeepDRRSlicer sample 1"
FOLDER = "records"
# A name that every file system takes as it is: no device of Windows, no dot at an end.
_PART = re.compile(r"(?!(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$))\w[\w.-]{0,99}(?<!\.)", re.ASCII | re.IGNORECASE)
_DEEPEST = 8  # folders and file


def sample_key(index: int) -> str:
    """The name that all files of a sample share."""
    return f"{index:06d}"


def record_path(index: int) -> str:
    """Where a sample's record lies inside the set."""
    return f"{FOLDER}/{sample_key(index)}.json"


def annotation(sample) -> dict:
    """What is known of a sample, without its files: geometry, technique, dose, drawn settings and all labels.

    A box is [first column, first row, last column, last row], both ends included, or None where nothing is visible.
    Masks are COCO's compressed run lengths. Of labels with one name the second is called "name (2)".
    """
    shape = sample.radiograph.signal.shape
    return {
        "format": FORMAT,
        "index": int(sample.index),
        "patient": sample.patient,
        **sample.radiograph.metadata,
        "geometry": beam_to_dict(sample.radiograph.beam),
        "size": [int(n) for n in shape],
        "picture": sample.picture_settings,
        "settings": sample.settings,
        "segments": [
            {"name": name, "color": [float(c) for c in label.color]} | _region(label)
            for name, label in _named(sample.segments)
        ],
        "landmarks": [
            {
                "name": name,
                "position_ras": [float(x) for x in label.position_ras],
                "column": label.column,
                "row": label.row,
                "depth": label.depth,
                "visible": label.visible,
            }
            for name, label in _named(sample.landmarks)
        ],
        "tools": [
            {"name": name, "material": label.material, "pose": np.asarray(label.pose, np.float64).tolist()}
            | _region(label)
            for name, label in _named(sample.tools)
        ],
    }


def record(sample, files: Mapping[str, bytes]) -> dict:
    """The record of a sample whose writers made these files."""
    return annotation(sample) | {
        "files": {
            path: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for path, content in files.items()
        }
    }


def json_bytes(data) -> bytes:
    """Plain data, and numpy's numbers and arrays, as JSON: the same data give the same bytes."""
    text = json.dumps(data, default=_plain, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8")


def record_beam(record: Mapping) -> ConeBeam:
    """The view of a record."""
    return beam_from_dict(record["geometry"])


class RecordFiles(Sequence):
    """The records of a set in the order of their index, each read when it is asked for.

    Raises InputError for a record that is damaged, Stopped on request.
    """

    def __init__(self, folder: str | Path, should_stop: Callable[[], bool] | None = None):
        self.folder = Path(folder)
        self._should_stop = should_stop
        names = (path.stem for path in (self.folder / FOLDER).glob("*.json"))
        self.indices = sorted(int(name) for name in names if name.isascii() and name.isdigit())

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> dict:  # type: ignore[override]  # no slices
        if self._should_stop is not None and self._should_stop():
            raise Stopped
        index = self.indices[position]
        path = self.folder / record_path(index)
        try:
            found = json.loads(path.read_bytes())
            if not isinstance(found, dict) or found["format"] != FORMAT or found["index"] != index:
                raise ValueError
            if not _inside(found["files"]):
                raise ValueError
            return found
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"The record {path} is damaged; delete it and export the job again.") from error


def _inside(files: dict[str, dict]) -> bool:
    """Whether files stay in folders of the set, on every system: records may come from strangers, and a merge writes
    what they name."""
    if not all(isinstance(entry, dict) for entry in files.values()):
        return False
    paths = [name.split("/") for name in files]
    plain = all(_PART.fullmatch(part) for parts in paths for part in parts)
    in_folders = all(2 <= len(parts) <= _DEEPEST and parts[0].lower() != FOLDER for parts in paths)
    return plain and in_folders and len({name.lower() for name in files}) == len(paths)


def _named(labels: Sequence) -> Iterator[tuple[str, Any]]:
    """Labels with names that are all different."""
    taken: set[str] = set()
    for label in labels:
        name, number = label.name, 1
        while name in taken:
            number += 1
            name = f"{label.name} ({number})"
        taken.add(name)
        yield name, label


def _region(label) -> dict:
    """Where a segment or tool is seen."""
    return {
        "box": mask_box(label.mask),
        "area": int(label.mask.sum()),
        "largest_thickness_mm": float(label.thickness.max()),
        "mask": mask_to_rle(label.mask),
    }


def _plain(value):
    return value.tolist()
