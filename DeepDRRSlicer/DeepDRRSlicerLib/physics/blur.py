"""Blur of images by products of transfer functions, without wrapping round at the borders.

The filters are exact up to the pixels' Nyquist frequency: they multiply the image's Fourier transform. An image is
continued beyond its borders by its own mirror images, blended so that it also joins on to itself, since the transform
takes it for periodic.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from DeepDRRSlicerLib.physics.detector import Gaussians, Glare, Lorentzian

# Pixels that an aperture's filter needs beyond the border. A sinc cut off at Nyquist has alternating weights that fall
# as 0.065/n^2; at 16 pixels what is left out sums to 1e-4 of a step at the opposite border.
_APERTURE_REACH = 16
_LEAST_REACH = 8
_TAILS = 6.0  # standard deviations, or lengths of decay, after which the screen's blur has ended
_VEIL = 4.0  # radii after which glare has ended: 0.4 % of it lies further away in one direction
_FILTERS_KEPT = 4


def aperture_blur(images, pitch, source_blur: float = 0.0) -> list[np.ndarray]:
    """Images of point samples as rectangular pixels see them, with the penumbra of a focal spot.

    images: (rows, cols) float32 or float64 arrays of one shape, point samples at the pixels' centres. pitch: mm of a
    pixel, (along a row, down a column). source_blur: mm at the detector, side of the uniform square that a focal spot
    makes of a point. Returns images of the same kinds and means; rounding of float32 adds about 1e-7 of the brightest
    pixel everywhere. At a step from one pixel to the next the filter undershoots by 1.2 % of the
    step, since a sampled step has frequencies beyond Nyquist; where that matters, callers clamp at 0.
    """
    shape = _padded_shape(images[0].shape, _APERTURE_REACH + source_blur / min(pitch))
    transfer = _aperture(shape, tuple(pitch), float(source_blur))
    return [_filtered(image, transfer, shape) for image in images]


def screen_blur(
    image: np.ndarray, pitch, mtf: Lorentzian | Gaussians | None, glare: Glare | None, surround: float = 1.0
) -> np.ndarray:
    """An image, (rows, cols), after the light's spread in the screen (mtf) and the veil over the whole field (glare).

    pitch: mm of a pixel, (along a row, down a column). surround: brightness beyond the border, as a part of the mirror
    image's; 0 where the field ends within the image. Returns an image of the same kind; itself where there is no blur.
    """
    if mtf is None and glare is None:
        return image
    shape = _padded_shape(image.shape, max(_LEAST_REACH, _reach(mtf, glare) / min(pitch)))
    return _filtered(image, _screen(shape, tuple(pitch), mtf, glare), shape, surround)


def aperture_weights(pitch: float, source_blur: float = 0.0) -> np.ndarray:
    """(2 n + 1,) float32: `aperture_blur` along one axis as weights of neighbours, which add up to 1.

    pitch, source_blur: mm. Cut off where aperture_blur ends, which leaves out up to 1e-4 of a step.
    """
    reach = int(np.ceil(_APERTURE_REACH + source_blur / pitch))
    length = _quick_size(16 * reach)
    frequency = np.fft.rfftfreq(length, pitch)
    response = np.fft.irfft(np.sinc(frequency * pitch) * np.sinc(frequency * source_blur), length)
    weights = np.concatenate([response[-reach:], response[: reach + 1]])
    return (weights / weights.sum()).astype(np.float32)


def screen_weights(pitch, mtf: Lorentzian | Gaussians | None) -> np.ndarray:
    """(2 n + 1, 2 n + 1) float32, n of `screen_reach`: the spread of light as weights of neighbours, adding up to 1."""
    reach = screen_reach(pitch, mtf)
    length = _quick_size(16 * reach + 2)
    response = np.fft.irfft2(_screen((length, length), tuple(pitch), mtf, None).astype(np.float64), (length, length))
    weights = np.roll(response, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]
    return (weights / weights.sum()).astype(np.float32)


def screen_reach(pitch, mtf: Lorentzian | Gaussians | None) -> int:
    """Pixels beyond which the spread of light in the screen is over; 0 without one."""
    return 0 if mtf is None else int(np.ceil(max(_LEAST_REACH, _reach(mtf, None) / min(pitch))))


def transfer_of(mtf: Lorentzian | Gaussians | None, glare: Glare | None, frequency) -> np.ndarray:
    """The transfer function of screen and glare at radial frequencies in cycles/mm, 1 at frequency 0."""
    frequency = np.asarray(frequency, dtype=np.float64)
    if mtf is None:
        value = np.ones_like(frequency)
    elif isinstance(mtf, Lorentzian):
        value = 1.0 / (1.0 + (frequency / mtf.half_frequency) ** 2)
    else:
        value = sum(w * np.exp(-2.0 * (np.pi * s * frequency) ** 2) for w, s in zip(mtf.weights, mtf.sigmas))
    if glare is not None:
        # Two-dimensional Fourier transform of exp(-r / radius) / (2 pi radius^2).
        veil = (1.0 + (2.0 * np.pi * glare.radius * frequency) ** 2) ** -1.5
        value = value * (1.0 - glare.fraction + glare.fraction * veil)
    return value


def _reach(mtf, glare) -> float:
    """mm after which the blur has ended."""
    lengths = [0.0]
    if isinstance(mtf, Lorentzian):
        lengths.append(_TAILS / (2.0 * np.pi * mtf.half_frequency))
    elif isinstance(mtf, Gaussians):
        lengths.append(_TAILS * max(mtf.sigmas))
    if glare is not None:
        lengths.append(_VEIL * glare.radius)
    return max(lengths)


@lru_cache(_FILTERS_KEPT)
def _aperture(shape, pitch, source_blur) -> np.ndarray:
    across, down = _frequencies(shape, pitch)
    du, dv = pitch
    transfer_across = np.sinc(across * du) * np.sinc(across * source_blur)
    transfer_down = np.sinc(down * dv) * np.sinc(down * source_blur)
    return (transfer_down[:, None] * transfer_across).astype(np.float32)


@lru_cache(_FILTERS_KEPT)
def _screen(shape, pitch, mtf, glare) -> np.ndarray:
    across, down = _frequencies(shape, pitch)
    return transfer_of(mtf, glare, np.hypot(down[:, None], across)).astype(np.float32)


def _frequencies(shape, pitch) -> tuple[np.ndarray, np.ndarray]:
    """Cycles/mm of the half-complex transform: along a row, down a column."""
    return np.fft.rfftfreq(shape[1], pitch[0]), np.fft.fftfreq(shape[0], pitch[1])


def _filtered(image: np.ndarray, transfer: np.ndarray, shape: tuple[int, int], surround: float = 1.0) -> np.ndarray:
    rows, cols = image.shape
    padded = _padded(image, shape)
    if surround != 1:
        padded[:rows, cols:] *= surround
        padded[rows:] *= surround
    # With another norm than "ortho" numpy computes one of the two directions in double precision, three times slower.
    spectrum = np.fft.rfft2(padded, norm="ortho")
    spectrum *= transfer
    return np.fft.irfft2(spectrum, s=shape, norm="ortho")[:rows, :cols].astype(image.dtype)


def _padded(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The image in the top left corner; the rest fades from the mirror image of one border to that of the other."""
    rows, cols = image.shape
    padded = np.empty(shape, dtype=image.dtype)
    padded[:rows, :cols] = image
    near, far, share = _mirrors(cols, shape[1])
    padded[:rows, cols:] = image[:, near] * (1.0 - share) + image[:, far] * share
    near, far, share = _mirrors(rows, shape[0])
    padded[rows:] = padded[near] * (1.0 - share[:, None]) + padded[far] * share[:, None]
    return padded


@lru_cache(4 * _FILTERS_KEPT)
def _mirrors(size: int, padded_size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per added pixel: where the last border's mirror image lies, where the first one's does, the latter's share."""
    added = np.arange(size, padded_size)
    share = np.sin(0.5 * np.pi * (added - size + 0.5) / max(len(added), 1)) ** 2
    return _folded(added, size), _folded(added - padded_size, size), share.astype(np.float32)


def _folded(index: np.ndarray, size: int) -> np.ndarray:
    index = index % (2 * size)
    return np.where(index < size, index, 2 * size - 1 - index)


def _padded_shape(shape: tuple[int, int], reach: float) -> tuple[int, int]:
    """The next sizes that transform quickly. The mirror image repeats itself after as many pixels as the image has."""
    rows, columns = (_quick_size(size + int(np.ceil(min(reach, size)))) for size in shape)
    return rows, columns


@lru_cache(64)
def _quick_size(least: int) -> int:
    """The smallest even number from `least` that has no prime factor above 5."""
    size = least + least % 2
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 2
