"""Segments from label maps and from Slicer's .seg.nrrd, each as a mask no larger than the segment."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.anatomy.image_io import (
    IMAGE_FORMATS,
    affine_from_sitk,
    existing,
    image_format,
    read_image,
    simpleitk,
)
from DeepDRRSlicerLib.anatomy.label_names import label_color, label_names
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.errors import InputError

HIGHEST_LABEL = 65535
# No atlas has more; a CT taken for a label map does.
MOST_LABELS = 2000


@dataclass(frozen=True, eq=False)
class Segment:
    """A named part of the patient.

    mask: uint8 0 or 1 on the segment's own bounding box (one empty voxel for an empty segment). color: r, g, b from
    0 to 1. id and terminology: as Slicer stores them, empty where the file has none.
    """

    name: str
    mask: Volume
    color: tuple[float, float, float]
    id: str = ""
    terminology: str = ""


def read_segmentation(path, names=None) -> list[Segment]:
    """The segments of a label map (NIfTI, NRRD, MetaImage) or of a Slicer segmentation (.seg.nrrd, overlaps kept).

    names: for label maps, {label: name} or a CSV or JSON file; if None, such a file beside the image is looked for (see
    `label_names`). A label without name is "label 7"; 0 is background. Only the boxes of the segments are kept.
    Raises InputError for what is neither.
    """
    path = existing(path)
    if image_format(path) is None:
        endings = ", ".join(IMAGE_FORMATS)
        raise InputError(f"'{path.name}' is not a segmentation file; use .seg.nrrd or a label map ({endings}).")
    image = read_image(path, vector=True)
    with simpleitk(path) as sitk:
        tags = _segment_tags(image)
        main = "Segmentation_MasterRepresentation"
        representation = image.GetMetaData(main) if image.HasMetaDataKey(main) else ""
        layers = sitk.GetArrayViewFromImage(image)
        if layers.ndim == 3:
            layers = layers[..., None]
        ijk_to_ras = affine_from_sitk(image)
    if "fractional" in representation.lower():
        raise InputError(f"'{path.name}' holds a fractional label map; convert it to a binary one in Slicer.")
    if tags:
        return _from_tags(path.name, layers, ijk_to_ras, tags)
    if layers.shape[3] > 1:
        raise InputError(f"'{path.name}' has {layers.shape[3]} values per voxel and no segments; choose a label map.")
    return segments_of_labels(Volume(layers[..., 0], ijk_to_ras), label_names(names, path), path.name)


def segments_of_labels(labels: Volume, names: Mapping[int, str], name: str = "the label map") -> list[Segment]:
    """The segments of a label map; a label without a name is "label 7", and its number is its id.

    name: what messages call the map. Raises InputError when the values are no labels.
    """
    masks = _masks(name, labels.array, labels.ijk_to_ras)
    return [Segment(names.get(n, f"label {n}"), mask, label_color(n), id=str(n)) for n, mask in masks.items()]


def _segment_tags(image) -> dict[int, dict[str, str]]:
    """Slicer's Segment<N>_<key> entries as {N: {key: value}}."""
    tags: dict[int, dict[str, str]] = defaultdict(dict)
    for key in image.GetMetaDataKeys():
        if match := re.fullmatch(r"Segment(\d{1,6})_(\w+)", key):
            tags[int(match[1])][match[2]] = image.GetMetaData(key)
    return tags


def _from_tags(name: str, layers: np.ndarray, ijk_to_ras: np.ndarray, tags: dict[int, dict]) -> list[Segment]:
    masks = [_masks(name, layers[..., layer], ijk_to_ras) for layer in range(layers.shape[3])]
    empty = Volume(np.zeros((1, 1, 1), np.uint8), ijk_to_ras)
    segments = []
    for number, tag in sorted(tags.items()):
        try:
            # Before Slicer 4.11 each segment had its own layer, and neither key was written.
            layer = int(tag.get("Layer", number if layers.shape[3] > 1 else 0))
            label = int(tag.get("LabelValue", 1))
            color = tuple(float(part) for part in tag.get("Color", "").split()) or label_color(number)
            if not 0 <= layer < len(masks) or len(color) != 3 or not np.isfinite(color).all():
                raise ValueError(f"layer {layer}, color {color}")
        except ValueError as error:
            raise InputError(f"Segment {number} of '{name}' is damaged ({error}); save it again in Slicer.") from error
        terminology = re.search(r"TerminologyEntry:([^|]*)", tag.get("Tags", ""))
        segments.append(
            Segment(
                name=tag.get("Name", f"segment {number}"),
                mask=masks[layer].get(label, empty),
                color=color,
                id=tag.get("ID", ""),
                terminology=terminology[1] if terminology else "",
            )
        )
    return segments


def _masks(name: str, labels: np.ndarray, ijk_to_ras: np.ndarray) -> dict[int, Volume]:
    """The mask of each label but 0 on its bounding box, found in one pass over the voxels."""
    labels = _whole_numbers(name, labels)
    highest = int(labels.max())
    seen_k = np.zeros((highest + 1, labels.shape[0]), bool)
    seen_j = np.zeros((highest + 1, labels.shape[1]), bool)
    seen_i = np.zeros((highest + 1, labels.shape[2]), bool)
    for k, plane in enumerate(labels):
        j, i = np.nonzero(plane)
        label = plane[j, i]
        seen_k[label, k] = seen_j[label, j] = seen_i[label, i] = True
    present = np.flatnonzero(seen_k.any(axis=1))
    if len(present) > MOST_LABELS:
        raise InputError(f"'{name}' has {len(present)} different values; choose a label map instead of an image.")
    masks = {}
    for label in present.tolist():
        found = [np.flatnonzero(seen[label]) for seen in (seen_i, seen_j, seen_k)]
        box = Volume(labels, ijk_to_ras).cropped([f[0] for f in found], [f[-1] + 1 for f in found])
        masks[label] = Volume((box.array == label).view(np.uint8), box.ijk_to_ras)
    return masks


def _whole_numbers(name: str, labels: np.ndarray) -> np.ndarray:
    """The labels as uint8 or uint16; InputError when they are not whole numbers from 0 to 65535."""
    with np.errstate(invalid="ignore"):
        low, high = float(labels.min()), float(labels.max())
    if not (0 <= low and high <= HIGHEST_LABEL):
        raise InputError(f"'{name}' has values from {low:g} to {high:g}; labels are whole numbers from 0 to 65535.")
    if labels.dtype in (np.uint8, np.uint16):
        return labels
    result = np.empty(labels.shape, np.uint16)
    for out, plane in zip(result, labels, strict=True):
        out[...] = plane
        if labels.dtype.kind == "f" and not np.array_equal(out, plane):
            raise InputError(f"'{name}' has values that are not whole numbers; choose a label map instead of an image.")
    return result
