"""What kernels/tools.cu reads of the tools in a batch of views: triangles, and which of them each tile may show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.projection.tools import Tool, projected, seen_faces

# As in the kernels: pixels along a side, and what a ray has room for.
TILE, MOST_TOOLS, MOST_CROSSINGS = 8, 64, 96


@dataclass(frozen=True, eq=False)
class ToolRecords:
    """points: (n, 3) float64 column, row, inverse depth. faces: int32 (t, 8), corners, tool, and (top, bottom, left,
    right). tiles: int32 (tiles, 5), view, first column and row, and range of `listed`: int32 faces, in their order.
    most_faces: listed for one tile.
    """

    points: np.ndarray
    faces: np.ndarray
    tiles: np.ndarray
    listed: np.ndarray
    most_faces: int


def tool_records(beams: Sequence[ConeBeam], tools: Sequence[Tool]) -> ToolRecords | None:
    """Of everything that the views show of the tools; None where they show nothing."""
    points, faces, tiles, listed = [], [], [], []
    corners = shown = entries = 0
    for view, beam in enumerate(beams):
        places, triangles, bodies = projected(tools, beam)
        seen, extent = seen_faces(places, triangles, beam.size)
        if not seen.any():
            continue
        triangles, extent = triangles[seen], extent[seen]
        faces.append(np.column_stack([triangles + corners, bodies[seen], extent]))
        rows, columns, first, of_tile = _tiles(extent)
        tiles.append(np.column_stack([np.full(len(rows), view), columns, rows, first[:-1] + entries,
                                      first[1:] + entries]))  # fmt: skip
        listed.append(of_tile + shown)
        points.append(places)
        corners, shown, entries = corners + len(places), shown + len(triangles), entries + len(of_tile)
    if not points:
        return None
    parts = (faces, tiles, listed)
    all_faces, all_tiles, all_listed = (np.ascontiguousarray(np.concatenate(part), dtype=np.int32) for part in parts)
    most = int((all_tiles[:, 4] - all_tiles[:, 3]).max())
    return ToolRecords(np.ascontiguousarray(np.concatenate(points)), all_faces, all_tiles, all_listed, most)


def _tiles(extent: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """First row and column of each tile that faces (t, 4), top, bottom, left, right, cover, and the faces of each.

    Returns (rows, columns, first, faces): those of tile n are faces[first[n]:first[n + 1]].
    """
    top, left = extent[:, 0] // TILE, extent[:, 2] // TILE
    high, wide = (extent[:, 1] - 1) // TILE + 1 - top, (extent[:, 3] - 1) // TILE + 1 - left
    count = high * wide
    face = np.repeat(np.arange(len(extent)), count)
    within = np.arange(len(face)) - np.repeat(np.cumsum(count) - count, count)
    row, column = top[face] + within // wide[face], left[face] + within % wide[face]
    per_row = int(column.max()) + 1
    tile = row * per_row + column
    order = np.argsort(tile, kind="stable")  # faces keep their order, as on the CPU
    tile, first = np.unique(tile[order], return_index=True)
    return tile // per_row * TILE, tile % per_row * TILE, np.append(first, len(order)), face[order]
