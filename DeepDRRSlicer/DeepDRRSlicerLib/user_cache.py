"""The user's cache folder: what may be deleted at any time, since it is made again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_FOLDER, _VARIABLE = "DeepDRRSlicer", "DEEPDRRSLICER_CACHE"


def cache_folder(kind: str) -> Path:
    """Where files of a kind, such as "labels", are kept; the folder need not be there.

    Below %LOCALAPPDATA% on Windows, ~/Library/Caches on macOS, else $XDG_CACHE_HOME or ~/.cache; the variable
    DEEPDRRSLICER_CACHE names another, as on a cluster.
    """
    if os.environ.get(_VARIABLE):
        return Path(os.environ[_VARIABLE]) / kind
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / _FOLDER / kind
