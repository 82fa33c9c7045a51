"""Which material a segment stands for: by hand, by its terminology, by its name.

By hand: a person's map of segment names, or patterns of them as *screw*, to materials (substances.substance), or to
"unsegmented", which leaves its voxels to whatever fills the rest. By terminology: SNOMED CT codes as Slicer stores
them, else what the code means in English. By name: words of anatomy, those of TotalSegmentator's classes among them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import lru_cache

from DeepDRRSlicerLib.anatomy.image_io import existing
from DeepDRRSlicerLib.anatomy.segment_words import CODES, RULES
from DeepDRRSlicerLib.anatomy.segmentation import Segment
from DeepDRRSlicerLib.anatomy.substances import substance
from DeepDRRSlicerLib.errors import InputError

# A material of a segment: as if it were not segmented. In a map also the key that says what fills unsegmented voxels.
UNSEGMENTED = "unsegmented"
FILLS = ("threshold", "network")

_TELLS_NOTHING = {"", "tissue", "organ", "anatomical structure", "region of interest", "mass", "segmentation"}
_WILD = re.compile(r"[*?\[]")


@lru_cache(maxsize=1000)
def automatic_material(name: str, terminology: str = "") -> str | None:
    """The material that terminology (as Slicer stores it) or name of a segment tell, or None."""
    return _by_terminology(terminology) or _by_name(name)


def materials_of(segments: Sequence[Segment], chosen: Mapping[str, str]) -> list[str]:
    """The material of each segment, those of `chosen` (`read_material_map`) first.

    Raises InputError for segments without a material, and for names of `chosen` that no segment has.
    """
    names = {name.lower() for segment in segments for name in (segment.name, segment.id)}
    for key in chosen:
        if key != UNSEGMENTED and not _WILD.search(key) and key.lower() not in names:
            known = [segment.name for segment in segments]
            near = get_close_matches(key, known, n=3, cutoff=0.5) or known[:10]
            raise InputError(f"The material map names {key!r}, which is no segment; choose {', '.join(near)}.")
    found = [chosen_material(one, chosen) or automatic_material(one.name, one.terminology) or "" for one in segments]
    unknown = [segment.name for segment, material in zip(segments, found, strict=True) if not material]
    if unknown:
        listed = ", ".join(repr(name) for name in unknown[:5]) + (" ..." if len(unknown) > 5 else "")
        raise InputError(
            f"No material is known for the segment{'s' if len(unknown) > 1 else ''} {listed}; name it in the material "
            f'map, or map it to "{UNSEGMENTED}".'
        )
    return found


def chosen_material(segment: Segment, chosen: Mapping[str, str]) -> str | None:
    """What a person chose for a segment: by its exact name or id, else by the first pattern that fits, else None."""
    names = (segment.name.lower(), segment.id.lower())
    exact = next((material for key, material in chosen.items() if key.lower() in names), None)
    if exact is not None:
        return exact
    fitting = (material for key, material in chosen.items() if any(fnmatchcase(name, key.lower()) for name in names))
    return next(fitting, None)


def read_material_map(path) -> dict[str, str]:
    """{name, id or pattern of segments: material} of a JSON file, checked. Raises InputError."""
    path = existing(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"The material map '{path.name}' cannot be read ({error}); write it as JSON.") from error
    return checked_material_map(content, f"The material map '{path.name}'")


def checked_material_map(content, name: str = "The material map") -> dict[str, str]:
    """The map itself, if it is one. name: what messages call it. Raises InputError."""
    if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
        raise InputError(f'{name} is no list of names and materials; write it as {{"screw*": "titanium"}}.')
    for key, material in content.items():
        if key == UNSEGMENTED and material not in FILLS:
            raise InputError(f"{name} fills unsegmented voxels with {material!r}; choose {' or '.join(FILLS)}.")
        if material == UNSEGMENTED or key == UNSEGMENTED:
            continue
        try:
            substance(material)
        except InputError as error:
            raise InputError(f"{name} cannot be used for {key!r}: {error}") from error
    return dict(content)


def _by_terminology(entry: str) -> str | None:
    """Of context~category~type~modifier~..., each of the form scheme^code^meaning: the type, with its modifier."""
    parts = [part.split("^") for part in entry.split("~")]
    if len(parts) < 3 or len(parts[2]) != 3:
        return None
    scheme, code, meaning = parts[2]
    if scheme in ("SCT", "SRT") and code in CODES:
        return CODES[code]
    return None if meaning.strip().lower() in _TELLS_NOTHING else _by_name(meaning)


def _by_name(name: str) -> str | None:
    words = re.findall(r"[a-z]+|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    if " ".join(words) in _WHOLE:
        return UNSEGMENTED
    if " with " in name:  # a mixture, word for word
        return _by_words(name)
    text = f" {' '.join(words)} "
    for material, phrases in RULES:
        for phrase in phrases:
            if f" {phrase} " in text or f" {phrase}s " in text:
                return material
    if re.search(r" [ctls] \d{1,2} ", text):  # a vertebra, as T12
        return "bone"
    return _by_words(name.replace("_", " "))


def _by_words(name: str) -> str | None:
    try:
        return substance(name).name
    except InputError:
        return None


# Outlines of everything: what is inside is said better by the other segments and the fill.
_WHOLE = {"body", "body trunc", "body trunk", "body extremities", "whole body", "torso", "trunk", "patient", "head",
          "external", "skin", "abdomen", "abdominal cavity", "thorax", "thoracic cavity", "chest", "mediastinum",
          "neck", "face"}  # fmt: skip
