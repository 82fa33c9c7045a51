"""Bones of legs and arms."""

import numpy as np

from DeepDRRSlicerLib.training.decomposition.body.shapes import blob, rod, tube
from DeepDRRSlicerLib.training.decomposition.body.tissues import paint_bone


def paint_legs(canvas, rng, build, skeleton) -> None:
    """From the head of the femur to the toes."""
    for side in (-1, 1):
        hip, knee, ankle = build["hip"][side], build["knee"][side], build["ankle"][side]
        r = rng.uniform(0.9, 1.15)
        head = blob(hip, (23 * r, 23 * r, 23 * r))
        corner = hip + (side * 48, -8, -38)
        paint_bone(
            canvas,
            [
                head,
                rod(hip, corner, 15 * r, 18 * r),
                blob(corner, (16, 18, 26)),
                rod(corner, corner + (-side * 14, 0, -40), 20, 16 * r),
            ],
            skeleton,
            1.2,
            1.1,
            0.2,
        )
        shaft = tube([corner + (-side * 14, 0, -40), (knee + corner) / 2 + (0, 14, 0), knee + (0, 0, 60)], [14, 13, 16])
        paint_bone(canvas, shaft, skeleton, rng.uniform(2, 5), 0.5, 0.95)
        condyles = [blob(knee + (side * x, -8, 18), (17, 27, 20)) for x in (-22, 22)]
        paint_bone(canvas, [rod(knee + (0, 0, 65), knee + (0, 2, 25), 16, 30), *condyles], skeleton, 1, 0.9, 0.4)
        paint_bone(canvas, [blob(knee + (0, 38, 25), (21, 10, 22), power=2.5)], skeleton, 1.3, 1.2)
        top = knee + (0, -4, -8)
        paint_bone(
            canvas,
            [blob(top + (0, 0, -10), (38, 24, 14), power=2.6), rod(top + (0, 0, -15), top + (0, 0, -60), 28, 15)],
            skeleton,
            1,
            0.9,
            0.4,
        )
        paint_bone(
            canvas,
            tube([top + (0, 2, -55), (top + ankle) / 2 + (0, 8, 0), ankle + (0, 0, 30)], [15, 12, 13]),
            skeleton,
            rng.uniform(2, 4),
            0.5,
            0.95,
        )
        paint_bone(
            canvas,
            tube([top + (side * 38, -18, -20), ankle + (side * 30, -8, 20), ankle + (side * 30, -8, -18)], [8, 6, 9]),
            skeleton,
            1.5,
            0.6,
            0.6,
        )
        paint_bone(canvas, [rod(ankle + (0, 0, 35), ankle + (0, 0, 10), 14, 24)], skeleton, 0.8, 1.0, 0.3)
        paint_bone(
            canvas,
            [blob(ankle + (0, 4, -18), (20, 28, 16)), blob(ankle + (0, -22, -42), (18, 36, 18))],
            skeleton,
            0.8,
            1.1,
        )
        for toe in range(5):
            start = ankle + ((toe - 2) * 13 * side, 50, -38)
            paint_bone(canvas, [rod(start, start + ((toe - 2) * 5, 60, -14), 6, 5)], skeleton, 1.5, 0.8, 0.4)
            paint_bone(canvas, [blob(start + (0, -14, 0), (9, 13, 10), power=2.5)], skeleton, 0.8, 1.1)


def paint_arms(canvas, rng, build, skeleton) -> None:
    """From the head of the humerus to the fingers, wherever the arms are held."""
    if build["arms"] == "none":
        return
    for side in (-1, 1):
        shoulder, elbow, hand = build["shoulder"][side], build["elbow"][side], build["hand"][side]
        along = (elbow - shoulder) / np.linalg.norm(elbow - shoulder)
        paint_bone(
            canvas, [blob(shoulder, (24, 24, 24)), rod(shoulder, shoulder + 40 * along, 20, 13)], skeleton, 1, 0.8, 0.3
        )
        paint_bone(
            canvas, [rod(shoulder + 38 * along, elbow - 30 * along, 12, 11)], skeleton, rng.uniform(1.5, 4), 0.5, 0.9
        )
        across = np.cross(along, (0, 1, 0))
        paint_bone(
            canvas,
            [rod(elbow - 30 * along, elbow, 11, 18), rod(elbow - 22 * across, elbow + 22 * across, 12)],
            skeleton,
            1.2,
            0.9,
            0.2,
        )
        for offset, radius in ((-9, 7), (9, 6.5)):
            paint_bone(
                canvas,
                tube(
                    [elbow + offset * across, (elbow + hand) / 2 + 2 * offset * across, hand + offset * across],
                    [radius * 1.5, radius, radius * 1.3],
                ),
                skeleton,
                2.0,
                0.6,
                0.7,
            )
        reach = (hand - elbow) / np.linalg.norm(hand - elbow)
        for finger in range(5):
            base = hand + 14 * reach + (finger - 2) * 9 * across
            paint_bone(canvas, [blob(base, (8, 8, 8))], skeleton, 0.8, 1.1)
            paint_bone(
                canvas, [rod(base + 12 * reach, base + 60 * reach + (finger - 2) * 5 * across, 5, 4)], skeleton, 1.5
            )
