"""The material library: names, densities, compositions, and attenuation at any energy from 1 to 150 keV.

Coefficients are xraylib's (EPDL97, as NIST XCOM within 0.1 %). They are interpolated log-log between knots 1 keV apart
that are doubled at every absorption edge, so that no value is interpolated across an edge.
"""

from difflib import get_close_matches
from functools import cache

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.physics.tables import physics_tables


def material_names() -> tuple[str, ...]:
    """Names of all materials in the library."""
    return physics_tables().names


@cache
def _spellings() -> dict[str, str]:
    """Lower-case spelling -> name; an element also answers to its symbol ("Al" for "aluminium")."""
    spellings = {}
    for material in physics_tables().metadata["materials"]:
        spellings[material["name"].lower()] = material["name"]
        if len(material["composition"]) == 1:
            spellings[next(iter(material["composition"])).lower()] = material["name"]
    return spellings


def material_name(name: str) -> str:
    """The library's spelling of a material or of an element's symbol, in any case; InputError if there is none."""
    found = _spellings().get(str(name).lower())
    if found is None:
        close = [_spellings()[match] for match in get_close_matches(str(name).lower(), _spellings(), n=3, cutoff=0.5)]
        choices = list(dict.fromkeys(close)) or material_names()
        raise InputError(f"There is no material {name!r} in the library; choose {', '.join(choices)}.")
    return found


def material_row(name: str) -> int:
    """Row of a material in the tables; InputError if there is none."""
    return physics_tables().names.index(material_name(name))


def density(material: str) -> float:
    """Nominal density in g/cm3 (of inflated lung, 0.26, for "lung")."""
    return float(physics_tables().density[material_row(material)])


def composition(material: str) -> dict[str, float]:
    """Mass fractions by element symbol."""
    return dict(physics_tables().metadata["materials"][material_row(material)]["composition"])


def source(material: str) -> str:
    """Where composition and density come from."""
    return physics_tables().metadata["materials"][material_row(material)]["source"]


def mass_attenuation(material: str, energy_kev) -> np.ndarray:
    """Total mass attenuation coefficient mu/rho in cm2/g, coherent scatter included, in the shape of `energy_kev`.

    At an edge's own energy the value is the one above the edge. Raises InputError for an unknown material or an energy
    outside 1 to 150 keV.
    """
    return interpolated(physics_tables().mass_attenuation[material_row(material)], energy_kev)


def mass_energy_transfer(material: str, energy_kev) -> np.ndarray:
    """Mass energy-transfer coefficient mu_tr/rho in cm2/g (K and L fluorescence leaves), as `mass_attenuation`."""
    return interpolated(physics_tables().mass_energy_transfer[material_row(material)], energy_kev)


def interpolated(coefficients: np.ndarray, energy_kev) -> np.ndarray:
    """Log-log between the knots of the tables, of positive coefficients (k,); in the shape of `energy_kev`."""
    knots = physics_tables().energies
    energy = np.asarray(energy_kev, dtype=np.float64)
    if not ((energy >= knots[0]) & (energy <= knots[-1])).all():
        raise InputError(f"Photon energies must lie between {knots[0]:g} and {knots[-1]:g} keV.")
    # With side="right" an energy never falls into the empty interval between the two knots of an edge.
    upper = np.clip(np.searchsorted(knots, energy, side="right"), 1, len(knots) - 1)
    lower = upper - 1
    fraction = np.log(energy / knots[lower]) / np.log(knots[upper] / knots[lower])
    return coefficients[lower] * (coefficients[upper] / coefficients[lower]) ** fraction
