"""Small pictures of samples with their labels drawn in, for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

_LANDMARK = (255, 230, 0)
_TOOL = (0, 220, 255)
_ARM = 3  # pixels, of the cross at a landmark


def thumbnail(record: Mapping, arrays: Mapping[str, np.ndarray], side: int = 160) -> np.ndarray:
    """(rows, columns, 3) uint8, no side above `side`: the picture, outlines of its masks, crosses at landmarks."""
    step = max(1, math.ceil(max(record["size"]) / side))
    grey = _blocks(arrays["picture"].astype(np.float32), step).mean(axis=(1, 3)) / 257
    small = np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=2)
    colors = [[round(255 * part) for part in label["color"]] for label in record["segments"]]
    outlined = [*zip(arrays["masks"], colors), *((mask, _TOOL) for mask in arrays.get("tool_masks", ()))]
    for mask, color in outlined:
        small[_blocks(_outline(mask.astype(bool)), step).any(axis=(1, 3))] = color
    for landmark in record["landmarks"]:
        if landmark["visible"]:
            _cross(small, round(landmark["row"] / step), round(landmark["column"] / step))
    return small


def grid(images: Sequence[np.ndarray], columns: int = 4, gap: int = 4) -> np.ndarray:
    """(rows, columns, 3) uint8: images of any size side by side in cells of one size, on black."""
    columns = max(1, min(columns, len(images)))
    lines = max(1, math.ceil(len(images) / columns))
    height = max((image.shape[0] for image in images), default=1) + gap
    width = max((image.shape[1] for image in images), default=1) + gap
    sheet = np.zeros((lines * height + gap, columns * width + gap, 3), np.uint8)
    for n, image in enumerate(images):
        top, left = gap + (n // columns) * height, gap + (n % columns) * width
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet


def spread(count: int, most: int) -> list[int]:
    """At most `most` positions of `count`, evenly spread, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return [round(n * (count - 1) / (most - 1)) for n in range(most)]


def _blocks(image: np.ndarray, step: int) -> np.ndarray:
    """(rows, step, columns, step): the image in blocks; its last rows and columns are repeated to fill them."""
    rows, columns = (-(-n // step) * step for n in image.shape)
    padded = np.pad(image, ((0, rows - image.shape[0]), (0, columns - image.shape[1])), mode="edge")
    return padded.reshape(rows // step, step, columns // step, step)


def _outline(mask: np.ndarray) -> np.ndarray:
    inner = np.pad(mask, 1)
    inside = inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    return mask & ~inside


def _cross(image: np.ndarray, row: int, column: int) -> None:
    row, column = min(row, image.shape[0] - 1), min(column, image.shape[1] - 1)
    image[max(0, row - _ARM) : row + _ARM + 1, column] = _LANDMARK
    image[row, max(0, column - _ARM) : column + _ARM + 1] = _LANDMARK
