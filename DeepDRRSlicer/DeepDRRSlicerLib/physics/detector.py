"""Detector description files: pixels, what happens to a photon, and what the electronics make of it.

A file is JSON. Keys marked * are needed; what the others do is absent when they are left out. Unknown keys are refused.

  format*               "DeepDRRSlicer detector 1"
  name*, source         what it is; where the numbers come from
  pixels*               [rows, columns] of the whole field, unbinned
  pixel_pitch*          mm, of unbinned pixels
  binning*              {"modes": [1, 2, ...], "default": n}; n x n pixels are read out as one
  field_shape           "rectangular" (default), or "circular": the circle that fits in the pixels
  magnification_fields  [{"name", "pixels": [rows, columns], "pixel_pitch": mm, "binning": n}] about the same centre.
                        A flat panel reads fewer pixels of the same pitch; an image intensifier spreads a smaller field
                        over the same pixels, whose pitch at the entrance is then smaller.
  response*             {"type": "ideal"}: every photon is taken in with its whole energy, without noise of its own or
                        blur; or {"type": "scintillator", ...} with
    material*             name in the material library
    thickness_um*         um
    packing               density over nominal density, 0..1 (1)
    swank                 {"energies": [keV], "factors": [0..1]}: Swank factor of the response to photons of one energy,
                          linear in between, constant outside (1). Equal energies in sequence make a step.
    mtf                   of the scintillator alone, without the pixel aperture, f in cycles/mm at the entrance plane:
                          {"type": "lorentzian", "half_frequency": h}: 1 / (1 + (f/h)^2), or
                          {"type": "gaussians", "weights": [w], "sigmas": [s, mm]}: sum of w exp(-2 (pi s f)^2)
  glare                 {"fraction", "radius": mm}: share of the signal that is spread exponentially, and how far
  vignetting            0..1: loss of signal at the edge of the field, growing with the square of the radius
  distortion            pincushion: a point at radius r of the field's radius R appears at r (1 + distortion (r/R)^2);
                        made on request only, by field.distorted, since labels must be distorted with it
  electronic_noise      keV of absorbed energy, rms, white, per pixel as read out whatever its binning (0)
  gain                  counts per keV absorbed in an unbinned pixel of the full field. Larger and smaller pixels have
                        theirs in inverse proportion to their area: a binned pixel shows the mean of its pixels, and the
                        same dose gives the same counts in every field and binning. (1)
  dark_offset           counts without radiation (0)
  bit_depth             bits of the integer output; without it the output is not rounded
  saturation            counts at which a pixel is full; without it the largest number of bit_depth bits
  lag                   {"fractions": [..], "time_constants": [s]}: shares of a frame's signal that are held back and
                        released later with these time constants
"""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.descriptions import build, check, check_keys, read_description, shipped_names, split_type
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.physics.materials import density, mass_attenuation, material_name

FORMAT = "DeepDRRSlicer detector 1"


@dataclass(frozen=True)
class Field:
    """A part of the detector about its centre; pixel_pitch in mm of unbinned pixels at the entrance plane."""

    name: str
    pixels: tuple[int, int]
    pixel_pitch: float
    binning: int

    def __post_init__(self):
        check(len(self.pixels) == 2 and min(self.pixels) >= 1, "pixels must be [rows, columns], 1 or more")
        check(1e-3 <= self.pixel_pitch <= 1e3, "pixel_pitch must be greater than 0.001 mm and at most 1000 mm")


@dataclass(frozen=True)
class Lorentzian:
    """MTF 1 / (1 + (f / half_frequency)^2), cycles/mm."""

    half_frequency: float

    def __post_init__(self):
        check(1e-3 <= self.half_frequency <= 1e3, "half_frequency must lie in 0.001..1000 cycles/mm")


@dataclass(frozen=True)
class Gaussians:
    """MTF: sum of weights * exp(-2 (pi sigmas f)^2), sigmas in mm."""

    weights: tuple[float, ...]
    sigmas: tuple[float, ...]

    def __post_init__(self):
        check(len(self.weights) == len(self.sigmas) > 0, "mtf needs as many weights as sigmas")
        check(min(self.weights + self.sigmas) >= 0, "weights and sigmas of the mtf must not be negative")
        check(abs(sum(self.weights) - 1) < 1e-6, "weights of the mtf must add up to 1")
        check(max(self.sigmas) <= 1e3, "sigmas of the mtf must be at most 1000 mm")


@dataclass(frozen=True)
class Swank:
    """Swank factor of the response to photons of one energy (keV), linear in between."""

    energies: tuple[float, ...]
    factors: tuple[float, ...]

    def __post_init__(self):
        check(len(self.energies) == len(self.factors) > 0, "swank needs as many energies as factors")
        check(list(self.energies) == sorted(self.energies), "energies of swank must not fall")
        check(all(0 < factor <= 1 for factor in self.factors), "factors of swank must lie in 0..1, above 0")

    def at(self, energies: np.ndarray) -> np.ndarray:
        """The factor at each energy; at a step's own energy the value above the step."""
        if len(self.energies) == 1:
            return np.full(np.shape(energies), self.factors[0])
        known, factors = np.array(self.energies), np.array(self.factors)
        # With side="right" an energy never falls into the empty interval between the two knots of a step.
        upper = np.clip(np.searchsorted(known, energies, side="right"), 1, len(known) - 1)
        width = known[upper] - known[upper - 1]
        fraction = np.clip((energies - known[upper - 1]) / np.where(width > 0, width, 1.0), 0.0, 1.0)
        return factors[upper - 1] + fraction * (factors[upper] - factors[upper - 1])


@dataclass(frozen=True)
class Scintillator:
    """A layer that absorbs 1 - exp(-mu thickness) of the photon energy, with mu at nominal density times packing."""

    material: str
    thickness_um: float
    packing: float = 1.0
    swank: Swank = Swank((1.0,), (1.0,))
    mtf: Lorentzian | Gaussians | None = None

    def __post_init__(self):
        material_name(self.material)
        check(self.thickness_um > 0, "thickness_um must be greater than 0")
        check(0 < self.packing <= 1, "packing must lie in 0..1, above 0")


@dataclass(frozen=True)
class Glare:
    """Share of the signal that is spread exponentially, and the radius in mm."""

    fraction: float
    radius: float

    def __post_init__(self):
        check(0 <= self.fraction < 1, "fraction of the glare must lie in 0..1, below 1")
        check(0 < self.radius <= 1e3, "radius of the glare must be greater than 0 mm and at most 1000 mm")


@dataclass(frozen=True)
class Lag:
    """Shares of a frame's signal that are released later, and their time constants in s."""

    fractions: tuple[float, ...]
    time_constants: tuple[float, ...]

    def __post_init__(self):
        check(len(self.fractions) == len(self.time_constants) > 0, "lag needs as many time_constants as fractions")
        check(min(self.fractions) >= 0 and sum(self.fractions) < 1, "fractions of the lag must add up to less than 1")
        check(min(self.time_constants) > 0, "time_constants of the lag must be greater than 0 s")


@dataclass(frozen=True)
class Detector:
    """A detector as its file describes it; `scintillator` is None for the ideal response."""

    name: str
    pixels: tuple[int, int]
    pixel_pitch: float
    binning_modes: tuple[int, ...]
    binning: int
    scintillator: Scintillator | None = None
    source: str = ""
    field_shape: str = "rectangular"
    magnification_fields: tuple[Field, ...] = ()
    glare: Glare | None = None
    vignetting: float = 0.0
    distortion: float = 0.0
    electronic_noise: float = 0.0
    gain: float = 1.0
    dark_offset: float = 0.0
    bit_depth: int | None = None
    saturation: float | None = None
    lag: Lag | None = None

    def __post_init__(self):
        check(all(mode >= 1 for mode in self.binning_modes), "binning modes must be 1 or more")
        check(self.field_shape in ("rectangular", "circular"), 'field_shape must be "rectangular" or "circular"')
        check(0 <= self.vignetting <= 1, "vignetting must lie in 0..1")
        check(-1 / 3 < self.distortion <= 1, "distortion must lie in -1/3..1, above -1/3")
        check(0 <= self.electronic_noise <= 1e9, "electronic_noise must lie in 0..1e9 keV")
        check(1e-9 <= self.gain <= 1e9, "gain must be greater than 0, in 1e-9..1e9 counts per keV")
        check(0 <= self.dark_offset < 2**32, "dark_offset must not be negative, nor beyond 32 bits")
        check(self.bit_depth is None or 1 <= self.bit_depth <= 32, "bit_depth must lie in 1..32")
        check(
            self.saturation is None or self.dark_offset < self.saturation < 2 ** (self.bit_depth or 32),
            "saturation must lie above dark_offset and fit in bit_depth bits",
        )
        for field in self.all_fields:
            check(field.binning in self.binning_modes, f"binning {field.binning} of {field.name} is none of the modes")
            check(min(field.pixels) >= max(self.binning_modes), f"{field.name} has fewer pixels than one binned pixel")
        check(len({field.name for field in self.all_fields}) == len(self.all_fields), "two fields have the same name")

    @property
    def all_fields(self) -> tuple[Field, ...]:
        """The whole field, named "full", and the magnification fields."""
        return (Field("full", self.pixels, self.pixel_pitch, self.binning), *self.magnification_fields)

    @property
    def mtf(self) -> Lorentzian | Gaussians | None:
        """Blur of the scintillator alone; None for the ideal response."""
        return None if self.scintillator is None else self.scintillator.mtf

    @property
    def full_scale(self) -> float | None:
        """Counts at which a pixel is full; None where nothing limits them."""
        if self.saturation is not None or self.bit_depth is None:
            return self.saturation
        return 2.0**self.bit_depth - 1

    def pixel_grid(self, field: str = "full", binning: int | None = None) -> tuple[tuple[int, int], float]:
        """((rows, cols), pitch in mm) of the image that a field gives; its own binning if none is named.

        Raises InputError for a field or binning that the detector does not have.
        """
        chosen = next((candidate for candidate in self.all_fields if candidate.name == field), None)
        if chosen is None:
            names = ", ".join(candidate.name for candidate in self.all_fields)
            raise InputError(f"The detector {self.name} has no field {field!r}; choose {names}.")
        binning = chosen.binning if binning is None else binning
        if binning not in self.binning_modes:
            modes = ", ".join(map(str, self.binning_modes))
            raise InputError(f"The detector {self.name} does not bin by {binning}; choose {modes}.")
        rows, cols = chosen.pixels
        return (rows // binning, cols // binning), round(chosen.pixel_pitch * binning, 9)

    def efficiency(self, energies) -> np.ndarray:
        """Part of the photon energy that is absorbed, in the shape of `energies` (keV)."""
        energies = np.asarray(energies, dtype=np.float64)
        if self.scintillator is None:
            return np.ones_like(energies)
        layer = self.scintillator
        area_density = density(layer.material) * layer.packing * layer.thickness_um * 1e-4
        return -np.expm1(-mass_attenuation(layer.material, energies) * area_density)

    def swank_factor(self, energies) -> np.ndarray:
        """Swank factor of the response to photons of one energy, 0..1, in the shape of `energies` (keV).

        A photon that is absorbed adds its energy to the signal and energy^2 / swank_factor to the variance.
        """
        energies = np.asarray(energies, dtype=np.float64)
        if self.scintillator is None:
            return np.ones_like(energies)
        return self.scintillator.swank.at(energies)


def detector_names() -> list[str]:
    """Names of the detectors that ship, for load_detector."""
    return shipped_names("detector")


def load_detector(name: str | Path) -> Detector:
    """A shipped detector by name, or any detector file by path. Raises InputError naming the fault and its place."""
    return read_description("detector", name, _parse)


def _parse(data: dict, path: Path) -> Detector:
    check(isinstance(data, dict) and data.get("format") == FORMAT, f'its "format" must be "{FORMAT}"')
    data = {key: value for key, value in data.items() if key != "format"}
    known = {field.name for field in fields(Detector)} - {"scintillator", "binning_modes"} | {"response"}
    check_keys("detector", data, known, {"name", "pixels", "pixel_pitch", "binning", "response"})
    binning = data.pop("binning")
    check_keys("binning", binning, {"modes", "default"}, {"modes", "default"})
    data |= {"binning_modes": binning["modes"], "binning": binning["default"]}
    data["scintillator"] = _scintillator(data.pop("response"))
    magnified = data.get("magnification_fields", [])
    check(isinstance(magnified, list), "magnification_fields must be a list")
    data["magnification_fields"] = [build("field", Field, entry) for entry in magnified]
    for key, kind in (("glare", Glare), ("lag", Lag)):
        if data.get(key) is not None:
            data[key] = build(key, kind, data[key])
    return build("detector", Detector, data)


def _scintillator(response: dict) -> Scintillator | None:
    kind, data = split_type("response", response, ("ideal", "scintillator"))
    if kind == "ideal":
        check_keys("response", data, set(), set())
        return None
    if "swank" in data:
        data["swank"] = build("swank", Swank, data["swank"])
    if data.get("mtf") is not None:
        kind, curve = split_type("mtf", data["mtf"], ("lorentzian", "gaussians"))
        data["mtf"] = build("mtf", Lorentzian if kind == "lorentzian" else Gaussians, curve)
    return build("response", Scintillator, data)
