"""The folder of a set while it is made: what it says of itself, which samples are there, and who writes to it.

dataset.json is written first and completed last. A sample whose record is there is complete. Nothing in the folder
tells of clock, machine or workers, so that the same job gives the same bytes.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import zlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import DeepDRRSlicerLib
from DeepDRRSlicerLib.dataset.atomic import PART, write_whole
from DeepDRRSlicerLib.dataset.finish import MANIFEST, manifest, manifest_bytes
from DeepDRRSlicerLib.dataset.job import Job, job_text
from DeepDRRSlicerLib.dataset.records import FOLDER as RECORDS
from DeepDRRSlicerLib.dataset.records import json_bytes, record_path
from DeepDRRSlicerLib.dataset.written_set import read_manifest
from DeepDRRSlicerLib.errors import InputError

JOB_FILE = "job.json"
# Whose versions may change what a sample looks like.
PACKAGES = ("numpy", "numba", "SimpleITK")
_OF_WRITERS = {"dicom": "pydicom", "hdf5": "h5py"}
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def identity(job: Job, backend: str, shard: tuple[int, int]) -> dict:
    """The manifest of a set that is begun: what has to agree for two runs to make one set, and how large it will be."""
    written = [output["writer"] for output in job.outputs]
    packages = [*PACKAGES, *(name for writer, name in _OF_WRITERS.items() if writer in written)]
    versions = {"DeepDRRSlicer": DeepDRRSlicerLib.__version__, **{name: _version(name) for name in packages}}
    versions |= {"zlib": zlib.ZLIB_RUNTIME_VERSION, "processor": platform.machine()}
    return manifest(job.data, job.hash, backend, versions, job.count, shard=None if shard == (1, 1) else shard)


def start_set(folder: Path, job: Job, wanted: dict, mix: bool) -> dict:
    """Makes or takes up a set's folder; returns its manifest while it runs. wanted: of `identity`.

    Raises InputError where the folder holds something else, the set of another job, or a set by another backend or
    with other versions unless asked to mix them, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = dict(wanted)
        if (folder / MANIFEST).exists():
            found = _taken_up(folder, read_manifest(folder), wanted, mix)
        else:
            own = (JOB_FILE, JOB_FILE + PART, MANIFEST + PART)  # of a run that was killed at once
            others = sorted(path.name for path in folder.iterdir() if path.name not in own)
            if others:
                raise InputError(f"{folder} holds other files ({others[0]}); choose an empty folder for the set.")
            write_whole(folder / JOB_FILE, [job_text(job).encode()])
        for part in folder.rglob(f"*{PART}"):  # what a killed run was writing
            part.unlink(missing_ok=True)
        write_whole(folder / MANIFEST, [manifest_bytes(found)])
    except OSError as error:
        raise unwritable(folder, error) from error
    return found


def with_backend(folder: Path, manifest: dict, backend: str) -> dict:
    """The manifest of a set that now has a sample by this backend, in words: another than its own is noted, as mixed.

    Raises OSError.
    """
    known = manifest.get("mixed_backend", [manifest["backend"]])
    if any(backend == name or backend.startswith(f"{name} (") for name in known):
        return manifest
    mixed = manifest | {"mixed_backend": [*known, backend]}
    write_whole(folder / MANIFEST, [manifest_bytes(mixed)])
    return mixed


def write_sample(folder: Path, index: int, files: dict[str, bytes], record: dict) -> None:
    """The files of a sample, and last of all its record. Raises OSError."""
    for path, content in files.items():
        write_whole(folder / path, [content])
    write_whole(folder / record_path(index), [json_bytes(record)])


def complete_samples(folder: Path) -> dict[int, str]:
    """The samples that have a record, and no file of another size than it says: number and patient's fingerprint.

    A file that is not there may be in a container of the assembled set: inspection looks for it, not this.
    """
    found = {}
    for path in (folder / RECORDS).glob("*.json"):
        try:
            record = json.loads(path.read_bytes())
            sizes = [(folder / name, entry["size"]) for name, entry in record["files"].items()]
            if all(file.stat().st_size == size for file, size in sizes if file.is_file()):
                found[int(record["index"])] = record["settings"]["files"]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue  # damaged by a machine that lost its power: made again
    return found


@contextlib.contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Keeps a second run out of a folder; the system lets go of it however this one ends. Raises InputError."""
    try:
        import fcntl
    except ImportError:  # Windows: the user has to see to it
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        with contextlib.suppress(OSError):  # file systems of clusters may know no locks
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(f"Another run is writing to {folder}; wait for it, or choose another one.") from error
        yield
    finally:
        os.close(lock)


def unwritable(folder: Path, error: OSError) -> InputError:
    """The sentence for a disk that refuses."""
    if error.errno in _FULL:
        return InputError(f"The disk of {folder} is full; make space and run the same command again to go on.")
    reason = error.strerror or error
    return InputError(f"Cannot write to {folder}: {reason}; correct that, or choose another folder, and run it again.")


def _taken_up(folder: Path, found: dict, wanted: dict, mix: bool) -> dict:
    """The manifest of a set that goes on."""
    for key, name in (("job_hash", "job"), ("shard", "shard")):
        if found.get(key) != wanted.get(key):
            raise InputError(f"{folder} holds the set of another {name}; choose another folder.")
    different = [key for key in ("backend", "versions") if found.get(key) != wanted[key]]
    if different and not mix:
        shown = " and ".join(f"{key} {_words(found.get(key))} instead of {_words(wanted[key])}" for key in different)
        raise InputError(f"{folder} was begun with {shown}; go on with the same ones, or mix them with --mix.")
    mixed = {}
    for key in different:
        values = found.get(f"mixed_{key}", [found.get(key)])
        mixed[f"mixed_{key}"] = values if wanted[key] in values else [*values, wanted[key]]
    return {key: value for key, value in found.items() if key != "written"} | {"state": "running"} | mixed


def _words(value) -> str:
    return ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # Slicer's own SimpleITK may come without package metadata
        return "unknown"
