"""Compiled kernels, kept on the disk: a card's code is made once, in a second or two, and read from then on."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from DeepDRRSlicerLib.projection.cuda import nvrtc
from DeepDRRSlicerLib.user_cache import cache_folder

_DIGEST = hashlib.sha256
_DIGEST_BYTES = 32


def kernel_image(
    source: str, capability: tuple[int, int], newest: int | None = None, folder: Path | None = None
) -> bytes:
    """The code of `kernels/<source>` for a card, from the cache or compiled: a cubin, or PTX for a newer card.

    One file each in the cache folder "kernels" (or `folder`), under a name made of the card, the compiler's version
    and all of the text; it begins with the digest of the rest, and is made again where that does not fit. A folder
    that cannot be written is no error. newest: the major version of CUDA that the card's driver knows, see `nvrtc`.
    Raises CompileError or CompilerMissing of `nvrtc`.
    """
    text, headers = sources(source)
    key = _DIGEST(repr((source, capability, nvrtc.version(newest), text, sorted(headers.items()))).encode()).hexdigest()
    path = (folder or cache_folder("kernels")) / f"{Path(source).stem}-{capability[0]}{capability[1]}-{key[:32]}.image"
    image = _read(path)
    if image is None:
        image = nvrtc.compiled(text, source, capability, headers, newest=newest)
        _write(path, image)
    return image


def sources(source: str) -> tuple[str, Mapping[str, str]]:
    """The text of a source, and of everything that it may include, by name."""
    folder = files("DeepDRRSlicerLib.projection.cuda") / "kernels"
    headers = {entry.name: entry.read_text("utf-8") for entry in folder.iterdir() if entry.name.endswith(".h")}
    return (folder / source).read_text("utf-8"), headers


def _read(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, image = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return image if digest == _DIGEST(image).digest() else None


def _write(path: Path, image: bytes) -> None:
    part = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(prefix=".part-", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(_DIGEST(image).digest() + image)
        os.replace(part, path)  # whole or not at all
    except OSError:  # a full or write-protected disk
        if part is not None:
            Path(part).unlink(missing_ok=True)
