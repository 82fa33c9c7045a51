"""Between pixels and the coarse cells in which scatter is computed: means one way, a smooth surface the other."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from DeepDRRSlicerLib.physics.one_thread import product

WHOLE = (1.0, 1.0)


def to_cells(image: np.ndarray, size: tuple[int, int], part: tuple[float, float] = WHOLE) -> np.ndarray:
    """float32 (*size): mean of the pixels (rows, columns) in each cell, pixels across a border in shares.

    part: of the cells' height and width that the image takes up, in their middle; it counts as 0 beyond.
    """
    rows, columns = image.shape
    image = np.asarray(image, dtype=np.float32)
    return product(product(_means(rows, size[0], part[0]), image), _means(columns, size[1], part[1]).T)


def to_pixels(cells: np.ndarray, size: tuple[int, int], part: tuple[float, float] = WHOLE) -> np.ndarray:
    """float32 (*size): the cells (rows, columns) as a cubic B-spline surface, whose weights are never negative.

    It smooths a little, as a blur with a variance of a third of a cell, which scatter does not show. part: as above.
    """
    rows, columns = cells.shape
    down, across = _spline(rows, size[0], part[0]), _spline(columns, size[1], part[1])
    return product(product(down, np.asarray(cells, dtype=np.float32)), across.T)


def at_pixels(
    cells: np.ndarray, size: tuple[int, int], pixels: np.ndarray, part: tuple[float, float] = WHOLE
) -> np.ndarray:
    """float32 (n,): what to_pixels gives at some pixels, (n,) flat indices of the image."""
    down, across = _spline(cells.shape[0], size[0], part[0]), _spline(cells.shape[1], size[1], part[1])
    rows, columns = np.divmod(pixels, size[1])
    return (product(down[rows], np.asarray(cells, dtype=np.float32)) * across[columns]).sum(axis=1)


@lru_cache(maxsize=16)
def _means(pixels: int, cells: int, part: float) -> np.ndarray:
    """(cells, pixels) shares of the pixels in each cell, rows of cells within the image summing to 1."""
    edges = pixels * (0.5 + (np.arange(cells + 1) / cells - 0.5) / part)
    begin = np.arange(pixels)
    overlap = np.minimum(edges[1:, None], begin + 1) - np.maximum(edges[:-1, None], begin)
    return (np.clip(overlap, 0, 1) * (cells * part / pixels)).astype(np.float32)


@lru_cache(maxsize=16)
def _spline(cells: int, pixels: int, part: float) -> np.ndarray:
    """(pixels, cells) weights of the uniform cubic B-spline at the pixel centres; the outermost cells go on outside."""
    place = cells * (0.5 + part * ((np.arange(pixels) + 0.5) / pixels - 0.5)) - 0.5
    first = np.floor(place).astype(int)
    t = place - first
    parts = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    weights = np.zeros((pixels, cells))
    for offset, part in zip(range(-1, 3), parts, strict=True):
        np.add.at(weights, (np.arange(pixels), np.clip(first + offset, 0, cells - 1)), part / 6)
    return weights.astype(np.float32)
