"""How far behind the patient the detector stands: the air gap of every ray, which scatter depends on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.geometry.camera import ConeBeam

_SPACING = 8.0  # mm between the voxels and between the points of a ray that are looked at
_LEAST_DENSITY = 0.1  # g/cm3: what is lighter is air


@dataclass(frozen=True, eq=False)
class Occupancy:
    """Where matter is: bool (k, j, i) and the matrix (4, 4) from RAS mm to its indices."""

    solid: np.ndarray
    ras_to_ijk: np.ndarray


def occupancy(volume: MaterialVolume) -> Occupancy:
    """The voxels of a body, one of every 8 mm."""
    spacing = np.linalg.norm(volume.ijk_to_ras[:3, :3], axis=0)
    steps = np.maximum(1, np.round(_SPACING / spacing)).astype(int)
    thinned = volume.density[:, :: steps[2], :: steps[1], :: steps[0]]
    density = np.tensordot(volume.scale.astype(np.float32), thinned.astype(np.float32), axes=1)
    coarse = volume.ijk_to_ras @ np.diag([*steps, 1.0])
    return Occupancy(density > _LEAST_DENSITY, np.linalg.inv(coarse))


def exit_gap(occupied: Occupancy, beam: ConeBeam) -> np.ndarray:
    """(rows, columns) mm along the detector's normal from where each ray leaves the body to the detector.

    Rays that miss the body get the mean of the others; where none hits it, half the source-image distance.
    """
    rays = beam.pixel_centers() - beam.source  # from the source to the detector
    points = max(2, int(np.ceil(beam.sid / _SPACING)))
    shares = (np.arange(points) + 0.5) / points
    matrix, offset = occupied.ras_to_ijk[:3, :3], occupied.ras_to_ijk[:3, 3]
    start, along = matrix @ beam.source + offset, rays @ matrix.T
    index = np.rint(start + shares[:, None, None, None] * along).astype(np.int32)  # (points, rows, columns, ijk)
    size = np.array(occupied.solid.shape[::-1])
    inside = ((index >= 0) & (index < size)).all(axis=-1)
    index = np.clip(index, 0, size - 1)
    solid = occupied.solid[index[..., 2], index[..., 1], index[..., 0]] & inside
    hit = solid.any(axis=0)
    last = points - 1 - np.argmax(solid[::-1], axis=0)
    gap = beam.sid * (1.0 - (last + 1.0) / points)
    if not hit.any():
        return np.full(beam.size, beam.sid / 2)
    return np.where(hit, gap, gap[hit].mean())
