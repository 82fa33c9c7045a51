"""Float data beside a display image whose format holds none: TIFF for one image, .npz for several."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.dataset.image_bytes import npz_arrays, npz_bytes, tiff_array, tiff_bytes
from DeepDRRSlicerLib.dataset.records import sample_key
from DeepDRRSlicerLib.dataset.rle import mask_from_rle
from DeepDRRSlicerLib.errors import InputError

_SINGLE = ("signal", "open_field")
_STACKS = ("thickness", "tool_thickness", "heatmaps")


def float_files(folder: str, index: int, arrays: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    """Files below `folder` for the float arrays among those of a sample."""
    key = sample_key(index)
    files = {f"{folder}/{n}/{key}.tiff": tiff_bytes(arrays[n], compressed=True) for n in _SINGLE if n in arrays}
    return files | {f"{folder}/{n}/{key}.npz": npz_bytes({n: arrays[n]}) for n in _STACKS if n in arrays}


def read_floats(root: Path, folder: str, record: Mapping) -> dict[str, np.ndarray]:
    """The float arrays that a record says were written below `folder`, and the masks of the record."""
    key = sample_key(record["index"])
    arrays = {}
    for name in _SINGLE:
        if (path := f"{folder}/{name}/{key}.tiff") in record["files"]:
            arrays[name] = tiff_array((root / path).read_bytes())
    arrays |= recorded_masks(record)
    for name in _STACKS:
        if (path := f"{folder}/{name}/{key}.npz") in record["files"]:
            arrays[name] = npz_arrays((root / path).read_bytes())[name]
    return arrays


def recorded_masks(record: Mapping) -> dict[str, np.ndarray]:
    """masks (segments, rows, columns) uint8 of a record, and tool_masks where it has tools.

    Raises InputError for a mask of another size than the image.
    """
    rows, columns = record["size"]
    arrays = {}
    for name, labels in (("masks", record["segments"]), ("tool_masks", record["tools"])):
        if labels or name == "masks":
            images = [_mask(label, (rows, columns)) for label in labels]
            arrays[name] = np.array(images, np.uint8).reshape(-1, rows, columns)
    return arrays


def _mask(label: Mapping, size: tuple[int, int]) -> np.ndarray:
    mask = mask_from_rle(label["mask"])
    if mask.shape != size:
        raise InputError(f"The mask of {label['name']} has another size than the image; export the set again.")
    return mask
