"""How one picture is taken: tube voltage, tube load, filtration, and the pulse that gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.device import Device
from DeepDRRSlicerLib.physics.materials import material_name

MANUAL = "manual"
_LARGEST_MAS = 1e5
_ROUNDING = 1e-6  # by which mAs may differ from mA times ms, and a load from a limit, relative


@dataclass(frozen=True)
class Technique:
    """kvp: tube voltage in kV. mas: tube load of this image in mAs. filtration: total, mm by material.

    mode: the exposure mode that chose it, or "manual". tube_current: mA. pulse_width: ms. pulse_rate: pulses/s, None
    for a single exposure. heel: whether the heel effect of the anode is simulated.
    Equal techniques compare equal however they were written: "Al" is "aluminium", 80.0 kV is 80 kV.
    Raises InputError for a tube load out of range, one that is not current times width, an unknown filter, or one that
    is named twice. The spectrum checks voltage and thickness.
    """

    kvp: int = 80
    mas: float = 1.0
    filtration: Mapping[str, float] = field(default_factory=lambda: {"aluminium": 3.0})
    mode: str = MANUAL
    tube_current: float | None = None
    pulse_width: float | None = None
    pulse_rate: float | None = None
    heel: bool = False

    def __post_init__(self):
        object.__setattr__(self, "kvp", int(self.kvp) if float(self.kvp).is_integer() else self.kvp)
        object.__setattr__(self, "mas", float(self.mas))
        if not 0 < self.mas <= _LARGEST_MAS:
            raise InputError(
                f"The tube load must be greater than 0 and at most {_LARGEST_MAS:g} mAs, not {self.mas:g} mAs."
            )
        object.__setattr__(self, "filtration", total_filtration(self.filtration))
        for name, unit in (("tube_current", "mA"), ("pulse_width", "ms"), ("pulse_rate", "pulses/s")):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, float(value))
                if not 0 < value < np.inf:
                    raise InputError(f"The {name.replace('_', ' ')} must be greater than 0 {unit}, not {value:g}.")
        if self.tube_current is not None and self.pulse_width is not None:
            product = self.tube_current * self.pulse_width / 1000.0
            if abs(product - self.mas) > _ROUNDING * self.mas:
                raise InputError(
                    f"{self.tube_current:g} mA for {self.pulse_width:g} ms are {product:g} mAs, not {self.mas:g} mAs; "
                    "leave one of the three out."
                )

    @property
    def beam_on_time(self) -> float:
        """s that this frame adds to the beam-on time: the interval between pulses, or the length of a single one."""
        if self.pulse_rate is not None:
            return 1.0 / self.pulse_rate
        return (self.pulse_width or 0.0) / 1000.0

    def to_dict(self) -> dict:
        """For metadata, with units in the names; what is not known is left out."""
        values = {
            "kvp": self.kvp,
            "mas": self.mas,
            "filtration_mm": dict(self.filtration),
            "mode": self.mode,
            "tube_current_ma": self.tube_current,
            "pulse_width_ms": self.pulse_width,
            "pulse_rate_hz": self.pulse_rate,
            "heel": self.heel,
        }
        return {key: value for key, value in values.items() if value is not None}


def check_limits(technique: Technique, device: Device) -> None:
    """Raises InputError where the device's generator cannot do what the technique asks."""
    for value, limits, what, unit in (
        (technique.kvp, device.tube_voltage.limits, "tube voltage", "kV"),
        (technique.mas, device.tube_load.limits, "tube load", "mAs"),
    ):
        if not limits[0] * (1 - _ROUNDING) <= value <= limits[1] * (1 + _ROUNDING):
            raise InputError(
                f"The {what} of {value:g} {unit} lies outside the {limits[0]:g} to {limits[1]:g} {unit} "
                f"of {device.name}."
            )
    if technique.tube_current is not None and device.generator_power is not None:
        power = technique.kvp * technique.tube_current / 1000.0
        if power > device.generator_power * (1 + _ROUNDING):
            raise InputError(
                f"{technique.kvp:g} kV and {technique.tube_current:g} mA need {power:g} kW, more than the "
                f"{device.generator_power:g} kW of {device.name}; lower one of them."
            )


def total_filtration(*layers: Mapping[str, float]) -> dict[str, float]:
    """All layers {material: mm} in the beam as one, under the library's names.

    Raises InputError for an unknown material, or one that is named twice within the same layers.
    """
    total: dict[str, float] = {}
    for layer in layers:
        names = [material_name(name) for name in layer]
        if len(set(names)) < len(names):
            raise InputError(f"A filter is named twice in {', '.join(layer)}; add up its layers.")
        for name, thickness in zip(names, layer.values()):
            total[name] = total.get(name, 0.0) + float(thickness)
    return total


def parse_filtration(text: str) -> dict[str, float]:
    """`Al:3,Cu:0.1` as {"aluminium": 3.0, "copper": 0.1} in mm. Raises InputError naming the part that is wrong."""
    layers: dict[str, float] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, millimetres = part.partition(":")
        try:
            thickness = float(millimetres)
        except ValueError:
            raise InputError(
                f"Cannot read the filter {part!r}; write material:mm, for instance Al:3 or Al:3,Cu:0.1."
            ) from None
        material = material_name(name.strip())
        if material in layers:
            raise InputError(f"The filter {material} is named twice in {text!r}; add up its layers.")
        layers[material] = thickness
    if not layers:
        raise InputError("No filter is named; write material:mm, for instance Al:3 or Al:3,Cu:0.1.")
    return layers
