"""What the kernels read of a volume and of a view: 16 doubles each, the structs of kernels/rays.h."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import LEVELS, MaterialVolume
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.projection.slab_geometry import rays_of

RECORD_BYTES = 16 * 8
TEXELS = (1, 2, 4)  # channels that a texel may hold
_MM_PER_CM = 10.0


@dataclass(frozen=True, eq=False)
class Packed:
    """Up to four materials of a volume as one texture holds them, cropped to the voxels that are not 0.

    texels: uint16 [k, j, i, channels], channels 1, 2 or 4, those beyond `count` 0.
    first, count: the materials that they hold. low: (3,) index i, j, k of the first texel in the volume.
    """

    texels: np.ndarray
    first: int
    count: int
    low: np.ndarray


def packed(volume: MaterialVolume) -> list[Packed]:
    """A volume of any number of materials, four of them at a time."""
    result = []
    for first in range(0, len(volume.materials), TEXELS[-1]):
        density = volume.density[first : first + TEXELS[-1]]
        low, high = _occupied(density)
        window = tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1], strict=True))
        channels = next(n for n in TEXELS if n >= len(density))
        texels = np.zeros((*(high - low)[::-1], channels), np.uint16)
        for m, material in enumerate(density):
            texels[..., m] = material[window]
        result.append(Packed(texels, first, len(density), low))
    return result


def _occupied(density: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First indices (i, j, k) and ends of the voxels that are not 0 in any channel; of one voxel where all are."""
    planes = np.zeros((density.shape[1], density.shape[3]), bool)  # k, i
    rows = np.zeros(density.shape[1:3], bool)  # k, j
    for material in density:
        for k, plane in enumerate(material):  # plane by plane: needs little memory
            occupied = plane != 0
            planes[k] |= occupied.any(axis=0)
            rows[k] |= occupied.any(axis=1)
    ranges = []
    for line in (planes.any(axis=0), rows.any(axis=0), rows.any(axis=1)):
        at = np.flatnonzero(line)
        ranges.append((at[0], at[-1] + 1) if len(at) else (0, 1))
    low, high = np.array(ranges).T
    return low, high


def volume_record(volume: MaterialVolume, part: Packed, filtered: bool) -> np.ndarray:
    """(16,) float64. filtered: whether the texture is read as floats from 0 to 1, or as integers."""
    scale = np.zeros(TEXELS[-1])
    scale[: part.count] = volume.scale[part.first : part.first + part.count] * (LEVELS if filtered else 1)
    size = part.texels.shape[2::-1]
    return np.concatenate([(volume.ijk_to_ras[:3, :3] / _MM_PER_CM).ravel(), scale, size])


def view_records(volume: MaterialVolume, low: np.ndarray, beams: Sequence[ConeBeam]) -> np.ndarray:
    """(views, 16) float64. low: of Packed."""
    records = np.zeros((len(beams), 16))
    for record, beam in zip(records, beams, strict=True):
        rays = rays_of(volume, beam)
        record[:15] = np.concatenate([rays.source - low, rays.towards, rays.step_c, rays.step_r, rays.bias])
    return records
