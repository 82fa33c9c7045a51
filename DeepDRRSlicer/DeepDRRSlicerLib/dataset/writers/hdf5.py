"""HDF5: all samples in one file, /samples/KEY/picture, signal, ... (see arrays.py) and annotation, which is JSON.

Workers shuffle and compress each image as HDF5's own filters do; the file takes their bytes as they are, and gives them
back. So one thread puts thousands of samples together quickly.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.dataset.atomic import PART
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
_LEVEL = 1
_HEAD = 8  # bytes of a fragment that give the length of the JSON after them


@dataclass(frozen=True)
class _Packed:
    """An array as its chunks in the file, one for each image of a stack."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    chunks: tuple[bytes, ...]


def fragment_path(index: int) -> str:
    """Where a sample waits for the file."""
    return f"hdf5/fragments/{sample_key(index)}.chunks"


def encode(sample, options: WriterOptions) -> dict[str, bytes]:
    """The arrays, compressed, and the annotation of one sample."""
    packed = [_packed(name, array) for name, array in sample_arrays(sample, options).items()]
    return {fragment_path(sample.index): _joined(packed, json_bytes(annotation(sample)))}


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
                _fill(h5py, samples.create_group(sample_key(record["index"])), *_split(_content(folder, record)))
                done.append(fragment_path(record["index"]))
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    remove_fragments(folder, done)
    return [path]


def fragment(folder: Path, index: int) -> bytes | None:
    """The fragment of a sample from the file, None where the file has no such sample."""
    if not (folder / FILE).is_file():
        return None
    h5py = optional_package("h5py", "The HDF5 reader")
    with h5py.File(folder / FILE, "r") as file:
        group = file["samples"].get(sample_key(index))
        if group is None:
            return None
        packed = []
        for name in map(str, group.attrs["arrays"]):
            data = group[name]
            chunks = tuple(data.id.read_direct_chunk(place)[1] for place in _places(data.shape))
            packed.append(_Packed(name, data.dtype.str, data.shape, chunks))
        return _joined(packed, _text(group))


def read(folder: Path, record: Mapping) -> dict[str, np.ndarray]:
    """The arrays of a sample, as sample_arrays names them."""
    return _sample(folder, record)[0]


def read_annotation(folder: Path, record: Mapping) -> dict:
    """The annotation of a sample as the file holds it."""
    return json.loads(_sample(folder, record)[1])


def _sample(folder: Path, record: Mapping) -> tuple[dict[str, np.ndarray], bytes]:
    """(arrays, annotation) of a sample, from the file as any reader of HDF5 sees it, or from its fragment."""
    if (folder / FILE).is_file():
        h5py = optional_package("h5py", "The HDF5 reader")
        with h5py.File(folder / FILE, "r") as file:
            group = file["samples"].get(sample_key(record["index"]))
            if group is not None:
                return {str(name): group[name][()] for name in group.attrs["arrays"]}, _text(group)
    packed, text = _split(_content(folder, record))
    return {one.name: _unpacked(one) for one in packed}, text


def _content(folder: Path, record: Mapping) -> bytes:
    path = fragment_path(record["index"])
    return checked_fragment(folder, record, path, lambda index: fragment(folder, index))


def _fill(h5py, group, packed: Sequence[_Packed], text: bytes) -> None:
    group.attrs["arrays"] = [one.name for one in packed]
    for one in packed:
        filters = {"compression": "gzip", "compression_opts": _LEVEL, "shuffle": True}
        filters = filters | {"chunks": (1,) * (len(one.shape) - 2) + one.shape[-2:]} if one.chunks else {}
        data = group.create_dataset(one.name, one.shape, np.dtype(one.dtype), track_times=False, **filters)
        for place, chunk in zip(_places(one.shape), one.chunks):
            data.id.write_direct_chunk(place, chunk)
        if one.name in _UNITS:
            data.attrs["unit"] = _UNITS[one.name]
    kind = h5py.string_dtype("utf-8", len(text))
    group.create_dataset(_ANNOTATION, data=np.array(text, dtype=kind), track_times=False)


def _text(group) -> bytes:
    return group[_ANNOTATION].asstr()[()].encode("utf-8")


def _places(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Where each chunk of an image (rows, columns), or of a stack of images, begins."""
    return ((*place, 0, 0) for place in np.ndindex(shape[:-2]))


def _packed(name: str, array: np.ndarray) -> _Packed:
    """As the filters shuffle and gzip pack it: the first bytes of all numbers, then the second ones, and so on."""
    chunks = []
    for place in np.ndindex(array.shape[:-2]):
        numbers = np.ascontiguousarray(array[place]).reshape(-1, 1).view(np.uint8)
        chunks.append(zlib.compress(np.ascontiguousarray(numbers.T), _LEVEL))
    return _Packed(name, array.dtype.str, array.shape, tuple(chunks))


def _unpacked(packed: _Packed) -> np.ndarray:
    dtype = np.dtype(packed.dtype)
    images = [np.frombuffer(zlib.decompress(chunk), np.uint8).reshape(dtype.itemsize, -1) for chunk in packed.chunks]
    numbers = [np.ascontiguousarray(image.T).view(dtype) for image in images]
    return np.concatenate([np.zeros((0, 1), dtype), *numbers]).reshape(packed.shape)


def _joined(packed: Sequence[_Packed], text: bytes) -> bytes:
    """A fragment: the length of a JSON, which says what follows; the annotation; all chunks."""
    arrays = [[one.name, one.dtype, list(one.shape), [len(chunk) for chunk in one.chunks]] for one in packed]
    head = json_bytes({"annotation": len(text), "arrays": arrays})
    return b"".join([len(head).to_bytes(_HEAD, "little"), head, text, *(c for one in packed for c in one.chunks)])


def _split(content: bytes) -> tuple[list[_Packed], bytes]:
    """What _joined joined."""
    at = _HEAD + int.from_bytes(content[:_HEAD], "little")
    head = json.loads(content[_HEAD:at])
    text, at = content[at : at + head["annotation"]], at + head["annotation"]
    packed = []
    for name, dtype, shape, sizes in head["arrays"]:
        ends = [at + sum(sizes[: n + 1]) for n in range(len(sizes))]
        chunks = tuple(content[end - size : end] for end, size in zip(ends, sizes))
        packed.append(_Packed(name, dtype, tuple(shape), chunks))
        at += sum(sizes)
    return packed, text
