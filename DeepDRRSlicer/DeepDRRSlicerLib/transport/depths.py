"""At which depths of each ray the patient lies, on which scatter depends: planes parallel to the detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.physics.materials import mass_attenuation

_SPACING = 8.0  # mm between the voxels that are looked at, and between planes
_PLANES = 48  # at most; a longer body is looked at in wider steps
_LEAST_DENSITY = 0.1  # g/cm3 of water: what attenuates less is air
_ENERGY = 50.0  # keV, at which materials are compared with water


@dataclass(frozen=True, eq=False)
class Matter:
    """density: float32 (k, j, i) g/cm3 of water that would attenuate as much. ras_to_ijk: (4, 4), mm to its indices."""

    density: np.ndarray
    ras_to_ijk: np.ndarray

    def points(self) -> np.ndarray:
        """(n, 3) RAS mm of the voxels that are no air."""
        index = np.argwhere(self.density > _LEAST_DENSITY)[:, ::-1]
        to_ras = np.linalg.inv(self.ras_to_ijk)
        return index @ to_ras[:3, :3].T + to_ras[:3, 3]


@dataclass(frozen=True, eq=False)
class Depths:
    """density: float32 (planes, rows, columns) g/cm3 of water in each ray at each plane, from the source on.

    distance: (planes,) mm from the plane to the detector; step: mm between two planes. No planes where nothing
    stands in the beam.
    """

    density: np.ndarray
    distance: np.ndarray
    step: float


def matter_of(volume: MaterialVolume) -> Matter:
    """Where a body stands, in one of every 8 mm of its voxels."""
    spacing = np.linalg.norm(volume.ijk_to_ras[:3, :3], axis=0)
    steps = np.maximum(1, np.round(_SPACING / spacing)).astype(int)
    thinned = volume.density[:, :: steps[2], :: steps[1], :: steps[0]]
    water = mass_attenuation("water", _ENERGY)
    attenuation = np.array([mass_attenuation(material, _ENERGY) for material in volume.materials])
    density = np.tensordot((attenuation / water * volume.scale).astype(np.float32), thinned.astype(np.float32), axes=1)
    coarse = volume.ijk_to_ras @ np.diag([*steps, 1.0])
    return Matter(density, np.linalg.inv(coarse))


def depths_of(matter: Matter, beam: ConeBeam) -> Depths:
    """What the rays of a view meet between source and detector, at the nearest voxels."""
    none = Depths(np.zeros((0, *beam.size), np.float32), np.zeros(0), 0.0)
    near, far = _reach(matter, beam)
    if near >= far:
        return none
    planes = int(np.clip(np.ceil((far - near) / _SPACING), 1, _PLANES))
    step = (far - near) / planes
    depth = near + (np.arange(planes) + 0.5) * step
    matrix, offset = matter.ras_to_ijk[:3, :3], matter.ras_to_ijk[:3, 3]
    rays = beam.pixel_centers() - beam.source  # from the source to the detector
    along = np.moveaxis(rays @ matrix.T, -1, 0).astype(np.float32)  # (3, rows, columns) voxels
    start = (matrix @ beam.source + offset + 0.5).astype(np.float32)
    shares = (depth / beam.sid).astype(np.float32)[:, None, None]
    flat, inside = np.zeros((planes, *beam.size), np.int32), np.ones((planes, *beam.size), bool)
    for axis, (n, stride) in enumerate(zip(matter.density.shape[::-1], _strides(matter.density.shape), strict=True)):
        index = np.floor(start[axis] + shares * along[axis]).astype(np.int32)
        inside &= (index >= 0) & (index < n)
        flat += np.clip(index, 0, n - 1) * np.int32(stride)
    density = matter.density.reshape(-1)[flat] * inside
    return Depths(density, beam.sid - depth, step) if density.any() else none


def exit_gap(depths: Depths, sid: float) -> np.ndarray:
    """(rows, columns) mm along the detector's normal from where each ray leaves the body to the detector.

    Rays that miss the body get the mean of the others; where none hits it, half the source-image distance.
    """
    solid = depths.density > _LEAST_DENSITY
    hit = solid.any(axis=0)
    if not hit.any():
        return np.full(solid.shape[1:], sid / 2)
    last = len(solid) - 1 - np.argmax(solid[::-1], axis=0)
    gap = np.maximum(depths.distance[last] - depths.step / 2, 0)
    return np.where(hit, gap, gap[hit].mean())


def _reach(matter: Matter, beam: ConeBeam) -> tuple[float, float]:
    """From the source along the normal: mm to the first and to the last of the matter that a ray may meet."""
    used = matter.density > _LEAST_DENSITY
    if not used.any():
        return 0.0, 0.0
    ends = []
    for axes in ((0, 1), (0, 2), (1, 2)):  # i, j, k
        filled = np.flatnonzero(used.any(axis=axes))
        ends.append((filled[0] - 0.5, filled[-1] + 0.5))
    corners = np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, -1)
    to_ras = np.linalg.inv(matter.ras_to_ijk)
    along = beam.normal @ (to_ras[:3, :3] @ corners + (to_ras[:3, 3] - beam.source)[:, None])
    return max(0.0, float(along.min())), min(beam.sid, float(along.max()))


def _strides(shape) -> tuple[int, int, int]:
    """Of i, j and k in the flat array."""
    return 1, shape[2], shape[1] * shape[2]
