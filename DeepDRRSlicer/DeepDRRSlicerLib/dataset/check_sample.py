"""Whether all that is said of a sample agrees: files, geometry, masks, boxes, landmarks, and this in every format."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.dataset.dicom_geometry import beam_from_dicom
from DeepDRRSlicerLib.dataset.outputs import WRITERS, stored_bytes
from DeepDRRSlicerLib.dataset.records import record_beam
from DeepDRRSlicerLib.dataset.rle import mask_box, mask_from_rle
from DeepDRRSlicerLib.dataset.writers import dicom
from DeepDRRSlicerLib.dataset.writers.floats import recorded_masks

LANDMARK_TOLERANCE = 0.01  # pixels
DICOM_TOLERANCE = 0.5  # pixels


def sample_problems(
    folder: Path, record: Mapping, checksums: Mapping[str, str], arrays: Mapping[str, Mapping[str, np.ndarray]]
) -> Iterator[str]:
    """What is wrong with a sample, one clause each. checksums: of files that were verified; arrays: by writer."""
    yield from _files(folder, record, checksums)
    yield from _geometry(record)
    yield from _regions(record)
    yield from _landmarks(record)
    yield from _arrays(record, arrays)
    yield from _annotations(folder, record, list(arrays))


def projected(geometry: Mapping, point: Sequence[float] | np.ndarray) -> np.ndarray:
    """(column, row) of a RAS point by K, R and t."""
    camera = np.array(geometry["R"]) @ np.array(point, np.float64) + np.array(geometry["t"])
    image = np.array(geometry["K"]) @ camera
    return image[:2] / image[2]


def _files(folder: Path, record: Mapping, checksums: Mapping[str, str]) -> Iterator[str]:
    for path, entry in record["files"].items():
        found = checksums.get(path)
        if found is None:
            content = stored_bytes(folder, path, record["index"])
            found = None if content is None else hashlib.sha256(content).hexdigest()
        if found is None:
            yield f"{path} is missing"
        elif found != entry["sha256"]:
            yield f"{path} differs from its checksum in the record"


def _geometry(record: Mapping) -> Iterator[str]:
    geometry, beam = record["geometry"], record_beam(record)
    if tuple(record["size"]) != beam.size:
        yield "the size of the image differs from that of the geometry"
    middle = beam.source + 0.6 * beam.sid * beam.normal
    for point in (middle, middle + 50 * beam.e_c, middle + 50 * beam.e_r, middle + 50 * beam.normal):
        expected = beam.project(point)[0]
        matrix = np.array(geometry["P"]) @ np.append(point, 1.0)
        for name, place in (("K, R, t", projected(geometry, point)), ("P", matrix[:2] / matrix[2])):
            if not np.abs(place - expected).max() <= LANDMARK_TOLERANCE:
                yield f"{name} and the source with the detector's axes contradict each other"
                return


def _regions(record: Mapping) -> Iterator[str]:
    for label in (*record["segments"], *record["tools"]):
        mask = mask_from_rle(label["mask"])
        if mask.shape != tuple(record["size"]):
            yield f"the mask of {label['name']} has another size than the image"
        if mask_box(mask) != label["box"]:
            yield f"the box of {label['name']} is not that of its mask"
        if mask.sum() != label["area"]:
            yield f"the area of {label['name']} is not that of its mask"


def _landmarks(record: Mapping) -> Iterator[str]:
    rows, columns = record["size"]
    beam = record_beam(record)
    for label in record["landmarks"]:
        name, point = label["name"], np.array(label["position_ras"], np.float64)
        depth = float((point - beam.source) @ beam.normal)
        if not abs(depth - label["depth"]) <= 1e-3:
            yield f"the depth of {name} contradicts the geometry"
        if label["column"] is None or label["row"] is None:
            inside = False
        else:
            column, row = projected(record["geometry"], point)
            if not max(abs(column - label["column"]), abs(row - label["row"])) <= LANDMARK_TOLERANCE:
                yield f"the position of {name} contradicts the geometry"
            inside = -0.5 <= label["column"] < columns - 0.5 and -0.5 <= label["row"] < rows - 0.5
        if label["visible"] != (inside and 0 < depth <= beam.sid):
            yield f"{name} is said to be {'visible' if label['visible'] else 'invisible'} against the geometry"


def _arrays(record: Mapping, arrays: Mapping[str, Mapping[str, np.ndarray]]) -> Iterator[str]:
    masks = recorded_masks(record)
    reference: dict[str, tuple[str, np.ndarray]] = {}
    for writer, found in arrays.items():
        for name, array in found.items():
            if array.shape[-2:] != tuple(record["size"]):
                yield f"{name} in {writer} has another size than the image"
            elif name in masks and not np.array_equal(array, masks[name]):
                yield f"{name} in {writer} differ from the record"
            elif name in reference and not np.array_equal(array, reference[name][1], equal_nan=True):
                yield f"{name} differs between {reference[name][0]} and {writer}"
            reference.setdefault(name, (writer, array))


def _annotations(folder: Path, record: Mapping, writers: Sequence[str]) -> Iterator[str]:
    said = {key: value for key, value in record.items() if key != "files"}
    for writer in writers:
        if hasattr(WRITERS[writer], "read_annotation"):
            if WRITERS[writer].read_annotation(folder, record) != said:
                yield f"the annotation in {writer} differs from the record"
    if "dicom" in writers:
        beam = beam_from_dicom(*dicom.dataset_of(folder, record))
        expected = record_beam(record)
        centre = expected.source + 0.6 * expected.sid * expected.normal
        points = [centre + 50 * axis for axis in (expected.e_c, expected.e_r, expected.normal)]
        if not np.abs(beam.project(points) - expected.project(points)).max() <= DICOM_TOLERANCE:
            yield "the geometry in the DICOM header differs from the record"
