"""Synthetic bodies: random anatomy-like shapes with known materials, drawn where a window looks.

No patient's data enters them. Position, size, posture, densities, contrast phase, calcium, metal and surroundings are
random within and beyond what occurs; a network that is to read a stranger's CT must not rely on any of them.
Air, lung, adipose and soft tissue are labelled by what was painted; bone is the whole bone, marrow included, and
calcium; contrast agent is blood, or an organ that takes it up, where it shows 150 HU or more: that and metal are
decided by `artefacts`, from what the scanner leaves of them.
"""

import numpy as np

from DeepDRRSlicerLib.training.decomposition.body.abdomen import paint_abdomen
from DeepDRRSlicerLib.training.decomposition.body.canvas import ADIPOSE, AIR, LUNG, SOFT, Canvas, new_canvas
from DeepDRRSlicerLib.training.decomposition.body.head import paint_head
from DeepDRRSlicerLib.training.decomposition.body.implants import random_implants
from DeepDRRSlicerLib.training.decomposition.body.limbs import paint_arms, paint_legs
from DeepDRRSlicerLib.training.decomposition.body.noise import log_uniform, rotation_of
from DeepDRRSlicerLib.training.decomposition.body.pelvis import paint_pelvis
from DeepDRRSlicerLib.training.decomposition.body.shapes import blob, rod, sheet, tube
from DeepDRRSlicerLib.training.decomposition.body.spine import paint_spine
from DeepDRRSlicerLib.training.decomposition.body.surface import outline, paint_tissue, random_build
from DeepDRRSlicerLib.training.decomposition.body.thorax import paint_lungs, paint_ribs, paint_shoulders
from DeepDRRSlicerLib.training.decomposition.body.tissues import (
    cast_skeleton,
    paint_blood,
    paint_bone,
    paint_sheet_bone,
    random_skeleton,
)
from DeepDRRSlicerLib.training.decomposition.body.vessels import paint_heart, paint_vessels, plaque_spots, random_phase

# Where windows look: the middle (R, A, S) and half extent in mm of the places, and how often.
PLACES = {
    "head": ((0, 15, 465), (60, 80, 80), 0.17),
    "neck": ((0, 0, 350), (50, 30, 50), 0.09),
    "shoulders": ((0, -10, 240), (170, 50, 40), 0.1),
    "chest": ((0, 0, 100), (130, 90, 130), 0.2),
    "abdomen": ((0, 0, -120), (120, 90, 80), 0.12),
    "pelvis": ((0, -5, -300), (130, 80, 90), 0.2),
    "legs": ((80, 10, -750), (60, 60, 420), 0.08),
    "anywhere": ((0, 0, 0), (220, 130, 500), 0.04),
}


def random_body(rng, shape=(64, 64, 64), spacing: float = 2.0, place: str | None = None) -> tuple[Canvas, np.ndarray]:
    """A window of `shape` [k, j, i] voxels of `spacing` mm into a new body, and the distance from its skin (mm).

    place: a key of PLACES; by chance if None.
    """
    place = place or rng.choice(list(PLACES), p=[p for *_, p in PLACES.values()])
    middle, extent, _ = PLACES[place]
    size = float(np.clip(np.exp(rng.normal(-0.03, 0.13)), 0.65, 1.35))  # children to giants
    rotation = rotation_of(rng, 180 if rng.random() < 0.04 else 8)
    if rng.random() < 0.5:
        rotation = rotation * (-1, 1, 1)  # the mirrored body; the columns need not be right-handed
    phantom = rng.random() < 0.06
    skeleton = cast_skeleton(rng) if phantom else random_skeleton(rng)
    build, phase = random_build(rng), random_phase(rng, injected=not phantom)
    warp = rng.uniform(1, 12)
    for _ in range(4):  # a window on nothing but air teaches little
        center = np.array(middle) + rng.uniform(-1, 1, 3) * extent
        canvas = new_canvas(rng, shape, spacing / size, center, rotation, warp)
        skin = outline(canvas, rng, build)
        if (skin[::4, ::4, ::4] < 0).mean() > 0.15:
            break
    _surroundings(canvas, rng, skin)
    around = canvas.hu.copy(), canvas.labels.copy()
    paint_tissue(canvas, rng, skin)
    paint_abdomen(canvas, rng, build, phase)
    paint_lungs(canvas, rng, build, phase)
    paint_heart(canvas, rng, build, phase)
    paint_vessels(canvas, rng, build, phase)
    paint_ribs(canvas, rng, build, skeleton)
    paint_shoulders(canvas, rng, build, skeleton)
    paint_arms(canvas, rng, build, skeleton)
    paint_pelvis(canvas, rng, build, skeleton)
    paint_legs(canvas, rng, build, skeleton)
    paint_spine(canvas, rng, skeleton)
    paint_head(canvas, rng, skeleton, phase)
    if rng.random() < 0.15:
        _strays(canvas, rng, skeleton, phase)
    if phase["plaque"]:
        spots = plaque_spots(rng, build, phase["plaque"])
        paint_bone(canvas, [blob(at, size) for at, size in spots], skeleton, 2.0, 3.0)
    outside = skin > 0.5 * canvas.spacing
    canvas.hu[outside], canvas.labels[outside], canvas.perfused[outside] = around[0][outside], around[1][outside], 0
    if rng.random() < 0.2:
        random_implants(canvas, rng)
    return canvas, skin * np.float32(size)


def _strays(canvas, rng, skeleton, phase) -> None:
    """Bones, vessels and calcium where no anatomy puts them, so that material counts more than place."""
    for _ in range(rng.integers(1, 5)):
        at = canvas.center + rng.uniform(-55, 55, 3)
        kind = rng.choice(5, p=[0.25, 0.25, 0.25, 0.1, 0.15])
        if kind == 0:
            line = at + np.cumsum(rng.normal(0, 18, (4, 3)), axis=0)
            paint_bone(
                canvas,
                tube(line, rng.uniform(2, 16, 4)),
                skeleton,
                rng.uniform(0.5, 3),
                rng.uniform(0.2, 1.5),
                rng.uniform(0, 1),
            )
        elif kind == 1:
            paint_bone(
                canvas,
                [blob(at, rng.uniform(4, 28, 3), rotation_of(rng, 180), rng.uniform(2, 4))],
                skeleton,
                rng.uniform(0.3, 2),
                rng.uniform(0.2, 1.5),
            )
        elif kind == 2:
            line = at + np.cumsum(rng.normal(0, 16, (4, 3)), axis=0)
            paint_blood(canvas, tube(line, rng.uniform(2, 20, 4)), log_uniform(rng, 120, 2500), rng.uniform(0, 0.3))
        elif kind == 3:
            _thin_plates(canvas, rng, skeleton)
        else:
            paint_bone(
                canvas, [blob(at + rng.normal(0, 8, 3), rng.uniform(0.8, 4, 3)) for _ in range(4)], skeleton, 2, 3
            )


def _surroundings(canvas, rng, skin) -> None:
    """Couch, headrest, clothes, blankets and tubes, labelled by density; never bone."""
    p = canvas.points
    if rng.random() < 0.6:  # couch or headrest: shells with foam between
        curve, back = rng.uniform(0.0, 0.0025), -rng.uniform(95, 150)
        height = p[1] - (np.float32(back) + np.float32(curve) * p[0] ** 2)
        thick, gap = rng.uniform(0.5, 3), rng.uniform(5, 60)
        _outside(canvas, np.maximum(height, -height - np.float32(gap)), skin, rng.uniform(-1000, -850))
        for at in (0, -gap):
            _outside(canvas, np.abs(height - np.float32(at)) - np.float32(thick), skin, rng.uniform(-400, 250))
    if rng.random() < 0.25:  # cradle around head or limb
        radius = rng.uniform(100, 150)
        away = np.sqrt(p[0] ** 2 + (p[1] - 5) ** 2) - np.float32(radius)
        shell = np.maximum(np.abs(away) - np.float32(rng.uniform(0.5, 4)), p[1] - np.float32(rng.uniform(-60, 10)))
        _outside(canvas, shell, skin, rng.uniform(-500, 250))
    if rng.random() < 0.4:  # cloth
        fold = np.float32(rng.uniform(1, 12)) + np.float32(3) * canvas.noise(45.0, 1)
        _outside(canvas, np.abs(skin - fold) - np.float32(rng.uniform(0.3, 1.5)), skin, rng.uniform(-900, -100))
    if rng.random() < 0.2:  # a tube or cable
        start = canvas.center + rng.uniform(-70, 70, 3)
        shape = rod(start, start + rng.normal(0, 60, 3), rng.uniform(1, 4))
        box = canvas.box(shape.low, shape.high)
        if box is not None:
            distance = np.full(canvas.shape, 1e3, np.float32)
            distance[box] = shape.distance(p[(slice(None), *box)])
            _outside(canvas, distance, skin, rng.uniform(-200, 400))


def _outside(canvas, distance, skin, hu: float) -> None:
    share = canvas.cover(np.maximum(distance, 1 - skin))
    canvas.hu += share * (np.float32(hu) - canvas.hu)
    label = AIR if hu < -800 else LUNG if hu < -300 else ADIPOSE if hu < -40 else SOFT
    canvas.labels[share >= 0.5] = label


def _thin_plates(canvas, rng, skeleton) -> None:
    """Small stray plates and septa; keeps thin bone from being tied to one place."""
    for _ in range(2):
        center = canvas.center + rng.uniform(-50, 50, 3)
        shape = blob(center, rng.uniform(15, 45, 3), rotation_of(rng, 180))
        half = rotation_of(rng, 180)[0]
        paint_sheet_bone(
            canvas,
            [
                sheet(
                    shape,
                    log_uniform(rng, 0.8, 5),
                    lambda p, c=center, f=half: sum(np.float32(f[a]) * (p[a] - np.float32(c[a])) for a in range(3)),
                )
            ],
            skeleton,
        )
