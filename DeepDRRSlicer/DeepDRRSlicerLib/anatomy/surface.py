"""Closed surfaces of segments: their own meshes, or the surface nets of their masks.

A mask of voxels seen askew shows the corners of its voxels. Its naive surface net does not: one vertex in each cell of
eight voxel centres that are not all inside or all outside, at the mean of the middles of the cell's edges that lead
from inside to outside, and a quadrilateral across each such edge. After S. F. F. Gibson, Constrained elastic surface
nets, MICCAI 1998, without the relaxation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from DeepDRRSlicerLib.anatomy.mesh import closed_surface
from DeepDRRSlicerLib.anatomy.segmentation import Segment
from DeepDRRSlicerLib.anatomy.volume import Volume, transform_points


@dataclass(frozen=True, eq=False)
class SegmentSurface:
    """A named part of the patient as a closed surface.

    vertices: (n, 3) float64 RAS mm; faces: (t, 3) int32, counter-clockwise as seen from outside; both may be empty.
    color: r, g, b from 0 to 1. least_thickness: mm, a ray that runs no farther within it counts as beside it.
    """

    name: str
    color: tuple[float, float, float]
    vertices: np.ndarray
    faces: np.ndarray
    least_thickness: float = 0.0

    @classmethod
    def from_mesh(cls, name: str, color: tuple[float, float, float], vertices, faces) -> SegmentSurface:
        """A segment that comes as triangles: (n, 3) RAS mm and (t, 3). Raises InputError unless they are closed.

        Shells may be nested or lie side by side. Where they overlap, a ray's thickness is the sum of theirs.
        """
        vertices, faces = closed_surface(vertices, faces, f"The segment '{name}'")
        return cls(name, color, vertices, faces.astype(np.int32))

    @classmethod
    def from_segment(cls, segment: Segment) -> SegmentSurface:
        """The surface net of a segment's mask; least thickness half of its smallest voxel edge."""
        vertices, faces = surface_net(segment.mask)
        return cls(segment.name, segment.color, vertices, faces, segment.mask.spacing.min() / 2)


def surface_net(mask: Volume) -> tuple[np.ndarray, np.ndarray]:
    """(vertices (n, 3) float64 RAS mm, faces (t, 3) int32) around the voxels that are not 0, closed everywhere.

    What is thinner than two voxels keeps the faces of its voxels, for the mean would shrink a wire of one voxel to a
    quarter of its cross-section and a single voxel to a 27th of its volume. Elsewhere planes stay in place, and convex
    parts lose a little: a ball of a radius of 40 voxels 0.1 % of its volume, of 10 voxels 1 %, of 5 voxels 4.5 %.
    """
    inside = np.pad(mask.array != 0, 1)
    codes = np.zeros(tuple(n - 1 for n in inside.shape), np.uint8)
    for corner in range(8):
        codes |= _shifted(inside, corner).view(np.uint8) << np.uint8(corner)
    cells = np.flatnonzero((codes != 0) & (codes != 255))
    codes = codes.ravel()[cells]
    places = _middles()[codes]
    places[_touches_thin(inside).ravel()[cells]] = 0.5
    k, j, i = np.unravel_index(cells, tuple(n - 1 for n in inside.shape))
    places += np.stack([i, j, k], axis=-1) - 1  # cell (0, 0, 0) begins in the voxel put before the first
    # A volume of other handedness turns counter-clockwise into clockwise.
    quads = _quads(inside, cells)[:, :: 1 if np.linalg.det(mask.ijk_to_ras[:3, :3]) > 0 else -1]
    return transform_points(mask.ijk_to_ras, places), quads[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)


def _quads(inside: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """(n, 4) int32 numbers of the cells about each edge of the grid that leads from inside to outside or back.

    inside: bool [k, j, i], False all around. cells: sorted flat indices of the cells that have a vertex.
    """
    k, j, i = (n - 1 for n in inside.shape)
    steps = (1, i, i * j)
    quads = []
    for axis in range(3):
        first, second = (
            inside[tuple(part if a == 2 - axis else slice(None) for a in range(3))]
            for part in (slice(None, -1), slice(1, None))
        )
        edges = np.nonzero(first != second)
        outward = first[edges]
        cell = edges[2] + edges[1] * steps[1] + edges[0] * steps[2]
        b, c = steps[(axis + 1) % 3], steps[(axis + 2) % 3]
        around = np.stack([cell - b - c, cell - c, cell, cell - b], axis=-1)  # counter-clockwise from the edge's end
        around[~outward] = around[~outward, ::-1]
        quads.append(np.searchsorted(cells, around).astype(np.int32))
    return np.concatenate(quads)


def _touches_thin(inside: np.ndarray) -> np.ndarray:
    """bool [k, j, i] of the cells with a corner that is inside and belongs to no full block of 2 x 2 x 2 voxels."""
    full = _over_blocks(inside, np.logical_and)
    thick = np.zeros_like(inside)
    thick[:-1, :-1, :-1] = full
    for axis in range(3):
        later = np.moveaxis(thick, axis, 0)
        later[1:] |= later[:-1].copy()
    return _over_blocks(inside & ~thick, np.logical_or)


def _over_blocks(array: np.ndarray, combine) -> np.ndarray:
    """Each block of 2 x 2 x 2 neighbours in one, by logical_and or logical_or."""
    array = combine(array[1:], array[:-1])
    array = combine(array[:, 1:], array[:, :-1])
    return combine(array[:, :, 1:], array[:, :, :-1])


def _shifted(array: np.ndarray, corner: int) -> np.ndarray:
    """The voxels at one corner, 0 to 7, of all cells: i + 2 j + 4 k."""
    return array[
        tuple(slice(corner >> axis & 1, n - 1 + (corner >> axis & 1)) for axis, n in zip((2, 1, 0), array.shape))
    ]


@cache
def _middles() -> np.ndarray:
    """(256, 3): for each code of a cell the mean (i, j, k) of the middles of its edges that change sides."""
    corners = np.array([[c & 1, c >> 1 & 1, c >> 2] for c in range(8)])
    pairs = [(a, a | 1 << axis) for axis in range(3) for a in range(8) if not a >> axis & 1]
    middles = np.full((256, 3), 0.5)
    for code in range(1, 255):
        changing = [(a, b) for a, b in pairs if (code >> a & 1) != (code >> b & 1)]
        middles[code] = corners[np.array(changing)].mean(axis=(0, 1))
    return middles
