"""Overlapping segments, of one image or of a patient, as a .seg.nrrd that Slicer opens as a segmentation."""

import gzip
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.anatomy.image_io import LPS_TO_RAS
from DeepDRRSlicerLib.anatomy.label_names import label_color
from DeepDRRSlicerLib.anatomy.nearest import box_in, sampled
from DeepDRRSlicerLib.anatomy.volume import checked_affine, shifted_affine
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
    entries = [
        (f"Segment_{n + 1}", name, color, place, "")
        for n, (name, place, color) in enumerate(zip(names, places, colors, strict=True))
    ]
    _write(path, layers, ijk_to_ras, entries)


def write_segments(path, segments) -> None:
    """Write Segments (anatomy/segmentation.py) of a patient as a .seg.nrrd: overlaps, ids and terminology are kept.

    The file has the voxels of the segment with the smallest ones; a segment with others is sampled there, nearest
    neighbour. Same input, same bytes. Raises OSError when the file cannot be written.
    """
    if not segments:
        raise InputError("There is no segment to write; draw or import one.")
    filled = [segment.mask for segment in segments if segment.mask.array.any()] or [segments[0].mask]
    grid = min(filled, key=lambda mask: abs(np.linalg.det(mask.ijk_to_ras)))
    boxes = [box_in(grid, mask) if mask.array.any() else None for mask in (s.mask for s in segments)]
    corners = [corner for box in boxes if box is not None for corner in box] or [np.zeros(3, int)]
    low, high = np.min(corners, axis=0), np.max(corners, axis=0) + 1
    layers: list[np.ndarray] = []
    labels: list[int] = []
    places: list[tuple[int, int]] = []
    window: tuple[slice, ...]
    for segment, box in zip(segments, boxes, strict=True):
        if box is None:
            inside, window = np.zeros((0, 0, 0), bool), (slice(0),) * 3
        else:
            inside = sampled(grid, segment.mask, *box)
            window = tuple(slice(a, b) for a, b in zip((box[0] - low)[::-1], (box[1] - low)[::-1] + 1, strict=True))
        layer = next((n for n, taken in enumerate(layers) if not taken[window][inside].any()), len(layers))
        if layer == len(layers):
            layers.append(np.zeros((high - low)[::-1], np.uint16 if len(segments) > 255 else np.uint8))
            labels.append(0)
        labels[layer] += 1
        layers[layer][window][inside] = labels[layer]
        places.append((layer, labels[layer]))
    maps = layers[0] if len(layers) == 1 else np.stack(layers, axis=-1)
    entries = [
        (segment.id or f"Segment_{n + 1}", segment.name, segment.color, place, segment.terminology)
        for n, (segment, place) in enumerate(zip(segments, places, strict=True))
    ]
    _write(path, maps, shifted_affine(grid.ijk_to_ras, low), entries)


def _write(path, layers: np.ndarray, ijk_to_ras, entries) -> None:
    """layers: label maps [k, j, i], or [k, j, i, layer]. entries: (id, name, color, (layer, label), terminology)."""
    matrix = LPS_TO_RAS @ checked_affine(ijk_to_ras)
    slices, rows, columns = layers.shape[:3]
    header = [
        "NRRD0004",
        f"type: {'unsigned char' if layers.dtype == np.uint8 else 'unsigned short'}",
        f"dimension: {layers.ndim}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(str(n) for n in layers.shape[3:] + layers.shape[2::-1])}",
        f"space directions: {'none ' * (layers.ndim - 3)}{' '.join(_vector(column) for column in matrix[:3, :3].T)}",
        f"kinds: {'list ' * (layers.ndim - 3)}domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(matrix[:3, 3])}",
    ]
    for n, (identifier, name, color, (layer, label), terminology) in enumerate(entries):
        tags = {
            "ID": identifier,
            "Name": _escaped(name),
            "Color": " ".join(f"{part:.6g}" for part in color),
            "Layer": layer,
            "LabelValue": label,
            "Extent": f"0 {columns - 1} 0 {rows - 1} 0 {slices - 1}",
        }
        if terminology:
            tags["Tags"] = f"TerminologyEntry:{_escaped(terminology)}|"
        header += [f"Segment{n}_{key}:={value}" for key, value in tags.items()]
    header += [
        "Segmentation_ContainedRepresentationNames:=Binary labelmap|",
        "Segmentation_MasterRepresentation:=Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset:=0 0 0",
    ]
    voxels = layers.astype(layers.dtype.newbyteorder("<"), copy=False).tobytes()
    Path(path).write_bytes(("\n".join(header) + "\n\n").encode() + gzip.compress(voxels, 3, mtime=0))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _vector(components) -> str:
    return f"({','.join(repr(float(c)) for c in components)})"


def _packed(masks: np.ndarray) -> tuple[list[tuple[int, int]], np.ndarray]:
    """(layer, label) of each mask, each in the first layer where it overlaps none, and the label maps.

    The label maps are [1, rows, columns] for one layer, else [1, rows, columns, layer].
    """
    places: list[tuple[int, int]] = []
    occupied: list[np.ndarray] = []
    labels: list[int] = []
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
