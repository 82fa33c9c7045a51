"""The material volume as the kernels want it: materials side by side, in whole blocks, coarse enough for scatter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.geometry.camera import ConeBeam

BLOCK = 8  # voxels along a side
FINEST_VOXEL = 2.0  # mm: scatter is smooth, and smaller voxels only cost time


@dataclass(frozen=True, eq=False)
class Body:
    """density: uint16 (k, j, i, m) in whole blocks.

    highest, mean, deviation: float32 (k, j, i, m) of the densities in each block; deviation: largest from the mean.
    to_index: (3, 4), RAS mm to positions in voxels, where voxel v reaches from v to v + 1; to_ras: (3, 4), back.
    materials, scale: as in MaterialVolume. size: voxels (k, j, i) without those that fill up blocks.
    """

    materials: tuple[str, ...]
    scale: np.ndarray
    density: np.ndarray
    highest: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    to_index: np.ndarray
    to_ras: np.ndarray
    size: tuple[int, int, int]


def coarsened(volume: MaterialVolume, voxel: float = FINEST_VOXEL) -> MaterialVolume:
    """The means over as many voxels along each side as fit into so many mm; the mass stays, to within rounding.

    Where a size is no multiple, the last voxels are paired with the air beyond them.
    """
    spacing = np.linalg.norm(volume.ijk_to_ras[:3, :3], axis=0)
    steps = np.maximum(1, (voxel / spacing + 1e-6).astype(int))
    if (steps == 1).all():
        return volume
    i, j, k = steps
    size = [-(-n // step) for n, step in zip(volume.size, steps, strict=True)]
    density = np.empty((len(volume.materials), *reversed(size)), dtype=np.uint16)
    padded = np.zeros((k, size[1] * j, size[0] * i), dtype=np.uint16)
    for fine, coarse in zip(volume.density, density, strict=True):
        for plane in range(size[2]):
            part = fine[plane * k : (plane + 1) * k]
            padded[...] = 0
            padded[: len(part), : part.shape[1], : part.shape[2]] = part
            coarse[plane] = np.rint(padded.reshape(k, size[1], j, size[0], i).mean(axis=(0, 2, 4)))
    to_fine = np.diag([*steps, 1.0])
    to_fine[:3, 3] = (steps - 1) / 2
    return MaterialVolume(volume.materials, density, volume.scale, volume.ijk_to_ras @ to_fine)


def body_of(volume: MaterialVolume, beam: ConeBeam) -> Body:
    """The body in a beam; what lies behind the detector's plane is left out."""
    shift = np.eye(4)
    shift[:3, 3] = -0.5
    to_ras = volume.ijk_to_ras @ shift
    channels, *size = volume.density.shape
    padded = [-(-n // BLOCK) * BLOCK for n in size]
    density = np.zeros((*padded, channels), dtype=np.uint16)
    density[: size[0], : size[1], : size[2]] = np.moveaxis(volume.density, 0, -1)
    _clear_behind(density, to_ras, beam)
    blocks = density.reshape(padded[0] // BLOCK, BLOCK, padded[1] // BLOCK, BLOCK, padded[2] // BLOCK, BLOCK, channels)
    highest, lowest, mean = (f(axis=(1, 3, 5)).astype(np.float32) for f in (blocks.max, blocks.min, blocks.mean))
    return Body(
        materials=volume.materials,
        scale=volume.scale,
        density=density,
        highest=highest,
        mean=mean,
        deviation=np.maximum(highest - mean, mean - lowest),
        to_index=np.ascontiguousarray(np.linalg.inv(to_ras)[:3]),
        to_ras=np.ascontiguousarray(to_ras[:3]),
        size=tuple(size),
    )


def _clear_behind(density, to_ras, beam) -> None:
    normal = beam.normal
    along = [np.arange(n) + 0.5 for n in density.shape[2::-1]]  # i, j, k
    parts = [normal @ to_ras[:3, axis] * places for axis, places in enumerate(along)]
    offset = normal @ (to_ras[:3, 3] - beam.detector_center)
    highest = offset + sum(part.max() for part in parts)
    if highest <= 0:
        return
    depth = offset + parts[2][:, None, None] + parts[1][None, :, None] + parts[0][None, None, :]
    density[depth > 0] = 0
