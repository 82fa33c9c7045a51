"""Shutters and iris: which part of the focal spot each pixel sees past them, and what the focal spot's size blurs.

A Collimation is stated at the detector, as the shadow that a point source would throw; the blades themselves stand at
a distance from the focal spot that the device tells. The focal spot is a uniform square as seen along the central ray.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam

_ROUNDING = 1e-6  # mm, by which an edge may stand off the panel
_IRIS_NODES = 8  # of the Gauss quadrature across the penumbra of the iris


@dataclass(frozen=True)
class Collimation:
    """The exposed field: mm at the detector from the middle of the image to each edge, as one looks at the image.

    Left 60, right 80 makes a field 140 mm wide whose middle is 10 mm right of the image's. An edge may stand beyond
    the middle (negative), so long as the field keeps a width and a height. iris: radius in mm at the detector of a
    circle about the middle of the image, in the plane of the shutters; None is open.
    Raises InputError for a field without width or height and for numbers that are not finite.
    """

    left: float
    right: float
    top: float
    bottom: float
    iris: float | None = None

    def __post_init__(self):
        for name in ("left", "right", "top", "bottom"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if not np.isfinite([self.left, self.right, self.top, self.bottom]).all():
            raise InputError("The edges of the collimated field must be four finite numbers of mm.")
        if self.width <= 0 or self.height <= 0:
            raise InputError(
                f"The shutters leave no field ({self.width:g} x {self.height:g} mm); open them to more than 0 mm."
            )
        if self.iris is not None:
            object.__setattr__(self, "iris", float(self.iris))
            if not 0 < self.iris < np.inf:
                raise InputError(f"The radius of the iris must be greater than 0 mm, not {self.iris:g} mm.")

    @property
    def width(self) -> float:
        """mm between the left and the right edge."""
        return self.left + self.right

    @property
    def height(self) -> float:
        """mm between the upper and the lower edge."""
        return self.top + self.bottom


def panel_field(beam: ConeBeam) -> Collimation:
    """The shutters as far open as the image is large."""
    half_height, half_width = _half_size(beam)
    return Collimation(half_width, half_width, half_height, half_height)


def check_collimation(beam: ConeBeam, field: Collimation) -> None:
    """Raises InputError where the field reaches beyond the image: all radiation has to fall on the panel."""
    half_height, half_width = _half_size(beam)
    beyond = max(field.left, field.right) > half_width + _ROUNDING or (
        max(field.top, field.bottom) > half_height + _ROUNDING
    )
    if beyond:
        raise InputError(
            f"The field is larger than the panel: its edges may stand at most {half_width:g} mm left and right and "
            f"{half_height:g} mm above and below the middle, not {field.left:g}, {field.right:g}, {field.top:g} and "
            f"{field.bottom:g} mm."
        )


def penumbra_width(focal_spot: float, sid: float, object_distance: float) -> float:
    """Width in mm at the detector over which an edge is blurred: focal spot times (magnification - 1).

    focal_spot: mm, side of the square. sid, object_distance: mm from the focal spot to the detector and to the edge.
    Raises InputError for an edge that does not stand between the two.
    """
    if not 0 < object_distance <= sid:
        raise InputError(
            f"The edge must stand between focal spot and detector, at 0 to {sid:g} mm, not at {object_distance:g} mm."
        )
    return focal_spot * (sid / object_distance - 1.0)


def collimation(beam: ConeBeam, field: Collimation | None, focal_spot: float, collimator_distance: float) -> np.ndarray:
    """Share of the focal spot that the centre of each pixel sees between the shutters, (rows, cols) float32.

    focal_spot: mm. collimator_distance: mm from the focal spot to the plane of the blades. 1 within the field, 0
    outside, exactly; in between lies the penumbra, half at the stated edge. None: no shutters, 1 everywhere.
    Raises InputError for a field that is larger than the panel.
    """
    if field is None:
        return np.ones(beam.size, dtype=np.float32)
    check_collimation(beam, field)
    penumbra = penumbra_width(focal_spot, beam.sid, collimator_distance)
    x, y = _from_middle(beam)
    if field.iris is None or penumbra == 0:
        shutters = np.outer(_seen(y, penumbra, -field.top, field.bottom), _seen(x, penumbra, -field.left, field.right))
        return shutters if field.iris is None else shutters * (y[:, None] ** 2 + x**2 <= field.iris**2)
    return _seen_through_iris(x, y, penumbra, field)


def exposed_window(
    beam: ConeBeam, field: Collimation | None, focal_spot: float, collimator_distance: float
) -> tuple[slice, slice]:
    """Slices of rows and of columns outside of which no pixel sees any of the focal spot.

    Raises InputError for a field that is larger than the panel, or so small that it falls between two pixels.
    """
    if field is None:
        return slice(0, beam.size[0]), slice(0, beam.size[1])
    check_collimation(beam, field)
    penumbra = penumbra_width(focal_spot, beam.sid, collimator_distance)
    x, y = _from_middle(beam)
    radius = np.inf if field.iris is None else field.iris
    edges = ((y, field.top, field.bottom), (x, field.left, field.right))
    window = []
    for positions, before, after in edges:
        seen = np.flatnonzero(_seen(positions, penumbra, -min(before, radius), min(after, radius)))
        if not len(seen):
            raise InputError(
                f"The field of {field.width:g} x {field.height:g} mm exposes no pixel of {beam.pitch[0]:g} mm; "
                "open the shutters."
            )
        window.append(slice(int(seen[0]), int(seen[-1]) + 1))
    return window[0], window[1]


def _half_size(beam: ConeBeam) -> tuple[float, float]:
    """(half the height, half the width) of the image in mm."""
    return beam.size[0] * beam.pitch[1] / 2, beam.size[1] * beam.pitch[0] / 2


def _from_middle(beam: ConeBeam) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres in mm from the middle of the image, (cols,) to the right and (rows,) down."""
    rows, cols = beam.size
    return (np.arange(cols) - (cols - 1) / 2) * beam.pitch[0], (np.arange(rows) - (rows - 1) / 2) * beam.pitch[1]


def _seen(positions: np.ndarray, penumbra: float, low: float, high: float) -> np.ndarray:
    """Share of [position - penumbra/2, position + penumbra/2] that lies within [low, high], float32."""
    if penumbra == 0:  # a point source, or blades at the detector
        return ((positions >= low) & (positions <= high)).astype(np.float32)
    overlap = np.minimum(positions + penumbra / 2, high) - np.maximum(positions - penumbra / 2, low)
    return (np.clip(overlap, 0.0, penumbra) / penumbra).astype(np.float32)


def _seen_through_iris(x: np.ndarray, y: np.ndarray, penumbra: float, field: Collimation) -> np.ndarray:
    """As `_seen`, in two dimensions, within the rectangle and the circle: the chords of the circle are integrated."""
    half, iris = penumbra / 2, np.inf if field.iris is None else field.iris
    low = np.maximum(y - half, -min(field.top, iris))
    high = np.maximum(np.minimum(y + half, min(field.bottom, iris)), low)
    nodes, weights = np.polynomial.legendre.leggauss(_IRIS_NODES)
    seen = np.zeros((len(y), len(x)))
    for node, weight in zip(nodes, weights):
        at = low + (high - low) * (node + 1) / 2
        chord = np.sqrt(np.maximum(iris**2 - at**2, 0.0))[:, None]
        left, right = np.maximum(-chord, -field.left), np.minimum(chord, field.right)
        overlap = np.clip(np.minimum(x + half, right) - np.maximum(x - half, left), 0.0, penumbra)
        seen += overlap * (weight / 2 * (high - low) / penumbra**2)[:, None]
    return seen.astype(np.float32)
