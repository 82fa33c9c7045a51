"""Smooth random fields, and separable linear operations on voxels."""

import numpy as np


def smooth_noise(rng, shape, step: float) -> np.ndarray:
    """float32 noise of mean 0 and standard deviation about 1 that changes over about `step` voxels along each axis."""
    matrices = [spline_matrix(n, step, rng.random()) for n in shape]
    coarse = rng.standard_normal([m.shape[1] for m in matrices]).astype(np.float32)
    result = along_axes(coarse, matrices)
    return result / np.float32(0.33)  # cubic B-splines leave 0.479 of the variance along each axis


def spline_matrix(n: int, step: float, phase: float) -> np.ndarray:
    """float32 [n, m]: uniform cubic B-splines with knots every `step` voxels, at n voxels."""
    position = np.arange(n) / step + phase
    first = np.floor(position).astype(int)
    t = position - first
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], 1) / 6
    matrix = np.zeros((n, first[-1] + 4), np.float32)
    for column in range(4):
        matrix[np.arange(n), first + column] = weights[:, column]
    return matrix


def along_axes(array: np.ndarray, matrices) -> np.ndarray:
    """A separable linear operation: one matrix [out, in] for each of the three axes, None for nothing."""
    a, b, c = matrices
    if c is not None:
        array = array @ c.T
    if b is not None:
        array = b @ array
    if a is not None:
        array = (a @ array.reshape(array.shape[0], -1)).reshape(a.shape[0], *array.shape[1:])
    return array


def log_uniform(rng, low: float, high: float) -> float:
    """A number between `low` and `high` whose logarithm is evenly distributed."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def rotation_of(rng, degrees: float) -> np.ndarray:
    """A random rotation (3, 3) about a random axis, by a normal angle of this standard deviation."""
    axis = rng.standard_normal(3)
    axis /= np.linalg.norm(axis)
    angle = np.radians(degrees) * rng.standard_normal()
    k = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k)
