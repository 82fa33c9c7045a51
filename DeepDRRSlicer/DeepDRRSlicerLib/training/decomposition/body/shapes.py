"""Shapes of the synthetic bodies: what a shape is, how several become one, and how tissue and bone fill them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.training.decomposition.body.canvas import FAR, Canvas
from DeepDRRSlicerLib.training.decomposition.body.distances import capsule, ellipsoid

# A voxel that is bone by this share counts as bone: its mineral is not to be lost to soft tissue, and labels made by
# eye or by other networks run along the outside of the compact bone.
BONE_SHARE = 0.35


@dataclass(frozen=True)
class Shape:
    """A signed distance in mm as a function of points [3, ...], and the box (R, A, S) beyond which it is positive."""

    low: np.ndarray
    high: np.ndarray
    distance: Callable


def rod(start, end, radius_start, radius_end=None) -> Shape:
    """A capsule from `start` to `end` (R, A, S) in mm."""
    start, end = np.asarray(start, float), np.asarray(end, float)
    radius_end = radius_start if radius_end is None else radius_end
    widest = max(radius_start, radius_end)
    return Shape(
        np.minimum(start, end) - widest,
        np.maximum(start, end) + widest,
        lambda p: capsule(p, start, end, radius_start, radius_end),
    )


def blob(center, radii, rotation=None, power=2.0) -> Shape:
    """An ellipsoid, or a rounded box (power above 2)."""
    center, radii = np.asarray(center, float), np.asarray(radii, float)
    reach = radii if rotation is None else np.sqrt((rotation**2) @ radii**2) * (1 if power == 2 else 1.5)
    return Shape(center - reach, center + reach, lambda p: ellipsoid(p, center, radii, rotation, power))


def tube(points, radii) -> list[Shape]:
    """Rods through a line of points (n, 3); radii: one number or one for each point."""
    points = np.asarray(points, float)
    radii = np.broadcast_to(radii, len(points))
    return [rod(points[i], points[i + 1], radii[i], radii[i + 1]) for i in range(len(points) - 1)]


def sheet(shape: Shape, thickness: float, keep: Callable | None = None) -> Shape:
    """A wall of `thickness` mm along a shape's surface; `keep`: a distance function, the wall stays where it is < 0."""

    def distance(points):
        wall = np.abs(shape.distance(points)) - np.float32(thickness / 2)
        return wall if keep is None else np.maximum(wall, keep(points))

    return Shape(shape.low - thickness, shape.high + thickness, distance)


def union(canvas: Canvas, shapes, margin: float = 0.0) -> tuple | None:
    """Box and distance of several shapes together, within `margin` mm around them; None when the window sees none."""
    seen = [(shape, box) for shape in shapes if (box := canvas.box(shape.low, shape.high, margin)) is not None]
    if not seen:
        return None
    whole = tuple(slice(min(b[a].start for _, b in seen), max(b[a].stop for _, b in seen)) for a in range(3))
    if len(seen) == 1:
        return whole, seen[0][0].distance(canvas.points[(slice(None), *whole)])
    distance = np.full(tuple(s.stop - s.start for s in whole), FAR)
    for shape, box in seen:
        inner = tuple(slice(b.start - w.start, b.stop - w.start) for b, w in zip(box, whole, strict=True))
        part = distance[inner]
        np.minimum(part, shape.distance(canvas.points[(slice(None), *box)]), out=part)
    return whole, distance
