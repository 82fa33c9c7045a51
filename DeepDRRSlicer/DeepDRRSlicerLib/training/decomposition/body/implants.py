"""Metal in and on the synthetic bodies. It goes to the canvas's metal layer, before blur and clipping."""

import numpy as np

from DeepDRRSlicerLib.training.decomposition.body.noise import log_uniform, rotation_of
from DeepDRRSlicerLib.training.decomposition.body.shapes import blob, rod, sheet, tube, union

# Titanium, steel and cobalt chromium at a 120 kVp beam would read about this without the scanner's limits.
METALS_HU = (6000.0, 30000.0)


def paint_metal(canvas, shapes, hu: float) -> None:
    """Shapes of one metal, which displace what is there; hu: without blur and clipping."""
    found = union(canvas, shapes)
    if found is None:
        return
    box, distance = found
    share = canvas.cover(distance)
    part = canvas.metal[box]
    np.maximum(part, share * np.float32(hu), out=part)
    canvas.hu[box] *= 1 - share


def random_implants(canvas, rng) -> None:
    """One to three kinds of metal inside the window, each with its own HU."""
    makers = (_screws, _rods, _plate, _stent, _wires, _ball, _shots, _needle, _stem)
    for maker in rng.choice(len(makers), rng.integers(1, 4), replace=False):
        paint_metal(canvas, makers[maker](canvas, rng), log_uniform(rng, *METALS_HU))


def _place(canvas, rng, spread=45) -> np.ndarray:
    return canvas.center + rng.uniform(-spread, spread, 3)


def _axis(rng) -> np.ndarray:
    axis = rng.standard_normal(3)
    return axis / np.linalg.norm(axis)


def _screws(canvas, rng):
    start, step, axis = _place(canvas, rng), _axis(rng) * rng.uniform(15, 30), _axis(rng)
    length, radius = rng.uniform(15, 60), rng.uniform(1.2, 3.5)
    return [
        rod(start + n * step, start + n * step + axis * length, radius, 0.6 * radius) for n in range(rng.integers(1, 5))
    ] + [blob(start + n * step, (2 * radius,) * 3) for n in range(2)]


def _rods(canvas, rng):
    start, axis, apart = _place(canvas, rng), _axis(rng), _axis(rng) * 30
    ends = rng.uniform(30, 120, 2)
    return [
        rod(start + s * apart - axis * ends[0], start + s * apart + axis * ends[1], rng.uniform(2, 4)) for s in (0, 1)
    ]


def _plate(canvas, rng):
    return [
        blob(
            _place(canvas, rng), (rng.uniform(20, 60), rng.uniform(5, 9), rng.uniform(1, 2.5)), rotation_of(rng, 180), 4
        )
    ]


def _stent(canvas, rng):
    """A tube of zigzag rings of wire."""
    axis = _axis(rng)
    side = np.cross(axis, _axis(rng))
    side /= np.linalg.norm(side)
    other = np.cross(axis, side)
    center, radius, wire = _place(canvas, rng, 30), rng.uniform(4, 16), log_uniform(rng, 0.15, 0.5)
    teeth, pitch, shapes = rng.integers(5, 10), rng.uniform(6, 14), []
    for ring in range(rng.integers(3, 8)):
        angle = np.linspace(0, 2 * np.pi, 2 * teeth + 1)
        height = (ring + 0.8 * (np.arange(2 * teeth + 1) % 2)) * pitch
        line = (
            center + radius * (np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * other) + height[:, None] * axis
        )
        shapes += tube(line, wire)
    return shapes


def _wires(canvas, rng):
    """Loops as around the sternum."""
    shapes, start = [], _place(canvas, rng)
    for n in range(rng.integers(1, 6)):
        angle = np.linspace(0, 5.5, 9)
        loop = np.stack([rng.uniform(5, 16) * np.cos(angle), rng.uniform(4, 9) * np.sin(angle), 0.5 * angle], 1)
        shapes += tube(start + loop + (0, 0, 22 * n), rng.uniform(0.4, 1.0))
    return shapes


def _ball(canvas, rng):
    center, radius = _place(canvas, rng), rng.uniform(3, 24)
    cup = sheet(blob(center, (radius + 6,) * 3), rng.uniform(2, 5), lambda p: p[2] - np.float32(center[2]))
    return [blob(center, (radius,) * 3)] + ([cup] if rng.random() < 0.5 else [])


def _shots(canvas, rng):
    return [blob(_place(canvas, rng, 60), rng.uniform(0.7, 2.5, 3)) for _ in range(rng.integers(1, 9))]


def _needle(canvas, rng):
    start, axis = _place(canvas, rng), _axis(rng)
    return [rod(start - 80 * axis, start + 40 * axis, log_uniform(rng, 0.3, 1.5))]


def _stem(canvas, rng):
    start, axis = _place(canvas, rng), _axis(rng)
    return [rod(start, start + 110 * axis, rng.uniform(6, 11), 4), rod(start, start + 45 * _axis(rng), 7, 6)]
