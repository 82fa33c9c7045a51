"""Verifies a set: counts, checksums, and that all labels agree with each other; and draws its overview page."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from DeepDRRSlicerLib.dataset.atomic import write_whole
from DeepDRRSlicerLib.dataset.check_coco import coco_problems
from DeepDRRSlicerLib.dataset.check_sample import sample_problems
from DeepDRRSlicerLib.dataset.finish import CHECKSUMS, MANIFEST, OVERVIEW, file_hash, set_files
from DeepDRRSlicerLib.dataset.outputs import WRITERS, read_outputs
from DeepDRRSlicerLib.dataset.overview import overview_html
from DeepDRRSlicerLib.dataset.pictures import spread, thumbnail
from DeepDRRSlicerLib.dataset.records import RecordFiles, record_path
from DeepDRRSlicerLib.dataset.statistics import Statistics, statistics_of
from DeepDRRSlicerLib.dataset.written_set import read_job, read_manifest
from DeepDRRSlicerLib.errors import InputError

_PICTURES = 60
# What reading a damaged file may raise; a missing package or a bug must not pass for a damaged file.
_DAMAGE = (InputError, OSError, ValueError, KeyError, TypeError, IndexError, EOFError, tarfile.TarError)


@dataclass(frozen=True, eq=False)
class Inspection:
    """problems: one clause each, with the place; empty where the set is in order. samples: how many were read."""

    manifest: dict
    statistics: Statistics
    problems: tuple[str, ...]


def inspect_set(folder: str | Path, progress: Callable[[float], None] = lambda fraction: None) -> Inspection:
    """Reads every file of a set once and compares. Writes overview.html into the folder.

    Raises InputError where the folder holds no set, a package for one of its formats is missing, or the overview
    cannot be written.
    """
    folder = Path(folder)
    manifest, job = read_manifest(folder), read_job(folder)
    writers = list(read_outputs(job, manifest["job_hash"]))
    _check_packages(writers)
    records = RecordFiles(folder)
    verified: dict[str, str] = {}
    problems = [*_count_problems(manifest, records), *_checksum_problems(folder, verified)]
    readable, pictures = [], []
    shown = set(spread(len(records), _PICTURES))
    for position, index in enumerate(records.indices):
        place = record_path(index)
        try:
            record = records[position]
            arrays = {}
            for writer in writers:
                try:
                    arrays[writer] = WRITERS[writer].read(folder, record)
                except _DAMAGE as error:
                    problems.append(f"{place}: its {writer} files cannot be read ({_reason(error)})")
            for problem in sample_problems(folder, record, verified, arrays):  # one by one: the next one may fail
                problems.append(f"{place}: {problem}")
            readable.append(position)
            if position in shown and arrays:
                pictures.append((record, thumbnail(record, next(iter(arrays.values())))))
        except _DAMAGE as error:
            problems.append(f"{place}: it is damaged ({_reason(error)})")
        progress((position + 1) / len(records))
    problems += _set_problems(folder, records, writers)
    problems = list(dict.fromkeys(problems))
    statistics = _statistics(records, readable)
    try:
        write_whole(folder / OVERVIEW, [overview_html(manifest, statistics, problems, pictures).encode("utf-8")])
    except OSError as error:
        raise InputError(f"Cannot write {folder / OVERVIEW}: {error.strerror or error}; make space.") from error
    return Inspection(manifest, statistics, tuple(problems))


def _check_packages(writers: list[str]) -> None:
    from DeepDRRSlicerLib.dataset.optional import optional_package

    for writer, package in (("dicom", "pydicom"), ("hdf5", "h5py")):
        if writer in writers:
            optional_package(package, f"The inspection of {writer} files")


def _count_problems(manifest: Mapping, records: RecordFiles) -> Iterator[str]:
    if manifest["state"] != "complete":
        yield f"{MANIFEST}: the job has not come to its end; export it again, which resumes it"
    elif manifest.get("written") != len(records):
        yield f"{MANIFEST}: {manifest.get('written')} samples were written, but there are {len(records)} records"
    skipped = {entry["index"] for entry in manifest["skipped"]}
    both = [index for index in records.indices if index in skipped]
    if both:
        yield f"{MANIFEST}: sample {both[0]} is said to be skipped but has a record"
    if "shard" not in manifest and manifest["requested"] != len(records) + len(skipped):
        yield (
            f"{MANIFEST}: {manifest['requested']} samples were asked for, but {len(records)} are there and "
            f"{len(skipped)} were skipped"
        )
    if records.indices and records.indices[-1] >= manifest["requested"] and "mixed_job_hash" not in manifest:
        yield f"{MANIFEST}: the job has no sample {records.indices[-1]}"


def _checksum_problems(folder: Path, verified: dict[str, str]) -> Iterator[str]:
    """Fills `verified` with the true checksums of all files that are there."""
    listed = {}
    try:
        for line in (folder / CHECKSUMS).read_text(encoding="utf-8").splitlines():
            match = re.fullmatch(r"([0-9a-f]{64})  (.+)", line)
            if not match:
                yield f"{CHECKSUMS}: it holds a line that is no checksum"
                continue
            listed[match[2]] = match[1]
    except (OSError, ValueError) as error:
        yield f"{CHECKSUMS}: it cannot be read ({_reason(error)})"
    there = set_files(folder)
    for path in there:
        verified[path] = file_hash(folder / path)
        if path not in listed:
            yield f"{path}: it does not belong to the set"
        elif listed[path] != verified[path]:
            yield f"{path}: it differs from its checksum"
    for path in listed:
        if path not in verified:
            yield f"{path}: it is missing"


def _set_problems(folder: Path, records: RecordFiles, writers: list[str]) -> list[str]:
    if "coco" not in writers:
        return []
    problems: list[str] = []
    try:
        for problem in coco_problems(folder, records):
            problems.append(problem)
    except _DAMAGE as error:
        problems.append(f"coco: it cannot be compared with the records ({_reason(error)})")
    return problems


def _statistics(records: RecordFiles, readable: list[int]) -> Statistics:
    try:
        return statistics_of(_Selection(records, readable))
    except _DAMAGE:
        return Statistics()


class _Selection:
    """Those records that could be read."""

    def __init__(self, records: RecordFiles, positions: list[int]):
        self.records, self.positions = records, positions

    def __iter__(self) -> Iterator[dict]:
        return (self.records[position] for position in self.positions)


def _reason(error: BaseException) -> str:
    text = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
    return text.rstrip(".")[:150] or type(error).__name__
