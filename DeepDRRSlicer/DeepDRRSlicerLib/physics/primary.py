"""The polychromatic primary: area densities of materials to what the detector takes in, and how much that varies.

Everything here is for 1 mAs and an area of 1 mm2 at 1 m from the focal spot. Inverse square, obliquity, pixel area,
tube load, shutters and grid multiply both mean and variance from outside:

    mean      sum over E of  E eta(E) N(E)           keV
    variance  sum over E of  E^2 eta(E) N(E) / I(E)  keV2

with N(E) = N0(E) exp(-sum over m of (mu/rho)_m(E) A_m), eta the absorbed part of the energy and I the Swank factor of
the response to one energy. The sums run over few energies (physics.spectral_nodes). Against all bins of the spectrum
the error is at most 2e-4 where 1e-6 of the open signal passes or more, and of the order of 0.5 % at 1e-8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.physics.detector import Detector
from DeepDRRSlicerLib.physics.materials import mass_attenuation, material_name
from DeepDRRSlicerLib.physics.one_thread import PRODUCTS_AT_ONCE
from DeepDRRSlicerLib.physics.spectral_nodes import spectral_nodes
from DeepDRRSlicerLib.physics.spectrum import Spectrum

# Area densities this far below 0 count as 0, in g/cm2 and relative to the material's largest: rounding where a tool
# displaces tissue, and swings of interpolation beside metal.
_ROUNDING, _SWING = 1e-3, 2e-3
# g/cm2: the most that a tungsten anode can filter less towards the cathode than in the centre, and steps of it, so that
# few spectra differ.
_ANODE, _ANODE_STEP = 0.05, 0.005


def detected(
    area_density: np.ndarray, materials: Sequence[str], spectrum: Spectrum, detector: Detector
) -> tuple[np.ndarray, np.ndarray]:
    """(mean, variance) of the energy that the detector takes in, per mm2 and mAs at 1 m from the focal spot.

    area_density: (..., m, rows, cols) g/cm2 of each of the m `materials`, views in front. Tungsten may be slightly
    negative: the heel effect relative to the central ray.
    Returns two arrays (..., rows, cols) float32, keV and keV2; both 0 where nothing measurable passes.
    Raises InputError for an unknown material, a shape that does not match, or area densities that are negative or not
    finite.
    """
    materials = tuple(material_name(material) for material in materials)
    area_density, anode = _checked(area_density, materials)
    *views, m, rows, cols = area_density.shape
    if m == 0:
        mean, variance = (
            np.full((*views, rows, cols), total, dtype=np.float32) for total in open_detected(spectrum, detector)
        )
        return mean, variance

    exponents, weights = spectral_tables(materials, spectrum, detector, anode)
    at_once = max(1, PRODUCTS_AT_ONCE // (exponents.size + weights.size))
    pixels = area_density.reshape(math.prod(views), m, rows * cols)
    sums = np.empty((2, len(pixels), rows * cols), dtype=np.float32)
    for view, of_view in zip(pixels, sums.swapaxes(0, 1), strict=True):
        for start in range(0, rows * cols, at_once):
            part = slice(start, start + at_once)
            passing = exponents @ view[:, part]
            np.exp(passing, out=passing)
            np.matmul(weights, passing, out=of_view[:, part])
    mean, variance = sums.reshape(2, *views, rows, cols)
    return mean, variance


def spectral_tables(
    materials: tuple[str, ...], spectrum: Spectrum, detector: Detector, anode: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """(exponents, weights): mean and variance of `detected` are weights @ exp(exponents @ area densities).

    materials: names of the library, one or more. anode: g/cm2 by which tungsten may be negative. Returns float32
    (k, m) minus cm2/g, and (2, k) keV and keV2 per mm2 and mAs at 1 m.
    """
    moments = _moments(spectrum, detector)
    # The energies are chosen for the spectrum with the least filtered by the anode: then nothing is negative.
    stronger = np.exp(mass_attenuation("tungsten", spectrum.energies) * anode)
    bins, counts = spectral_nodes(materials, spectrum.energies, moments * stronger)
    weights = (moments[:, bins] * counts).astype(np.float32)
    coefficients = [mass_attenuation(material, spectrum.energies[bins]) for material in materials]
    return -np.array(coefficients, dtype=np.float32).T, weights


def open_detected(spectrum: Spectrum, detector: Detector) -> tuple[float, float]:
    """(mean, variance) in keV and keV2 as `detected` gives them without an object."""
    mean, variance = _moments(spectrum, detector).sum(1)
    return float(mean), float(variance)


def _moments(spectrum: Spectrum, detector: Detector) -> np.ndarray:
    """(2, n): what each bin of the spectrum adds to mean and variance without an object."""
    energy = spectrum.energies
    taken_in = energy * detector.efficiency(energy) * spectrum.fluence
    return np.stack([taken_in, energy * taken_in / detector.swank_factor(energy)])


def _checked(area_density, materials: tuple[str, ...]) -> tuple[np.ndarray, float]:
    """Contiguous float32 area densities without negative rounding, and how far below 0 g/cm2 tungsten may be."""
    area_density = np.ascontiguousarray(area_density, dtype=np.float32)
    if area_density.ndim < 3 or area_density.shape[-3] != len(materials):
        raise InputError(
            f"Area densities of {len(materials)} materials must have the shape (..., {len(materials)}, rows, columns), "
            f"not {area_density.shape}."
        )
    of_material = (*range(area_density.ndim - 3), -2, -1)
    lowest, highest = area_density.min(axis=of_material, initial=0.0), area_density.max(axis=of_material, initial=0.0)
    allowed = np.array([_ANODE if material == "tungsten" else 0.0 for material in materials], dtype=np.float32)
    if not (np.isfinite(highest).all() and (lowest >= -allowed - np.maximum(_ROUNDING, _SWING * highest)).all()):
        raise InputError("Area densities must be finite and not negative; check the volume for bad voxels.")
    if (lowest < -allowed).any():
        area_density = np.maximum(area_density, -allowed[:, None, None])
    anode = -lowest[allowed > 0].min(initial=0.0)
    return area_density, _ANODE_STEP * math.ceil(anode / _ANODE_STEP)
