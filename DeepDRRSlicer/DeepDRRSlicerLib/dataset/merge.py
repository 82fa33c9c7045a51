"""Several parts of one job become one set, byte for byte what a single run would have written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from DeepDRRSlicerLib.dataset.atomic import write_whole
from DeepDRRSlicerLib.dataset.finish import MANIFEST, finish_set, manifest_bytes
from DeepDRRSlicerLib.dataset.outputs import read_outputs, stored_bytes
from DeepDRRSlicerLib.dataset.records import RecordFiles, record_path
from DeepDRRSlicerLib.dataset.written_set import read_job, read_manifest
from DeepDRRSlicerLib.errors import InputError

_SAME = {"job_hash": "jobs", "backend": "backends", "versions": "versions"}


@dataclass(frozen=True, eq=False)
class _Part:
    folder: Path
    manifest: dict
    records: RecordFiles


def merge_sets(
    folders: Sequence[str | Path],
    output: str | Path,
    mix: bool = False,
    progress: Callable[[float], None] = lambda fraction: None,
) -> dict:
    """Copies the samples of all folders into one set, which must be a new folder; returns its manifest.

    A sample that several folders hold is taken once if it is the same. mix: accept parts of other jobs, backends or
    versions than the first, as long as their samples have different numbers and their outputs agree.
    Raises InputError where the parts do not fit together, a sample is missing from all of them, or a file is missing
    or damaged.
    """
    parts = [_part(Path(folder)) for folder in folders]
    if not parts:
        raise InputError("There is nothing to merge; name the folders of the parts.")
    output = Path(output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output} is not empty; name a new folder for the merged set.")
    job = _check_fit(parts, mix)
    merged = _merged_manifest(parts, mix)
    places = _places(parts)
    if "mixed_job_hash" in merged:
        merged["requested"] = len(places) + len(merged["skipped"])
    else:
        _check_all_there(places, merged)
    try:
        output.mkdir(parents=True, exist_ok=True)
        write_whole(output / MANIFEST, [manifest_bytes(merged)])
        write_whole(output / "job.json", [(parts[0].folder / "job.json").read_bytes()])
        for done, index in enumerate(sorted(places)):
            _copy_sample(*places[index], output)
            progress((done + 1) / (len(places) + 1))
        finish_set(output, job, read_outputs(job, merged["job_hash"]), merged)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"Cannot write to {output}: {reason}; choose another folder or make space.") from error
    progress(1.0)
    return read_manifest(output)


def _part(folder: Path) -> _Part:
    manifest = read_manifest(folder)
    if manifest["state"] != "complete":
        raise InputError(f"The part in {folder} is not complete; export it again, which resumes it.")
    return _Part(folder, manifest, RecordFiles(folder))


def _check_fit(parts: Sequence[_Part], mix: bool) -> dict:
    first = parts[0]
    job = read_job(first.folder)
    for part in parts[1:]:
        different = [word for key, word in _SAME.items() if part.manifest[key] != first.manifest[key]]
        if different and not mix:
            raise InputError(
                f"{first.folder} and {part.folder} are of different {' and '.join(different)}; "
                "export one of them again, or merge them with --mix."
            )
        other = read_job(part.folder)
        if job.get("outputs") != other.get("outputs"):
            raise InputError(f"{first.folder} and {part.folder} have different outputs; make them with the same ones.")
    return job


def _merged_manifest(parts: Sequence[_Part], mix: bool) -> dict:
    first = {key: value for key, value in parts[0].manifest.items() if key not in ("shard", "written")}
    skipped = {entry["index"]: entry for part in parts for entry in part.manifest["skipped"]}
    merged = first | {"state": "running", "skipped": [skipped[index] for index in sorted(skipped)]}
    if mix:
        mixed = {key: _distinct([part.manifest[key] for part in parts]) for key in _SAME}
        merged |= {f"mixed_{key}": values for key, values in mixed.items() if len(values) > 1}
    return merged


def _places(parts: Sequence[_Part]) -> dict[int, tuple[_Part, int]]:
    """By the sample's index: the part that holds it, and its position there."""
    places: dict[int, tuple[_Part, int]] = {}
    for part in parts:
        for position, index in enumerate(part.records.indices):
            if index not in places:
                places[index] = part, position
            elif _record_bytes(part, index) != _record_bytes(places[index][0], index):
                other = places[index][0].folder
                raise InputError(f"{other} and {part.folder} hold different samples {index}; leave one of them out.")
    return places


def _check_all_there(places: dict, merged: dict) -> None:
    skipped = {entry["index"] for entry in merged["skipped"]}
    missing = [index for index in range(merged["requested"]) if index not in places and index not in skipped]
    if missing:
        named = ", ".join(map(str, missing[:5])) + (" ..." if len(missing) > 5 else "")
        raise InputError(f"{len(missing)} samples are in none of the parts ({named}); add the parts that hold them.")


def _copy_sample(part: _Part, position: int, output: Path) -> None:
    """The record comes last, as in a run: a sample that has one is complete."""
    record = part.records[position]
    for path, entry in record["files"].items():
        content = stored_bytes(part.folder, path, record["index"])
        if content is None or hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise InputError(f"{path} is missing or damaged in {part.folder}; export that part again.")
        write_whole(output / path, [content])
    write_whole(output / record_path(record["index"]), [_record_bytes(part, record["index"])])


def _record_bytes(part: _Part, index: int) -> bytes:
    return (part.folder / record_path(index)).read_bytes()


def _distinct(values: Sequence) -> list:
    found = []
    for value in values:
        if value not in found:
            found.append(value)
    return found
