"""One simulated X-ray image, in absolute units and complete with how it was made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from DeepDRRSlicerLib.anatomy.border import border_mask
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.geometry.camera import ConeBeam

# Transmission below which the logarithm is cut off: no panel tells 1e-6 from nothing.
LOWEST_TRANSMISSION = 1e-6
_HALF = 0.5
_MUCH_SATURATED = 0.25  # part of the picture; air beside the patient often is
_WORTH_SAYING = 0.01  # part of the picture in which tissue is missing


class Elsewhere(Protocol):
    """Area densities that are not in the host's memory yet. nothing: whether they are 0 everywhere."""

    nothing: bool

    def fetched(self) -> np.ndarray:
        """They, the same array every time. Raises InputError where they are lost."""
        ...


@dataclass(frozen=True, eq=False)
class Radiograph:
    """signal: (rows, columns) float32 keV per pixel as read out, offset-corrected: with noise it may be below 0.

    counts: (rows, columns) unsigned integers as the electronics gave them, or None for a detector without bit depth.
    open_field: (rows, columns) float32 keV per pixel, the expected signal without patient and with open shutters; 0
    outside a circular field. exposed: (rows, columns) float32, share of the focal spot seen past the shutters.
    areas: area_density, or what brings it from a card.
    ct: the patient, in HU.
    metadata: plain data for view.json; settings_hash names the settings and the CT that made the image.
    """

    signal: np.ndarray
    counts: np.ndarray | None
    open_field: np.ndarray
    exposed: np.ndarray
    areas: np.ndarray | Elsewhere
    materials: tuple[str, ...]
    beam: ConeBeam
    ct: Volume
    settings_hash: str
    metadata: dict

    @property
    def area_density(self) -> np.ndarray:
        """(materials, rows, columns) float32 g/cm2, 0 outside the shutters. On a card until somebody asks."""
        return self.areas if isinstance(self.areas, np.ndarray) else self.areas.fetched()

    @property
    def meets_nothing(self) -> bool:
        """Whether no ray meets the CT or a tool."""
        return self.areas.max(initial=0) == 0 if isinstance(self.areas, np.ndarray) else self.areas.nothing

    @property
    def transmission(self) -> np.ndarray:
        """Signal over open field, (rows, columns) float32; 0 where the field is closed."""
        lit = self.open_field > 0
        return np.divide(self.signal, self.open_field, out=np.zeros_like(self.signal), where=lit)

    @property
    def log_attenuation(self) -> np.ndarray:
        """-ln(transmission), (rows, columns) float32: 0 in air, about 5 behind the spine."""
        return -np.log(np.maximum(self.transmission, LOWEST_TRANSMISSION))

    @property
    def lit(self) -> np.ndarray:
        """(rows, columns) bool: pixels of the field that see at least half of the focal spot past the shutters."""
        return (self.open_field > 0) & (self.exposed >= _HALF)

    @cached_property
    def border(self) -> np.ndarray:
        """(rows, columns) bool: rays that left the body through the border of the CT, so that tissue is missing."""
        return border_mask(self.ct, self.beam)

    @property
    def warning(self) -> str:
        """A sentence on what a person should know before trusting the picture; empty if there is nothing to say."""
        if self.meets_nothing:
            return "No ray meets the CT: check the isocentre and the geometry."
        missing = self.metadata["border_fraction"]
        if missing < _WORTH_SAYING:
            return ""
        return f"In {missing:.0%} of the picture the CT ends inside the body: tissue is missing there."

    @property
    def remarks(self) -> str:
        """The warning, the limit of the tube that keeps the dose from its target, saturation, and doubtful scatter."""
        full = self.metadata["readout"]["saturated_pixels"] / self.signal.size
        saturated = f"{full:.0%} of the picture is saturated: use less dose." if full >= _MUCH_SATURATED else ""
        scatter = self.metadata["scatter"].get("warning")
        return " ".join(filter(None, (self.warning, self.metadata["exposure"]["limit"], saturated, scatter)))

    def with_metadata(self, **entries) -> Radiograph:
        """The same image with more said about it."""
        return replace(self, metadata=self.metadata | entries)
