"""What a physicist measures on pictures: widths of edges, the MTF of a slanted edge, noise power."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

_BINS_PER_PIXEL = 8
_PART_OF_A_RAMP = 0.8  # from 10 to 90 %


def edge_width(profile: np.ndarray, pitch: float) -> float:
    """mm that an even ramp takes which rises from 10 to 90 % over the same distance as this profile from 0 to 1.

    NaN where the profile does not pass 10 and 90 %.
    """
    profile = np.asarray(profile, dtype=np.float64)
    profile = profile if profile[-1] > profile[0] else profile[::-1]
    if not (profile.min() < 0.1 and profile[-1] > 0.9):
        return np.nan
    low, high = (np.flatnonzero(profile < level)[-1] for level in (0.1, 0.9))
    places = []
    for index, level in ((low, 0.1), (high, 0.9)):
        places.append(index + (level - profile[index]) / (profile[index + 1] - profile[index]))
    return (places[1] - places[0]) * pitch / _PART_OF_A_RAMP


def slanted_edge_mtf(image: np.ndarray, distance: np.ndarray, pitch: float, frequencies) -> np.ndarray:
    """MTF at frequencies in cycles/mm across an edge that is nearly upright.

    distance: mm (rows, cols) of each pixel's centre from the edge, along the row, signed. Where the edge passes through
    a whole number of columns from the first row to the last, all its places within a pixel count alike; else what lies
    beyond Nyquist leaks in. Frequencies along the row are those across the edge but for 0.1 % of a slant of 2 degrees.
    """
    step = pitch / _BINS_PER_PIXEL
    count = int(np.abs(distance).max() / step / 2)  # half of the way to the farthest corner
    index = np.floor(distance / step).astype(int) + count
    inside = (index >= 0) & (index < 2 * count)
    sums = np.bincount(index[inside], image[inside].astype(np.float64), 2 * count)
    spread = sums / np.bincount(index[inside], minlength=2 * count)
    line = np.diff(spread)
    places = (np.arange(1, 2 * count) - count) * step
    waves = np.exp(-2j * np.pi * np.outer(frequencies, places))
    # Sorting into bins averages over their width, and so does the difference of two neighbours.
    return np.abs(waves @ line) / abs(line.sum()) / np.sinc(np.asarray(frequencies) * step) ** 2


def noise_power(noise: Iterable[np.ndarray]) -> np.ndarray:
    """Mean squared Fourier amplitudes (rows, cols // 2 + 1) of frames of noise, per pixel: white noise's variance."""
    total, number = np.zeros(()), 0
    for frame in noise:
        total = total + np.abs(np.fft.rfft2(frame.astype(np.float64))) ** 2 / frame.size
        number += 1
    return total / number


def radial_frequency(size: tuple[int, int], pitch: float) -> np.ndarray:
    """Cycles/mm of each entry of `noise_power`."""
    return np.hypot(np.fft.fftfreq(size[0], pitch)[:, None], np.fft.rfftfreq(size[1], pitch))


def ring_means(power: np.ndarray, radial: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Means over the rings between successive radii."""
    return np.array([power[(radial >= low) & (radial < high)].mean() for low, high in zip(edges[:-1], edges[1:])])


def centroid(image: np.ndarray) -> np.ndarray:
    """(row, column) of the middle of an image's weight."""
    rows, cols = np.indices(image.shape)
    return np.array([(rows * image).sum(), (cols * image).sum()]) / image.sum()


def solve(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function crosses 0."""
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if function(middle) < 0 else (low, middle)
    return 0.5 * (low + high)
