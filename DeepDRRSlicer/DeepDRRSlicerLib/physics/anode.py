"""The tungsten anode as a filter of its own radiation: what the heel effect and the anode angle come from.

Photons arise at a depth below the surface of the target and leave it obliquely. One depth stands for all photons of a
tube voltage; it is the area density, along the normal of the surface, with which an additional layer of tungsten
reproduces the air kerma of spekpy's off-axis spectra (casim, 12 degrees, 3 mm Al, 40 to 120 kV, -15 to +15 cm at 1 m).
Utilities/make_physics_tables.py --anode-depth derives the two numbers. With them the kerma is within 2 % of spekpy's
everywhere in that field and, on the central ray, for anode angles from 8 to 20 degrees. Half-value layers are within
2.5 %; further than 10 cm towards the anode they are up to 6 % too high above 80 kV, where the photons' true depths
matter one by one.
"""

import numpy as np

from DeepDRRSlicerLib.errors import InputError

TABULATED_ANGLE = 12.0  # degrees, of the spectra in the tables
_DEPTH_AT_80_KV = 1.66e-3  # g/cm2, 0.86 um
_DEPTH_EXPONENT = 1.62  # electrons of twice the energy go about three times as deep
_ANGLES = (6.0, 25.0)  # degrees
_OPAQUE = 100.0  # g/cm2 of tungsten: nothing passes


def production_depth(kvp: float) -> float:
    """Effective depth of photon production in g/cm2 of tungsten, along the normal of the target's surface."""
    return _DEPTH_AT_80_KV * (kvp / 80.0) ** _DEPTH_EXPONENT


def self_filtration(kvp: float, anode_angle: float, towards=0.0, across=0.0) -> np.ndarray:
    """Tungsten in g/cm2 between the place of production and the surface, for rays that leave the anode.

    anode_angle: degrees between the surface and the central ray; the electrons arrive at a right angle to that ray.
    towards, across: tangents of the ray's angle to the central ray, towards the anode and across. Rays that graze the
    surface or would leave through the anode's back get a layer that nothing passes.
    Raises InputError for an angle outside 6 to 25 degrees.
    """
    if not _ANGLES[0] <= anode_angle <= _ANGLES[1]:
        raise InputError(
            f"The anode angle must lie between {_ANGLES[0]:g} and {_ANGLES[1]:g} degrees, not {anode_angle:g}."
        )
    angle = np.deg2rad(anode_angle)
    towards, across = np.asarray(towards, dtype=np.float64), np.asarray(across, dtype=np.float64)
    depth = production_depth(kvp)
    # Cosine of the angle between the ray and the normal of the surface.
    steepness = (np.sin(angle) - towards * np.cos(angle)) / np.sqrt(1.0 + towards**2 + across**2)
    return depth / np.maximum(steepness, depth / _OPAQUE)
