"""Posture and outline of a body, its skin, fat and muscles; R, A, S in mm, the origin between the lungs' bases."""

import numpy as np

from DeepDRRSlicerLib.training.decomposition.body.canvas import ADIPOSE, SOFT
from DeepDRRSlicerLib.training.decomposition.body.distances import cylinder_like, smooth_union
from DeepDRRSlicerLib.training.decomposition.body.noise import log_uniform
from DeepDRRSlicerLib.training.decomposition.body.shapes import blob, rod, union

# Half width and half depth of the trunk at heights S.
HEIGHTS = np.array([-420, -330, -200, -100, 0, 120, 220, 265, 300, 330, 400])

WIDTHS = np.array([165, 172, 158, 143, 148, 160, 165, 175, 80, 60, 58])

DEPTHS = np.array([90, 112, 108, 102, 108, 112, 100, 85, 65, 58, 58])

BOTTOM = -430


def random_build(rng) -> dict:
    """Sizes, postures and contrast phase of one body."""
    arms = rng.choice(["down", "up", "none"], p=[0.35, 0.35, 0.3])
    build = {
        "girth": float(np.exp(rng.normal(0, 0.1))),
        "arms": arms,
        "hip": {},
        "knee": {},
        "ankle": {},
        "shoulder": {},
        "elbow": {},
        "hand": {},
    }
    for side in (-1, 1):
        build["hip"][side] = np.array([side * 88.0, 5, -340])
        build["knee"][side] = np.array([side * rng.uniform(70, 120), rng.uniform(-20, 60), -760])
        build["ankle"][side] = build["knee"][side] + (rng.uniform(-20, 20), -40, -400)
        build["shoulder"][side] = np.array([side * 168.0, -15, 245 if arms != "up" else 268])
        reach = {"down": (rng.uniform(10, 60), rng.uniform(-30, 20), -300), "up": (rng.uniform(-20, 60), 0, 280)}
        build["elbow"][side] = build["shoulder"][side] + np.multiply(reach.get(arms, (0, 0, -300)), (side, 1, 1))
        build["hand"][side] = build["elbow"][side] + (
            -side * rng.uniform(0, 90),
            rng.uniform(0, 90),
            -230 if arms == "down" else rng.uniform(-60, 200),
        )
    return build


def outline(canvas, rng, build) -> np.ndarray:
    """Distance [k, j, i] from the skin: trunk, legs, neck, head and arms."""
    p = canvas.points
    width, depth = (np.interp(p[2], HEIGHTS, v).astype(np.float32) * build["girth"] for v in (WIDTHS, DEPTHS))
    distance = cylinder_like(p, (0, 0), (width, depth), rng.uniform(2.0, 2.8))
    distance = np.maximum(distance, np.maximum(BOTTOM - p[2], p[2] - 390))
    parts = []
    for side in (-1, 1):
        hip, knee, ankle = build["hip"][side], build["knee"][side], build["ankle"][side]
        parts += [
            rod(hip + (0, 0, 30), knee, 80 * build["girth"], 58),
            rod(knee, ankle, 57, 33),
            rod(ankle, ankle + (0, 130, -40), 34, 25),
        ]
        if build["arms"] != "none":
            shoulder, elbow, hand = build["shoulder"][side], build["elbow"][side], build["hand"][side]
            parts += [rod(shoulder, elbow, 52, 40), rod(elbow, hand, 40, 25)]
    parts.append(blob((0, 15, 480), (80, 102, 118)))
    parts.append(blob((0, 60, 420), (60, 60, 65)))
    found = union(canvas, parts, 20)
    if found is not None:
        box, limbs = found
        distance[box] = smooth_union(distance[box], limbs, 15.0)
    return distance + np.float32(2.5) * canvas.noise(45.0)


def paint_tissue(canvas, rng, skin) -> None:
    """Skin, fat under it, and muscles parted by fat; skin: distance from the body's surface."""
    body = canvas.cover(skin)
    fat = np.float32(log_uniform(rng, 2, 35)) * (1 + np.float32(0.35) * canvas.noise(130.0) + 0.2 * canvas.noise(45.0))
    fat_hu, muscle_hu = np.float32(rng.uniform(-120, -75)), np.float32(rng.uniform(35, 75))
    canvas.hu += body * (fat_hu + 8 * canvas.noise(18.0) - canvas.hu)
    canvas.labels[body >= 0.5] = ADIPOSE
    if rng.random() < 0.8:  # skin
        rind = np.clip(body - canvas.cover(skin + np.float32(rng.uniform(1, 2.5))), 0, 1)
        canvas.hu += rind * (np.float32(30) - canvas.hu)
        canvas.labels[rind >= 0.5] = SOFT
    flesh = np.maximum(skin + np.maximum(fat, 1), skin + 2)
    # Muscles are the tiles of a warped pattern; fat runs along their borders and inside the flabby ones.
    seams = np.minimum(np.abs(canvas.noise(45.0, 3)), np.abs(canvas.noise(45.0, 4)))
    fatty = np.clip((np.float32(rng.uniform(0.0, 0.12)) - seams) * 15, 0, 1)
    fatty = np.maximum(fatty, np.clip((canvas.noise(12.0) - np.float32(rng.uniform(1.3, 3))) * 2, 0, 1))
    value = muscle_hu + 6 * canvas.noise(12.0) + fatty * (fat_hu - muscle_hu)
    share = canvas.cover(flesh)
    canvas.hu += share * (value - canvas.hu)
    canvas.labels[share >= 0.5] = np.where(fatty[share >= 0.5] > 0.6, ADIPOSE, SOFT)
