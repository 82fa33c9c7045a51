"""A plain float64 ray march over a few rays, by which the projections of the benchmark are judged."""

from __future__ import annotations

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.geometry.camera import ConeBeam

STEP = 0.1  # mm
_RAYS_AT_ONCE = 16


def some_pixels(size: tuple[int, int], count: int) -> np.ndarray:
    """(count, 2) rows and columns, spread over the image at random, always the same."""
    return np.random.default_rng(0).integers(0, size, (count, 2))


def area_densities(volume: MaterialVolume, beam: ConeBeam, pixels: np.ndarray, step: float = STEP) -> np.ndarray:
    """(channels, n) float64 g/cm2 of the rays to `pixels`: trilinear samples at the middle of steps of `step` mm."""
    to_index = np.linalg.inv(volume.ijk_to_ras)
    source = to_index[:3, :3] @ beam.source + to_index[:3, 3]
    target = beam.pixel_to_ras(pixels[:, 1], pixels[:, 0])
    length = np.linalg.norm(target - beam.source, axis=1)
    ray = (target - beam.source) @ to_index[:3, :3].T / length[:, None]  # voxels per mm
    with np.errstate(divide="ignore", invalid="ignore"):
        faces = np.stack([(-1 - source) / ray, (np.array(volume.size) - source) / ray])
    enter, leave = np.nanmax(faces.min(axis=0), axis=1), np.nanmin(faces.max(axis=0), axis=1)
    enter, leave = np.maximum(enter, 0), np.minimum(leave, length)

    # A border of zeros: beyond its outermost voxels the density falls to 0 over one voxel.
    padded = [np.pad(channel, 1).reshape(-1) for channel in volume.density]
    n_i, n_j, n_k = (n + 2 for n in volume.size)
    strides = np.array([1, n_i, n_i * n_j])
    found = np.zeros((len(padded), len(pixels)))
    for first in range(0, len(pixels), _RAYS_AT_ONCE):
        some = slice(first, first + _RAYS_AT_ONCE)
        steps = int(np.ceil(max(0.0, (leave[some] - enter[some]).max()) / step))
        depth = enter[some, None] + (np.arange(steps) + 0.5) * step
        position = source + ray[some, None, :] * depth[..., None] + 1
        inside = (depth < leave[some, None]) & ((position >= 0) & (position < (n_i - 1, n_j - 1, n_k - 1))).all(-1)
        position = np.where(inside[..., None], position, 0.0)
        low = position.astype(np.int64)
        high_weight = position - low
        corner = low @ strides
        for a, b, c in np.ndindex(2, 2, 2):
            weight = inside.astype(np.float64)
            for axis, upper in enumerate((a, b, c)):
                weight *= high_weight[..., axis] if upper else 1 - high_weight[..., axis]
            at = corner + (a, b, c) @ strides
            for m, channel in enumerate(padded):
                found[m, some] += (weight * channel[at]).sum(axis=1)
    return found * volume.scale[:, None] * (step / 10.0)


def relative_rms(image: np.ndarray, pixels: np.ndarray, expected: np.ndarray) -> float:
    """Root mean square of the error at `pixels` over that of `expected` (channels, n), for an image (channels, ...)."""
    ours = image[:, pixels[:, 0], pixels[:, 1]]
    return float(np.sqrt(np.mean((ours - expected) ** 2) / np.mean(expected**2)))
