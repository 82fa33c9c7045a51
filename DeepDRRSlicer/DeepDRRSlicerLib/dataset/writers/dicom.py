"""DICOM: X-Ray Angiographic Image Storage, one file for each sample, or for each cine run of samples.

The pixels are the picture, 16 bits, MONOCHROME2. The geometry is in the header, see dicom_geometry.py; the signal and
other float data lie beside it as TIFF.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.dataset.atomic import write_whole
from DeepDRRSlicerLib.dataset.dicom_geometry import ANNOTATION, CREATOR, GROUP, INDEX
from DeepDRRSlicerLib.dataset.records import annotation, json_bytes, sample_key
from DeepDRRSlicerLib.dataset.writers.arrays import sample_arrays
from DeepDRRSlicerLib.dataset.writers.dicom_header import dicom_bytes, read_dicom
from DeepDRRSlicerLib.dataset.writers.floats import float_files, read_floats
from DeepDRRSlicerLib.dataset.writers.fragments import checked_fragment, remove_fragments
from DeepDRRSlicerLib.dataset.writers.options import WriterOptions

RUNS = "dicom/runs.json"


def fragment_path(index: int) -> str:
    """Where the pixels of a frame wait for the other frames of the run."""
    return f"dicom/fragments/{sample_key(index)}.raw"


def file_path(index: int) -> str:
    """The DICOM file of a sample, or of the run whose first frame is this sample."""
    return f"dicom/{sample_key(index)}.dcm"


def encode(sample, options: WriterOptions) -> dict[str, bytes]:
    """The DICOM file, or the pixels alone of a run's frame, and float data as asked for."""
    arrays = sample_arrays(sample, options)
    pixels = arrays["picture"].astype("<u2").tobytes()
    if options.cine and sample.settings.get("sequence") is not None:
        files = {fragment_path(sample.index): pixels}
    else:
        files = {file_path(sample.index): dicom_bytes([annotation(sample)], pixels, options)}
    return files | float_files("dicom", sample.index, arrays)


def assemble(folder: Path, records: Sequence[dict], job: dict, options: WriterOptions) -> list[Path]:
    """The multi-frame files, and runs.json, which says which samples are their frames. Without runs nothing is made.

    Raises InputError where a fragment is missing or damaged.
    """
    runs: dict[str, list[int]] = {}
    for position, record in enumerate(records):
        if fragment_path(record["index"]) in record["files"]:
            same = [record["patient"], record["settings"]["sequence"], record["size"], record["geometry"]["pitch"]]
            runs.setdefault(json.dumps(same), []).append(position)
    if not runs:
        return []
    indices = {run: [records[p]["index"] for p in positions] for run, positions in runs.items()}
    written = []
    for run, positions in runs.items():
        frames = [records[p] for p in positions]
        pixels = b"".join(_frame(folder, record) for record in frames)
        written.append(write_whole(folder / file_path(indices[run][0]), [dicom_bytes(frames, pixels, options)]))
        remove_fragments(folder, [fragment_path(index) for index in indices[run]])
    contents = {file_path(frames[0]): frames for frames in indices.values()}
    written.append(write_whole(folder / RUNS, [json_bytes(contents)]))
    _remove_old_runs(folder, {*contents, *(path for record in records for path in record["files"])})
    return written


def fragment(folder: Path, index: int) -> bytes | None:
    """The pixels of a frame as its run's file holds them, None where no file does."""
    path = next((path for path, frames in _runs(folder).items() if index in frames), None)
    likely = [folder / path] if path else []
    # A program that was killed, or a run that has grown since, may leave the frame in another file than runs.json says.
    for file in [*likely, *sorted((folder / "dicom").glob("*.dcm"))]:
        if file.is_file():
            data = read_dicom(file.read_bytes())
            frames = np.atleast_1d(data.private_block(GROUP, CREATOR)[INDEX].value).tolist()
            if index in frames:
                length = len(data.PixelData) // len(frames)
                return data.PixelData[frames.index(index) * length :][:length]
    return None


def dataset_of(folder: Path, record: Mapping):
    """(pydicom dataset, number of the frame) of a sample."""
    for path, frames in _runs(folder).items():
        if record["index"] in frames:
            return read_dicom((folder / path).read_bytes()), frames.index(record["index"])
    return read_dicom((folder / file_path(record["index"])).read_bytes()), 0


def read(folder: Path, record: Mapping) -> dict[str, np.ndarray]:
    """The arrays of a sample, as sample_arrays names them."""
    rows, columns = record["size"]
    if fragment_path(record["index"]) in record["files"]:
        pixels = _frame(folder, record)
    else:
        pixels = dataset_of(folder, record)[0].PixelData
    picture = np.frombuffer(pixels, "<u2", rows * columns).reshape(rows, columns).astype(np.uint16)
    return {"picture": picture} | read_floats(folder, "dicom", record)


def read_annotation(folder: Path, record: Mapping) -> dict:
    """The annotation of a sample as the DICOM header holds it."""
    data, frame = dataset_of(folder, record)
    return json.loads(data.private_block(GROUP, CREATOR)[ANNOTATION].value)[frame]


def _frame(folder: Path, record: Mapping) -> bytes:
    path = fragment_path(record["index"])
    return checked_fragment(folder, record, path, lambda index: fragment(folder, index))


def _runs(folder: Path) -> dict[str, list[int]]:
    return json.loads((folder / RUNS).read_bytes()) if (folder / RUNS).is_file() else {}


def _remove_old_runs(folder: Path, wanted: set[str]) -> None:
    """A run that got an earlier first frame has a new name."""
    for path in (folder / "dicom").glob("*.dcm"):
        if path.relative_to(folder).as_posix() not in wanted:
            path.unlink()
