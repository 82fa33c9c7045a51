"""Real CTs as training data: windows into them, changed at random; the chest without its held-out slab.

The chest's labels are a network's own (TotalSegmentator): they know where bones lie, but call some of the contrast
agent rib, leave vessels out, and say nothing of materials. HU decide where they are sure, and where nothing is, the
weight is 0. The other CTs have no labels: `real_labels` makes them.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.anatomy.ct import read_ct
from DeepDRRSlicerLib.anatomy.image_io import read_image, volume_from_sitk
from DeepDRRSlicerLib.learning.grid import working_grid
from DeepDRRSlicerLib.training.decomposition.artefacts import HIGHEST_HU, LOWEST_HU, WORKING_BLUR_MM, scanned
from DeepDRRSlicerLib.training.decomposition.body.canvas import (
    ADIPOSE,
    AIR,
    BONE,
    CONTRAST,
    CONTRAST_HU,
    LUNG,
    SOFT,
    new_canvas,
)
from DeepDRRSlicerLib.training.decomposition.body.implants import random_implants
from DeepDRRSlicerLib.training.decomposition.body.noise import rotation_of, smooth_noise
from DeepDRRSlicerLib.training.decomposition.real_labels import angiography_labels, head_labels
from DeepDRRSlicerLib.training.decomposition.voxels import blurred, distance

BONE_IDS = (*range(25, 51), *range(69, 79), 91, *range(92, 117))
MARROW_IDS = (69, 70, 73, 74, 75, 76, 116)  # long bones and the sternum hold fat
LUNG_IDS = range(10, 15)
VESSEL_IDS = range(51, 69)
ORGAN_IDS = (1, 2, 3, 5, 8, 9, 17)  # spleen, kidneys, liver, adrenals, thyroid
CARTILAGE_ID = 118
# In this patient compact bone ends at about 1200 HU and the injected vein begins there.
VEIN_HU = 1400.0
SPACING = 1.5
BORDER_MM = 1.6  # beside bone by the labels: what is dense there is half bone, and outside by the labels' convention


@dataclass(frozen=True, eq=False)
class RealCt:
    """HU float32 (NaN: left out), labels uint8 and weight float32 [S, A, R ascending]; spacing: mm along them."""

    hu: np.ndarray
    labels: np.ndarray
    weight: np.ndarray
    spacing: tuple[float, float, float] = (SPACING,) * 3


def real_sample(source: str, config: dict, rng):
    """One window into a CT; hu NaN and weight 0 beyond it and where a held-out slice would be needed.

    source: a key of SOURCES. config: `patch`, `spacing`, `folder` (of the CTs), and for the chest `held_out` (lowest
    and highest S in mm of the slab that is left out) and `gap` (mm between it and the nearest training slice).
    Returned as by `samples.sample`.
    """
    return window(SOURCES[source](config), config["patch"], config["spacing"], rng)


def window(ct: RealCt, patch: int, spacing: float, rng, resampling_mm=WORKING_BLUR_MM):
    """One window of `patch` voxels of `spacing` mm along each side; resampling_mm: of `artefacts.scanned`."""
    step = np.array(ct.spacing[::-1], np.float32)
    size = float(np.clip(np.exp(rng.normal(0, 0.12)), 0.7, 1.35))
    shape = (patch,) * 3
    center = _place(ct, patch * spacing / size, rng) * step
    canvas = new_canvas(rng, shape, spacing / size, center, rotation_of(rng, 8), warp_mm=rng.uniform(0, 6))
    points = canvas.points / step[:, None, None, None]
    nearest = [np.rint(points[a]).astype(np.int32) for a in (2, 1, 0)]
    inside = np.ones(shape, bool)
    for index, n in zip(nearest, ct.hu.shape, strict=True):
        inside &= (index >= 0) & (index < n)
        np.clip(index, 0, n - 1, out=index)
    picked = ct.weight[tuple(nearest)] * inside
    found = ct.labels[tuple(nearest)]
    value = _linear(ct.hu, points)
    value = other_densities(value, found, rng)
    known = np.isfinite(value) & inside
    canvas.hu[:] = _filled(value, known)
    if rng.random() < 0.12:
        random_implants(canvas, rng)
    seen, found, sure = scanned(canvas.hu, canvas.metal, found, spacing, rng, 0.7, resampling_mm=resampling_mm)
    seen[~known] = np.nan
    return seen.astype(np.float32), found, (sure * picked * known).astype(np.float32)


def _place(ct: RealCt, width: float, rng) -> np.ndarray:
    """The middle (R, A, S) in voxels of a window of `width` mm, a third of which is body that may be learnt."""
    half, step = width / 2 / np.array(ct.spacing), np.maximum(1, np.rint(9 / np.array(ct.spacing))).astype(int)
    for _ in range(20):
        center = rng.uniform((0.15, 0.2, 0.0), (0.85, 0.8, 1.0)) * ct.labels.shape[::-1]
        ends = zip(center[::-1], half, step, strict=True)
        window = tuple(slice(max(0, int(c - h)), max(0, int(c + h)), n) for c, h, n in ends)
        useful = (ct.weight[window] > 0) & (ct.labels[window] != AIR)
        if useful.sum() > 0.33 * np.prod(2 * half / step):
            break
    return center


def other_densities(hu, labels, rng):
    """Another contrast phase, and bones with more or less mineral; for labels that become wrong see `labels` itself."""
    if rng.random() < 0.5:
        change = np.float32(rng.uniform(0.65, 1.5))
        hu = np.where(labels == CONTRAST, 45 + (hu - 45) * change, hu)
        weak = (labels == CONTRAST) & (hu < CONTRAST_HU)
        labels[weak] = SOFT
    if rng.random() < 0.5:
        change = np.float32(rng.uniform(0.75, 1.4)) + np.float32(0.1) * smooth_noise(rng, hu.shape, 10)
        hu = np.where((labels == BONE) & (hu > 0), hu * change, hu)
    return hu


def _linear(volume, points):
    """float32: linear interpolation of volume [k, j, i] at points [3 (i, j, k), ...]; NaN where a neighbour is NaN."""
    index, share = [], []
    for axis, n in zip((2, 1, 0), volume.shape, strict=True):
        place = np.clip(points[axis], 0, n - 1.001)
        first = place.astype(np.int32)
        index.append(first)
        share.append(place - first)
    _, rows, columns = volume.shape
    flat, base = volume.reshape(-1), (index[0] * rows + index[1]) * columns + index[2]
    lines = []
    for k in (0, 1):
        planes = []
        for j in (0, 1):
            at = base + (k * rows + j) * columns
            planes.append(flat[at] * (1 - share[2]) + flat[at + 1] * share[2])
        lines.append(planes[0] * (1 - share[1]) + planes[1] * share[1])
    return lines[0] * (1 - share[0]) + lines[1] * share[0]


def _filled(hu, known):
    """Unknown voxels filled from the nearest known plane below or above, so that blur near them stays sane."""
    height = np.arange(len(hu))[:, None, None]
    below = np.maximum.accumulate(np.where(known, height, -1), axis=0)
    above = np.minimum.accumulate(np.where(known, height, len(hu))[::-1], axis=0)[::-1]
    use_below = (below >= 0) & ((height - below <= above - height) | (above >= len(hu)))
    index = np.where(use_below, below, np.minimum(above, len(hu) - 1))
    return np.nan_to_num(np.take_along_axis(hu, index, axis=0), nan=-1000.0)


def chest(config: dict) -> RealCt:
    """The chest CT; slices that are left out are NaN."""
    return _chest(config["folder"], tuple(config["held_out"]), config["gap"], config["spacing"])


def angiography(config: dict) -> RealCt:
    """The CTA with a stent."""
    return _angiography(config["folder"], config["spacing"])


def head(config: dict) -> RealCt:
    """The head CT."""
    return _head(config["folder"], config["spacing"])


SOURCES = {"chest": chest, "cta": angiography, "head": head}


@lru_cache(maxsize=2)
def _chest(data: str, held_out: tuple[float, float], gap: float, spacing: float) -> RealCt:
    hu, names, heights = read_chest(data)
    labels, weight = corrected(hu, names)
    keep = training_slices(heights, held_out, gap) & (hu.max((1, 2)) > LOWEST_HU)  # the topmost one is empty
    keep = np.broadcast_to(keep[:, None, None], hu.shape)
    hu = as_coarse(_filled(np.where(keep, hu, np.float32(np.nan)), keep), (SPACING,) * 3, spacing)
    return RealCt(np.where(keep, hu, np.float32(np.nan)), labels, weight * keep)


@lru_cache(maxsize=1)
def _angiography(data: str, spacing: float) -> RealCt:
    hu, steps = read_turned(Path(data) / "thorax_cta_stent" / "ct_thorax_1.5mm.nii.gz")
    return RealCt(as_coarse(hu, steps, spacing), *angiography_labels(hu), steps)


@lru_cache(maxsize=1)
def _head(data: str, spacing: float) -> RealCt:
    hu, steps = read_turned(Path(data) / "skull_ct" / "ct_0.957x0.957x1.5mm.nii.gz")
    hu = np.ascontiguousarray(hu[:, ::-1])  # its file does not say where the front is: the face looks back
    return RealCt(as_coarse(hu, steps, spacing), *head_labels(hu, steps), steps)


def as_coarse(hu, steps, spacing: float):
    """HU as blurred as those of a working grid of `spacing` mm, but for what interpolation and `scanned` add."""
    sigma2 = spacing**2 / 6 - max(steps) ** 2 / 6 - np.mean(WORKING_BLUR_MM) ** 2
    return blurred(hu, float(np.sqrt(sigma2)), steps) if sigma2 > 0.05 else hu


def read_turned(file):
    """HU float32 [S, A, R ascending] of a CT, as it is stored, and mm along S, A, R."""
    volume = read_ct(file)
    grid = working_grid(volume, SPACING)
    hu = np.ascontiguousarray(grid.turned(volume.array), dtype=np.float32)
    return np.clip(hu, LOWEST_HU, HIGHEST_HU), tuple(axis.step for axis in grid.axes)


def training_slices(heights, held_out, gap) -> np.ndarray:
    """Which slices at `heights` (S in mm) lie at least `gap` mm outside the slab `held_out` (lowest, highest S)."""
    heights = np.asarray(heights)
    return (heights <= held_out[0] - gap) | (heights >= held_out[1] + gap)


def read_chest(data: str):
    """HU float32 and TotalSegmentator ids uint8 [S, A, R ascending] at 1.5 mm, and the height S (mm) of each slice."""
    folder = Path(data) / "chest_ct"
    volume = read_ct(folder / "ct_1.5mm.nii.gz")
    names = volume_from_sitk(read_image(folder / "totalsegmentator_labels_1.5mm.nii.gz"))
    grid = working_grid(volume, SPACING)
    hu = np.ascontiguousarray(grid.turned(volume.array), dtype=np.float32)
    ids = np.ascontiguousarray(grid.turned(names.array)).astype(np.uint8)
    heights = volume.ijk_to_ras[2, 3] + volume.ijk_to_ras[2, 2] * np.arange(volume.size[2])
    return hu, ids, np.sort(heights)


def corrected(hu, ids):
    """Materials uint8 and weight float32 from HU and TotalSegmentator ids.

    Contrast: above 150 HU in or near vessels, in organs that take it up, and in lungs; and whatever is denser than any
    bone of this patient. Bone: bone ids, less border voxels of fat or air. Costal cartilage is soft tissue, and bone
    where calcified. Weight 0: other dense voxels (heads of ribs, the couch) and border voxels of bone that are fat.
    """
    smooth = blurred(hu, 0.8)
    bone, lung = np.isin(ids, BONE_IDS), np.isin(ids, LUNG_IDS)
    labels = np.full(hu.shape, AIR, np.uint8)
    labels[smooth > -500] = ADIPOSE
    labels[smooth > -30] = SOFT
    labels[lung & (smooth < -300)] = LUNG
    weight = np.ones(hu.shape, np.float32)
    weight[(smooth < -250) & (smooth > -850) & ~lung] = 0.3

    vein = _widened(hu > VEIN_HU, 1) & (hu > 500) | (hu > VEIN_HU)
    inside = distance(bone) <= -1.2
    fat = bone & (smooth < -30) & ~inside & ~np.isin(ids, MARROW_IDS)
    labels[bone] = BONE
    weight[fat] = 0
    dense = (smooth > CONTRAST_HU) & ~bone
    perfused = np.isin(ids, (*VESSEL_IDS, *ORGAN_IDS)) | vein
    labels[dense] = CONTRAST
    away = distance(bone)
    doubtful = dense & ~perfused & ((distance(perfused | lung) > 5) | (away < 3.2))
    weight[doubtful] = 0
    border = doubtful & (away < BORDER_MM) & (distance(doubtful & (away > 2 * BORDER_MM)) > BORDER_MM)
    labels[border], weight[border] = SOFT, 1
    cartilage = ids == CARTILAGE_ID
    labels[cartilage & (smooth <= 200)] = SOFT
    labels[cartilage & (smooth > 200)] = BONE
    weight[cartilage] = np.where((smooth[cartilage] > 130) & (smooth[cartilage] < 300), 0, 1)
    labels[vein] = CONTRAST
    weight[vein] = 1
    halo = _widened(vein, 2) & ~vein
    weight[halo] *= 0.3
    return labels, weight


def _widened(mask, voxels):
    import SimpleITK as sitk

    return sitk.GetArrayFromImage(sitk.BinaryDilate(sitk.GetImageFromArray(mask.astype(np.uint8)), [voxels] * 3)) > 0
