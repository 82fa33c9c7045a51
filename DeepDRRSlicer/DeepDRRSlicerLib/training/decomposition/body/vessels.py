"""Heart and large vessels, at one moment of an injection of contrast agent or without."""

import numpy as np

from DeepDRRSlicerLib.training.decomposition.body.canvas import ADIPOSE
from DeepDRRSlicerLib.training.decomposition.body.noise import log_uniform, rotation_of
from DeepDRRSlicerLib.training.decomposition.body.shapes import blob, rod, tube
from DeepDRRSlicerLib.training.decomposition.body.spine import spine_curve
from DeepDRRSlicerLib.training.decomposition.body.tissues import paint_blood, paint_organ, paint_soft


def random_phase(rng, injected: bool = True) -> dict:
    """HU of blood in arteries, veins, the injected vein, the lungs' vessels, and of the organs, at one moment.

    injected: whether there may be contrast agent.
    """
    kind = rng.choice(["plain", "arterial", "venous", "mixed"], p=[0.15, 0.4, 0.15, 0.3]) if injected else "plain"
    plain = rng.uniform(30, 60)
    arteries = {
        "plain": plain,
        "arterial": rng.uniform(200, 700),
        "venous": rng.uniform(110, 220),
        "mixed": rng.uniform(150, 500),
    }[kind]
    veins = {
        "plain": plain,
        "arterial": rng.uniform(40, 120),
        "venous": rng.uniform(110, 240),
        "mixed": rng.uniform(60, 400),
    }[kind]
    dense = injected and rng.random() < (0.1 if kind == "plain" else 0.5)
    return {
        "arteries": arteries,
        "veins": veins,
        "injected": log_uniform(rng, 500, 3500) if dense else veins,
        "lung": rng.choice([plain, arteries, rng.uniform(150, 600)]) if kind != "plain" else plain,
        "right_heart": rng.uniform(150, 900) if dense else veins,
        "organs": 0.0 if kind == "plain" else rng.uniform(10, 75),
        "kidney": 0.0 if kind == "plain" else rng.uniform(50, 230),
        "urine": log_uniform(rng, 300, 2500) if injected and rng.random() < 0.12 else rng.uniform(0, 20),
        "bowel": log_uniform(rng, 150, 1200) if injected and rng.random() < 0.15 else None,
        "side": rng.choice([-1, 1]),
        "plaque": rng.random() if rng.random() < 0.4 else 0.0,
    }


def paint_heart(canvas, rng, build, phase) -> None:
    """Fat, muscle and four chambers."""
    turn = rotation_of(rng, 15)
    center = np.array([-22.0, 30, 70])
    size = rng.uniform(0.85, 1.2)
    paint_soft(canvas, [blob(center, np.array([58, 52, 62]) * size, turn)], -90, 10, 3, label=ADIPOSE)
    paint_organ(canvas, [blob(center, np.array([52, 46, 55]) * size, turn)], 45 + phase["organs"], 8, 3)
    left, right = phase["arteries"], phase["right_heart"]
    mixing = rng.uniform(0, 0.5) if right > 200 else 0.0
    paint_blood(canvas, [blob(center + size * (turn @ (-20, 2, -14)), (20, 19, 32), turn)], left, 0.05)
    paint_blood(canvas, [blob(center + size * (turn @ (10, -22, 22)), (30, 20, 20), turn)], left, 0.03)
    paint_blood(canvas, [blob(center + size * (turn @ (8, 24, -12)), (22, 16, 30), turn)], right * 0.8, mixing)
    paint_blood(canvas, [blob(center + size * (turn @ (38, 4, 8)), (17, 22, 27), turn)], right, mixing)
    if rng.random() < 0.5 and left > 150:  # papillary muscles
        paint_soft(canvas, [rod(center + turn @ (-28, 0, -30), center + turn @ (-12, 4, 0), 4)], 80, 8)


def vessel_lines(rng, build) -> dict[str, list]:
    """(points, radius) of the large vessels by kind."""
    wide = rng.uniform(0.8, 1.3)
    swell = rng.uniform(1, 2) if rng.random() < 0.2 else 1.0
    down = [
        (-22 + rng.normal(0, 4), spine_curve(s) + np.interp(s, [-260, -100, 150], [32, 30, 18]), s)
        for s in (150, 90, 30, -30, -90, -150, -215)
    ]
    arteries = [
        ([(-5, 25, 105), (8, 30, 150), (2, 10, 180), (-15, -20, 182), down[0]], 14 * wide * swell),
        (down, np.interp(range(7), [0, 6], [12 * wide * swell, 8.5 * wide]) * rng.uniform(0.85, 1.4)),
        ([(-10, 30, 105), (-15, 40, 135), (-20, 10, 140)], 13 * wide),
        ([(-18, 8, 138), (35, -5, 135), (60, -8, 118)], 10 * wide),
        ([(-18, 8, 138), (-50, -15, 140), (-66, -20, 120)], 10 * wide),
    ]
    veins = [
        ([(25, -28, 30), (22, -18, -60), (18, -20, -150), (12, -25, -225)], 11 * wide),
        ([(20, -10, -55), (30, 10, -25), (55, 15, -10)], 7 * wide),
    ]
    injected = {}
    for side in (-1, 1):
        arteries += [
            ([(side * 8, 5, 180), (side * 18, 5, 240), (side * 26, 0, 300), (side * 28, 5, 390)], [5, 5, 4, 3]),
            (
                [(side * 12, -2, 182), (side * 40, -2, 250), (side * 100, 10, 262), (side * 160, -10, 235)],
                [5, 4.5, 4, 3.5],
            ),
            (
                [down[-1], (side * 40, -35, -280), (side * 60, 30, -345), (side * 75, 25, -450), (side * 80, 0, -720)],
                np.array([6, 6, 5, 4, 3]) * wide,
            ),
            ([(0, -40, -75), (side * 40, -45, -85)], 3.5),
        ]
        veins += [
            (
                [
                    (12, -25, -225),
                    (side * 45, -48, -285),
                    (side * 55, 22, -350),
                    (side * 68, 18, -450),
                    (side * 75, -8, -720),
                ],
                np.array([8, 7, 6, 5, 4]) * wide,
            ),
            ([(20, -30, -80), (side * 40, -45, -82)], 4.5),
            ([(side * 22, 15, 240), (side * 34, 2, 300), (side * 36, 0, 390)], [7, 6, 5]),
        ]
        injected[side] = [
            (
                [(side * 20, 28, 225), (side * 60, 32, 238), (side * 120, 5, 240), (side * 165, -20, 215)],
                [7.5, 6.5, 6, 4.5],
            )
        ]
    trunk = [([(22, 18, 90), (24, 25, 150), (22, 28, 200)], 10 * wide), ([(24, 28, 195), (-20, 32, 222)], 6.5)]
    return {"arteries": arteries, "veins": veins, "injected": injected, "cava": trunk}


def paint_vessels(canvas, rng, build, phase) -> None:
    """Veins, the injected ones, arteries with wall and thrombus, and branches anywhere."""
    lines = vessel_lines(rng, build)
    for points, radius in lines["veins"]:
        paint_blood(canvas, tube(points, radius), phase["veins"], 0.1 if phase["veins"] > 150 else 0)
    for side, group in lines["injected"].items():
        hu = phase["injected"] if side == phase["side"] else phase["veins"]
        for points, radius in group:
            paint_blood(canvas, tube(points, radius), hu, 0.15 if hu > 400 else 0)
    for points, radius in lines["cava"]:
        paint_blood(canvas, tube(points, radius), 0.8 * phase["injected"], 0.25 if phase["injected"] > 400 else 0)
    for points, radius in lines["arteries"]:
        thrombus = rng.uniform(3, 12) if rng.random() < 0.08 else rng.uniform(0, 2)
        paint_blood(canvas, tube(points, radius), phase["arteries"], 0.02, wall=thrombus)
    for _ in range(6):  # branches anywhere
        start = canvas.center + rng.uniform(-60, 60, 3)
        line = start + np.cumsum(rng.normal(0, 14, (5, 3)), axis=0)
        paint_blood(
            canvas, tube(line, np.linspace(rng.uniform(1.5, 6), 1, 5)), rng.choice([phase["arteries"], phase["veins"]])
        )


def plaque_spots(rng, build, amount: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Places (R, A, S) and half sizes in mm of calcium in the walls of arteries."""
    spots = []
    for points, radius in vessel_lines(rng, build)["arteries"]:
        radius = np.broadcast_to(radius, len(points))
        for _ in range(int(8 * amount * rng.random())):
            piece = rng.integers(len(points) - 1)
            t = rng.random()
            middle = (1 - t) * np.array(points[piece]) + t * np.array(points[piece + 1])
            outward = rng.standard_normal(3)
            spots.append((middle + outward / np.linalg.norm(outward) * radius[piece], rng.uniform(1, 4, 3)))
    return spots
