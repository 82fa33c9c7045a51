"""HDF5: all samples in one file, /samples/KEY/picture, signal, ... (see arrays.py) and annotation, which is JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.dataset.atomic import PART
from DeepDRRSlicerLib.dataset.image_bytes import npz_arrays, npz_bytes
from DeepDRRSlicerLib.dataset.optional import optional_package
from DeepDRRSlicerLib.dataset.records import annotation, json_bytes, sample_key
from DeepDRRSlicerLib.dataset.writers.arrays import sample_arrays
from DeepDRRSlicerLib.dataset.writers.fragments import checked_fragment, remove_fragments
from DeepDRRSlicerLib.dataset.writers.options import WriterOptions

FILE = "hdf5/set.h5"
_ANNOTATION = "annotation"
_UNITS = {"signal": "keV per pixel", "open_field": "keV per pixel", "thickness": "mm", "tool_thickness": "mm"}
# The oldest layout that h5py still writes, so that every reader opens it and a newer library writes the same bytes.
_LAYOUT = ("earliest", "v110")


def fragment_path(index: int) -> str:
    """Where a sample waits for the file."""
    return f"hdf5/fragments/{sample_key(index)}.npz"


def encode(sample, options: WriterOptions) -> dict[str, bytes]:
    """The arrays and the annotation of one sample."""
    text = np.frombuffer(json_bytes(annotation(sample)), np.uint8)
    return {fragment_path(sample.index): npz_bytes(sample_arrays(sample, options) | {_ANNOTATION: text})}


def assemble(folder: Path, records: Sequence[dict], job: dict, options: WriterOptions) -> list[Path]:
    """set.h5. Raises InputError where h5py or a fragment is missing."""
    h5py = optional_package("h5py", "The HDF5 writer")
    path = folder / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + PART)
    done = []
    try:
        with h5py.File(part, "w", libver=_LAYOUT) as file:
            file.attrs["format"] = "DeepDRRSlicer HDF5 1"
            file.attrs["job_hash"] = options.job_hash
            samples = file.create_group("samples")
            for record in records:
                arrays = npz_arrays(_content(folder, record))
                _fill(h5py, samples.create_group(sample_key(record["index"])), arrays)
                done.append(fragment_path(record["index"]))
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    remove_fragments(folder, done)
    return [path]


def fragment(folder: Path, index: int) -> bytes | None:
    """The fragment of a sample made anew from the file, None where the file has no such sample."""
    arrays = _stored(folder, index)
    return None if arrays is None else npz_bytes(arrays)


def read(folder: Path, record: Mapping) -> dict[str, np.ndarray]:
    """The arrays of a sample, as sample_arrays names them."""
    return {name: array for name, array in _arrays(folder, record).items() if name != _ANNOTATION}


def read_annotation(folder: Path, record: Mapping) -> dict:
    """The annotation of a sample as the file holds it."""
    return json.loads(_arrays(folder, record)[_ANNOTATION].tobytes())


def _arrays(folder: Path, record: Mapping) -> dict[str, np.ndarray]:
    """The file's own checksums (gzip has one) are enough here; to make the fragment anew for its hash is slow."""
    stored = _stored(folder, record["index"])
    return npz_arrays(_content(folder, record)) if stored is None else stored


def _stored(folder: Path, index: int) -> dict[str, np.ndarray] | None:
    if not (folder / FILE).is_file():
        return None
    h5py = optional_package("h5py", "The HDF5 reader")
    with h5py.File(folder / FILE, "r") as file:
        group = file["samples"].get(sample_key(index))
        if group is None:
            return None
        arrays = {str(name): group[name][()] for name in group.attrs["arrays"]}
        text = group[_ANNOTATION].asstr()[()].encode("utf-8")
    return arrays | {_ANNOTATION: np.frombuffer(text, np.uint8)}


def _content(folder: Path, record: Mapping) -> bytes:
    path = fragment_path(record["index"])
    return checked_fragment(folder, record, path, lambda index: fragment(folder, index))


def _fill(h5py, group, arrays: dict[str, np.ndarray]) -> None:
    text = arrays.pop(_ANNOTATION).tobytes()
    group.attrs["arrays"] = list(arrays)
    for name, array in arrays.items():
        chunks = (1,) * (array.ndim - 2) + array.shape[-2:] if array.size else None
        packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if chunks else {}
        data = group.create_dataset(name, data=array, chunks=chunks, track_times=False, **packed)
        if name in _UNITS:
            data.attrs["unit"] = _UNITS[name]
    kind = h5py.string_dtype("utf-8", len(text))
    group.create_dataset(_ANNOTATION, data=np.array(text, dtype=kind), track_times=False)
