"""Whether annotations.json of a COCO set agrees with itself and with the records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.dataset.check_sample import LANDMARK_TOLERANCE, projected
from DeepDRRSlicerLib.dataset.records import RecordFiles
from DeepDRRSlicerLib.dataset.rle import mask_box, mask_from_rle
from DeepDRRSlicerLib.dataset.writers.coco import ANNOTATIONS


def coco_problems(folder: Path, records: RecordFiles) -> Iterator[str]:
    """What is wrong, one clause each."""
    data = json.loads((folder / ANNOTATIONS).read_bytes())
    categories = {entry["id"]: entry for entry in data["categories"]}
    annotations: dict[int, list[dict]] = {}
    for entry in data["annotations"]:
        annotations.setdefault(entry["image_id"], []).append(entry)
    images = {entry["id"]: entry for entry in data["images"]}
    if sorted(images) != records.indices or set(annotations) - set(images):
        yield f"{ANNOTATIONS} does not name the images of the records"
        return
    numbers = [entry["id"] for entry in data["annotations"]]
    if len(set(numbers)) != len(numbers):
        yield f"{ANNOTATIONS} gives two annotations the same id"
    for record in records:
        index = record["index"]
        for problem in _image(folder, record, images[index], annotations.get(index, []), categories):
            yield f"{ANNOTATIONS}, image {index}: {problem}"


def _image(folder: Path, record: Mapping, image: Mapping, entries: list[dict], categories: Mapping) -> Iterator[str]:
    if not (folder / "coco" / image["file_name"]).is_file():
        yield f"{image['file_name']} is missing"
    if [image["height"], image["width"]] != record["size"] or image["geometry"] != record["geometry"]:
        yield "size or geometry differ from the record"
    visible = {
        (kind, label["name"]): label
        for kind in ("segment", "tool")
        for label in record[f"{kind}s"]
        if label["box"] is not None
    }
    seen = []
    for entry in entries:
        category = categories[entry["category_id"]]
        if "keypoints" in category:
            yield from _keypoints(record, entry, category["keypoints"])
            continue
        seen.append((category["supercategory"], category["name"]))
        mask = mask_from_rle(entry["segmentation"])
        box = mask_box(mask)
        if box is None or entry["bbox"] != [box[0], box[1], box[2] - box[0] + 1, box[3] - box[1] + 1]:
            yield f"the box of {category['name']} is not that of its mask"
        if entry["area"] != mask.sum():
            yield f"the area of {category['name']} is not that of its mask"
        label = visible.get(seen[-1])
        if label is not None and entry["segmentation"] != label["mask"]:
            yield f"the mask of {category['name']} differs from the record"
    if sorted(seen) != sorted(visible):
        yield "its segments and tools are not those of the record"


def _keypoints(record: Mapping, entry: Mapping, names: list[str]) -> Iterator[str]:
    points = np.array(entry["keypoints"], float).reshape(-1, 3)
    landmarks = {label["name"]: label for label in record["landmarks"]}
    if len(points) != len(names):
        yield "the keypoints are not those of the category"
        return
    for name, (column, row, flag) in zip(names, points):
        label = landmarks.get(name)
        if (flag == 2) != (label is not None and label["visible"]):
            yield f"{name} is visible in one of record and keypoints alone"
        elif label is not None and flag == 2:
            expected = projected(record["geometry"], label["position_ras"])
            if not np.abs(expected - (column, row)).max() <= LANDMARK_TOLERANCE:
                yield f"the keypoint of {name} contradicts the geometry"
    if entry["num_keypoints"] != (points[:, 2] > 0).sum():
        yield "num_keypoints is not the number of visible keypoints"
