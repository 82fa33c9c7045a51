"""From a radiograph to the picture that a person or a network sees, and how pictures differ from each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.dataset.job_parts import PictureRanges
from DeepDRRSlicerLib.dataset.overlays import draw_overlays
from DeepDRRSlicerLib.dataset.sampling import Draw
from DeepDRRSlicerLib.simulation.radiograph import LOWEST_TRANSMISSION, Radiograph

WHITE = np.iinfo(np.uint16).max
_REACH = 4.0  # of the blur, in sigmas


@dataclass(frozen=True)
class Look:
    """How one picture is drawn. The steps are done in the order of these fields, between grey 0 (black) and 1.

    curve: log (grey follows -ln(signal / open field): bone white) or linear (transmission, bone black).
    blur: sigma in pixels, on what the curve gives. low, high: what the window draws black and white. contrast: factor
    about middle grey. gamma: power. inverted: black for white. shutter: shape and the parts of width and height that
    its opening leaves, or None. overlays: how many.
    """

    curve: str
    blur: float
    low: float
    high: float
    contrast: float
    gamma: float
    inverted: bool
    shutter: tuple[str, float, float] | None
    overlays: int


def draw_look(ranges: PictureRanges, draw: Draw) -> Look:
    """The look of one sample."""
    centre, width = draw.one("picture.centre", ranges.centre), draw.one("picture.width", ranges.width)
    shutter = None
    if draw.happens("picture.shutter", ranges.shutter.probability):
        shapes = ranges.shutter.shapes
        shape = shapes[int(draw.random("picture.shutter.shape").integers(len(shapes)))]
        shutter = (
            shape,
            draw.one("picture.shutter.width", ranges.shutter.width),
            draw.one("picture.shutter.height", ranges.shutter.height),
        )
    overlays = 0
    if draw.happens("picture.overlays", ranges.overlays.probability):
        overlays = round(draw.one("picture.overlays.count", ranges.overlays.count))
    return Look(
        ranges.curve,
        draw.one("picture.blur", ranges.blur),
        centre - width / 2,
        centre + width / 2,
        draw.one("picture.contrast", ranges.contrast),
        draw.one("picture.gamma", ranges.gamma),
        draw.happens("picture.inverted", ranges.inverted),
        shutter,
        overlays,
    )


def draw_picture(radiograph: Radiograph, look: Look, random: np.random.Generator) -> tuple[np.ndarray, dict]:
    """((rows, columns) uint16 picture over the full range, settings as plain data).

    random: of the overlays. A window never follows the picture: it is drawn, and stated. Where no radiation went the
    picture is black, as on the screen of a machine.
    """
    grey = radiograph.transmission
    if look.curve == "log":
        grey = -np.log(np.maximum(grey, np.float32(LOWEST_TRANSMISSION)))
    grey = blurred(grey, look.blur)
    grey = np.clip((grey - np.float32(look.low)) / np.float32(look.high - look.low), 0, 1)
    if look.contrast != 1:
        grey = np.clip((grey - np.float32(0.5)) * np.float32(look.contrast) + np.float32(0.5), 0, 1)
    if look.gamma != 1:
        grey = grey ** np.float32(look.gamma)
    if look.inverted:
        grey = 1 - grey
    if look.shutter:
        grey[~opening(grey.shape, *look.shutter)] = 0
    grey[~radiograph.lit] = 0
    overlays = draw_overlays(grey, look.overlays, random)
    settings = {
        "curve": look.curve,
        "quantity": "-ln(signal / open_field)" if look.curve == "log" else "signal / open_field",
        "blur_pixels": look.blur,
        "black": look.low,
        "white": look.high,
        "contrast": look.contrast,
        "gamma": look.gamma,
        "inverted": look.inverted,
        "shutter": dict(zip(("shape", "width", "height"), look.shutter)) if look.shutter else None,
        "overlays": overlays,
    }
    return np.rint(grey * np.float32(WHITE)).astype(np.uint16), settings


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    """A float32 image convolved with a Gaussian of sigma pixels; beyond the border its outer pixels go on."""
    reach = int(np.ceil(_REACH * sigma))
    if reach == 0:
        return image
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (0, 1):
        padding = [(reach, reach) if a == axis else (0, 0) for a in (0, 1)]
        wide = np.pad(image, padding, mode="edge")
        total = np.zeros_like(image)
        for shift, weight in enumerate(weights):
            window = slice(shift, shift + image.shape[axis])
            total += weight * (wide[window] if axis == 0 else wide[:, window])
        image = total
    return image


def opening(size: tuple[int, int], shape: str, width: float, height: float) -> np.ndarray:
    """Bool (rows, columns) of a shutter's opening; width and height: parts of the image's."""
    rows, columns = size
    y = np.abs((np.arange(rows) - (rows - 1) / 2) / (rows * height / 2))[:, None]
    x = np.abs((np.arange(columns) - (columns - 1) / 2) / (columns * width / 2))
    if shape == "ellipse":
        return x**2 + y**2 <= 1
    inside = (x <= 1) & (y <= 1)
    return inside & (x + y <= np.sqrt(2)) if shape == "octagon" else inside
