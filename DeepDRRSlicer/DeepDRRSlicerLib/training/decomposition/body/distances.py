"""Signed distances in mm (negative inside) on points [3, ...]; exact for capsules, near the surface for the others."""

import numpy as np


def capsule(points, start, end, radius_start: float, radius_end: float) -> np.ndarray:
    """A rod from `start` to `end` whose radius changes evenly, with round ends."""
    axis = np.asarray(end, np.float32) - np.asarray(start, np.float32)
    x, y, z = (points[a] - np.float32(start[a]) for a in range(3))
    along = (x * axis[0] + y * axis[1] + z * axis[2]) / np.float32(axis @ axis + 1e-6)
    np.clip(along, 0, 1, out=along)
    x -= along * axis[0]
    y -= along * axis[1]
    z -= along * axis[2]
    radius = np.float32(radius_start) + along * np.float32(radius_end - radius_start)
    return np.sqrt(x * x + y * y + z * z) - radius


def ellipsoid(points, center, radii, rotation=None, power: float = 2.0) -> np.ndarray:
    """An ellipsoid, or with a power above 2 a rounded box; `rotation` has its axes as columns."""
    local = [points[a] - np.float32(center[a]) for a in range(3)]
    if rotation is not None:
        local = [sum(np.float32(rotation[a, b]) * local[a] for a in range(3)) for b in range(3)]
    if power == 2.0:
        scaled = np.sqrt(sum((c * np.float32(1 / r)) ** 2 for c, r in zip(local, radii, strict=True)))
    else:
        scaled = sum(np.abs(c * np.float32(1 / r)) ** np.float32(power) for c, r in zip(local, radii, strict=True))
        scaled = scaled ** np.float32(1 / power)
    length = np.sqrt(local[0] ** 2 + local[1] ** 2 + local[2] ** 2)
    return _scaled_distance(scaled, length, min(radii))


def cylinder_like(points, center_xy, radii, power: float = 2.0) -> np.ndarray:
    """An endless column along S with a rounded cross-section."""
    x, y = points[0] - center_xy[0], points[1] - center_xy[1]
    scaled = (np.abs(x / radii[0]) ** power + np.abs(y / radii[1]) ** power) ** (1 / power)
    return _scaled_distance(scaled.astype(np.float32), np.sqrt(x * x + y * y), np.min(radii))


def _scaled_distance(scaled, length, smallest):
    """From the share of the radius at which a point lies to mm, along the ray from the centre."""
    outside = length - length / np.maximum(scaled, np.float32(1e-3))
    return np.where(scaled > 0.3, outside, np.float32(-0.7 * smallest))


def smooth_union(a: np.ndarray, b: np.ndarray, radius: float) -> np.ndarray:
    """The nearer of two surfaces, with a fillet of about `radius` mm where they meet."""
    h = np.clip(0.5 + 0.5 * (b - a) / radius, 0, 1)
    return b + h * (a - b) - radius * h * (1 - h)
