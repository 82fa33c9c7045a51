"""Tools in the beam: closed surfaces of one material that displace the tissue they stand in.

Tools stand in the order of their list: each takes the place of the tissue and of the tools before it, as a screw
driven into cement does. What reaches behind the detector, or behind the source, is not in the beam.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.anatomy.mesh import closed_surface
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.physics.materials import density, material_name
from DeepDRRSlicerLib.projection.parallel import row_parts, run_parts

if TYPE_CHECKING:
    from DeepDRRSlicerLib.anatomy.surface import SegmentSurface

_MM_PER_CM = 10.0
_FARTHEST = 1e6  # mm
_ROWS_PER_PART = 32
_NEAREST = 1e-6  # of the source-image distance: what is closer to the source than this is not projected
# The projector of the volume and the displacement integrate the same voxels by different rules. Where a tool takes all
# of a bone, the two differed by up to 0.08 g/cm2 on a chest CT of 1.5 mm. A deficit of up to this part of what is
# displaced, or of this many g/cm2, counts as that difference; a larger one is an error elsewhere, and stays to be seen.
ROUNDING, ROUNDING_AREA = 0.02, 0.2


@dataclass(frozen=True, eq=False)
class Tool:
    """A closed triangle surface of one material.

    vertices: (n, 3) float64 RAS mm; faces: (t, 3) int64, counter-clockwise as seen from outside. Vertices at one place
    are merged, faces without area in their indices dropped, and a surface that is inside out is turned. It may have
    any number of parts; parts may overlap, and one turned inwards inside another is a cavity.
    material: name in the material library. density: g/cm3, the library's where None was given.
    Raises InputError when the surface is not closed, or for an unknown material or an impossible density.
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    material: str
    density: float | None = None

    def __post_init__(self):
        object.__setattr__(self, "material", material_name(self.material))
        rho = density(self.material) if self.density is None else float(self.density)
        if not 0 < rho < 100:
            raise InputError(f"The density of the tool '{self.name}' must lie between 0 and 100 g/cm3, not {rho:g}.")
        object.__setattr__(self, "density", rho)
        vertices, faces = closed_surface(self.vertices, self.faces, f"The tool '{self.name}'")
        self._place(vertices, faces)

    def _place(self, vertices, faces):
        for key, array in (("vertices", vertices), ("faces", faces)):
            array.flags.writeable = False
            object.__setattr__(self, key, array)

    def moved(self, matrix) -> Tool:
        """The tool moved by an affine 4x4 in RAS mm, without another check of its surface (1 ms, for live views).

        Raises InputError for a matrix that is not affine and regular, or moves it out of all proportion.
        """
        matrix = np.array(matrix, dtype=np.float64)
        if matrix.shape != (4, 4) or not (np.abs(matrix) <= _FARTHEST).all() or (matrix[3] != (0, 0, 0, 1)).any():
            raise InputError(
                f"The transform of the tool '{self.name}' is not a 4x4 affine matrix of plausible numbers; correct it."
            )
        turn = np.linalg.det(matrix[:3, :3])
        if abs(turn) < 1e-9:
            raise InputError(f"The transform of the tool '{self.name}' flattens it; correct its scale.")
        x, y, z = self.vertices.T
        # Not matmul, whose rounding may depend on the place in the list.
        vertices = np.stack([m[0] * x + m[1] * y + m[2] * z + m[3] for m in matrix[:3]], axis=1)
        result = object.__new__(Tool)
        for key in ("name", "material", "density"):
            object.__setattr__(result, key, getattr(self, key))
        result._place(vertices, self.faces if turn > 0 else np.ascontiguousarray(self.faces[:, ::-1]))
        return result


def traced_materials(materials: Sequence[str], tools: Sequence[Tool]) -> tuple[str, ...]:
    """The channels of an image: those of the volume, then the materials of the tools that are not among them."""
    return tuple(dict.fromkeys([*materials, *(tool.material for tool in tools)]))


def insert_tools(
    area_density: np.ndarray,
    volume: MaterialVolume,
    beam: ConeBeam,
    tools: Sequence[Tool],
    threads: int | None = None,
) -> None:
    """Puts the tools into the area densities of one view, in place: their own added, the tissue in their place taken.

    area_density: (channels, rows, columns) float32 g/cm2, channels as `traced_materials` names them, filled as the
    volume alone gives them and 0 for the tools' own.
    Line integrals of tools are exact for their triangles. Those of tissue run through trilinear voxels between the
    exact places of entry and exit. Where the volume's projection holds less than that by the difference of the two
    rules of integration (up to 0.2 g/cm2, or 2 % of what is displaced), nothing is left. Pixels that no tool covers,
    and channels without tissue in its place, keep their bits.
    threads: as in run_parts; the result does not depend on it.
    """
    channels = traced_materials(volume.materials, tools)
    if area_density.shape != (len(channels), *beam.size) or area_density.dtype != np.float32:
        raise ValueError(f"area_density must be float32 {(len(channels), *beam.size)}")
    if not tools:
        return
    from DeepDRRSlicerLib.projection.mesh_crossings import crossings  # compiled by numba, which is loaded on demand
    from DeepDRRSlicerLib.projection.mesh_displacement import insert, split_rays

    points, faces, bodies = projected(tools, beam)
    seen, extent = seen_faces(points, faces, beam.size)
    if not seen.any():
        return
    faces, bodies = faces[seen], bodies[seen]
    tops, bottoms, lefts, rights = np.ascontiguousarray(extent[seen].T)
    columns = int(lefts.min()), int(rights.max())
    to_index = np.linalg.inv(volume.ijk_to_ras)
    gradient = to_index[:3, :3]
    steps = (beam.pixel00 - beam.source, beam.e_c * beam.pitch[0], beam.e_r * beam.pitch[1])
    rays = np.array([gradient @ beam.source + to_index[:3, 3], *(gradient @ step for step in steps)])
    tool_channels = np.array([channels.index(tool.material) for tool in tools])
    tool_densities = np.array([tool.density for tool in tools])
    tissue = volume.density.reshape(len(volume.materials), -1)

    def insert_rows(rows):
        start, depth, label = crossings(points, faces, bodies, tops, bottoms, rows, columns)
        lengths, inside = np.zeros((start.size - 1, len(tools))), np.empty((depth.size, 2))
        count = split_rays(start, depth, label, lengths, inside)
        insert(
            start, inside, count, lengths, tool_channels, tool_densities, tissue, volume.scale, volume.size,
            volume.ijk_to_ras[:3, :3] / _MM_PER_CM, rays, rows, columns, (ROUNDING, ROUNDING_AREA), area_density,
        )  # fmt: skip

    run_parts(insert_rows, row_parts(int(tops.min()), int(bottoms.max()), _ROWS_PER_PART), threads)


def seen_faces(points: np.ndarray, faces: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Which faces cover pixels of an image, (t,) bool, and where: int64 (t, 4) top, bottom, left, right, ends excluded.

    points, faces: as `projected` gives them.
    """
    tops, bottoms = _extent(points[:, 1], faces, size[0])
    # One more column on either side: rounding may carry a crossing beyond the corners of its face.
    lefts, rights = _extent(points[:, 0], faces, size[1], margin=1)
    return (tops < bottoms) & (lefts < rights), np.stack([tops, bottoms, lefts, rights], axis=1)


def _extent(positions, faces, size, margin=0) -> tuple[np.ndarray, np.ndarray]:
    """(first, end) of the rows or columns of an image from 0 to size that each face covers, end excluded."""
    a, b, c = (positions[faces[:, corner]] for corner in range(3))
    first, end = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
    first, end = np.clip(first - margin, 0, size), np.clip(end + margin, 0, size)
    return np.ceil(first).astype(np.int64), np.ceil(end).astype(np.int64)


def projected(tools: Sequence[Tool | SegmentSurface], beam: ConeBeam) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(points, faces, bodies) as mesh_crossings takes them, of what lies on the detector's side of the source."""
    axes = np.stack([beam.e_c, beam.e_r, beam.normal])
    before = np.cumsum([0, *(len(tool.vertices) for tool in tools)])
    x, y, z = (np.concatenate([tool.vertices for tool in tools]) - beam.source).T
    seen = np.stack([a[0] * x + a[1] * y + a[2] * z for a in axes], axis=1)
    faces = np.concatenate([tool.faces + first for tool, first in zip(tools, before)])
    bodies = np.repeat(np.arange(len(tools)), [len(tool.faces) for tool in tools])
    nearest = _NEAREST * beam.sid
    if seen[:, 2].min() < nearest:
        seen, faces, bodies = _cut(seen, faces, bodies, nearest)
    scale = beam.sid / seen[:, 2]
    offset = axes @ (beam.source - beam.pixel00)
    columns = (offset[0] + seen[:, 0] * scale) / beam.pitch[0]
    rows = (offset[1] + seen[:, 1] * scale) / beam.pitch[1]
    return np.stack([columns, rows, scale], axis=1), faces, bodies


def _cut(seen, faces, bodies, nearest):
    """What of the triangles is farther than `nearest` along the third coordinate, in triangles.

    Where an edge is cut is computed from its far end to its near end, so that both its triangles agree to the bit. The
    surface is then open towards the source; a ray that begins inside a body is known by its odd exit.
    """
    far = seen[:, 2] >= nearest
    count = far[faces].sum(axis=1)
    points, kept, owners = [seen], [faces[count == 3]], [bodies[count == 3]]
    total = len(seen)
    for n, alone in ((1, True), (2, False)):  # the one corner that is far, or the one that is not, comes first
        cut, owner = faces[count == n], bodies[count == n]
        turn = np.argmax(far[cut] == alone, axis=1)
        a, b, c = (cut[np.arange(len(cut)), (turn + k) % 3] for k in range(3))
        ab, ac = (_between(*pair, nearest) for pair in (
            ((seen[a], seen[b]), (seen[a], seen[c])) if alone else ((seen[b], seen[a]), (seen[c], seen[a]))
        ))  # fmt: skip
        on_ab, on_ac = total + np.arange(len(cut)), total + len(cut) + np.arange(len(cut))
        total += 2 * len(cut)
        points += [ab, ac]
        pieces = [(a, on_ab, on_ac)] if alone else [(on_ab, b, c), (on_ab, c, on_ac)]
        kept += [np.stack(piece, axis=1) for piece in pieces]
        owners += [owner] * len(pieces)
    all_points = np.concatenate(points)
    all_points[:, 2] = np.maximum(all_points[:, 2], nearest)  # those that no triangle uses any more
    return all_points, np.concatenate(kept), np.concatenate(owners)


def _between(far, near, depth):
    """Where the way from far to near points (n, 3) has a depth."""
    share = (far[:, 2] - depth) / (far[:, 2] - near[:, 2])
    result = far + (near - far) * share[:, None]
    result[:, 2] = depth
    return result
