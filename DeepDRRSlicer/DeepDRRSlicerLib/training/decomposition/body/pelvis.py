"""The pelvis: wings, sockets, rami and sacrum."""

import numpy as np

from DeepDRRSlicerLib.training.decomposition.body.noise import rotation_of
from DeepDRRSlicerLib.training.decomposition.body.shapes import blob, rod, sheet, tube
from DeepDRRSlicerLib.training.decomposition.body.tissues import paint_bone, paint_soft


def paint_pelvis(canvas, rng, build, skeleton) -> None:
    """Wings and rims as plates, sockets around the hips, rami as rods, and the sacrum."""
    for side in (-1, 1):
        hip = build["hip"][side]
        center = np.array([side * 75.0, 20, -235])
        size = np.array([62, 92, 95]) * rng.uniform(0.9, 1.1, 3)
        inner = np.array([side * 1.0, -0.35, 0.15])
        wing = sheet(
            blob(center, size),
            rng.uniform(5, 14),
            lambda p, s=side, c=center, n=inner: np.maximum(
                np.maximum(-(sum(np.float32(n[a]) * (p[a] - np.float32(c[a])) for a in range(3)) - 12), p[1] - 50),
                -290 - p[2],
            ),
        )
        crest = tube(
            [(side * 40, -80, -215), (side * 95, -45, -165), (side * 132, 10, -165), (side * 130, 65, -215)],
            [9, 7, 8, 9],
        )
        paint_bone(
            canvas, [wing, *crest, rod((side * 128, 60, -220), hip + (side * 8, 16, 36), 10, 16)], skeleton, 0.9, 0.9
        )
        socket = sheet(
            blob(hip, (27, 27, 27)),
            8,
            lambda p, s=side, h=hip: (
                np.float32(s) * (p[0] - np.float32(h[0])) * 0.8 - (p[2] - np.float32(h[2])) * 0.55 - 6
            ),
        )
        paint_bone(
            canvas, [socket, rod(hip + (-side * 20, -10, 30), (side * 50, -55, -270), 17, 14)], skeleton, 1.0, 1.1
        )
        pubis, seat = np.array([side * 14.0, 55, -375]), np.array([side * 62.0, -35, -405])
        paint_bone(
            canvas,
            [
                *tube([hip + (-side * 22, 22, -5), pubis], [12, 9]),
                *tube([pubis, seat], [9, 11]),
                *tube([hip + (-side * 15, -18, -20), seat], [14, 16]),
                blob(pubis, (10, 9, 18)),
            ],
            skeleton,
            1.0,
            0.9,
        )
        paint_soft(canvas, [rod((0, 55, -365), (0, 55, -388), 4)], 90)
    wings = [blob((side * 38, -72, -262), (26, 18, 24), rotation_of(rng, 10), 2.5) for side in (-1, 1)]
    parts = [blob((0, -72 - 9 * n, -276 - 21 * n), (24 - 3 * n, 15 - 1.8 * n, 12), power=3) for n in range(5)]
    paint_bone(canvas, [*wings, *parts, blob((0, -98, -275), (9, 10, 30))], skeleton, 0.7, 0.8, 0.15)
    paint_bone(canvas, tube([(0, -110, -380), (0, -100, -410)], [6, 4]), skeleton)
    paint_soft(canvas, [rod((0, -90, -255), (0, -104, -345), 7, 4)], 0, 20)
