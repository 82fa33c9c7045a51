"""Unsharp masking of an image for display: what is finer than a radius is made stronger by a gain.

    image + gain (image - G(radius) image)

G(radius) blurs by a Gaussian whose standard deviation is the radius; so a step of height h gets shoots of at most
gain h / 2 on either side, which die out within two radii, and a sine of wavelength w grows by the factor
1 + gain (1 - exp(-2 (pi radius / w)^2)). Plain regions keep their value.
"""

from __future__ import annotations

import numpy as np

from DeepDRRSlicerLib.physics.blur import screen_blur
from DeepDRRSlicerLib.physics.detector import Gaussians


def detail(image: np.ndarray, radius: float) -> np.ndarray:
    """What of an image, (rows, columns), is finer than a radius in pixels: image - G(radius) image."""
    return image - _blurred(image, radius)


def enhanced(image: np.ndarray, radius: float, gain: float, shown: np.ndarray | None = None) -> np.ndarray:
    """(rows, columns) of the same kind, with its edges enhanced. radius: pixels.

    shown: (rows, columns) bool; pixels outside neither change nor leave a halo along their border.
    """
    if gain == 0:
        return image
    if shown is None or shown.all():
        return image + image.dtype.type(gain) * detail(image, radius)
    weight = shown.astype(image.dtype)
    blurred = _blurred(image * weight, radius) / np.maximum(_blurred(weight, radius), 1e-3)
    return np.where(shown, image + image.dtype.type(gain) * (image - blurred), image)


def _blurred(image: np.ndarray, radius: float) -> np.ndarray:
    return screen_blur(image, (1.0, 1.0), Gaussians((1.0,), (float(radius),)), None)
