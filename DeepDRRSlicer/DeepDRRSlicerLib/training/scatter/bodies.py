"""Whole bodies for scatter: shapes of fat, soft tissue, bone, lung and gas in the proportions of people, and phantoms.

Scatter is smooth, so voxels of 6 mm and shapes without detail do. What matters is how much matter stands where, how
far it is from the detector, and how much of it is bone; so sizes, places and densities are spread far wider than in
people, every fourth body is a phantom, and some hold metal.
"""

from __future__ import annotations

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.physics.materials import density as material_density

CHANNELS = ("adipose", "water", "bone")  # those that tissues are traced as
VOXEL = 6.0  # mm
FAT, SOFT, LUNG = (0.95, 0.0, 0.0), (0.0, 1.05, 0.0), (0.0, 0.26, 0.0)
METALS = ("titanium", "iron")
SHAPES = ("trunk", "trunk", "pelvis", "head", "limb", "phantom")


def body(generator: np.random.Generator) -> tuple[str, MaterialVolume]:
    """What it is, and a body about the origin, its head end towards S, in air."""
    kind = SHAPES[generator.integers(len(SHAPES))]
    half = {
        "trunk": (210.0, 150.0, generator.uniform(120, 260)),
        "pelvis": (230.0, 160.0, generator.uniform(120, 220)),
        "head": (110.0, 130.0, generator.uniform(110, 150)),
        "limb": (100.0, 100.0, generator.uniform(100, 250)),
        "phantom": (240.0, 200.0, generator.uniform(80, 240)),
    }[kind]
    size = [2 * int(np.ceil(length / VOXEL)) + 2 for length in half]
    axes = [(np.arange(n) - (n - 1) / 2) * VOXEL for n in size]
    place = tuple(np.meshgrid(*reversed(axes), indexing="ij")[::-1])  # R, A, S of every voxel (k, j, i)
    density = np.zeros((*place[0].shape, len(CHANNELS)), dtype=np.float32)
    {"trunk": _trunk, "pelvis": _pelvis, "head": _head, "limb": _limb, "phantom": _phantom}[kind](
        generator, place, density, half
    )
    matrix = np.diag([VOXEL, VOXEL, VOXEL, 1.0])
    matrix[:3, 3] = [axis[0] for axis in axes]
    if generator.random() < 0.15:
        metal = METALS[generator.integers(len(METALS))]
        density = np.concatenate([density, _implants(generator, place, density, half, metal)], axis=-1)
        return f"{kind} with {metal}", MaterialVolume.from_density((*CHANNELS, metal), density, matrix)
    return kind, MaterialVolume.from_density(CHANNELS, density, matrix)


def _implants(generator, place, density, half, metal):
    """Balls, rods and plates within the body, which they displace: density (k, j, i, 1) of the metal."""
    solid = np.zeros(density.shape[:3], dtype=bool)
    for _ in range(generator.integers(1, 4)):
        radii = generator.choice([5.0, 12.0, 25.0, 60.0], 3, p=[0.5, 0.3, 0.15, 0.05])
        solid |= _ellipsoid(place, generator.uniform(-0.4, 0.4, 3) * half, radii)
    solid &= density.sum(axis=-1) > 0
    density[solid] = 0
    return (solid * material_density(metal) * generator.uniform(0.5, 1))[..., None].astype(np.float32)


def _ellipsoid(place, center, radii, power=2.0):
    """bool (k, j, i): within an ellipsoid; a power above 2 is boxier, a radius of infinity makes a cylinder."""
    return sum(np.abs((x - c) / r) ** power for x, c, r in zip(place, center, radii, strict=True)) <= 1


def _outline(generator, place, half, wide, deep):
    """The skin of a trunk: an ellipse that grows and shrinks along the body."""
    s = place[2] / half[2]
    swell = 1 + generator.uniform(-0.15, 0.15) * s + generator.uniform(-0.15, 0.1) * s**2
    r, a = place[0] / (wide * swell), place[1] / (deep * swell)
    return np.abs(r) ** 2.3 + np.abs(a) ** 2.3


def _trunk(generator, place, density, half):
    wide, deep = generator.uniform(110, 205), generator.uniform(75, 145)
    skin = _outline(generator, place, half, wide, deep)
    fat = generator.uniform(0.03, 0.3)
    density[skin <= 1] = FAT
    inside = skin <= (1 - fat) ** 2.3
    density[inside] = np.multiply(SOFT, generator.uniform(0.97, 1.03))
    wall = skin <= (1 - fat - 0.15) ** 2.3
    if generator.random() < 0.75:  # lungs, the lower end of them anywhere in the picture
        bottom = generator.uniform(-1.2, 0.6) * half[2]
        for side in (-1, 1):
            center = (side * 0.45 * wide, generator.uniform(-0.1, 0.15) * deep, bottom + half[2])
            lung = _ellipsoid(place, center, (0.36 * wide, 0.62 * deep, half[2] * generator.uniform(0.7, 1.3)), 2.5)
            density[lung & wall] = np.multiply(LUNG, generator.uniform(0.6, 1.7))
        heart = _ellipsoid(place, (0.15 * wide, 0.2 * deep, bottom + 0.5 * half[2]), (60, 50, 65))
        density[heart & wall] = SOFT
    _gas(generator, place, density, wall, half)
    ribs = inside & ~wall & (np.sin(place[2] / generator.uniform(4, 6) + place[0] / 60) > 0.3)
    if generator.random() < 0.8:
        density[ribs] = (0, 0.6, generator.uniform(0.3, 0.8))
    _spine(generator, place, density, -0.6 * deep)
    if generator.random() < 0.3:
        for side in (-1, 1):
            _bone_in_flesh(generator, place, density, (side * (wide + 35), 0), 38, 11)


def _pelvis(generator, place, density, half):
    wide, deep = generator.uniform(140, 225), generator.uniform(85, 155)
    skin = _outline(generator, place, half, wide, deep)
    density[skin <= 1] = FAT
    inside = skin <= (1 - generator.uniform(0.06, 0.3)) ** 2.3
    density[inside] = SOFT
    _gas(generator, place, density, inside, half)
    mineral = generator.uniform(0.25, 0.7)
    for side in (-1, 1):
        wing = _ellipsoid(place, (side * 75, -10, 40), (50, 60, 75)) & ~_ellipsoid(
            place, (side * 58, 8, 48), (44, 55, 72)
        )
        density[wing & inside] = (0, 0.7, mineral)
        head = _ellipsoid(place, (side * 88, 5, -40), (24, 24, 24))
        shaft = _ellipsoid(place, (side * 105, 0, -120), (16, 16, 90))
        density[(head | shaft) & inside] = (0, 0.75, mineral * 1.2)
    _spine(generator, place, density, -0.55 * deep)


def _head(generator, place, density, half):
    radii = generator.uniform(65, 90), generator.uniform(80, 110), generator.uniform(85, 125)
    thick = generator.uniform(4, 9)
    density[_ellipsoid(place, (0, 0, 0), np.add(radii, 7))] = SOFT
    density[_ellipsoid(place, (0, 0, 0), radii)] = (0, 0.5, generator.uniform(0.7, 1.4))
    density[_ellipsoid(place, (0, 0, 0), np.subtract(radii, thick))] = np.multiply(SOFT, 0.99)
    face = _ellipsoid(place, (0, 60, -60), (45, 40, 40))
    density[face] = (0, 0.7, generator.uniform(0.1, 0.5))
    density[_ellipsoid(place, (0, 70, -50), (18, 20, 22))] = 0
    neck = _ellipsoid(place, (0, -15, -110), (55, 60, np.inf)) & (place[2] < -60)
    density[neck & (density.sum(axis=-1) == 0)] = SOFT


def _limb(generator, place, density, half):
    for side in (-1, 1) if generator.random() < 0.5 else (0,):
        radius = generator.uniform(25, 75)
        _bone_in_flesh(
            generator, place, density, (side * (radius + 5), 0), radius, radius * generator.uniform(0.2, 0.4)
        )


def _phantom(generator, place, density, half):
    """A slab, a box, a cylinder or a ball of water, or of something lighter or denser."""
    rho = generator.uniform(0.9, 1.2)
    shape = generator.integers(4)
    if shape == 0:  # lies across the beam of an AP view
        inside = np.abs(place[1]) <= generator.uniform(15, 170)
    elif shape == 1:
        inside = (
            np.maximum.reduce([np.abs(x) / generator.uniform(40, h) for x, h in zip(place, half, strict=True)]) <= 1
        )
    elif shape == 2:
        inside = _ellipsoid(place, (0, 0, 0), (generator.uniform(30, 200), generator.uniform(30, 180), np.inf))
    else:
        inside = _ellipsoid(place, (0, 0, 0), generator.uniform(40, 180, 3))
    density[inside] = (0, rho, 0)
    if generator.random() < 0.4:
        rod = _ellipsoid(place, generator.uniform(-50, 50, 3), (generator.uniform(6, 30), 20, np.inf))
        density[rod & inside] = (0, 0.5, generator.uniform(0.3, 1.5))
    for _ in range(generator.integers(4)):
        hole = _ellipsoid(place, generator.uniform(-80, 80, 3), generator.uniform(10, 50, 3))
        density[hole & inside] = generator.uniform(0, 1.1) * np.array((0, 1, 0))


def _gas(generator, place, density, within, half):
    for _ in range(generator.integers(5)):
        center = generator.uniform(-0.5, 0.5, 3) * half
        density[_ellipsoid(place, center, generator.uniform(8, 40, 3)) & within] = 0


def _spine(generator, place, density, behind):
    width = generator.uniform(17, 28)
    spine = _ellipsoid(place, (0, behind, 0), (width, width * 0.9, np.inf))
    density[spine] = (0, 0.75, generator.uniform(0.15, 0.5))


def _bone_in_flesh(generator, place, density, center, radius, bone):
    center = (*center, 0)
    density[_ellipsoid(place, center, (radius, radius, np.inf))] = FAT
    density[_ellipsoid(place, center, (0.88 * radius, 0.88 * radius, np.inf))] = SOFT
    density[_ellipsoid(place, center, (bone, bone, np.inf))] = (0, 0.4, generator.uniform(0.8, 1.5))
