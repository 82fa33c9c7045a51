"""A thorax of simple bodies, for measurements where no CT is at hand: the same voxels on every machine."""

from __future__ import annotations

import numpy as np

from DeepDRRSlicerLib.anatomy.volume import Volume

SHAPE = (133, 512, 512)  # k, j, i
SPACING = (0.75, 0.75, 2.5)  # mm along i, j, k
_NOISE_HU = 12.0


def thorax(shape: tuple[int, int, int] = SHAPE) -> Volume:
    """HU int16 [k, j, i] of a trunk with fat, muscle, lungs, heart, spine, ribs and a couch, with the noise of a CT.

    The extent in mm is the same for every shape. The patient lies on the back, the head towards higher k.
    """
    spacing = np.array(SPACING) * SHAPE[::-1] / np.array(shape[::-1])
    first = -0.5 * spacing * (np.array(shape[::-1]) - 1)
    x, y, z = (start + step * np.arange(n) for start, step, n in zip(first, spacing, shape[::-1], strict=True))
    x, y, z = x[None, None, :], y[None, :, None], z[:, None, None]

    hu = np.full(shape, -1000, dtype=np.int16)

    def fill(value, inside):
        hu[np.broadcast_to(inside, shape)] = value

    def ellipse(cx, cy, rx, ry):
        return ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2

    taper = 1 - 0.1 * (z / 170) ** 2
    trunk = ellipse(0, 0, 170, 115)
    fill(-100, trunk < taper)
    fill(45, ellipse(0, 0, 152, 97) < taper)
    cage = ellipse(0, 5, 140, 86)
    # Ribs fall towards the front, which is +y.
    rib = (z + 0.35 * y + 200) % 28 < 11
    fill(350, (np.abs(cage - 1) < 0.05) & rib)
    for side in (-1, 1):
        lung = ellipse(side * 72, 5, 58, 74) + ((z - 10) / 190) ** 2
        fill(-800, lung < 1)
    fill(50, ellipse(-25, 30, 58, 45) + ((z + 40) / 75) ** 2 < 1)
    fill(180, ellipse(0, -62, 21, 17) < 1)
    fill(650, np.abs(ellipse(0, -62, 21, 17) - 1) < 0.14)
    fill(-1000, ellipse(0, -38, 9, 8) < 1)  # the airway
    fill(-650, (np.abs(y + 132) < 5) & (np.abs(x) < 185))  # the couch
    noise = np.random.default_rng(1).normal(0.0, _NOISE_HU, shape[1:]).astype(np.int16)
    for k, plane in enumerate(hu):
        plane += np.roll(noise, (37 * k, 101 * k), axis=(0, 1))
        np.maximum(plane, -1024, out=plane)

    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, :3] = np.diag(spacing)
    ijk_to_ras[:3, 3] = first
    return Volume(hu, ijk_to_ras)
