"""A quick estimate of scatter, by which the network's answer is multiplied: smooth, in proportion to the beam, never
negative, and nothing where nothing stands in it.

What each plane of the body takes out of the beam is sent on in all directions; what of it flies along the ray through
the rest of the body is weakened, but less than the beam, because scatter scatters on. On the detector it falls as the
solid angle of a cell seen from the plane, which is one convolution for each slab of planes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.transport.depths import Depths

_SLABS = 8  # of neighbouring planes, to be convolved together
_WEAKENED = 0.4  # attenuation of scatter in the body over that of the beam


@dataclass(frozen=True, eq=False)
class Spread:
    """How scatter of a body reaches the cells, whatever the spectrum.

    shares: (planes, rows, columns) of each ray's attenuation, see shares_of. slabs: of planes, as slices. spectrum:
    (slabs, 2 rows, columns + 1), Fourier transform of what a slab spreads.
    """

    shares: np.ndarray
    slabs: tuple[slice, ...]
    spectrum: np.ndarray


def shares_of(depths: Depths) -> np.ndarray:
    """float32 (planes, rows, columns) share of each ray's attenuation in each plane, adding up to 1.

    A ray that meets no voxel (of a thin tool, say) has the mean shares of the others.
    """
    total = depths.density.sum(axis=0)
    mean = depths.density.sum(axis=(1, 2))
    shares = depths.density / np.where(total > 0, total, 1)
    return np.where(total > 0, shares, (mean / mean.sum())[:, None, None]).astype(np.float32)


def spread_of(depths: Depths, pitch: float, sid: float) -> Spread:
    """pitch: mm of a cell. sid: mm from source to detector, half way along which a tool stands that is alone."""
    planes, rows, columns = depths.density.shape
    if planes:
        distance, shares = depths.distance, shares_of(depths)
    else:
        distance, shares = np.array([sid / 2]), np.ones((1, rows, columns), np.float32)
    parts = np.array_split(np.arange(len(shares)), min(_SLABS, len(shares)))
    slabs = tuple(slice(int(part[0]), int(part[-1]) + 1) for part in parts)
    middles = np.array([distance[slab].mean() for slab in slabs])
    return Spread(shares, slabs, np.fft.rfft2(_kernels((2 * rows, 2 * columns), middles, pitch)))


def estimate(transmission: np.ndarray, share: np.ndarray, spread: Spread) -> np.ndarray:
    """float32 (rows, columns) photons scattered into each cell, over those sent into a cell of the open field.

    transmission, share: (rows, columns) of the beam, and of the photons that pass the shutters.
    """
    rows, columns = transmission.shape
    depth = -np.log(np.maximum(transmission, 1e-6)).astype(np.float32)
    parts = spread.shares * depth
    before = np.cumsum(parts, axis=0) - parts
    # What a plane takes out of the beam, and what of it the rest of the body lets through.
    sent = np.exp(-before - _WEAKENED * (depth - before - parts)) * -np.expm1(-parts)
    power = np.stack([sent[slab].sum(axis=0) for slab in spread.slabs]) * share
    size = (2 * rows, 2 * columns)
    arrived = np.fft.irfft2((np.fft.rfft2(power, size) * spread.spectrum).sum(axis=0), size)
    return np.maximum(arrived[:rows, :columns], 0).astype(np.float32)


def _kernels(size: tuple[int, int], distance: np.ndarray, pitch: float) -> np.ndarray:
    """(slabs, *size) share of what is sent out evenly that falls on a cell so many cells away, as FFTs want it."""
    down, across = (np.fft.fftfreq(n, 1 / n) * pitch for n in size)
    height = distance[:, None, None]
    squared = down[:, None] ** 2 + across**2 + height**2 + (pitch / 2) ** 2  # a cell is no point
    return pitch**2 / (4 * np.pi) * np.sqrt(height**2 + (pitch / 2) ** 2) / squared**1.5
