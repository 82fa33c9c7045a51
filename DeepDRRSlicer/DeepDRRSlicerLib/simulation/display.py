"""From a radiograph to grey values: a fixed window that is stated and never adapts, bone white unless inverted.

A window that followed each frame's extremes would make a sequence flicker and let metal rescale the anatomy. The steps,
in this order; the radiograph itself stays as it is:

    q = -ln(signal / open field), limited to the window and as much again on either side
    q = q + unsharp_amount (q - G(unsharp_radius) q) + edge_amount (q - G(edge_radius) q)
    grey = (q - low) / (high - low)                                          curve "log"
         = (exp(-low) - exp(-q)) / (exp(-low) - exp(-high))                  curve "linear"

limited to 0..1, inverted on request, and black outside the shutters. G(r) is the blur by a Gaussian whose standard
deviation is r pixels: a large radius evens out thick and thin parts (unsharp masking), a small one sharpens contours
(edge enhancement).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.physics.blur import screen_blur
from DeepDRRSlicerLib.physics.detector import Gaussians
from DeepDRRSlicerLib.simulation.radiograph import LOWEST_TRANSMISSION, Radiograph

CURVES = ("log", "linear")
_LARGEST_RADIUS = 1000.0  # pixels
_LARGEST_AMOUNT = 10.0
_SHUT = 0.5  # share of the focal spot that a pixel must see


@dataclass(frozen=True)
class Window:
    """The log attenuation, -ln(signal/open field), that is drawn black (low) and white (high)."""

    low: float
    high: float

    def __post_init__(self):
        if not -np.inf < self.low < self.high < np.inf:
            raise InputError(f"The display window must rise from black to white, not from {self.low} to {self.high}.")


CHEST = Window(1.2, 7.0)
# Chosen on simulated views at 80 kV, 3 mm Al, without scatter.
WINDOWS = {
    "chest": CHEST,
    "abdomen and pelvis": Window(3.0, 8.5),
    "extremity": Window(0.2, 3.5),
    "head": Window(1.5, 6.0),
    "implant": Window(2.0, 10.0),
}


def parse_window(text: str) -> Window:
    """A window by its name in WINDOWS, or LOW,HIGH. Raises InputError."""
    if text in WINDOWS:
        return WINDOWS[text]
    try:
        low, high = (float(number) for number in text.split(","))
    except ValueError:
        raise InputError(f"There is no display window {text!r}; choose {', '.join(WINDOWS)}, or LOW,HIGH.") from None
    return Window(low, high)


@dataclass(frozen=True)
class Display:
    """How a radiograph is shown. window: see Window. curve: "log" or "linear" in the transmission between its ends.

    Radii in pixels; an amount of 0 leaves a step out. Raises InputError for values out of range.
    """

    window: Window = CHEST
    curve: str = "log"
    inverted: bool = False
    unsharp_radius: float = 20.0
    unsharp_amount: float = 0.0
    edge_radius: float = 1.0
    edge_amount: float = 0.0

    def __post_init__(self):
        if self.curve not in CURVES:
            raise InputError(f'The display curve must be "log" or "linear", not {self.curve!r}.')
        for name in ("unsharp", "edge"):
            radius, amount = getattr(self, f"{name}_radius"), getattr(self, f"{name}_amount")
            if not (0 < radius <= _LARGEST_RADIUS and 0 <= amount <= _LARGEST_AMOUNT):
                raise InputError(
                    f"The {name}_radius must lie in 0 to {_LARGEST_RADIUS:g} pixels, above 0, and the {name}_amount in "
                    f"0 to {_LARGEST_AMOUNT:g}, not {radius:g} and {amount:g}."
                )

    def to_dict(self) -> dict:
        """Plain data for metadata."""
        return asdict(self)


def display_image(radiograph: Radiograph, display: Display | Window = CHEST) -> np.ndarray:
    """The picture as a person sees it, (rows, columns) uint8; a window alone stands for the plain display with it."""
    if isinstance(display, Window):
        display = Display(display)
    return grey_values(radiograph.signal, radiograph.open_field, display, radiograph.exposed)


def grey_values(
    signal: np.ndarray, open_field: np.ndarray, display: Display, exposed: np.ndarray | None = None
) -> np.ndarray:
    """(rows, columns) uint8 from images of that shape; finite and without warnings for any signal.

    signal may be 0 or negative, where it is drawn as if nothing passed. exposed: share of the focal spot that each
    pixel sees; below 0.5, and where the open field is 0, the picture is black, inverted or not.
    """
    window = display.window
    width = window.high - window.low
    lit = open_field > 0
    with np.errstate(over="ignore"):  # more than any number is more than the window
        transmission = np.divide(signal, open_field, out=np.zeros(np.shape(signal), np.float32), where=lit)
    q = -np.log(np.maximum(np.nan_to_num(transmission, nan=0.0), LOWEST_TRANSMISSION))
    q = np.clip(q, window.low - width, window.high + width)
    sharpened = q
    for radius, amount in (
        (display.unsharp_radius, display.unsharp_amount),
        (display.edge_radius, display.edge_amount),
    ):
        if amount > 0:
            blurred = screen_blur(q, (1.0, 1.0), Gaussians((1.0,), (float(radius),)), None)
            sharpened = sharpened + np.float32(amount) * (q - blurred)
    if display.curve == "log":
        grey = (sharpened - window.low) / width
    else:
        black, white = np.exp(-window.low), np.exp(-window.high)
        grey = (black - np.exp(-np.clip(sharpened, window.low, window.high))) / (black - white)
    grey = np.clip(grey, 0, 1)
    if display.inverted:
        grey = 1 - grey
    shown = lit if exposed is None else lit & (np.asarray(exposed) >= _SHUT)
    return np.where(shown, np.rint(grey * 255), 0).astype(np.uint8)
