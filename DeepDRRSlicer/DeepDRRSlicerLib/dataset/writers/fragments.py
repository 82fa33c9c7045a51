"""Formats that put many samples into one file: each sample is first a file of its own, so that a killed job resumes.

When all samples are there, they are put together and the fragments are taken away. A record goes on naming the
fragment, its size and checksum: the container gives the very bytes back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from DeepDRRSlicerLib.errors import InputError


def checked_fragment(folder: Path, record: Mapping, path: str, stored: Callable[[int], bytes | None]) -> bytes:
    """A sample's fragment, from its file, or from the container by stored(index).

    Raises InputError where neither has it or its checksum differs.
    """
    file = folder / path
    content = file.read_bytes() if file.is_file() else stored(record["index"])
    if content is None:
        raise InputError(f"{path} of sample {record['index']} is missing in {folder}; export the job again.")
    if hashlib.sha256(content).hexdigest() != record["files"][path]["sha256"]:
        raise InputError(f"{path} of sample {record['index']} in {folder} is damaged; export the job again.")
    return content


def remove_fragments(folder: Path, paths: Iterable[str]) -> None:
    """Takes away fragments that are in their container now, and their folder when it is empty."""
    folders = set()
    for path in paths:
        (folder / path).unlink(missing_ok=True)
        folders.add((folder / path).parent)
    for parent in folders:
        if parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()
