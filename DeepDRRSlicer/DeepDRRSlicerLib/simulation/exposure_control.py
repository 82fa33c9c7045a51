"""Automatic brightness control: the tube voltage and load that give the detector the dose of an exposure mode.

The dose is the air kerma at the detector's entrance, in front of any grid, of the primary radiation and of as much
scatter in proportion to it as the caller says. Controlling by air
kerma instead of by the detector's own signal makes a negligible difference (Reilly and Sutton, Br J Radiol 74:938,
2001). It is measured as the median over the central circle whose diameter is half the image's shorter side, as far as
the collimation exposes it: neither an implant nor open air changes the exposure so long as it covers less than half.

The tube follows the mode's curve: for a thicker patient kV and mAs rise together up to the end of the curve. At the
lowest kV at which the curve's mAs suffice, the pulse is shortened to the exact dose, and below the shortest pulse the
current is lowered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.geometry.device import Device
from DeepDRRSlicerLib.geometry.exposure_modes import ExposureMode
from DeepDRRSlicerLib.physics.exposure import air_kerma_at, inverse_square, pixel_distance
from DeepDRRSlicerLib.physics.materials import mass_attenuation
from DeepDRRSlicerLib.physics.one_thread import product, weighted_sum
from DeepDRRSlicerLib.physics.spectrum import Spectrum, tube_spectrum
from DeepDRRSlicerLib.simulation.technique import Technique, total_filtration

MEASURING_FIELD = 0.5  # diameter of the circle over the image's shorter side
RATE_LIMIT_DISTANCE = 300.0  # mm in front of the detector, where 21 CFR 1020.32(d) limits a C-arm's air kerma rate
_MOST_RAYS = 1024
_NGY_PER_UGY = 1000.0
_REACHED = 1e-6  # relative
_HARDLY_ANY = 0.01  # nGy, below which a number says no more


@dataclass(frozen=True, eq=False)
class MeasuringField:
    """What the brightness control looks at, of one view.

    pixels: (n,) flat indices of the picture, as measuring_pixels gives them. area_density: (materials, n) g/cm2 there.
    nearness: (n,) fluence that falls on them, relative to 1 m.
    """

    pixels: np.ndarray
    area_density: np.ndarray
    materials: tuple[str, ...]
    nearness: np.ndarray
    _known: dict[Spectrum, float] = field(default_factory=dict, repr=False)

    def kerma(self, spectrum: Spectrum) -> float:
        """nGy/mAs: the median of the primary's."""
        if spectrum not in self._known:
            behind = _kerma_behind(self.area_density, self.materials, spectrum)
            self._known[spectrum] = float(np.median(behind * self.nearness)) * _NGY_PER_UGY
        return self._known[spectrum]


@dataclass(frozen=True)
class AutomaticExposure:
    """What the control chose. detector_kerma, target: nGy per frame in the measuring field.

    limit: empty, or one sentence that says which limit keeps the dose away from the target.
    """

    technique: Technique
    detector_kerma: float
    target: float
    limit: str = ""

    @property
    def saturated(self) -> bool:
        """Whether a limit keeps the dose away from the target."""
        return bool(self.limit)


def technique_for(
    measured: MeasuringField,
    beam: ConeBeam,
    mode: ExposureMode,
    device: Device,
    kvp: int | None = None,
    pulse_rate: float | None = None,
    heel: bool = False,
    scatter_to_primary: float = 0.0,
) -> AutomaticExposure:
    """The technique that gives the detector the dose of a mode behind this patient.

    measured: of the beam. kvp: a voltage that is kept, so that the load alone follows the patient, up to the mode's
    strongest pulse. pulse_rate: pulses/s, one of the mode's; None is its default. heel: passed on to the technique; the
    control itself disregards the heel effect. scatter_to_primary: by which the dose in the measuring field exceeds that
    of the primary. Raises InputError for a voltage outside the device's, and a rate that the mode does not have.
    """
    pulse_rate = _pulse_rate(mode, pulse_rate)
    filtration = total_filtration(device.filtration, mode.added_filtration)
    strongest = mode.at if kvp is None else lambda voltage: mode.most_at(voltage, device.generator_power)

    def kerma_per_mas(voltage: int) -> float:
        """nGy/mAs in the measuring field."""
        return measured.kerma(tube_spectrum(voltage, filtration, device.anode_angle)) * (1 + scatter_to_primary)

    def rate_limit(voltage: int) -> float:
        """mAs at which the air kerma rate reaches its limit."""
        return _rate_limited_load(mode, voltage, filtration, beam, device, pulse_rate)

    def largest_load(voltage: int) -> float:
        """mAs that the curve, or the voltage of one's own choice, and the limit of the air kerma rate allow."""
        return min(strongest(voltage)[1], device.tube_load.limits[1], rate_limit(voltage))

    if kvp is None:
        voltage = _lowest_sufficient(
            int(np.ceil(mode.curve[0][0])),
            int(np.floor(mode.curve[-1][0])),
            lambda candidate: largest_load(candidate) * kerma_per_mas(candidate) >= mode.detector_kerma,
        )
    else:
        low, high = device.tube_voltage.limits
        if not low <= kvp <= high:
            raise InputError(
                f"The tube voltage of {kvp:g} kV lies outside the {low:g} to {high:g} kV of {device.name}."
            )
        voltage = kvp
    current = strongest(voltage)[0]
    per_mas, most = kerma_per_mas(voltage), largest_load(voltage)
    needed = mode.detector_kerma / per_mas if per_mas > 0 else np.inf
    load = min(max(needed, mode.least_load), most)
    # The pulse gives way first: a short one blurs motion less.
    width = max(load * 1000.0 / current, mode.shortest_pulse)
    technique = Technique(
        voltage, load, filtration, mode.name, load * 1000.0 / width, width, pulse_rate=pulse_rate, heel=heel
    )
    reached = load * per_mas
    limit = _limit(mode, technique, reached, rate_limited=load == rate_limit(voltage))
    return AutomaticExposure(technique, reached, mode.detector_kerma, limit)


def _pulse_rate(mode: ExposureMode, chosen: float | None) -> float | None:
    if chosen is None or chosen in mode.pulse_rates:
        return mode.pulse_rate if chosen is None else float(chosen)
    rates = ", ".join(f"{rate:g}" for rate in mode.pulse_rates)
    choices = f"choose {rates} pulses/s" if rates else "its exposures are single"
    raise InputError(f"The mode {mode.name} has no {chosen:g} pulses/s; {choices}.")


def measuring_field(
    area_density: np.ndarray, materials: Sequence[str], beam: ConeBeam, share: np.ndarray
) -> MeasuringField:
    """Of area densities (m, rows, cols). share: (rows, cols) of the focal spot that each pixel sees.

    Raises InputError for another shape, and where all is shut.
    """
    rows, cols = beam.size
    area_density = np.asarray(area_density)
    if area_density.shape != (len(materials), rows, cols):
        raise InputError(
            f"Area densities of {len(materials)} materials must have the shape ({len(materials)}, {rows}, {cols}), "
            f"not {area_density.shape}."
        )
    pixels = measuring_pixels(beam, share)
    rays = area_density.reshape(len(materials), rows * cols)[:, pixels].astype(np.float64)
    return MeasuringField(pixels, rays, tuple(materials), nearness_of(beam, share, pixels))


def nearness_of(beam: ConeBeam, share: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """(n,) as in MeasuringField, of flat indices (n,); share as for measuring_field."""
    return inverse_square(pixel_distance(beam).reshape(-1)[pixels]) * share.reshape(-1)[pixels]


def measuring_pixels(beam: ConeBeam, share: np.ndarray) -> np.ndarray:
    """(n,) flat indices of at most 1024 pixels of the measuring field, as far as it is exposed.

    share: (rows, cols) of the focal spot that each pixel sees. Raises InputError where it sees nothing of it.
    """
    rows, cols = beam.size
    x = (np.arange(cols) - (cols - 1) / 2) * beam.pitch[0]
    y = (np.arange(rows) - (rows - 1) / 2) * beam.pitch[1]
    radius = MEASURING_FIELD / 2 * min(rows * beam.pitch[1], cols * beam.pitch[0])
    circle = y[:, None] ** 2 + x[None, :] ** 2 <= radius**2
    # Fully exposed pixels of the circle; where shutters cover it, all that are fully exposed; at last, any.
    for lit in (circle & (share >= 1), share >= 1, share > 0):
        found = np.flatnonzero(lit)
        if len(found):
            break
    else:
        raise InputError("The shutters cover every pixel, so that there is nothing to expose by; open them.")
    return found[np.linspace(0, len(found) - 1, min(len(found), _MOST_RAYS)).round().astype(int)]


def _kerma_behind(rays: np.ndarray, materials: Sequence[str], spectrum: Spectrum) -> np.ndarray:
    """Air kerma in uGy/mAs at 1 m behind area densities (m, n): the sum over the whole spectrum."""
    coefficients = np.array([mass_attenuation(material, spectrum.energies) for material in materials])
    passing = np.exp(-product(coefficients.reshape(len(materials), -1).T, rays))
    return weighted_sum(spectrum.fluence * spectrum.kerma_per_photon, passing)


def _rate_limited_load(
    mode: ExposureMode, voltage: int, filtration: dict, beam: ConeBeam, device: Device, pulse_rate: float | None
) -> float:
    """mAs per pulse at which the air kerma rate 30 cm in front of the detector reaches the mode's limit."""
    if mode.kerma_rate_limit is None or pulse_rate is None:
        return np.inf
    spectrum = tube_spectrum(voltage, filtration, device.anode_angle)
    per_mas = air_kerma_at(spectrum, 1.0, beam.sid - RATE_LIMIT_DISTANCE)
    return mode.kerma_rate_limit * 1000.0 / (60.0 * pulse_rate * per_mas)


def _lowest_sufficient(low: int, high: int, suffices: Callable[[int], bool]) -> int:
    """The lowest whole number for which `suffices` holds, given that it holds for all above; `high` if for none."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle + 1, high)
    return low


def _limit(mode: ExposureMode, technique: Technique, reached: float, rate_limited: bool) -> str:
    settings = f"{technique.kvp:g} kV and {technique.mas:.3g} mAs"
    got = f"{reached:.4g}" if reached >= _HARDLY_ANY else f"less than {_HARDLY_ANY:g}"
    doses = f"the detector gets {got} instead of {mode.detector_kerma:.4g} nGy"
    if reached > mode.detector_kerma * (1 + _REACHED):
        return f"There is hardly a patient: at {settings}, the least that the mode {mode.name} allows, {doses}."
    if reached >= mode.detector_kerma * (1 - _REACHED):
        return ""
    if rate_limited:
        return (
            f"At {settings} the air kerma rate reaches its limit of {mode.kerma_rate_limit:g} mGy/min and {doses}; "
            "choose fewer pulses per second or expect noise."
        )
    return f"At {settings}, the most that the mode {mode.name} allows, {doses}; expect noise."
