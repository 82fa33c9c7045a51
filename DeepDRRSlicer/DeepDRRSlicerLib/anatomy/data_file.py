"""Where a NRRD or MetaImage header says that its voxels are: files of its own folder, and how long these are."""

from __future__ import annotations

import re
from pathlib import Path, PureWindowsPath

from DeepDRRSlicerLib.errors import InputError

_HEADED = (".nrrd", ".nhdr", ".mha", ".mhd")
_MOST_HEADER = 16 << 20  # bytes; those of Slicer's segmentations have some hundred thousand
_NAMED = re.compile(rb"^(?:data ?file[ \t]*:|ElementDataFile[ \t]*=)[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)


def voxels_length(path: Path) -> int | None:
    """Bytes of the file, or of the files that hold its voxels; None where a pattern or a list names them.

    Raises InputError where the header has no end, or names anything but files in its folder: a pipe or a terminal
    would be waited for without end, and a stranger's header has no business in other folders.
    """
    own = path.stat().st_size
    if not path.name.lower().endswith(_HEADED):
        return own
    with open(path, "rb") as file:
        head = file.read(_MOST_HEADER + 1)
    nrrd = path.name.lower().endswith((".nrrd", ".nhdr"))
    end = re.search(rb"\n\r?\n", head) if nrrd else _NAMED.search(head)
    if end is None and len(head) > _MOST_HEADER:
        raise InputError(f"The header of '{path.name}' has no end; export it again.")
    found = _NAMED.search(head, 0, end.end() if end and nrrd else len(head))
    if found is None or found[1].strip().upper() == b"LOCAL":
        return own
    first = found[1].decode(errors="replace").strip()
    if first.upper().startswith("LIST"):
        names = [line.decode(errors="replace").strip() for line in head[found.end() :].splitlines()]
    else:
        names = [first]
    for name in filter(None, names):
        _check_inside(path, name)
    one = path.parent / names[0]
    return one.stat().st_size if len(names) == 1 and one.is_file() else None


def _check_inside(path: Path, name: str) -> None:
    parts = PureWindowsPath(name).parts  # which knows the separators and drives of every system
    try:
        other = (path.parent / name).exists() and not (path.parent / name).is_file()
    except (OSError, ValueError):
        other = True
    if other or ".." in parts or PureWindowsPath(name).anchor:
        raise InputError(
            f"'{path.name}' has its voxels in '{name[:100]}', which is no file of its folder; put them beside it."
        )
