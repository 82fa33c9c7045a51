"""The polychromatic primary: area densities of materials to the energy that the detector takes in.

Everything here is per unit of fluence. Inverse square, obliquity, pixel area and mAs multiply it from outside:

    keV per pixel = open_signal * mAs * pixel area (mm2) * exposure.fluence_factor * transmission
"""

import math
from collections.abc import Sequence

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.physics.materials import mass_attenuation
from DeepDRRSlicerLib.physics.spectrum import Spectrum

# Bins that carry less than this part of the open signal are left out; they lie at the soft end, which any object
# takes away first.
_NEGLIGIBLE = 1e-8
_ROUNDING = 1e-3  # g/cm2: area densities this far below 0 are rounding, where a tool displaces tissue, and count as 0
_PIXELS_AT_ONCE = 2048  # times about 100 bins of float32: 0.8 MB, stays in the cache


def open_signal(spectrum: Spectrum, efficiency: np.ndarray) -> float:
    """Energy taken in by the detector without an object, keV/(mm2 mAs) at 1 m.

    efficiency: (n,) absorbed fraction at `spectrum.energies`, as Detector.efficiency gives it.
    """
    return float(_signal_weights(spectrum, efficiency).sum())


def transmission(
    area_density: np.ndarray, materials: Sequence[str], spectrum: Spectrum, efficiency: np.ndarray
) -> np.ndarray:
    """Signal behind the object over the open signal.

    area_density: (..., m, rows, cols) g/cm2 of each of the m `materials`, views in front.
    efficiency: (n,) absorbed fraction at `spectrum.energies`.
    Returns (..., rows, cols) float32 in 0..1; 0 where nothing measurable passes.
    Raises InputError for an unknown material, a shape that does not match, or area densities that are negative or not
    finite.
    """
    area_density = np.asarray(area_density, dtype=np.float32)
    if area_density.ndim < 3 or area_density.shape[-3] != len(materials):
        raise InputError(
            f"Area densities of {len(materials)} materials must have the shape (..., {len(materials)}, rows, columns), "
            f"not {area_density.shape}."
        )
    lowest, highest = area_density.min(initial=0.0), area_density.max(initial=0.0)
    if not (lowest >= -_ROUNDING and highest < np.inf):
        raise InputError("Area densities must be finite and not negative; check the volume for bad voxels.")
    if lowest < 0:
        area_density = np.maximum(area_density, 0)
    weights = _signal_weights(spectrum, efficiency)
    used = weights > _NEGLIGIBLE * weights.sum()
    weights = (weights[used] / weights[used].sum()).astype(np.float32)
    coefficients = np.array([mass_attenuation(material, spectrum.energies[used]) for material in materials])
    # (n, m), negative: the product with area densities is the exponent.
    exponents_per_area = -coefficients.reshape(len(materials), len(weights)).T.astype(np.float32)

    *views, _, rows, cols = area_density.shape
    pixels = area_density.reshape(math.prod(views), len(materials), rows * cols)
    result = np.empty((len(pixels), rows * cols), dtype=np.float32)
    for view, view_result in zip(pixels, result, strict=True):
        for start in range(0, rows * cols, _PIXELS_AT_ONCE):
            part = slice(start, start + _PIXELS_AT_ONCE)
            spectral = exponents_per_area @ view[:, part]
            np.exp(spectral, out=spectral)
            np.matmul(weights, spectral, out=view_result[part])
    return result.reshape(*views, rows, cols)


def _signal_weights(spectrum: Spectrum, efficiency: np.ndarray) -> np.ndarray:
    """(n,) keV/(mm2 mAs) that the detector takes in from each bin."""
    return spectrum.energies * np.asarray(efficiency, dtype=np.float64) * spectrum.fluence
