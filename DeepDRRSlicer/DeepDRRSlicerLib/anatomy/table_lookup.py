"""Voxels turned into partial densities by a table: slab by slab, on all cores, with little memory beside the result."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume, scale_of
from DeepDRRSlicerLib.anatomy.volume import Volume, shifted_affine
from DeepDRRSlicerLib.errors import InputError

# g/cm3: between this, -900 HU, and air lies nothing that a radiograph shows, but much noise and foam of the couch.
THIN = 0.1
# Voxels converted at once: few enough for the temporary arrays (some MB) to stay in the cache.
_SLAB_VOXELS = 250_000


def looked_up(volume: Volume, rows: Callable, channels: Sequence[str], table: np.ndarray) -> MaterialVolume:
    """The densities that a table has for each voxel, cropped to the box of those above THIN, one voxel wider.

    rows(window): intp [k, j, i], the row of the table for each voxel of a window of the volume (slices along k, j, i).
    table: float64 [row, channel] in g/cm3. Channels that occur nowhere are left out. Densities are rounded to 65535
    steps of the highest that occurs (at most 1/131070 of it). Raises InputError when no voxel is above THIN.
    """
    low, high = _box(volume, rows, table.sum(axis=1) > THIN)
    first = int(low[2])
    shape = tuple(int(n) for n in (high - low)[::-1])
    inner = tuple(slice(int(a), int(b)) for a, b in zip(low[:2][::-1], high[:2][::-1], strict=True))
    slabs = slabs_of(shape)

    def index(slab):
        return rows((slice(first + slab.start, first + slab.stop), *inner))

    occurs = np.zeros(len(table), dtype=bool)

    def mark(slab):
        occurs[index(slab)] = True

    on_all_cores(mark, slabs)
    present = [m for m in range(len(channels)) if (table[occurs, m] > 0).any()]
    scale = scale_of(table[occurs][:, present].max(axis=0))
    levels = np.rint(np.where(occurs[:, None], table[:, present], 0) / scale).astype(np.uint16)
    columns = [np.ascontiguousarray(column) for column in levels.T]
    density = np.empty((len(present), *shape), dtype=np.uint16)

    def fill(slab):
        row = index(slab)
        for column, channel in zip(columns, density, strict=True):
            np.take(column, row, out=channel[slab], mode="clip")

    on_all_cores(fill, slabs)
    return MaterialVolume(tuple(channels[m] for m in present), density, scale, shifted_affine(volume.ijk_to_ras, low))


def on_all_cores(function: Callable, parts: Sequence) -> list:
    """[function(part) for part in parts], for functions that release the interpreter lock, as numpy's do."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, parts))


def slabs_of(shape: Sequence[int]) -> list[slice]:
    """Slices along k that cover an array [k, j, i] in pieces that fit the cache."""
    planes = max(1, _SLAB_VOXELS // (shape[1] * shape[2]))
    return [slice(k, min(k + planes, shape[0])) for k in range(0, shape[0], planes)]


def _box(volume: Volume, rows: Callable, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last + 1 index (i, j, k) of the box around voxels whose row is `seen`, with a margin of one voxel."""
    occupied = [np.zeros(n, dtype=bool) for n in volume.array.shape]
    slabs = slabs_of(volume.array.shape)

    def look(slab):
        body = seen[rows((slab, slice(None), slice(None)))]
        flat = body.any(axis=0)
        return body.any(axis=(1, 2)), flat.any(axis=1), flat.any(axis=0)

    for slab, (along_k, along_j, along_i) in zip(slabs, on_all_cores(look, slabs), strict=True):
        occupied[0][slab] = along_k
        occupied[1] |= along_j
        occupied[2] |= along_i
    if not occupied[0].any():
        raise InputError(
            f"No voxel of the CT is denser than {THIN:g} g/cm3 (-900 HU), so there is nothing to image; check that the "
            "volume holds HU and a body."
        )
    found = [np.flatnonzero(axis) for axis in reversed(occupied)]
    low = np.array([max(0, f[0] - 1) for f in found])
    high = np.array([min(n, f[-1] + 2) for f, n in zip(found, volume.size, strict=True)])
    return low, high
