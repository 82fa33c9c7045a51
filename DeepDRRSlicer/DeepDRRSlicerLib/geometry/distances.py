"""Signed distances from points to the shapes of a machine's parts, in closed form."""

from __future__ import annotations

import numpy as np


def signed_distance(shape: dict, points: np.ndarray) -> np.ndarray:
    """(n,) mm from points (n, 3) to a box, cylinder or arc (geometry/parts.py) in its frame; negative inside, exact."""
    return {"box": _box, "cylinder": _cylinder, "arc": _arc}[shape["type"]](shape, points)


def bounding_sphere(shape: dict) -> tuple[np.ndarray, float]:
    """(centre (3,), radius) in mm of a sphere around a shape, in its frame."""
    if shape["type"] == "box":
        return np.array(shape["center"]), float(np.linalg.norm(shape["size"])) / 2
    if shape["type"] == "cylinder":
        start, end = np.array(shape["start"]), np.array(shape["end"])
        return (start + end) / 2, float(np.hypot(np.linalg.norm(end - start) / 2, shape["radius"]))
    outer = shape["radius"] + shape["thickness"] / 2
    return np.array(shape["center"]), float(np.hypot(outer, shape["width"] / 2))


def _box(shape: dict, points: np.ndarray) -> np.ndarray:
    beyond = np.abs(points - np.array(shape["center"])) - np.array(shape["size"]) / 2
    return _rectangular(*beyond.T)


def _cylinder(shape: dict, points: np.ndarray) -> np.ndarray:
    start, end = np.array(shape["start"]), np.array(shape["end"])
    length = np.linalg.norm(end - start)
    axis = (end - start) / length
    offset = points - (start + end) / 2
    along = offset @ axis
    across = _root(np.einsum("ij,ij->i", offset, offset) - along**2)
    return _rectangular(np.abs(along) - length / 2, across - shape["radius"])


def _arc(shape: dict, points: np.ndarray) -> np.ndarray:
    axis, zero = np.array(shape["axis"]), np.array(shape["from"])
    offset = points - np.array(shape["center"])
    along, x, y = offset @ axis, offset @ zero, offset @ np.cross(axis, zero)
    side = np.abs(along) - shape["width"] / 2
    radial = np.hypot(x, y)
    ring = _rectangular(side, np.abs(radial - shape["radius"]) - shape["thickness"] / 2)
    start, stop = sorted((shape["start"], shape["stop"]))
    if stop - start >= 360:
        return ring
    # At an angle within the sweep the nearest side lies in the same plane through the axis; at any other the nearest
    # place is on one of the two flat ends. Inside, an end may be nearer than every side.
    within = (np.rad2deg(np.arctan2(y, x)) - start) % 360 <= stop - start
    ends = np.full(len(points), np.inf)
    for angle in np.deg2rad([start, stop]):
        outwards, forwards = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        flat = np.abs(outwards - shape["radius"]) - shape["thickness"] / 2
        ends = np.minimum(ends, _root(np.maximum(side, 0) ** 2 + np.maximum(flat, 0) ** 2 + forwards**2))
    return np.where(within, np.where(ring < 0, np.maximum(ring, -ends), ring), ends)


def _rectangular(*beyond: np.ndarray) -> np.ndarray:
    """The distance to a box from how far a point lies beyond each pair of its faces."""
    outside = sum(np.maximum(part, 0) ** 2 for part in beyond)
    inside = beyond[0]
    for part in beyond[1:]:
        inside = np.maximum(inside, part)
    return np.sqrt(outside) + np.minimum(inside, 0)


def _root(square: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(square, 0))
