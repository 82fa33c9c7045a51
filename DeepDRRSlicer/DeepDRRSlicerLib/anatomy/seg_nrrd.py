"""Overlapping masks of one image as a .seg.nrrd that Slicer opens as a segmentation."""

import gzip
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.anatomy.image_io import LPS_TO_RAS
from DeepDRRSlicerLib.anatomy.label_names import label_color
from DeepDRRSlicerLib.anatomy.volume import checked_affine
from DeepDRRSlicerLib.errors import InputError


def write_seg_nrrd(path, names, masks, ijk_to_ras, colors=None) -> None:
    """Write masks [n, rows, columns] (not 0: inside) of one image, which may overlap, as n segments of a .seg.nrrd.

    ijk_to_ras: (4, 4) of the image as a volume of one slice [1, rows, columns]. colors: n of (r, g, b) from 0 to 1.
    Segments that do not overlap share a layer, as Slicer writes them. Same input, same bytes. Raises InputError when
    names, masks and colours differ in number, OSError when the file cannot be written.
    """
    masks = np.asarray(masks) != 0
    colors = [label_color(n + 1) for n in range(len(names))] if colors is None else list(colors)
    if masks.ndim != 3 or not len(names) == len(masks) == len(colors):
        raise InputError(
            f"{len(names)} names and {len(colors)} colours do not fit masks of the shape {masks.shape}; "
            "give one of each per mask [n, rows, columns]."
        )
    places, layers = _packed(masks)
    matrix = LPS_TO_RAS @ checked_affine(ijk_to_ras)
    rows, columns = masks.shape[1:]
    header = [
        "NRRD0004",
        f"type: {'unsigned char' if layers.dtype == np.uint8 else 'unsigned short'}",
        f"dimension: {layers.ndim}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(str(n) for n in reversed(layers.shape))}",
        f"space directions: {'none ' * (layers.ndim - 3)}{' '.join(_vector(column) for column in matrix[:3, :3].T)}",
        f"kinds: {'list ' * (layers.ndim - 3)}domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(matrix[:3, 3])}",
    ]
    for n, (name, (layer, label), color) in enumerate(zip(names, places, colors, strict=True)):
        tags = {
            "ID": f"Segment_{n + 1}",
            "Name": name.replace("\\", "\\\\").replace("\n", "\\n"),
            "Color": " ".join(f"{part:.6g}" for part in color),
            "Layer": layer,
            "LabelValue": label,
            "Extent": f"0 {columns - 1} 0 {rows - 1} 0 0",
        }
        header += [f"Segment{n}_{key}:={value}" for key, value in tags.items()]
    header += [
        "Segmentation_ContainedRepresentationNames:=Binary labelmap|",
        "Segmentation_MasterRepresentation:=Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset:=0 0 0",
    ]
    voxels = layers.astype(layers.dtype.newbyteorder("<"), copy=False).tobytes()
    Path(path).write_bytes(("\n".join(header) + "\n\n").encode() + gzip.compress(voxels, 3, mtime=0))


def _vector(components) -> str:
    return f"({','.join(repr(float(c)) for c in components)})"


def _packed(masks: np.ndarray) -> tuple[list[tuple[int, int]], np.ndarray]:
    """(layer, label) of each mask, each in the first layer where it overlaps none, and the label maps.

    The label maps are [1, rows, columns] for one layer, else [1, rows, columns, layer].
    """
    places, occupied, labels = [], [], []
    for mask in masks:
        layer = next((n for n, taken in enumerate(occupied) if not (taken & mask).any()), len(occupied))
        if layer == len(occupied):
            occupied.append(np.zeros(mask.shape, bool))
            labels.append(0)
        occupied[layer] |= mask
        labels[layer] += 1
        places.append((layer, labels[layer]))
    dtype = np.uint8 if max(labels, default=0) < 256 else np.uint16
    maps = np.zeros((1, *masks.shape[1:], max(1, len(labels))), dtype)
    for mask, (layer, label) in zip(masks, places, strict=True):
        maps[0, mask, layer] = label
    return places, maps[..., 0] if maps.shape[3] == 1 else maps
