"""Head and neck of the synthetic bodies."""

import numpy as np

from DeepDRRSlicerLib.training.decomposition.body.canvas import ADIPOSE, AIR, BONE, SOFT
from DeepDRRSlicerLib.training.decomposition.body.distances import ellipsoid
from DeepDRRSlicerLib.training.decomposition.body.noise import rotation_of
from DeepDRRSlicerLib.training.decomposition.body.shapes import blob, rod, sheet, tube, union
from DeepDRRSlicerLib.training.decomposition.body.tissues import paint_bone, paint_sheet_bone, paint_soft


def paint_head(canvas, rng, skeleton, phase) -> None:
    """Brain case, base, face, teeth, jaw and airways."""
    center = np.array([0.0, 5, 490])
    if canvas.box(center - 150, center + 150) is None:
        return
    size = np.array([68, 86, 74]) * rng.uniform(0.93, 1.07, 3)
    case = blob(center, size, power=2.2)
    wall = rng.uniform(3, 9)
    found = union(canvas, [case], wall)
    if found is not None:
        box, distance = found
        distance = distance + np.float32(0.8) * canvas.noise(45.0)[box]
        thick = np.float32(wall) * (1 + np.float32(0.25) * canvas.noise(45.0, 1)[box])
        thick = thick * np.clip(1.2 - (canvas.points[2][box] < 455) * 0.5, 0.5, 1.2)
        outer, inner = canvas.cover(distance - thick), canvas.cover(distance)
        table = np.minimum(np.float32(max(1.0, skeleton.compact_mm)), thick / 2.5)
        diploe = canvas.cover(distance - thick + table) - canvas.cover(distance - table)
        diploe = np.clip(diploe, 0, 1) * np.float32(rng.random() < 0.8)
        spongy = np.float32(max(skeleton.spongy_hu, 100) * rng.uniform(1, 2.5)) + 80 * canvas.noise(7.0)[box]
        bone = np.float32(max(900, skeleton.compact_hu)) * (1 - diploe) + spongy * diploe
        part = canvas.hu[box]
        brain = np.float32(rng.uniform(25, 45)) + 4 * canvas.noise(12.0)[box]
        part += outer * (bone - part)
        canvas.labels[box][outer >= 0.4] = BONE
        part += inner * (brain - part)
        canvas.labels[box][inner >= 0.6] = SOFT
        for side in (-1, 1):  # ventricles
            canvas.paint(
                box, ellipsoid(canvas.points[(slice(None), *box)], center + (side * 12, 0, 5), (6, 30, 10)), 8, SOFT
            )
    _base_and_face(canvas, rng, skeleton, center)
    _jaws(canvas, rng, skeleton)
    _airways(canvas, rng, skeleton)


def _base_and_face(canvas, rng, skeleton, center) -> None:
    dense = skeleton
    for side in (-1, 1):
        ear = np.array([side * 48.0, -12, 438])
        paint_bone(
            canvas,
            [
                blob(ear, (26, 16, 13), rotation_of(rng, 15)),
                rod(ear, (side * 18, 15, 442), 10, 7),
                blob(ear + (side * 12, -16, -14), (11, 15, 22)),
            ],
            dense,
            1.6,
            2.0,
        )
        for _ in range(8):  # mastoid cells
            paint_soft(
                canvas,
                [blob(ear + rng.normal((side * 10, -14, -8), (6, 8, 10)), rng.uniform(1.5, 4, 3))],
                -800,
                80,
                label=AIR,
            )
        paint_soft(canvas, [rod(ear + (side * 5, 4, 2), ear + (side * 45, 2, -2), 3.5)], -1000, 0, label=AIR)
        eye = np.array([side * 32.0, 72, 458])
        cone = blob(eye - (side * 2, 12, 0), (20, 28, 19))
        paint_soft(canvas, [cone], -80, 12, label=ADIPOSE)
        paint_sheet_bone(
            canvas, [sheet(cone, rng.uniform(0.8, 2.5), lambda p, y=eye[1]: p[1] - np.float32(y + 6))], dense
        )
        paint_soft(canvas, [blob(eye, (12.5, 12.5, 12.5))], 15, 3)
        paint_bone(
            canvas,
            tube(
                [
                    eye + (side * 18, -6, 20),
                    eye + (side * 24, -10, -2),
                    eye + (side * 12, 4, -22),
                    eye + (-side * 14, 12, -20),
                ],
                [4, 4, 5, 4],
            ),
            dense,
            1.5,
        )
        paint_bone(
            canvas,
            tube([eye + (side * 18, -2, -20), eye + (side * 30, -40, -24), (side * 64, 5, 435)], [6, 3.5, 4]),
            dense,
            1.5,
        )
        antrum = blob((side * 30, 58, 428), (15, 18, 17), rotation_of(rng, 10), 2.5)
        paint_sheet_bone(canvas, [sheet(antrum, rng.uniform(1.0, 2.5))], dense)
        _fill(canvas, rng, antrum)
    front = blob((rng.uniform(-8, 8), 84, 490), rng.uniform((15, 5, 10), (30, 10, 20)))
    paint_bone(canvas, [sheet(front, 3)], dense, 1.0)
    _fill(canvas, rng, front)
    paint_bone(
        canvas, [sheet(blob((0, 28, 445), (14, 13, 11)), 3), rod((0, 10, 440), (0, -25, 415), 9, 8)], dense, 1.0, 1.2
    )
    _fill(canvas, rng, blob((0, 28, 445), (12, 11, 9)))
    nose = blob((0, 68, 435), (14, 30, 22), power=2.5)
    paint_soft(canvas, [nose], -1000, 0, label=AIR)
    paint_sheet_bone(
        canvas,
        [
            rod((0, 40, 425), (0, 95, 445), 1.0),
            blob((0, 68, 436), (0.8, 28, 20)),
            sheet(nose, 1.5, lambda p: 40 - p[1]),
        ],
        dense,
    )
    for side in (-1, 1):
        for height in (424, 436, 446):
            paint_soft(canvas, [rod((side * 7, 50, height), (side * 7, 84, height + 2), rng.uniform(1.5, 4))], 40, 10)
    for _ in range(10):  # ethmoid septa
        at = rng.normal((0, 62, 455), (10, 14, 6))
        paint_sheet_bone(canvas, [blob(at, (0.7, rng.uniform(4, 10), rng.uniform(4, 8)), rotation_of(rng, 60))], dense)
    paint_bone(canvas, [rod((-3, 92, 460), (0, 108, 438), 3.0)], dense)


def _fill(canvas, rng, shape) -> None:
    """A sinus: mostly air, at times with swollen mucosa or fluid."""
    if rng.random() < 0.15:
        paint_soft(canvas, [shape], rng.uniform(5, 45), 5)
    else:
        paint_soft(canvas, [shape], -1000, 0, label=AIR)


def _jaws(canvas, rng, skeleton) -> None:
    gap = rng.uniform(0, 14)
    filled = rng.random() < 0.35
    for height, root in ((404, 1), (390 - gap, -1)):
        angle = np.radians(np.linspace(-75, 75, 11))
        arch = np.stack([32 * np.sin(angle), 52 + 44 * np.cos(angle) - 20, np.full(11, height + 10.0 * root)], 1)
        paint_bone(canvas, tube(arch, 6), skeleton, 1.2, 1.0)
        if rng.random() < 0.85:
            for tooth in np.radians(np.linspace(-72, 72, 15)):
                if rng.random() < 0.1:
                    continue
                foot = np.array([32 * np.sin(tooth), 32 + 44 * np.cos(tooth), height + 9.0 * root])
                crown = foot + (rng.normal(), rng.normal(), -17 * root)
                paint_bone(canvas, [rod(foot, crown, 2.0, 4.0)], skeleton, 2.0, 3.0)
                found = union(canvas, [rod((foot + 2 * crown) / 3, crown, 3.4, 4.0)])
                if found is None:
                    continue
                canvas.paint(*found, np.float32(rng.uniform(1500, 2900)), BONE, 0.4)
                if filled and rng.random() < 0.3:
                    share = canvas.cover(found[1] + np.float32(rng.uniform(-0.5, 1.5)))
                    canvas.metal[found[0]] += share * np.float32(rng.uniform(4000, 20000))
    low = 382 - gap
    for side in (-1, 1):
        paint_bone(
            canvas,
            tube([(side * 34, 44, low), (side * 46, 10, low + 6), (side * 50, 0, 432)], [7, 6, 5]),
            skeleton,
            1.6,
        )
    paint_bone(canvas, [rod((-20, 78, low), (20, 78, low), 7)], skeleton, 1.8)


def _airways(canvas, rng, skeleton) -> None:
    y = rng.uniform(8, 20)
    throat = tube([(0, 40, 425), (0, y, 410), (0, y, 370), (0, y + 6, 335), (0, 22, 315)], rng.uniform(4, 10, 5))
    paint_soft(canvas, throat, -1000, 0, label=AIR)
    paint_soft(canvas, [blob((0, 50, 392), (22, 26, 14))], rng.uniform(40, 70), 12)
    paint_bone(canvas, tube([(-16, 18, 358), (-10, 34, 352), (10, 34, 352), (16, 18, 358)], 2.8), skeleton, 1.0)
    hard = rng.random() < 0.4
    for side in (-1, 1):
        plate = [blob((side * 12, 30, 334), (2, 12, 13), rotation_of(rng, 8))]
        if hard:
            paint_bone(canvas, plate, skeleton, 0.6, 1.0)
        else:
            paint_soft(canvas, plate, rng.uniform(80, 145), 20)
        paint_soft(
            canvas, [blob((side * 18, 24, 312), rng.uniform((8, 9, 18), (13, 13, 28)))], rng.uniform(60, 220), 10
        )
        for n in range(3):
            paint_soft(
                canvas, [blob((side * (40 - 6 * n), 20 - 12 * n, 385 - 20 * n), (10, 12, 18))], rng.uniform(20, 110), 15
            )
