"""Points all over the surface of a box or a cylinder."""

from __future__ import annotations

import numpy as np


def shape_points(shape: dict, spacing: float) -> np.ndarray:
    """(n, 3) mm in the shape's frame, neighbours on a face at most `spacing` mm apart, edges included."""
    return {"box": _box, "cylinder": _cylinder}[shape["type"]](shape, spacing)


def _box(shape: dict, spacing: float) -> np.ndarray:
    half = np.array(shape["size"]) / 2
    lines = [_line(-extent, extent, spacing) for extent in half]
    grid = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, 3)
    return grid[(np.abs(grid) >= half).any(axis=1)] + np.array(shape["center"])


def _cylinder(shape: dict, spacing: float) -> np.ndarray:
    start, end = np.array(shape["start"]), np.array(shape["end"])
    axis = (end - start) / np.linalg.norm(end - start)
    u = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
    u /= np.linalg.norm(u)
    v = np.cross(axis, u)

    def ring(radius):
        angles = np.linspace(0, 2 * np.pi, max(6, int(np.ceil(2 * np.pi * radius / spacing))), endpoint=False)
        return radius * (np.cos(angles)[:, None] * u + np.sin(angles)[:, None] * v)

    caps = np.concatenate([ring(radius) for radius in _line(0.0, shape["radius"], spacing)])
    side = ring(shape["radius"])
    heights = _line(0.0, float(np.linalg.norm(end - start)), spacing)
    return np.concatenate([start + caps, end + caps, *(start + height * axis + side for height in heights)])


def _line(low: float, high: float, spacing: float) -> np.ndarray:
    return np.linspace(low, high, max(2, int(np.ceil((high - low) / spacing)) + 1))
