"""Between pixels and the coarse cells in which scatter is computed: means one way, a smooth surface the other."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


def to_cells(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """float32 (..., *size): mean of the pixels (..., rows, columns) in each cell, pixels across a border in shares."""
    rows, columns = image.shape[-2:]
    image = np.asarray(image, dtype=np.float32)
    return _means(rows, size[0]) @ image @ _means(columns, size[1]).T


def to_pixels(cells: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """float32 (*size): the cells (rows, columns) as a cubic B-spline surface, whose weights are never negative.

    It smooths a little, as a blur with a variance of a third of a cell, which scatter does not show.
    """
    rows, columns = cells.shape
    return _spline(rows, size[0]) @ np.asarray(cells, dtype=np.float32) @ _spline(columns, size[1]).T


@lru_cache(maxsize=16)
def _means(pixels: int, cells: int) -> np.ndarray:
    """(cells, pixels) shares of the pixels in each cell, rows summing to 1."""
    edges = np.arange(cells + 1) * pixels / cells
    begin = np.arange(pixels)
    overlap = np.minimum(edges[1:, None], begin + 1) - np.maximum(edges[:-1, None], begin)
    shares = np.clip(overlap, 0, 1)
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


@lru_cache(maxsize=16)
def _spline(cells: int, pixels: int) -> np.ndarray:
    """(pixels, cells) weights of the uniform cubic B-spline at the pixel centres; the outermost cells go on outside."""
    place = (np.arange(pixels) + 0.5) * cells / pixels - 0.5
    first = np.floor(place).astype(int)
    t = place - first
    parts = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    weights = np.zeros((pixels, cells))
    for offset, part in zip(range(-1, 3), parts, strict=True):
        np.add.at(weights, (np.arange(pixels), np.clip(first + offset, 0, cells - 1)), part / 6)
    return weights.astype(np.float32)
