"""Tools among the voxels: what of each voxel a tool fills, and the tissue that it displaces there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.projection.tools import Tool, traced_materials

_RAYS = 8  # along i and along j, through each voxel
_FAR = 1e6  # voxels, so that rays from one point are parallel


def with_tools(volume: MaterialVolume, tools: Sequence[Tool]) -> MaterialVolume:
    """The volume with tools in the place of its tissue, later ones in that of earlier ones; their mass is kept.

    What reaches beyond the volume is left out. A voxel that is filled in part holds both.
    """
    if not tools:
        return volume
    materials = traced_materials(volume.materials, tools)
    shape = volume.density.shape[1:]
    density = np.zeros((len(materials), *shape), dtype=np.float32)
    density[: len(volume.materials)] = volume.density * volume.scale[:, None, None, None].astype(np.float32)
    for tool in tools:
        corner, share = filled(volume, tool)
        part = tuple(slice(c, c + n) for c, n in zip(corner, share.shape, strict=True))
        density[:, *part] *= 1 - share
        density[materials.index(tool.material)][part] += share * tool.density
    return MaterialVolume.from_density(materials, np.moveaxis(density, 0, -1), volume.ijk_to_ras)


def filled(volume: MaterialVolume, tool: Tool) -> tuple[tuple[int, int, int], np.ndarray]:
    """(k, j, i) of the first voxel and float32 (k, j, i): share of each voxel from there on within the tool.

    Exact along k, by 8 x 8 rays to a voxel across it.
    """
    from DeepDRRSlicerLib.projection.mesh_crossings import crossings

    inverse = np.linalg.inv(volume.ijk_to_ras)
    place = tool.vertices @ inverse[:3, :3].T + inverse[:3, 3] + 0.5  # voxel v reaches from v to v + 1
    size = np.array(volume.size)
    low = np.clip(np.floor(place.min(axis=0)).astype(int), 0, size)
    high = np.clip(np.ceil(place.max(axis=0)).astype(int), low, size)
    count = high - low
    share = np.zeros(count[::-1], dtype=np.float32)
    corner = (int(low[2]), int(low[1]), int(low[0]))
    if not count.all():
        return corner, share
    local = place - low
    # Image columns and rows run along i and j; pixel centres are at integers. Depth grows with k, from a point far off.
    points = np.column_stack([local[:, 0] * _RAYS - 0.5, local[:, 1] * _RAYS - 0.5, _FAR / (_FAR + local[:, 2])])
    faces = np.ascontiguousarray(tool.faces)
    rows = points[faces, 1]
    tops, bottoms = (np.ceil(edge).astype(np.int64) for edge in (rows.min(axis=1), rows.max(axis=1)))
    start, depth, label = crossings(
        points, faces, np.zeros(len(faces), np.int64), tops, bottoms, (0, int(count[1]) * _RAYS),
        (0, int(count[0]) * _RAYS),
    )  # fmt: skip
    height = np.clip((depth - 1) * _FAR, 0, count[2])
    ray = np.repeat(np.arange(len(start) - 1), np.diff(start))
    row, column = np.divmod(ray, count[0] * _RAYS)
    # Entering a closed surface counts up, leaving it down: the sum of what lies beyond each crossing is the inside.
    sign = np.sign(label).astype(np.float32)
    total = np.zeros_like(share)
    for k in range(int(count[2])):
        beyond = np.clip(k + 1 - height, 0, 1).astype(np.float32) * sign
        np.add.at(total[k], (row // _RAYS, column // _RAYS), beyond)
    share[...] = np.clip(np.abs(total) / _RAYS**2, 0, 1)
    return corner, share
