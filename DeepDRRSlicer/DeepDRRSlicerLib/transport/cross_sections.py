"""What a photon may do in each material, as tables that a kernel can read without searching."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

import numpy as np

from DeepDRRSlicerLib.physics.materials import interpolated, mass_attenuation, material_row

BINS_PER_KEV = 8
HIGHEST_ENERGY = 150  # keV


@dataclass(frozen=True, eq=False)
class CrossSections:
    """Of m materials, every 1/8 keV: bin e holds the energies nearest to e/8 keV, which are those of tube spectra.

    total, compton, rayleigh: (m, bins) cm2/g; what is left of the total is photoelectric absorption.
    transfer: (q,) 1/A, growing as the square of its index.
    incoherent: (m, q), share of free electrons; coherent: (m, q), running integral of the squared form factor over
    the squared momentum transfer.
    """

    total: np.ndarray
    compton: np.ndarray
    rayleigh: np.ndarray
    transfer: np.ndarray
    incoherent: np.ndarray
    coherent: np.ndarray


@cache
def _tables() -> dict[str, np.ndarray]:
    """The shipped tables, made by Utilities/make_physics_tables.py; read once."""
    with (
        as_file(files("DeepDRRSlicerLib") / "data" / "transport_tables.npz") as path,
        np.load(path, allow_pickle=False) as stored,
    ):
        return {name: stored[name].astype(np.float64) for name in stored.files}


def energy_bins() -> np.ndarray:
    """(bins,) keV: the middle of each bin; those below 1 keV, where the tables begin, are given as 1 keV."""
    return np.maximum(np.arange(HIGHEST_ENERGY * BINS_PER_KEV + 1) / BINS_PER_KEV, 1.0)


def cross_sections(materials: Sequence[str]) -> CrossSections:
    """The tables of these materials of the library. Raises InputError for one that it lacks."""
    stored, energies = _tables(), energy_bins()
    rows = [material_row(material) for material in materials]
    total = np.stack([mass_attenuation(material, energies) for material in materials])
    compton, rayleigh = (
        np.stack([interpolated(stored[name][row], energies) for row in rows]) for name in ("compton", "rayleigh")
    )
    return CrossSections(
        total=np.maximum(total, compton + rayleigh),  # rounding where nothing is absorbed
        compton=compton,
        rayleigh=rayleigh,
        transfer=stored["momentum_transfer"],
        incoherent=np.ascontiguousarray(stored["incoherent_function"][rows]),
        coherent=np.ascontiguousarray(stored["form_factor_integral"][rows]),
    )
