"""How one picture is taken: tube voltage, tube load and filtration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.device import Device
from DeepDRRSlicerLib.physics.materials import material_name

_LARGEST_MAS = 1e5


@dataclass(frozen=True)
class Technique:
    """kvp: tube voltage in kV. mas: tube load of this image in mAs. filtration: total, mm by material.

    Equal techniques compare equal however they were written: "Al" is "aluminium", 80.0 kV is 80 kV.
    Raises InputError for a tube load out of range, an unknown filter, or one that is named twice. The spectrum checks
    voltage and thickness.
    """

    kvp: int = 80
    mas: float = 1.0
    filtration: Mapping[str, float] = field(default_factory=lambda: {"aluminium": 3.0})

    def __post_init__(self):
        object.__setattr__(self, "kvp", int(self.kvp) if float(self.kvp).is_integer() else self.kvp)
        object.__setattr__(self, "mas", float(self.mas))
        if not 0 < self.mas <= _LARGEST_MAS:
            raise InputError(
                f"The tube load must be greater than 0 and at most {_LARGEST_MAS:g} mAs, not {self.mas:g} mAs."
            )
        filtration = {material_name(name): float(mm) for name, mm in self.filtration.items()}
        if len(filtration) < len(self.filtration):
            raise InputError(f"A filter is named twice in {', '.join(self.filtration)}; add up its layers.")
        object.__setattr__(self, "filtration", filtration)


def check_limits(technique: Technique, device: Device) -> None:
    """Raises InputError where the device's generator cannot do what the technique asks."""
    for value, limits, what, unit in (
        (technique.kvp, device.tube_voltage.limits, "tube voltage", "kV"),
        (technique.mas, device.tube_load.limits, "tube load", "mAs"),
    ):
        if not limits[0] <= value <= limits[1]:
            raise InputError(
                f"The {what} of {value:g} {unit} lies outside the {limits[0]:g} to {limits[1]:g} {unit} "
                f"of {device.name}."
            )


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
    return layers
