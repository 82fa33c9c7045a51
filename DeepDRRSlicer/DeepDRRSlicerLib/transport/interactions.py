"""One collision: which kind, the angle, and the energy that is left.

Compton: Klein-Nishina for an electron at rest, times the share of electrons that are free at the momentum transfer
(incoherent function); the spread of energies by the electrons' own motion is left out. Rayleigh: form factors of
independent atoms. Photoelectric absorption deposits all of the energy at its place: no fluorescence.
"""

from __future__ import annotations

import math

from DeepDRRSlicerLib.projection.compiled import kernel
from DeepDRRSlicerLib.transport.random import uniform

_REST_ENERGY = 510.99895  # keV, of the electron
_KEV_ANGSTROM = 12.398420  # Planck's constant times the speed of light


@kernel
def compton_ratio(energy, cosine):
    """Energy after the collision, relative to that before, of a photon deflected by an angle of this cosine."""
    return 1.0 / (1.0 + energy / _REST_ENERGY * (1.0 - cosine))


@kernel
def klein_nishina(energy, cosine):
    """Cross-section of a free electron per solid angle, relative to that straight ahead."""
    ratio = compton_ratio(energy, cosine)
    return 0.5 * ratio * ratio * (ratio + 1.0 / ratio - 1.0 + cosine * cosine)


@kernel
def momentum_transfer(energy, cosine):
    """1/A of a photon of keV deflected by an angle of this cosine."""
    return energy / _KEV_ANGSTROM * math.sqrt(max(0.0, 0.5 * (1.0 - cosine)))


@kernel
def incoherent(table, transfer, largest):
    """Share of free electrons at a momentum transfer; table (q,), whose grid grows as the square of its index."""
    place = math.sqrt(transfer / largest) * (table.size - 1)
    lower = min(int(place), table.size - 2)
    return table[lower] + (table[lower + 1] - table[lower]) * (place - lower)


@kernel
def compton_cosine(stream, energy, table, largest):
    """A cosine of deflection drawn for a Compton collision."""
    while True:
        cosine = 2.0 * uniform(stream) - 1.0
        free = incoherent(table, momentum_transfer(energy, cosine), largest)
        if uniform(stream) < klein_nishina(energy, cosine) * free:
            return cosine


@kernel
def rayleigh_cosine(stream, energy, table, transfer):
    """A cosine of deflection drawn for a Rayleigh collision; table: running integral (q,) at the transfers (q,)."""
    reach = energy / _KEV_ANGSTROM
    most = _integral(table, transfer, reach)
    while True:
        wanted = uniform(stream) * most
        low, high = 0, table.size - 1
        while high - low > 1:
            middle = (low + high) // 2
            if table[middle] <= wanted:
                low = middle
            else:
                high = middle
        step = table[high] - table[low]
        share = (wanted - table[low]) / step if step > 0 else 0.0
        squared = transfer[low] ** 2 + (transfer[high] ** 2 - transfer[low] ** 2) * share
        cosine = max(-1.0, 1.0 - 2.0 * squared / (reach * reach))
        if uniform(stream) < 0.5 * (1.0 + cosine * cosine):
            return cosine


@kernel
def _integral(table, transfer, at):
    place = math.sqrt(at / transfer[-1]) * (table.size - 1)
    lower = min(int(place), table.size - 2)
    share = (at**2 - transfer[lower] ** 2) / (transfer[lower + 1] ** 2 - transfer[lower] ** 2)
    return table[lower] + (table[lower + 1] - table[lower]) * min(share, 1.0)


@kernel
def deflect(stream, direction, cosine):
    """Turns a direction, a unit vector (3,), by an angle of this cosine into a random azimuth."""
    azimuth = 2.0 * math.pi * uniform(stream)
    sine = math.sqrt(max(0.0, 1.0 - cosine * cosine))
    across, along = sine * math.cos(azimuth), sine * math.sin(azimuth)
    x, y, z = direction[0], direction[1], direction[2]
    level = math.sqrt(max(0.0, 1.0 - z * z))
    if level < 1e-8:
        direction[0], direction[1], direction[2] = across, along, cosine if z > 0 else -cosine
        return
    direction[0] = x * cosine + (across * x * z - along * y) / level
    direction[1] = y * cosine + (across * y * z + along * x) / level
    direction[2] = z * cosine - across * level
    length = math.sqrt(direction[0] ** 2 + direction[1] ** 2 + direction[2] ** 2)
    direction[0] /= length
    direction[1] /= length
    direction[2] /= length
