"""Ribs, sternum, shoulders, and lungs with vessels and airways."""

import numpy as np

from DeepDRRSlicerLib.training.decomposition.body.canvas import AIR, LUNG, SOFT
from DeepDRRSlicerLib.training.decomposition.body.distances import ellipsoid
from DeepDRRSlicerLib.training.decomposition.body.noise import rotation_of
from DeepDRRSlicerLib.training.decomposition.body.shapes import blob, rod, sheet, tube, union
from DeepDRRSlicerLib.training.decomposition.body.spine import spine_curve
from DeepDRRSlicerLib.training.decomposition.body.tissues import paint_blood, paint_bone, paint_soft


def paint_shoulders(canvas, rng, build, skeleton) -> None:
    """Clavicles and scapulae."""
    for side in (-1, 1):
        paint_bone(
            canvas,
            tube(
                [(side * 20, 60, 232), (side * 70, 62, 250), (side * 118, 15, 262), (side * 150, 0, 266)], [11, 7, 6, 8]
            ),
            skeleton,
            1.5,
            0.9,
        )
        center = np.array([side * 108.0, -72, 175])
        turn = rotation_of(rng, 8) @ _turn(side * -28)
        blade = blob(center, (48, 12, 75), turn)
        front = turn[:, 1]
        paint_bone(
            canvas,
            [
                sheet(
                    blade,
                    rng.uniform(2, 6),
                    lambda p, c=center, f=front: sum(np.float32(f[a]) * (p[a] - np.float32(c[a])) for a in range(3)),
                )
            ],
            skeleton,
        )
        spine = center + turn @ (0, -12, 25)
        paint_bone(
            canvas,
            tube(
                [spine - turn @ (side * 45, 0, 5), spine, (side * 150, -40, 250), (side * 160, -10, 268)], [4, 5, 7, 9]
            ),
            skeleton,
            1.2,
            0.9,
        )
        paint_bone(
            canvas,
            [
                blob((side * 142, -22, 235), (9, 14, 20)),
                rod((side * 140, -15, 250), (side * 142, 25, 248), 7),
                rod(center + turn @ (side * 30, -4, -65), (side * 138, -25, 225), 6),
            ],
            skeleton,
            1.0,
        )


def _turn(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def rib_lines(rng, build) -> list[tuple[np.ndarray, float]]:
    """Centre lines (n, 3) of 24 ribs from the spine to the front, and the share of each that is bone."""
    lines = []
    for number in range(12):
        start = 232 - 24.0 * number
        drop = np.interp(number, [0, 3, 11], [25, 60, 90]) * rng.uniform(0.8, 1.2)
        span = np.interp(number, [0, 2, 6, 9, 10, 11], [150, 165, 165, 150, 110, 85])
        for side in (-1, 1):
            angle = np.radians(np.linspace(8, span, 13))
            height = start - drop * (1 - np.cos(angle * 180 / span)) / 2 * (angle / angle[-1]) ** 0.5
            width = (np.interp(height, [-60, 60, 150, 220, 245], [125, 136, 132, 95, 60])) * build["girth"]
            depth = (np.interp(height, [-60, 60, 150, 220, 245], [90, 98, 90, 70, 50])) * build["girth"]
            back = np.clip(angle / 0.5, 0, 1)
            x = side * (width * np.sin(angle) * 0.99 + 8)
            y = -depth * np.cos(angle) + (spine_curve(start) - 14 + depth) * (1 - back)
            lines.append((np.stack([x, y, height], 1), float(np.interp(number, [0, 5, 10, 11], [0.85, 0.75, 0.97, 1]))))
    return lines


def paint_ribs(canvas, rng, build, skeleton) -> None:
    """Ribs, their cartilage with or without calcium, and the sternum."""
    calcified = rng.random() < 0.4
    cartilage = rng.uniform(70, 145)
    for line, bony in rib_lines(rng, build):
        radius, flat = rng.uniform(3.5, 5.5), rng.uniform(1, 4)
        cut = max(2, round(bony * len(line)))
        shapes = [s for dz in (-flat, flat) for s in tube(line[:cut] + (0, 0, dz), radius)]
        front = [s for dz in (-flat, flat) for s in tube(line[cut - 1 :] + (0, 0, dz), radius)]
        if front:
            paint_soft(canvas, front, cartilage, 10)
            if calcified and rng.random() < 0.6:
                spot = line[rng.integers(cut, len(line))]
                paint_bone(canvas, [blob(spot + rng.normal(0, 2, 3), rng.uniform(1.5, 5, 3))], skeleton, 0.4, 2.0)
        paint_bone(canvas, shapes, skeleton, 1.0, rng.uniform(0.6, 1.1))
    y = 92 * build["girth"]
    paint_bone(
        canvas,
        [blob((0, y - 12, 140), (17, 6, 68), power=3), blob((0, y - 24, 222), (28, 7, 22), power=3)],
        skeleton,
        0.8,
        0.7,
    )


def paint_lungs(canvas, rng, build, phase) -> None:
    """Lungs with vessels and airways, cut off by diaphragm and mediastinum."""
    hu = rng.uniform(-930, -700)
    g = build["girth"]
    dome = rng.uniform(10, 60)
    found = union(canvas, [blob((side * 66 * g, -2, 95), (62 * g, 88 * g, 142), power=2.4) for side in (-1, 1)])
    if found is None:
        return
    box, distance = found
    p = canvas.points[(slice(None), *box)]
    for side in (-1, 1):
        floor = ellipsoid(p, (side * 60, 0, dome - 130 + 10 * side), (95, 110, 130))
        distance = np.maximum(distance, -floor)
    middle = ellipsoid(p, (-12, -20, 95), (38, 95, 190), power=2.5)
    distance = np.maximum(distance, -middle) + np.float32(1.5) * canvas.noise(18.0)[box]
    texture = 1 + np.float32(0.03) * canvas.noise(12.0)[box] + np.float32(0.05) * canvas.noise(45.0)[box]
    sick = rng.random()
    value = np.float32(hu) + np.float32(1000 + hu) * (texture - 1) * 6
    if sick < 0.3:  # consolidation or effusion: soft matter where there was air
        patches = np.clip(canvas.noise(45.0, 1)[box] * 2 - np.float32(rng.uniform(1, 4)), 0, 1)
        value = value + patches * (40 - value)
    share = canvas.cover(distance)
    canvas.hu[box] += share * (value - canvas.hu[box])
    canvas.labels[box][share >= 0.5] = np.where(value[share >= 0.5] < -300, LUNG, SOFT)
    root = {side: np.array([side * 35.0, -5, 120]) for side in (-1, 1)}
    for side in (-1, 1):
        for _ in range(14):
            _twigs(canvas, rng, root[side] + rng.normal(0, 10, 3), side, phase["lung"])
        paint_soft(canvas, [rod((0, -15, 150), root[side], 7, 6)], -1000, 0, label=AIR)
    paint_soft(canvas, tube([(0, -12, 150), (0, -5, 260), (0, 20, 320)], [8.5, 9, 9]), 40, label=SOFT)
    paint_soft(canvas, tube([(0, -12, 150), (0, -5, 260), (0, 20, 330)], [7, 7.5, 7.5]), -1000, 0, label=AIR)


def _twigs(canvas, rng, start, side, hu) -> None:
    direction = np.array([side * abs(rng.normal(0.6, 0.6)), rng.normal(), rng.normal(0, 1.2)])
    direction /= np.linalg.norm(direction)
    radius, pieces = rng.uniform(2.5, 5.5), []
    for _ in range(5):
        end = start + direction * rng.uniform(12, 22)
        pieces.append(rod(start, end, radius, radius * 0.75))
        branch = end + (direction + rng.normal(0, 0.6, 3)) * 18
        pieces.append(rod(end, branch, radius * 0.6, radius * 0.35))
        start, radius, direction = end, radius * 0.75, direction + rng.normal(0, 0.3, 3)
        direction /= np.linalg.norm(direction)
    paint_blood(canvas, pieces, hu)
