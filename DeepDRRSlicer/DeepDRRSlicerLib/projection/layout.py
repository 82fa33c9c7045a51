"""The voxels of one patient as the slab kernels read them: rows along i, and once more rows along j.

Slabs across j and across k are made of rows along i, slabs across i of rows along j. Both copies are in 16 bits; the
first is the material volume's own array. For each row its first voxel that is not 0 and the end are known, so that
air is not read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.projection.parallel import row_parts, run_parts

# Voxels along k, j, i: rows that fill a vector register, and two layers between which to interpolate.
_LEAST = (2, 8, 8)


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


@dataclass(frozen=True, eq=False)
class Layout:
    """rows: uint16 (m, k, j, i). turned: (m, i, k, j), or None to make it for each view that needs it.

    extent, turned_extent: int16 (m, k, j, 2) and (m, i, k, 2).
    """

    rows: np.ndarray
    extent: np.ndarray
    turned: np.ndarray | None
    turned_extent: np.ndarray

    @property
    def nbytes(self) -> int:
        arrays = (self.rows, self.extent, self.turned, self.turned_extent)
        return sum(array.nbytes for array in arrays if array is not None)

    def across(self, axis: int, kernels, threads: int | None = None) -> Slabs:
        """The volume as slabs across i, j or k."""
        n_m, n_k, n_j, n_i = self.rows.shape
        if axis == 0:
            turned = _turned(self.rows, kernels, threads) if self.turned is None else self.turned
            extent = self.turned_extent.reshape(n_m, -1)
            return Slabs(turned.reshape(n_m, -1), extent, n_j, n_k, (n_k * n_j, n_j), (2 * n_k, 2))
        flat, extent, plane = self.rows.reshape(n_m, -1), self.extent.reshape(n_m, -1), n_j * n_i
        if axis == 1:
            return Slabs(flat, extent, n_i, n_k, (n_i, plane), (2, 2 * n_j))
        return Slabs(flat, extent, n_i, n_j, (plane, n_i), (2 * n_j, 2))


def layout_of(volume: MaterialVolume, kernels, threads: int | None = None, keep_turned: bool = True) -> Layout:
    """The voxels of a volume, small ones with empty voxels added. keep_turned: as much memory again, for speed.

    kernels: the module slab_numba or slab_numpy. threads: as in run_parts.
    """
    rows = volume.density
    if not rows.flags.writeable:  # kernels would be compiled once more for what cannot be written
        rows = rows.copy()
    missing = [(0, max(0, least - n)) for least, n in zip(_LEAST, rows.shape[1:], strict=True)]
    if np.any(missing):
        rows = np.pad(rows, [(0, 0), *missing])
    turned = _turned(rows, kernels, threads)
    extent, turned_extent = _extents(rows, threads), _extents(turned, threads)
    return Layout(rows, extent, turned if keep_turned else None, turned_extent)


def _turned(rows: np.ndarray, kernels, threads: int | None) -> np.ndarray:
    n_m, n_k, n_j, n_i = rows.shape
    turned = np.empty((n_m, n_i, n_k, n_j), dtype=np.uint16)

    def turn(m, first, end):
        kernels.turn(rows[m], first, end, turned[m])

    run_parts(lambda part: turn(*part), [(m, *part) for m in range(n_m) for part in row_parts(0, n_k, 16)], threads)
    return turned


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
