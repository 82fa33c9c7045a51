"""What a detector takes in behind slabs, summed over every energy of the shipped spectra in double precision.

Written apart from the engine: own interpolation of the tables, own formula of the detector, nothing in common but the
tables themselves, which other comparisons check.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from DeepDRRSlicerLib.physics.detector import Detector
from DeepDRRSlicerLib.physics.tables import physics_tables


def coefficient(material: str, energies: np.ndarray, of: str = "mass_attenuation") -> np.ndarray:
    """mu/rho, or mass_energy_transfer, in cm2/g between the knots of the table, log-log."""
    tables = physics_tables()
    row = getattr(tables, of)[tables.names.index(material)]
    # No energy lies on an edge, where two knots are at one place.
    return np.exp(np.interp(np.log(energies), np.log(tables.energies), np.log(row)))


def beam(kvp: int, slabs: Mapping[str, float], filtration_mm: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """keV and photons/(mm2 mAs) at 1 m, behind slabs {material: g/cm2}."""
    tables = physics_tables()
    row = list(tables.tube_voltages).index(kvp)
    used = tables.fluence[row] > 0
    energies, photons = tables.mean_energies[row][used], tables.fluence[row][used]
    nominal = dict(zip(tables.names, tables.density))
    filters = {material: nominal[material] * mm / 10 for material, mm in filtration_mm.items()}
    for layers in (filters, slabs):
        for material, area_density in layers.items():
            photons = photons * np.exp(-coefficient(material, energies) * area_density)
    return energies, photons


def taken_in(energies: np.ndarray, detector: Detector) -> np.ndarray:
    """Part of the energy that the detector takes in."""
    layer = detector.scintillator
    if layer is None:
        return np.ones(len(energies))
    tables = physics_tables()
    nominal = tables.density[tables.names.index(layer.material)]
    return 1 - np.exp(-coefficient(layer.material, energies) * nominal * layer.packing * layer.thickness_um / 1e4)


def signal(kvp: int, slabs: Mapping[str, float], detector: Detector, power: int = 1) -> float:
    """Sum over all photons of energy^power that is taken in, per mm2 and mAs at 1 m; 3 mm of aluminium in the beam."""
    energies, photons = beam(kvp, slabs, {"aluminium": 3.0})
    return float((photons * energies**power * taken_in(energies, detector)).sum())


def air_kerma(energies: np.ndarray, photons: np.ndarray) -> float:
    """uGy of photons/mm2."""
    # keV/g in Gy is 1.602176634e-13.
    return float(
        (photons * 100 * energies * coefficient("air", energies, "mass_energy_transfer")).sum() * 1.602176634e-7
    )
