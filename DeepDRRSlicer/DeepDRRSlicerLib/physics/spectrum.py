"""Tube spectra and what is computed from them: mean energy, air kerma, half-value layers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.physics.anode import TABULATED_ANGLE, self_filtration
from DeepDRRSlicerLib.physics.materials import density, mass_attenuation, mass_energy_transfer, material_name
from DeepDRRSlicerLib.physics.tables import physics_tables

KEV_PER_GRAM_IN_UGY = 1.602176634e-7  # exact, SI 2019
# Below this air kerma per mAs at 1 m no tube load makes an image: 1000 mAs would give 1 uGy.
_USELESS_KERMA = 1e-3
_MM2_PER_CM2 = 100.0


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Photons of an X-ray tube on the central axis, 1 m from the focal spot, in vacuum.

    energies: (n,) keV, mean photon energy of each bin (bins are at most 1 keV wide).
    fluence: (n,) photons/(mm2 mAs) in each bin.
    """

    energies: np.ndarray
    fluence: np.ndarray

    def filtered(self, filtration: Mapping[str, float]) -> "Spectrum":
        """The spectrum behind layers {material: mm}, at their nominal density."""
        exponent = sum(
            mass_attenuation(material, self.energies) * (density(material) * thickness / 10.0)
            for material, thickness in filtration.items()
        )
        return replace(self, fluence=self.fluence * np.exp(-np.asarray(exponent)))

    @property
    def total_fluence(self) -> float:
        """Photons/(mm2 mAs)."""
        return float(self.fluence.sum())

    @property
    def mean_energy(self) -> float:
        """Mean photon energy in keV."""
        return float(self.fluence @ self.energies / self.fluence.sum())

    @property
    def air_kerma(self) -> float:
        """Air kerma in uGy/mAs at 1 m."""
        return float(self.fluence @ self.kerma_per_photon)

    @cached_property
    def kerma_per_photon(self) -> np.ndarray:
        """(n,) uGy mm2: air kerma of one photon per mm2 of each bin."""
        kerma = self.energies * mass_energy_transfer("air", self.energies) * (_MM2_PER_CM2 * KEV_PER_GRAM_IN_UGY)
        kerma.flags.writeable = False
        return kerma

    @lru_cache(maxsize=64)  # noqa: B019 (a spectrum is small)
    def half_value_layer(self, material: str = "aluminium", order: int = 1) -> float:
        """Thickness in mm that halves the air kerma; order 2 is the layer that halves it once more."""
        kerma = self.fluence * self.kerma_per_photon
        per_mm = mass_attenuation(material, self.energies) * (density(material) / 10.0)

        def thickness_for(fraction):
            low, high = 0.0, 1.0
            while kerma @ np.exp(-per_mm * high) > fraction * kerma.sum():
                high *= 2.0
            while high - low > 1e-9 * high:
                middle = 0.5 * (low + high)
                above = kerma @ np.exp(-per_mm * middle) > fraction * kerma.sum()
                low, high = (middle, high) if above else (low, middle)
            return 0.5 * (low + high)

        return thickness_for(0.5**order) - (thickness_for(0.5 ** (order - 1)) if order > 1 else 0.0)


def tube_spectrum(kvp: float, filtration: Mapping[str, float], anode_angle: float = TABULATED_ANGLE) -> Spectrum:
    """Spectrum of a tungsten anode behind {material: mm} of total filtration, inherent and added.

    kvp: 40 to 125 kV in steps of 1 kV. anode_angle: 6 to 25 degrees; another angle than 12 changes the way of the
    photons out of the anode (anode.py), which is validated behind 1 mm Al or more. The unfiltered spectra are spekpy's
    (model casim, doi:10.1002/mp.14945); the filters attenuate by this package's own coefficients. Raises InputError
    for another tube voltage or angle, an unknown or negative filter, and for filters that leave practically nothing.
    The same tube gives the same object again, whose arrays cannot be written to.
    """
    return _tube_spectrum(kvp, tuple(filtration.items()), anode_angle)


@lru_cache(maxsize=256)  # the brightness control asks for several tube voltages, again for each picture
def _tube_spectrum(kvp: float, layers: tuple[tuple[str, float], ...], anode_angle: float) -> Spectrum:
    filtration = dict(layers)
    tables = physics_tables()
    lowest, highest = tables.tube_voltages[[0, -1]]
    if not lowest <= kvp <= highest or kvp != int(kvp):
        raise InputError(f"The tube voltage must be a whole number from {lowest} to {highest} kV, not {kvp:g} kV.")
    for material, thickness in filtration.items():
        material_name(material)
        if not 0 <= thickness < np.inf:
            raise InputError(f"The filter {material} must be 0 mm thick or more, not {thickness:g} mm.")
    row = int(kvp) - lowest
    filled = tables.fluence[row] > 0
    unfiltered = Spectrum(tables.mean_energies[row, filled], tables.fluence[row, filled])
    if anode_angle != TABULATED_ANGLE:
        layer = self_filtration(kvp, anode_angle) - self_filtration(kvp, TABULATED_ANGLE)
        passed = np.exp(-mass_attenuation("tungsten", unfiltered.energies) * layer)
        unfiltered = replace(unfiltered, fluence=unfiltered.fluence * passed)
    spectrum = unfiltered.filtered(filtration)
    if spectrum.air_kerma < _USELESS_KERMA:
        named = " and ".join(f"{thickness:g} mm {material}" for material, thickness in filtration.items())
        raise InputError(f"Practically no radiation at {kvp:g} kV passes {named}; use less filter or more voltage.")
    for array in (spectrum.energies, spectrum.fluence):
        array.flags.writeable = False
    return spectrum
