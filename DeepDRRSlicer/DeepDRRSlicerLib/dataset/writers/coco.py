"""COCO: 16-bit pictures and one annotations.json with masks as run lengths, boxes, keypoints and categories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.dataset.atomic import write_whole
from DeepDRRSlicerLib.dataset.image_bytes import png_array, png_bytes, tiff_array, tiff_bytes
from DeepDRRSlicerLib.dataset.records import json_bytes, sample_key
from DeepDRRSlicerLib.dataset.rle import compressed
from DeepDRRSlicerLib.dataset.writers.arrays import sample_arrays
from DeepDRRSlicerLib.dataset.writers.floats import float_files, read_floats
from DeepDRRSlicerLib.dataset.writers.options import WriterOptions

ANNOTATIONS = "coco/annotations.json"
# Left out of an image's entry: what COCO says in other words, and what is about files or images of another kind.
_ELSEWHERE = ("format", "index", "size", "segments", "files")


def encode(sample, options: WriterOptions) -> dict[str, bytes]:
    """The picture, and float data as asked for."""
    arrays = sample_arrays(sample, options)
    picture = png_bytes(sample.picture) if options.image == "png" else tiff_bytes(sample.picture, compressed=True)
    path = f"coco/images/{sample_key(sample.index)}.{options.image}"
    return {path: picture} | float_files("coco", sample.index, arrays)


def assemble(folder: Path, records: Sequence[dict], job: dict, options: WriterOptions) -> list[Path]:
    """annotations.json, written piece by piece, so that its size does not matter."""
    return [write_whole(folder / ANNOTATIONS, _annotations(records, options))]


def read(folder: Path, record: Mapping) -> dict[str, np.ndarray]:
    """The arrays of a sample, as sample_arrays names them."""
    path = _image_path(record)
    content = (folder / path).read_bytes()
    picture = png_array(content) if path.endswith(".png") else tiff_array(content)
    return {"picture": picture} | read_floats(folder, "coco", record)


def image_entry(record: Mapping) -> dict:
    """One of COCO's `images`; beside COCO's own keys it says everything that the record says of the view."""
    rows, columns = record["size"]
    return {
        "id": record["index"],
        "file_name": _image_path(record).removeprefix("coco/"),
        "height": rows,
        "width": columns,
        "license": 1,
        **{key: value for key, value in record.items() if key not in _ELSEWHERE},
        "tools": [{k: v for k, v in tool.items() if k != "mask"} for tool in record["tools"]],
    }


def annotation_entries(record: Mapping, categories: Sequence[dict], first_id: int) -> list[dict]:
    """COCO's `annotations` of one image: segments and tools that are visible, then the landmarks as keypoints."""
    numbers = {(c["supercategory"], c["name"]): c["id"] for c in categories}
    entries: list[dict] = []
    for kind, label in _labels(record):
        if label["box"] is None:
            continue
        x, y, right, bottom = label["box"]
        entries.append(
            {
                "id": first_id + len(entries),
                "image_id": record["index"],
                "category_id": numbers[kind, label["name"]],
                "segmentation": label["mask"],
                "area": label["area"],
                "bbox": [x, y, right - x + 1, bottom - y + 1],
                "iscrowd": 0,
            }
        )
    if record["landmarks"]:
        names = next(c["keypoints"] for c in categories if c["supercategory"] == "landmarks")
        entries.append(_keypoints(record, names, numbers["landmarks", "landmarks"], first_id + len(entries)))
    return entries


def categories_of(records: Sequence[Mapping]) -> list[dict]:
    """Segments, tools and landmarks by the order in which the records name them first; ids count from 1."""
    found: dict[tuple[str, str], None] = {}
    landmarks: dict[str, None] = {}
    for record in records:
        found |= {(kind, label["name"]): None for kind, label in _labels(record)}
        landmarks |= {label["name"]: None for label in record["landmarks"]}
    found = {pair: None for kind in ("segment", "tool") for pair in found if pair[0] == kind}
    entries = [{"id": n, "name": name, "supercategory": kind} for n, (kind, name) in enumerate(found, start=1)]
    if landmarks:
        points = {"keypoints": list(landmarks), "skeleton": []}
        entries.append({"id": len(entries) + 1, "name": "landmarks", "supercategory": "landmarks"} | points)
    return entries


def _annotations(records: Sequence[dict], options: WriterOptions) -> Iterator[bytes]:
    date = f"{options.date[:4]}-{options.date[4:6]}-{options.date[6:]}"
    info = {"description": "Simulated radiographs", "version": "1.0", "year": int(options.date[:4]),
            "date_created": date, "job": options.job_hash}  # fmt: skip
    licences = [{"id": 1, "name": options.licence, "url": ""}]
    categories = categories_of(records)
    yield b'{"info":' + json_bytes(info) + b',\n"licenses":' + json_bytes(licences)
    yield b',\n"categories":' + json_bytes(categories) + b',\n"images":['
    for n, record in enumerate(records):
        yield (b",\n" if n else b"\n") + json_bytes(image_entry(record))
    yield b'],\n"annotations":['
    number = 1
    for record in records:
        for entry in annotation_entries(record, categories, number):
            yield (b",\n" if number > 1 else b"\n") + json_bytes(entry)
            number += 1
    yield b"]}\n"


def _labels(record: Mapping) -> Iterator[tuple[str, Mapping]]:
    for kind, labels in (("segment", record["segments"]), ("tool", record["tools"])):
        for label in labels:
            yield kind, label


def _keypoints(record: Mapping, names: Sequence[str], category: int, number: int) -> dict:
    """All landmarks of an image as one object; one that is not in the picture is 0, 0, 0, as COCO wants it."""
    seen = {label["name"]: (label["column"], label["row"]) for label in record["landmarks"] if label["visible"]}
    points = np.array(list(seen.values()), float).reshape(-1, 2)
    low, high = (points.min(0), points.max(0)) if seen else (np.zeros(2), np.zeros(2))
    rows, columns = record["size"]
    return {
        "id": number,
        "image_id": record["index"],
        "category_id": category,
        "keypoints": [x for name in names for x in ((*seen[name], 2) if name in seen else (0, 0, 0))],
        "num_keypoints": len(seen),
        "segmentation": {"size": [rows, columns], "counts": compressed([rows * columns])},
        "area": float(np.prod(high - low)),
        "bbox": [*low.tolist(), *(high - low).tolist()],
        "iscrowd": 0,
    }


def _image_path(record: Mapping) -> str:
    return next(path for path in record["files"] if path.startswith("coco/images/"))
