"""One simulated X-ray image, in absolute units and complete with how it was made."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from DeepDRRSlicerLib.geometry.camera import ConeBeam

# Transmission below which the logarithm is cut off: no panel tells 1e-6 from nothing.
LOWEST_TRANSMISSION = 1e-6
_WORTH_SAYING = 0.01  # part of the picture in which tissue is missing


@dataclass(frozen=True, eq=False)
class Radiograph:
    """signal, open_field: (rows, columns) float32, energy that the detector takes in, keV per pixel.

    open_field is the signal without patient. area_density: (materials, rows, columns) float32 g/cm2.
    border: (rows, columns) bool, rays that left the body through the border of the CT, so that tissue is missing.
    metadata: plain data for view.json; settings_hash names the settings and the CT that made the image.
    """

    signal: np.ndarray
    open_field: np.ndarray
    area_density: np.ndarray
    materials: tuple[str, ...]
    beam: ConeBeam
    border: np.ndarray
    settings_hash: str
    metadata: dict

    @property
    def transmission(self) -> np.ndarray:
        """Signal over open field, (rows, columns) float32."""
        return self.signal / self.open_field

    @property
    def log_attenuation(self) -> np.ndarray:
        """-ln(transmission), (rows, columns) float32: 0 in air, about 5 behind the spine."""
        return -np.log(np.maximum(self.transmission, LOWEST_TRANSMISSION))

    @property
    def border_fraction(self) -> float:
        """Part of the image in which tissue is missing, 0 to 1."""
        return float(self.border.mean())

    @property
    def warning(self) -> str:
        """A sentence on what a person should know before trusting the picture; empty if there is nothing to say."""
        if self.area_density.max(initial=0) == 0:
            return "No ray meets the CT: check the isocentre and the geometry."
        if self.border_fraction < _WORTH_SAYING:
            return ""
        return f"In {self.border_fraction:.0%} of the picture the CT ends inside the body: tissue is missing there."

    def with_metadata(self, **entries) -> Radiograph:
        """The same image with more said about it."""
        return replace(self, metadata=self.metadata | entries)
