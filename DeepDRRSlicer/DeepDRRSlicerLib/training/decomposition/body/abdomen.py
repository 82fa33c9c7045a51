"""Organs of the abdomen; bowel with gas, stool or contrast agent."""

import numpy as np

from DeepDRRSlicerLib.training.decomposition.body.canvas import ADIPOSE, AIR, SOFT
from DeepDRRSlicerLib.training.decomposition.body.noise import rotation_of
from DeepDRRSlicerLib.training.decomposition.body.shapes import blob, tube, union
from DeepDRRSlicerLib.training.decomposition.body.tissues import paint_blood, paint_organ, paint_soft


def paint_abdomen(canvas, rng, build, phase) -> None:
    """Fat, liver, spleen, kidneys, stomach, bowel and bladder."""
    g = build["girth"]
    found = union(canvas, [blob((0, 22, -170), (112 * g, 70 * g, 215), power=2.6)])
    if found is None:
        return
    box, distance = found
    canvas.paint(box, distance, np.float32(rng.uniform(-115, -80)) + 10 * canvas.noise(12.0)[box], ADIPOSE)
    more = phase["organs"]
    paint_organ(
        canvas,
        [blob((62 * g, 10, -15), (68 * g, 78 * g, 75), rotation_of(rng, 10)), blob((0, 45, 0), (65, 38, 40))],
        rng.uniform(35, 70) + more,
        8,
        3,
    )
    paint_organ(
        canvas, [blob((-88 * g, -40, 0), (30, 45, 52), rotation_of(rng, 20))], rng.uniform(35, 60) + 1.3 * more, 7, 2
    )
    for side in (-1, 1):
        center = np.array([side * 58.0, -45, rng.uniform(-110, -60)])
        turn = rotation_of(rng, 20)
        paint_organ(canvas, [blob(center, (28, 25, 55), turn)], 35 + phase["kidney"], 15, 1)
        paint_organ(canvas, [blob(center - (side * 6, 0, 0), (15, 14, 38), turn)], 30 + 0.6 * phase["kidney"], 20, 3)
        paint_soft(canvas, [blob(center - (side * 16, -4, 0), (9, 8, 18), turn)], -90, 15, label=ADIPOSE)
        if phase["urine"] > 100:
            paint_blood(
                canvas,
                [
                    blob(center - (side * 14, 0, 0), (7, 6, 14)),
                    *tube([center - (side * 16, 0, 10), (side * 35, -25, -220), (side * 25, -10, -340)], 2.5),
                ],
                phase["urine"],
            )
    _hollow(canvas, rng, blob((-48, 45, -5), (42, 38, 55), rotation_of(rng, 25)), phase["bowel"])
    for _ in range(16):
        center = np.array([rng.uniform(-95, 95) * g, rng.uniform(-15, 75) * g, rng.uniform(-330, -60)])
        _hollow(
            canvas, rng, blob(center, rng.uniform((12, 12, 15), (28, 26, 60)), rotation_of(rng, 60)), phase["bowel"]
        )
    bladder = blob((0, 25, -340), rng.uniform((25, 25, 20), (50, 42, 45)))
    paint_soft(canvas, [blob((0, 25, -340), (1.1 * bladder.high - (0, 25, -340)) * (1, 1, 1) + (3, 3, 3))], 45)
    paint_blood(canvas, [bladder], phase["urine"], 0.1 if phase["urine"] > 100 else 0)


def _hollow(canvas, rng, shape, contrast) -> None:
    """A piece of bowel: a wall, then gas over fluid, stool or contrast agent, by chance."""
    found = union(canvas, [shape], 3)
    if found is None:
        return
    box, distance = found
    distance = distance + np.float32(2.0) * canvas.noise(18.0)[box]
    canvas.paint(box, distance - np.float32(2.5), np.float32(rng.uniform(30, 100)), SOFT)
    kind = rng.choice(["fluid", "gas", "stool", "collapsed"], p=[0.35, 0.25, 0.2, 0.2])
    if kind == "collapsed":
        return
    if contrast is not None and kind != "gas":
        canvas.paint_perfused(box, distance, np.float32(contrast * rng.uniform(0.6, 1.1)))
        return
    share = canvas.paint(box, distance, np.float32(rng.uniform(0, 50)), SOFT)
    if kind == "stool":
        grain = np.float32(-250) + 250 * canvas.noise(7.0)[box]
        part = canvas.hu[box]
        value = np.clip(grain, -900, 90)
        part += share * (value - part)
        inside = share >= 0.5
        canvas.labels[box][inside] = np.where(value[inside] < -500, AIR, np.where(value[inside] < -40, ADIPOSE, SOFT))
    if kind == "gas":
        level = (shape.low[1] + shape.high[1]) / 2 + rng.uniform(-15, 15)
        canvas.paint(box, np.maximum(distance, np.float32(level) - canvas.points[1][box]), np.float32(-1000), AIR)
