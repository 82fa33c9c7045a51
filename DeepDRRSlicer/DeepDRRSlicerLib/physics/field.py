"""Distortion of the field of an image intensifier, on request: its curved entrance stretches the picture's border."""

from __future__ import annotations

import numpy as np

_STEPS = 20  # of Newton's method; it converges quadratically


def distorted(image: np.ndarray, distortion: float, fill: float = 0.0) -> np.ndarray:
    """An image, (..., rows, cols), as a distorting entrance shows it; float32, linear interpolation.

    A point at radius r from the centre appears at r (1 + distortion (r/R)^2), R being the radius of the largest circle
    in the image: above 0 a pincushion, below 0 (down to -1/3, where it would fold over) a barrel, which leaves corners
    that see nothing and take the value `fill`. Values are resampled, not spread thinner: what stretching takes from the
    brightness is part of the vignetting. Mean, variance and labels must be distorted alike, before `read_out`.
    """
    image = np.asarray(image, dtype=np.float32)
    if distortion == 0:
        return image
    rows, cols = image.shape[-2:]
    middle_row, middle_col = (rows - 1) / 2, (cols - 1) / 2
    radius = min(rows, cols) / 2
    down = (np.arange(rows)[:, None] - middle_row) / radius
    across = (np.arange(cols) - middle_col) / radius
    shown = np.hypot(down, across)
    shrink = _undistorted(shown, distortion) / np.maximum(shown, 1e-12)
    row, col = middle_row + down * radius * shrink, middle_col + across * radius * shrink
    outside = ~((row > -0.5) & (row < rows - 0.5) & (col > -0.5) & (col < cols - 0.5))
    row, col = np.clip(np.nan_to_num(row), 0, rows - 1), np.clip(np.nan_to_num(col), 0, cols - 1)
    top, left = np.minimum(row.astype(int), max(rows - 2, 0)), np.minimum(col.astype(int), max(cols - 2, 0))
    bottom, right = np.minimum(top + 1, rows - 1), np.minimum(left + 1, cols - 1)
    down, across = (row - top).astype(np.float32), (col - left).astype(np.float32)
    upper = image[..., top, left] * (1 - across) + image[..., top, right] * across
    lower = image[..., bottom, left] * (1 - across) + image[..., bottom, right] * across
    return np.where(outside, np.float32(fill), upper * (1 - down) + lower * down)


def _undistorted(shown: np.ndarray, distortion: float) -> np.ndarray:
    """The radius that appears at `shown`, both in units of the field's; NaN where a barrel shows nothing."""
    fold = np.inf if distortion > 0 else np.sqrt(-1 / (3 * distortion))
    # From this side of the solution every step leads towards it.
    radius = np.minimum(shown, 0.999999 * fold)
    for _ in range(_STEPS):
        step = (radius + distortion * radius**3 - shown) / (1 + 3 * distortion * radius**2)
        radius = np.clip(radius - step, 0.0, 0.999999 * fold)
    return np.where(np.abs(radius + distortion * radius**3 - shown) < 1e-6, radius, np.nan)
