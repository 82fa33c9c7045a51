"""WebDataset: tar files of some samples each, whose members the webdataset package decodes by their endings.

A sample is KEY.picture.npy, KEY.signal.npy, ... (see arrays.py), KEY.masks.npz and KEY.json.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.dataset.atomic import write_whole
from DeepDRRSlicerLib.dataset.image_bytes import npy_array, npy_bytes, npz_arrays, npz_bytes
from DeepDRRSlicerLib.dataset.records import annotation, json_bytes, sample_key
from DeepDRRSlicerLib.dataset.writers.arrays import sample_arrays
from DeepDRRSlicerLib.dataset.writers.fragments import checked_fragment, remove_fragments
from DeepDRRSlicerLib.dataset.writers.options import WriterOptions
from DeepDRRSlicerLib.errors import InputError

CONTENTS = "webdataset/contents.json"
_PLAIN = ("picture", "signal", "open_field")  # the others are mostly zeros and are compressed


def fragment_path(index: int) -> str:
    """Where a sample waits for its shard."""
    return f"webdataset/fragments/{sample_key(index)}.tar"


def encode(sample, options: WriterOptions) -> dict[str, bytes]:
    """The tar members of one sample; a shard is such files one after the other and an end mark."""
    members = {}
    for name, array in sample_arrays(sample, options).items():
        if name in _PLAIN:
            members[f"{name}.npy"] = npy_bytes(array)
        else:
            members[f"{name}.npz"] = npz_bytes({name: array})
    members["json"] = json_bytes(annotation(sample))
    key = sample_key(sample.index)
    content = b"".join(_member(f"{key}.{ending}", data) for ending, data in members.items())
    return {fragment_path(sample.index): content}


def assemble(folder: Path, records: Sequence[dict], job: dict, options: WriterOptions) -> list[Path]:
    """shard-000000.tar ... with the samples 0 to shard_size - 1, and so on, and contents.json, which counts them.

    Raises InputError where a fragment is missing or damaged.
    """
    shards: dict[int, list[int]] = {}
    for position, index in enumerate(_indices(records)):
        shards.setdefault(index // options.shard_size, []).append(position)
    written = []
    for number, positions in shards.items():
        path = folder / "webdataset" / _shard_name(number)
        written.append(write_whole(path, _shard(folder, records, positions)))
        # Only now, and for this shard alone: a program that is killed finds each sample here or there.
        remove_fragments(folder, [fragment_path(records[p]["index"]) for p in positions])
    counts = {_shard_name(number): len(positions) for number, positions in shards.items()}
    contents = {"shard_size": options.shard_size, "shards": counts}
    return [*written, write_whole(folder / CONTENTS, [json_bytes(contents)])]


def fragment(folder: Path, index: int) -> bytes | None:
    """The tar members of a sample as its shard holds them, None where no shard does."""
    for path in sorted((folder / "webdataset").glob("shard-*.tar"), key=lambda p: _distance(folder, p, index)):
        prefix = f"{sample_key(index)}."
        try:
            with tarfile.open(path) as archive:
                members = [m for m in archive.getmembers() if m.name.startswith(prefix)]
        except tarfile.TarError as error:
            raise InputError(f"{path} is damaged; export the job again.") from error
        if members:
            end = members[-1].offset_data + _padded(members[-1].size)
            with open(path, "rb") as file:
                file.seek(members[0].offset)
                return file.read(end - members[0].offset)
    return None


def read(folder: Path, record: Mapping) -> dict[str, np.ndarray]:
    """The arrays of a sample, as sample_arrays names them."""
    return {
        name: npy_array(data) if kind == "npy" else npz_arrays(data)[name]
        for name, kind, data in _members(_content(folder, record))
        if kind != "json"
    }


def read_annotation(folder: Path, record: Mapping) -> dict:
    """The annotation of a sample as its shard holds it."""
    return next(json.loads(data) for _, kind, data in _members(_content(folder, record)) if kind == "json")


def _content(folder: Path, record: Mapping) -> bytes:
    path = fragment_path(record["index"])
    return checked_fragment(folder, record, path, lambda index: fragment(folder, index))


def _members(content: bytes) -> Iterator[tuple[str, str, bytes]]:
    """(name, ending, data) of each member of a fragment."""
    position = 0
    while position < len(content):
        info = tarfile.TarInfo.frombuf(content[position : position + 512], "utf-8", "strict")
        start = position + 512
        name, _, ending = info.name.partition(".")[2].rpartition(".")
        yield name, ending, content[start : start + info.size]
        position = start + _padded(info.size)


def _member(name: str, data: bytes) -> bytes:
    info = tarfile.TarInfo(name)  # time, user and group are 0 unless set
    info.size, info.mode = len(data), 0o644
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(_padded(len(data)) - len(data))


def _padded(size: int) -> int:
    return -(-size // 512) * 512


def _shard(folder: Path, records: Sequence[dict], positions: Sequence[int]) -> Iterator[bytes]:
    size = 0
    for position in positions:
        content = _content(folder, records[position])
        size += len(content)
        yield content
    yield bytes(tarfile.RECORDSIZE - (size + 1024) % tarfile.RECORDSIZE + 1024)


def _shard_name(number: int) -> str:
    return f"shard-{number:06d}.tar"


def _distance(folder: Path, path: Path, index: int) -> tuple[bool, str]:
    """The shard that should hold a sample first; contents.json may be missing after a program was killed."""
    try:
        expected = _shard_name(index // json.loads((folder / CONTENTS).read_bytes())["shard_size"])
    except (OSError, ValueError, KeyError, TypeError):
        expected = ""
    return path.name != expected, path.name


def _indices(records: Sequence[dict]) -> list[int]:
    return getattr(records, "indices", None) or [record["index"] for record in records]
