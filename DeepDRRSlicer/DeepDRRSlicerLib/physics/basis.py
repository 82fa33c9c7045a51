"""Many materials as few channels to trace, where their attenuation is a mixture of that of others.

Between 15 and 125 keV soft tissues differ little: the mass attenuation of each is, in very good approximation, that of
a mixture of adipose tissue, water and cortical bone. The amounts are not negative, so that densities stay densities:
water, the lightest of them in effect, and adipose tissue bracket everything organic, and bone brings the little calcium
and iron that they lack. (With soft tissue in place of water, water itself errs by 0.4 %; two channels err by 1 %.)
What is not such a mixture (metals, contrast media with their K edges, pure carbon compounds) stays a channel.

The error that counts is that of the transmitted energy, so the fit is weighted by spectra behind a patient, and each
mixture is tried out in front of such patients before it is used. Largest error of the transmission over 40 to 125 kV,
3 mm Al, up to 40 g/cm2 of the material with up to 40 g/cm2 of water and 4 g/cm2 of bone, wherever at least 1e-6 passes:
lung, soft tissue and muscle 0.01 %, blood and spongiosa 0.05 %, PMMA 0.12 %. Those of paths one behind the other add.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.physics.materials import mass_attenuation, material_name
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum

MIXED_FROM = ("adipose", "water", "bone")
LARGEST_ERROR = 2e-3  # of the transmission; a material that errs more is traced by itself

_VOLTAGES = (40, 60, 80, 100, 125)
_FILTRATION = {"aluminium": 3.0}
_WATER = (0.0, 5.0, 10.0, 20.0, 30.0, 40.0)  # g/cm2
_BONE = (0.0, 1.0, 4.0)
_PATHS = (1.0, 5.0, 10.0, 20.0, 40.0)  # g/cm2 of the material
_LOWEST_TRANSMISSION = 1e-6


@dataclass(frozen=True, eq=False)
class Basis:
    """Materials as mixtures of channels.

    channels: names in the material library, first those of MIXED_FROM, then materials by themselves in the order given.
    matrix: (materials, channels) float64, not negative, read-only: g of each channel that attenuate as 1 g of the
    material does. Rows do not add up to exactly 1: a mixture keeps the attenuation, not the mass.
    """

    channels: tuple[str, ...]
    matrix: np.ndarray


def basis_of(materials: Sequence[str]) -> Basis:
    """The fewest channels that represent `materials`, each within LARGEST_ERROR of its transmission.

    Where mixing saves no channel the materials are the channels. Raises InputError for an unknown material or one that
    is named twice.
    """
    names = tuple(material_name(material) for material in materials)
    if len(set(names)) < len(names):
        raise InputError(f"A material is named twice in {', '.join(names)}; name each once.")
    mixtures = {name: mixture for name in names if (mixture := _mixture(name)) is not None}
    used = [m for m, _ in enumerate(MIXED_FROM) if any(mixture[m] > 0 for mixture in mixtures.values())]
    channels = (*(MIXED_FROM[m] for m in used), *(name for name in names if name not in mixtures))
    if len(channels) >= len(names):
        channels, mixtures = names, {}
    matrix = np.zeros((len(names), len(channels)))
    for row, name in zip(matrix, names, strict=True):
        if name in mixtures:
            row[: len(used)] = np.asarray(mixtures[name])[used]
        else:
            row[channels.index(name)] = 1.0
    matrix.flags.writeable = False
    return Basis(channels, matrix)


@cache
def _mixture(name: str) -> tuple[float, ...] | None:
    """Amounts of MIXED_FROM that attenuate as `name` does; None where no mixture does so well enough."""
    if name in MIXED_FROM:
        return tuple(float(name == other) for other in MIXED_FROM)
    patients = _patients()
    energies = np.concatenate([energies for energies, _ in patients])
    # Errors of mu/rho count by the energy that passes and, to first order, with a path of 1/mu.
    weights = np.sqrt(np.concatenate([(passing / passing.sum(1, keepdims=True)).sum(0) for _, passing in patients]))
    parts = np.array([mass_attenuation(other, energies) for other in MIXED_FROM]).T
    amounts = _least_squares(parts * weights[:, None], mass_attenuation(name, energies) * weights)
    return tuple(amounts.tolist()) if _largest_error(name, amounts) <= LARGEST_ERROR else None


@cache
def _patients() -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """For each tube voltage, energies (n,) and the energy (p, n) that passes each patient, of 1 without a patient."""
    found = []
    for kvp in _VOLTAGES:
        spectrum = tube_spectrum(kvp, _FILTRATION)
        energy = spectrum.energies * spectrum.fluence
        bodies = np.array([(water, bone) for water in _WATER for bone in _BONE])
        coefficients = np.array([mass_attenuation(material, spectrum.energies) for material in ("water", "bone")])
        passing = energy / energy.sum() * np.exp(-bodies @ coefficients)
        found.append((spectrum.energies, passing[passing.sum(1) >= _LOWEST_TRANSMISSION]))
    return tuple(found)


def _largest_error(name: str, amounts: np.ndarray) -> float:
    """Relative error of the transmission of patients when a path of the material is replaced by its mixture."""
    largest = 0.0
    for energies, passing in _patients():
        true = mass_attenuation(name, energies)
        mixed = amounts @ np.array([mass_attenuation(other, energies) for other in MIXED_FROM])
        for path in _PATHS:
            exact, ours = passing @ np.exp(-true * path), passing @ np.exp(-mixed * path)
            seen = exact >= _LOWEST_TRANSMISSION
            largest = max(largest, np.max(np.abs(ours[seen] / exact[seen] - 1), initial=0.0))
    return largest


def _least_squares(parts: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Amounts (n,), not negative, for which parts (k, n) @ amounts is nearest to target (k,).

    The best of all subsets of few unknowns: the optimum is an ordinary least-squares solution on those not at 0.
    """
    n = parts.shape[1]
    best, nearest = np.zeros(n), np.linalg.norm(target)
    for size in range(1, n + 1):
        for chosen in combinations(range(n), size):
            amounts = np.zeros(n)
            amounts[list(chosen)] = np.linalg.lstsq(parts[:, chosen], target, rcond=None)[0]
            distance = np.linalg.norm(parts @ amounts - target)
            if amounts.min() >= 0 and distance < nearest:
                best, nearest = amounts, distance
    return best
