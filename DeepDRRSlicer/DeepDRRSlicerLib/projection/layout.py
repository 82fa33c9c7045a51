"""The voxels of one patient as the slab kernels read them: rows along i, and once more rows along j.

Slabs across j and across k are made of rows along i, slabs across i of rows along j. Both copies are in 16 bits; the
first is the material volume's own array. For each row its first voxel that is not 0 and the end are known, so that
air is not read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.projection.parallel import run_parts


@dataclass(frozen=True, eq=False)
class Slabs:
    """A volume as slabs across one axis.

    density: (m, n) uint16, flat. extent: (m, n) int16, flat pairs (first, end) of each row.
    n_u, n_v: voxels in a row, rows in a slab. strides: of density from slab to slab and from row to row.
    extent_strides: likewise.
    """

    density: np.ndarray
    extent: np.ndarray
    n_u: int
    n_v: int
    strides: tuple[int, int]
    extent_strides: tuple[int, int]


def slabs_of(volume: MaterialVolume, threads: int | None = None) -> tuple[Slabs, Slabs, Slabs]:
    """The volume across i, j and k; the last two share their arrays. Along an axis of one layer an empty one is added.

    The neighbour lets the kernels interpolate between two layers everywhere.
    """
    rows = volume.density
    if not rows.flags.writeable:  # kernels would be compiled once more for what cannot be written
        rows = rows.copy()
    layers = [(0, int(n == 1)) for n in rows.shape[1:]]
    if (0, 1) in layers:
        rows = np.pad(rows, [(0, 0), *layers])
    n_m, n_k, n_j, n_i = rows.shape
    turned = np.empty((n_m, n_i, n_k, n_j), dtype=np.uint16)

    def turn(part):
        m, k = part
        turned[m, :, k] = rows[m, k].T

    run_parts(turn, [(m, k) for m in range(n_m) for k in range(n_k)], threads)
    along_i, along_j = _extents(rows, threads), _extents(turned, threads)
    flat, flat_extent = rows.reshape(n_m, -1), along_i.reshape(n_m, -1)
    plane = n_j * n_i
    return (
        Slabs(turned.reshape(n_m, -1), along_j.reshape(n_m, -1), n_j, n_k, (n_k * n_j, n_j), (2 * n_k, 2)),
        Slabs(flat, flat_extent, n_i, n_k, (n_i, plane), (2, 2 * n_j)),
        Slabs(flat, flat_extent, n_i, n_j, (plane, n_i), (2 * n_j, 2)),
    )


def _extents(rows: np.ndarray, threads: int | None) -> np.ndarray:
    """int16 (m, a, b, 2): first voxel that is not 0 and the end of each row of (m, a, b, n)."""
    result = np.zeros((*rows.shape[:3], 2), dtype=np.int16)

    def find(part):
        occupied = rows[part] != 0
        some = occupied.any(axis=1)
        result[part][some, 0] = occupied[some].argmax(axis=1)
        result[part][some, 1] = rows.shape[3] - occupied[some, ::-1].argmax(axis=1)

    run_parts(find, [(m, a) for m in range(rows.shape[0]) for a in range(rows.shape[1])], threads)
    return result
