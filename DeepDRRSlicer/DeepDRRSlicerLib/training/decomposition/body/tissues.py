"""How bone, soft tissue and blood fill the shapes of a body."""

from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.training.decomposition.body.canvas import BONE, SOFT
from DeepDRRSlicerLib.training.decomposition.body.noise import log_uniform
from DeepDRRSlicerLib.training.decomposition.body.shapes import BONE_SHARE, union


@dataclass(frozen=True)
class Skeleton:
    """What the bones of one body are like: HU and thickness (mm) of compact bone, HU of spongy bone and marrow."""

    compact_hu: float
    compact_mm: float
    spongy_hu: float
    spongy_texture: float
    marrow_hu: float


def random_skeleton(rng) -> Skeleton:
    """From osteoporotic to sclerotic; a fourth of all bone voxels of a real patient lies below 150 HU."""
    spongy = rng.uniform(60, 350)
    return Skeleton(
        compact_hu=rng.uniform(450, 1800),
        compact_mm=log_uniform(rng, 0.25, 2.2),
        spongy_hu=spongy,
        spongy_texture=log_uniform(rng, 4, 90) * (0.4 + spongy / 300),
        marrow_hu=rng.uniform(-100, 80),
    )


def cast_skeleton(rng) -> Skeleton:
    """The bones of a phantom: one resin without shell, spongy bone or marrow."""
    hu = rng.uniform(250, 1100)
    return Skeleton(hu, 1.0, hu, rng.uniform(0, 25), hu)


def paint_bone(canvas, shapes, skeleton: Skeleton, compact=1.0, spongy=1.0, marrow=0.0) -> None:
    """Bones as a compact shell around spongy bone, with trabecular texture.

    compact: factor of the shell's thickness. spongy: factor of the spongy bone's HU. marrow: share (0 to 1) by which
    the spongy bone is replaced by marrow, as in the shafts of long bones.
    """
    found = union(canvas, shapes)
    if found is None:
        return
    box, distance = found
    distance = distance + np.float32(0.35) * canvas.noise(7.0)[box]
    thickness = np.float32(skeleton.compact_mm * compact) * (1 + np.float32(0.3) * canvas.noise(18.0, 1)[box])
    outer = canvas.cover(distance)
    inner = np.minimum(canvas.cover(distance + np.maximum(thickness, np.float32(0.3))), outer)
    inside = np.float32(skeleton.spongy_hu * spongy) + np.float32(skeleton.spongy_texture) * (
        np.float32(0.7) * canvas.noise(5.0)[box] + np.float32(0.6) * canvas.noise(18.0)[box]
    )
    if marrow:
        inside += np.float32(marrow) * (np.float32(skeleton.marrow_hu) - inside)
    np.maximum(inside, np.float32(skeleton.marrow_hu), out=inside)
    compact_hu = np.float32(skeleton.compact_hu) * (1 + np.float32(0.1) * canvas.noise(18.0, 1)[box])
    part = canvas.hu[box]
    part += (outer - inner) * compact_hu + inner * inside - outer * part
    canvas.labels[box][outer >= BONE_SHARE] = BONE


def paint_sheet_bone(canvas, shapes, skeleton: Skeleton) -> None:
    """Thin bones without spongy bone (shapes as from `sheet`): orbital walls, blades, septa."""
    found = union(canvas, shapes)
    if found is None:
        return
    box, distance = found
    canvas.paint(box, distance, np.float32(skeleton.compact_hu), BONE, BONE_SHARE)


def paint_soft(canvas, shapes, hu: float, texture: float = 6.0, bumps: float = 0.0, label: int | None = SOFT):
    """Tissue of one HU with a little texture, without contrast agent."""
    found = _bumpy(canvas, shapes, bumps)
    if found is not None:
        canvas.paint(*found, np.float32(hu) + np.float32(texture) * canvas.noise(18.0, 2)[found[0]], label)


def paint_organ(canvas, shapes, hu: float, texture: float = 6.0, bumps: float = 0.0) -> None:
    """An organ that takes up contrast agent, of one HU with a little texture."""
    found = _bumpy(canvas, shapes, bumps)
    if found is not None:
        canvas.paint_perfused(*found, np.float32(hu) + np.float32(texture) * canvas.noise(18.0, 2)[found[0]])


def _bumpy(canvas, shapes, bumps):
    """Window and distance of a union of shapes, or None; bumps: mm of its surface's waves."""
    found = union(canvas, shapes, 2 * bumps)
    if found is None or not bumps:
        return found
    box, distance = found
    return box, distance + np.float32(bumps) * canvas.noise(18.0)[box]


def paint_blood(canvas, shapes, hu: float, mixing: float = 0.0, wall: float = 0.0) -> None:
    """Vessels and chambers with blood of `hu`.

    mixing: share by which the HU varies where contrast-filled and plain blood meet. wall: mm of plain soft tissue.
    """
    found = union(canvas, shapes, wall)
    if found is None:
        return
    box, distance = found
    if wall:
        canvas.paint(box, distance - np.float32(wall), np.float32(45), SOFT)
    value = np.float32(hu)
    if mixing:
        swirl = 1 + np.float32(mixing) * (canvas.noise(12.0)[box] + canvas.noise(18.0)[box])
        value = np.maximum(np.float32(hu) * swirl, np.float32(60))
    canvas.paint_perfused(box, distance, value)
