"""Files that are either whole or not there, however a program ends."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

PART = ".part"  # ending of a file that is being written


def write_whole(path: Path, chunks: Iterable[bytes]) -> Path:
    """Writes a file beside its place and moves it there. Raises OSError where the folder or the disk refuses."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + PART)
    try:
        with open(part, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return path
