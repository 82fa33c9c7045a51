"""From a radiograph to grey values: logarithmic, bone white, a fixed window that is stated and never adapts.

A window that followed each frame's extremes would make a sequence flicker and let metal rescale the anatomy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.simulation.radiograph import Radiograph


@dataclass(frozen=True)
class Window:
    """The log attenuation, -ln(signal/open field), that is drawn black (low) and white (high)."""

    low: float
    high: float

    def __post_init__(self):
        if not -np.inf < self.low < self.high < np.inf:
            raise InputError(f"The display window must rise from black to white, not from {self.low} to {self.high}.")


CHEST = Window(1.2, 7.0)


def display_image(radiograph: Radiograph, window: Window = CHEST) -> np.ndarray:
    """The picture as a person sees it: (rows, columns) uint8, bone white."""
    grey = (radiograph.log_attenuation - window.low) / (window.high - window.low)
    return np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8)
