"""From the energy that falls into each pixel to what the detector puts out.

    pixel aperture and focal spot  ->  quantum noise  ->  spread of light, glare, vignetting
        ->  electronic noise  ->  gain, dark offset, rounding, saturation

Quantum noise is independent from pixel to pixel before the light spreads: the noise power is then the squared transfer
function of screen and glare, without the pixel's sinc, which aliasing fills up again. Electronic noise is white.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.physics.blur import aperture_blur, screen_blur, screen_reach
from DeepDRRSlicerLib.physics.detector import Detector
from DeepDRRSlicerLib.physics.noise import quantum_noise, white_noise

_LARGEST = 1e24  # keV or keV2 per pixel; transforms of larger images would overflow
_ROUNDING = 1e-6  # of the brightest pixel: less than that is rounding of the transforms, and counts as nothing
_TINY = np.float32(1e-12)  # keV per pixel; less than that counts as nothing, too


@dataclass(frozen=True, eq=False)
class Frame:
    """One image as the electronics give it.

    signal: (rows, cols) float32 keV per pixel, corrected for gain and dark offset; may be slightly negative.
    counts: (rows, cols) unsigned integers, or None where the detector has no bit depth.
    clipped: pixels that would have gone below 0 counts, and above saturation.
    """

    signal: np.ndarray
    counts: np.ndarray | None
    clipped: tuple[int, int]


def frame_generator(seed: int, frame: int = 0) -> np.random.Generator:
    """The random numbers of one frame: the same for the same pair, independent of those of any other."""
    return np.random.default_rng([seed, frame])


def read_out(
    mean: np.ndarray,
    variance: np.ndarray,
    detector: Detector,
    pitch,
    generator: np.random.Generator | None,
    source_blur: float | None = None,
) -> Frame:
    """The frame that a detector makes of an exposure: `digitised` of what was `taken_in`, which see."""
    energy = taken_in(mean, variance, detector, pitch, generator, source_blur)
    return digitised(energy, detector, pitch, generator)


def taken_in(
    mean: np.ndarray,
    variance: np.ndarray,
    detector: Detector,
    pitch,
    generator: np.random.Generator | None,
    source_blur: float | None = None,
) -> np.ndarray:
    """Energy per pixel as it reaches the electronics, (rows, cols) float32 keV; lag acts on this.

    mean, variance: (rows, cols) keV and keV2 per pixel as point samples at the pixels' centres, not negative; together
    they are the detector's whole field. pitch: mm of a pixel as read out, one number or (along a row, down a column).
    generator: None for an image without noise. source_blur: mm at the detector, width of the focal spot's penumbra.
    Raises InputError for images that are not finite, negative, or of different shapes.
    """
    mean, variance = _checked(mean, variance)
    pitch = _pitch(pitch)
    source_blur = source_blur or 0.0
    if not 0 <= source_blur < np.inf:
        raise InputError(f"The blur of the focal spot must be 0 mm or more, not {source_blur:g} mm.")
    surround = 0.0 if detector.field_shape == "circular" else 1.0
    gain = field_gain(detector, mean.shape, pitch)
    dark = beyond_reach(mean, pitch, source_blur)
    if gain is not None:
        dark = dark | (gain == 0)
    if generator is None:
        # Without noise to hide it, rounding of float32 would be seen behind thick objects.
        (mean,) = aperture_blur([mean.astype(np.float64)], pitch, source_blur)
        energy = np.where(dark, 0, np.maximum(mean, 0))
    else:
        least, most = _energy_bounds(mean, variance)
        floor = max(_ROUNDING * float(mean.max()), _TINY)
        mean, variance = aperture_blur([mean, variance], pitch, source_blur)
        # Beside a sharp edge of total absorption the filter rings, by at most 1.2 % of the step.
        mean[dark | (mean < floor)] = 0
        # Blurred energies lie between the sharp ones, where rounding leaves them.
        per_quantum = np.clip(variance / np.maximum(mean, _TINY), least, most)
        # Light comes in from beyond the border, too: with noise of its own, since mirrored noise would add up.
        beyond = 0 if surround == 0 else screen_reach(pitch, detector.mtf)
        if beyond:
            mean, per_quantum = (np.pad(image, beyond, mode="symmetric") for image in (mean, per_quantum))
        energy = quantum_noise(mean, per_quantum, generator)
    energy = screen_blur(energy, pitch, detector.mtf, detector.glare, surround).astype(np.float32, copy=False)
    if generator is not None and beyond:
        energy = energy[beyond:-beyond, beyond:-beyond]
    return energy if gain is None else energy * gain


def digitised(energy: np.ndarray, detector: Detector, pitch, generator: np.random.Generator | None = None) -> Frame:
    """What the electronics make of the energy per pixel (keV): white noise, gain, dark offset, rounding, saturation.

    pitch and generator as for `taken_in`. Pixels outside a circular field are blanked: no signal, dark offset.
    """
    energy = np.asarray(energy, dtype=np.float32)
    pitch = _pitch(pitch)
    if generator is not None and detector.electronic_noise > 0:
        energy = energy + white_noise(detector.electronic_noise, energy.shape, generator)
    if detector.field_shape == "circular":
        gain = field_gain(detector, energy.shape, pitch)
        energy = energy if gain is None else energy * (gain > 0)
    per_kev = counts_per_kev(detector, pitch)
    full = detector.full_scale
    if detector.bit_depth is None:
        if full is None:
            return Frame(energy, None, (0, 0))
        highest = np.float32((full - detector.dark_offset) / per_kev)
        over = int(np.count_nonzero(energy > highest))
        return Frame(np.minimum(energy, highest), None, (0, over))
    # float32 holds every whole number up to 24 bits.
    kind: type[np.floating] = np.float32 if detector.bit_depth <= 24 else np.float64
    with np.errstate(over="ignore"):  # whatever is infinite is more than full
        counts = np.rint(energy.astype(kind) * kind(per_kev) + kind(detector.dark_offset))
    clipped = int(np.count_nonzero(counts < 0)), int(np.count_nonzero(counts > full))
    np.clip(counts, 0, full, out=counts)
    signal = (counts - kind(detector.dark_offset)) / kind(per_kev)
    return Frame(signal.astype(np.float32), counts.astype(np.min_scalar_type(2**detector.bit_depth - 1)), clipped)


def counts_per_kev(detector: Detector, pitch) -> float:
    """Counts that 1 keV taken in adds to a pixel as read out; pitch as for `taken_in`."""
    across, down = _pitch(pitch)
    return detector.gain * detector.pixel_pitch**2 / (across * down)


def field_gain(detector: Detector, shape: tuple[int, int], pitch) -> np.ndarray | None:
    """Relative signal over the field, (rows, cols) float32: vignetting, and 0 outside a circular field; None if 1.

    The image of this shape is the whole field; the circle is the largest that fits. Vignetting grows with the square of
    the radius up to the circle, or to the corners of a rectangular field.
    """
    if detector.field_shape != "circular" and detector.vignetting == 0:
        return None
    return _field_gain(detector.field_shape, detector.vignetting, tuple(shape), _pitch(pitch))


@lru_cache(4)
def _field_gain(field_shape: str, vignetting: float, shape, pitch) -> np.ndarray:
    height, width = shape[0] * pitch[1], shape[1] * pitch[0]
    down = (np.arange(shape[0]) + 0.5) * pitch[1] - height / 2
    across = (np.arange(shape[1]) + 0.5) * pitch[0] - width / 2
    circular = field_shape == "circular"
    radius = min(height, width) / 2 if circular else np.hypot(height, width) / 2
    square = (down[:, None] ** 2 + across**2) / radius**2
    gain = 1.0 - vignetting * square
    if circular:
        gain = np.where(square <= 1, np.maximum(gain, np.finfo(np.float32).tiny), 0.0)
    gain = gain.astype(np.float32)
    gain.flags.writeable = False
    return gain


def beyond_reach(mean: np.ndarray, pitch, source_blur: float) -> np.ndarray | bool:
    """Pixels, (rows, cols) bool or False for none, that are neither next to a lit one nor in its penumbra.

    They take in nothing; only ringing of filters gets there.
    """
    lit = mean > _TINY
    if lit.all():
        return False
    for axis, size in ((1, pitch[0]), (0, pitch[1])):
        reach = 1 + int(min(np.ceil(0.5 * source_blur / size), mean.shape[axis]))
        index = np.arange(mean.shape[axis])
        total = np.insert(np.cumsum(lit, axis=axis, dtype=np.int32), 0, 0, axis=axis)
        last, first = np.minimum(index + reach + 1, len(index)), np.maximum(index - reach, 0)
        lit = total.take(last, axis) > total.take(first, axis)
    return ~lit


def _checked(mean, variance) -> tuple[np.ndarray, np.ndarray]:
    mean, variance = (np.asarray(image, dtype=np.float32) for image in (mean, variance))
    if mean.ndim != 2 or mean.shape != variance.shape or 0 in mean.shape:
        raise InputError(
            f"Mean and variance must be images of one shape, (rows, columns), not {mean.shape} and {variance.shape}."
        )
    for image in (mean, variance):
        if not (image.min() >= 0 and image.max() <= _LARGEST):
            raise InputError("The energy per pixel must be finite and not negative; check tube load and volume.")
    return mean, variance


def _pitch(pitch) -> tuple[float, float]:
    across, down = np.broadcast_to(np.asarray(pitch, dtype=np.float64), 2)
    if not (0 < across < np.inf and 0 < down < np.inf):
        raise InputError(f"The pixel pitch must be greater than 0 mm, not {across:g} x {down:g} mm.")
    return float(across), float(down)


def _energy_bounds(mean: np.ndarray, variance: np.ndarray) -> tuple[np.float32, np.float32]:
    """The smallest and the largest variance over mean, keV, of the pixels that take in something."""
    lit = mean > _TINY
    ratio = variance / np.maximum(mean, _TINY)
    least = ratio.min(where=lit, initial=_LARGEST)
    return np.float32(least), np.float32(ratio.max(where=lit, initial=0.0))
