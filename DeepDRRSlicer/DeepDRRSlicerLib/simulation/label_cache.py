"""Labels of CTs that were computed before, kept on the disk, so that a network runs once per patient.

One file per CT and network, in the user's cache folder: %LOCALAPPDATA% on Windows, ~/Library/Caches on macOS, else
$XDG_CACHE_HOME or ~/.cache; the variable DEEPDRRSLICER_CACHE names another, as on a cluster. A file comes into being
whole or not at all. Together they take no more than a limit: what was used longest ago goes first. A cache that
cannot be read or written is no error, the labels are made again. It holds no voxel of the CT, but the outline of the
patient's tissues: whoever must not keep it deletes the folder.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib import user_cache

_ENDING = ".labels"
_MOST_BYTES = 512 << 20
_LEVEL = 1  # labels shrink to a fiftieth with the least effort


def cache_folder() -> Path:
    """Where labels are kept; it need not be there."""
    return user_cache.cache_folder("labels")


def cached_labels(key: str, shape: tuple[int, ...], folder: Path | None = None) -> np.ndarray | None:
    """uint8 labels [k, j, i] of the shape that were kept under a key (a hex digest), or None."""
    path = (folder or cache_folder()) / f"{key}{_ENDING}"
    try:
        content = path.read_bytes()
        unpacked = zlib.decompressobj()
        labels = np.frombuffer(unpacked.decompress(content, int(np.prod(shape)) + 1), np.uint8)
        if not unpacked.eof or labels.size != np.prod(shape):
            raise ValueError("not the labels of this CT")
        os.utime(path)  # it is in use
        return labels.reshape(shape)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, zlib.error):
        _remove(path)
        return None


def keep_labels(key: str, labels: np.ndarray, folder: Path | None = None, most_bytes: int = _MOST_BYTES) -> None:
    """Keeps labels uint8 [k, j, i] under a key, and lets go of the oldest where all together are above `most_bytes`."""
    folder = folder or cache_folder()
    part = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        content = zlib.compress(np.ascontiguousarray(labels, dtype=np.uint8), _LEVEL)
        handle, part = tempfile.mkstemp(prefix=".part-", dir=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(part, folder / f"{key}{_ENDING}")
        part = None
        _shrink(folder, most_bytes)
    except OSError:  # a full or write-protected disk
        return
    finally:
        if part is not None:
            _remove(Path(part))


def _shrink(folder: Path, most_bytes: int) -> None:
    files = sorted(((path.stat(), path) for path in folder.glob(f"*{_ENDING}")), key=lambda entry: entry[0].st_mtime)
    total = sum(stat.st_size for stat, _ in files)
    for stat, path in files[:-1]:  # the newest stays, however large it is
        if total <= most_bytes:
            return
        _remove(path)
        total -= stat.st_size


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError:  # another process has it open, or was faster
        pass
