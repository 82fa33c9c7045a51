"""The spine, from the fifth lumbar to the first cervical vertebra."""

import numpy as np

from DeepDRRSlicerLib.training.decomposition.body.noise import rotation_of
from DeepDRRSlicerLib.training.decomposition.body.shapes import blob, rod
from DeepDRRSlicerLib.training.decomposition.body.tissues import paint_bone, paint_soft


def spine_curve(height):
    """A (mm) of the vertebral bodies' middle at height S."""
    return np.interp(height, [-340, -280, -180, -60, 120, 250, 330, 420], [-75, -62, -42, -55, -72, -55, -22, -18])


def paint_spine(canvas, rng, skeleton) -> None:
    """Vertebrae from the fifth lumbar to the first cervical, with discs, canal and processes."""
    height, bend = -262.0, rng.normal(0, 8, 3)
    degenerate = rng.random() < 0.4
    while height < 405:
        level = np.interp(height, [-262, -100, 100, 290, 405], [1.0, 0.95, 0.78, 0.56, 0.5])
        tall = np.interp(height, [-262, -60, 120, 280, 405], [36, 32, 26, 19, 17]) * rng.uniform(0.95, 1.05)
        middle = np.array([bend[0] * np.sin(height / 90) + bend[1] * np.sin(height / 200), spine_curve(height), height])
        _vertebra(canvas, rng, skeleton, middle, level, tall, degenerate)
        height += tall


def _vertebra(canvas, rng, skeleton, middle, level, tall, degenerate) -> None:
    reach = 90 * level + 20
    if canvas.box(middle - reach, middle + reach) is None:
        return
    tilt = rotation_of(rng, 4)
    half = tall / 2 * rng.uniform(0.74, 0.9)
    w, d = 25 * level, 18 * level
    paint_soft(canvas, [blob(middle + (0, 0, tall / 2), (w, d, tall * 0.25), power=2.5)], rng.uniform(50, 110))
    body = [blob(middle, (w, d, half), tilt, 3.5)]
    if degenerate:
        body += [blob(middle + tilt @ (rng.uniform(-w, w), rng.uniform(0, d), s * half), (7, 6, 3)) for s in (-1, 1)]
    back = middle - (0, d, 0)
    canal = 8.5 + 3 * rng.random()
    arch = []
    for side in (-1, 1):
        foot = back + (side * (canal + 3), 2, half * 0.3)
        knot = back + (side * (canal + 4), -canal - 4, 0)
        tip = knot + (side * 28 * level * rng.uniform(0.8, 1.3), -rng.uniform(0, 12), rng.uniform(-4, 8))
        end = back + (0, -2 * canal - 5, -4)
        arch += [rod(foot, knot, 4.5 * level + 1.5), rod(knot, tip, 5 * level + 1, 3.5), rod(knot, end, 3.5, 4)]
        arch += [rod(knot + (side * 2, 0, -half), knot + (side * 3, -1, half * 1.1), 5 * level + 1.5)]
    end = back + (0, -2 * canal - 5, -4)
    spinous = end + (0, -34 * level * rng.uniform(0.6, 1.2), -22 * level * rng.random())
    arch += [rod(end, spinous, 3.2, 4.2), rod(end + (0, 0, -6 * level), spinous + (0, 0, -8 * level), 3, 4)]
    paint_bone(canvas, arch, skeleton, 1.3, 1.2)
    paint_bone(canvas, body, skeleton, 0.6, rng.uniform(0.85, 1.15))
    column = [rod(back + (0, -canal, -tall / 2), back + (0, -canal, tall / 2), canal)]
    paint_soft(canvas, column, rng.uniform(-20, 40), 15)
