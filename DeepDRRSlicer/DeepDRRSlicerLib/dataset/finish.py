"""From the files of all samples to a set: what the runner does last, and what a merge does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from DeepDRRSlicerLib.dataset.atomic import PART, write_whole
from DeepDRRSlicerLib.dataset.datasheet import write_datasheet
from DeepDRRSlicerLib.dataset.outputs import assemble_outputs
from DeepDRRSlicerLib.dataset.records import RecordFiles
from DeepDRRSlicerLib.dataset.writers.options import WriterOptions

FORMAT = "DeepDRRSlicer set 1"
MANIFEST, CHECKSUMS, OVERVIEW = "dataset.json", "checksums.sha256", "overview.html"
_BLOCK = 2**20


def manifest(
    job: Mapping,
    job_hash: str,
    backend: str,
    versions: Mapping[str, str],
    requested: int,
    skipped: Sequence[Mapping] = (),
    shard: tuple[int, int] | None = None,
) -> dict:
    """dataset.json while the job runs. requested: samples of the whole job. skipped: {"index", "reason"} of each.

    shard: (k, n) where this folder holds one part of the job.
    """
    made = {
        "format": FORMAT,
        "state": "running",
        "name": job.get("name", "dataset"),
        "licence": job.get("licence", ""),
        "job_hash": job_hash,
        "backend": backend,
        "versions": dict(versions),
        "requested": requested,
        "skipped": sorted(skipped, key=lambda entry: entry["index"]),
    }
    return made if shard is None else made | {"shard": list(shard)}


def manifest_bytes(data: Mapping) -> bytes:
    """A manifest as its file holds it."""
    return (json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def finish_set(
    folder: Path,
    job: dict,
    outputs: Mapping[str, WriterOptions],
    running: Mapping,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Puts the samples that have a record together, and writes datasheet, checksums and, last of all, dataset.json.

    Can be done again after it was killed, with the same bytes. Raises InputError where a sample's files are missing or
    damaged, OSError where the disk refuses, Stopped on request.
    """
    for left in folder.rglob(f"*{PART}"):
        left.unlink()
    (folder / OVERVIEW).unlink(missing_ok=True)
    records = RecordFiles(folder, should_stop)
    assemble_outputs(folder, records, job, outputs)
    write_datasheet(folder, records, running, list(outputs))
    complete = manifest_bytes({**running, "state": "complete", "written": len(records)})
    write_whole(folder / CHECKSUMS, [checksums(folder, records, complete).encode("utf-8")])
    write_whole(folder / MANIFEST, [complete])


def checksums(folder: Path, records: Sequence[Mapping], complete: bytes) -> str:
    """The text of checksums.sha256, as sha256sum reads it, with the manifest as it will be.

    What a record says of a sample's files is taken from there: they were hashed when they were written.
    """
    known = {MANIFEST: hashlib.sha256(complete).hexdigest()}
    for record in records:
        known |= {path: entry["sha256"] for path, entry in record["files"].items()}
    paths = sorted({*set_files(folder), MANIFEST})
    return "".join(f"{known.get(path) or file_hash(folder / path)}  {path}\n" for path in paths)


def set_files(folder: Path) -> list[str]:
    """Paths of all files of a set that have a checksum; the overview is drawn later, by whoever looks at the set."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if path not in (CHECKSUMS, OVERVIEW))


def file_hash(path: Path) -> str:
    """SHA-256 of a file in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
