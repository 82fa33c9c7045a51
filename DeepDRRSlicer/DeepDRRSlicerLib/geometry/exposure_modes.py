"""Exposure modes of a device: fluoroscopy, spot and cine, and the curve that the brightness control follows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class ExposureMode:
    """One mode of the automatic exposure control.

    detector_kerma: nGy per frame at the detector's entrance that it aims at.
    curve: (kV, mA, ms) of a pulse, from the thinnest to the thickest patient; in between mA and mAs are linear in kV.
    shortest_pulse, lowest_current: ms and mA, down to which the load may fall below the curve.
    pulse_rates, pulse_rate: pulses/s to choose from and the default; without them each exposure is single.
    added_filtration: mm by material, on top of what is always in the beam.
    kerma_rate_limit: mGy/min of air kerma 30 cm in front of the detector that is never exceeded; None: no limit.
    Raises ValueError with a clause that names the fault.
    """

    name: str
    detector_kerma: float
    curve: tuple[tuple[float, float, float], ...]
    shortest_pulse: float
    lowest_current: float
    pulse_rates: tuple[float, ...] = ()
    pulse_rate: float | None = None
    added_filtration: dict[str, float] = field(default_factory=dict)
    kerma_rate_limit: float | None = None

    def __post_init__(self):
        place = f"exposure mode {self.name}"
        if not self.curve or any(value <= 0 for point in self.curve for value in point):
            raise ValueError(f"the curve of {place} must be a list of [kV, mA, ms], all above 0")
        voltages, currents, widths = np.transpose(self.curve)
        if (np.diff(voltages) <= 0).any() or (np.diff(currents * widths) < 0).any():
            raise ValueError(f"along the curve of {place} the kV must rise and the mAs must not fall")
        if not (self.shortest_pulse <= widths[0] and self.lowest_current <= currents[0]):
            raise ValueError(f"shortest_pulse and lowest_current of {place} must not exceed the curve's first point")
        if (self.pulse_rate is None) != (not self.pulse_rates) or (
            self.pulse_rate is not None and self.pulse_rate not in self.pulse_rates
        ):
            raise ValueError(f"the pulse_rate of {place} must be one of its pulse_rates")
        if self.pulse_rates and widths.max() * max(self.pulse_rates) > 1000:
            raise ValueError(f"the pulses of {place} are longer than the time between them at its highest pulse rate")
        if self.kerma_rate_limit is not None and self.pulse_rate is None:
            raise ValueError(f"{place} has a kerma_rate_limit but no pulse_rates")

    @property
    def least_load(self) -> float:
        """mAs of the weakest pulse."""
        return self.lowest_current * self.shortest_pulse / 1000.0

    def at(self, kvp: float) -> tuple[float, float]:
        """(mA, mAs) of the curve at a tube voltage; beyond its ends those of the ends."""
        voltages, currents, widths = np.transpose(self.curve)
        current = np.interp(kvp, voltages, currents)
        return float(current), float(np.interp(kvp, voltages, currents * widths / 1000.0))

    def most_at(self, kvp: float, power: float | None = None) -> tuple[float, float]:
        """(mA, mAs) of the strongest pulse of the mode at a voltage of one's own choice, within a power in kW."""
        _, currents, widths = np.transpose(self.curve)
        current = currents.max() if power is None else min(currents.max(), power * 1000.0 / kvp)
        return float(current), float(current * widths.max() / 1000.0)
