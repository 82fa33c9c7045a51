"""The outputs of a job: which writers make what of a sample, and what they make of all samples together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from DeepDRRSlicerLib.dataset.writers import coco, dicom, hdf5, webdataset
from DeepDRRSlicerLib.dataset.writers.options import WriterOptions, writer_options
from DeepDRRSlicerLib.errors import InputError

WRITERS = {"coco": coco, "webdataset": webdataset, "dicom": dicom, "hdf5": hdf5}


def read_outputs(job: Mapping, job_hash: str) -> dict[str, WriterOptions]:
    """The writers that a job names, with their options, as {"writer": name, option: value} in job["outputs"].

    Raises InputError for an unknown writer, one that is named twice, or options that it does not know.
    """
    found = {}
    for place, output in enumerate(job.get("outputs", [{"writer": "coco"}])):
        name = output["writer"]
        if name not in WRITERS:
            raise InputError(f"outputs[{place}].writer must be one of {', '.join(WRITERS)}, not {name!r}.")
        if name in found:
            raise InputError(f"outputs[{place}].writer names {name} a second time; join the two.")
        options = {key: value for key, value in output.items() if key != "writer"}
        try:
            found[name] = writer_options(options, job_hash, job.get("date", "20000101"), job.get("licence", ""))
        except InputError as error:
            raise InputError(f"outputs[{place}]: {error}") from error
    return found


def encode_sample(sample, outputs: Mapping[str, WriterOptions]) -> dict[str, bytes]:
    """All files of a sample: path inside the set and content."""
    files: dict[str, bytes] = {}
    for name, options in outputs.items():
        files |= WRITERS[name].encode(sample, options)
    return files


def assemble_outputs(
    folder: Path, records: Sequence[dict], job: dict, outputs: Mapping[str, WriterOptions]
) -> list[Path]:
    """All files of the set that hold many samples."""
    return [path for name, options in outputs.items() for path in WRITERS[name].assemble(folder, records, job, options)]


def stored_bytes(folder: Path, path: str, index: int) -> bytes | None:
    """What a record calls `path`: the file, or a fragment as its container gives it back; None where neither is."""
    if (folder / path).is_file():
        return (folder / path).read_bytes()
    name, _, rest = path.partition("/")
    return WRITERS[name].fragment(folder, index) if rest.startswith("fragments/") else None
