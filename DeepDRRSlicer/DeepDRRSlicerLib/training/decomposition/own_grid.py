"""Samples for the refiner: blocks of CTs on their own grids, and what the first network sees around them.

A window as wide as the first network's cubes is made at a CT's own spacing, its slices as thick as a CT's, and brought
to the working grid as every CT is; of the fine voxels, a few blocks are learnt.
"""

from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.learning.grid import WorkingGrid, resampled_rows, working_grid
from DeepDRRSlicerLib.learning.noise import noise_of
from DeepDRRSlicerLib.training.decomposition.artefacts import HIGHEST_HU, LOWEST_HU, gaussian_matrix, scanned
from DeepDRRSlicerLib.training.decomposition.bodies import random_body
from DeepDRRSlicerLib.training.decomposition.body.noise import along_axes, log_uniform
from DeepDRRSlicerLib.training.decomposition.real_cts import SOURCES, SPACING, other_densities, window

SYNTHETIC = "synthetic"
WINDOW_MM = 112.0
INNER_MM = 16.0  # from the window's faces to what is learnt, where the window is large enough
IN_PLANE_MM = (0.6, 2.2)
THICKEST_MM = 4.5
RESAMPLING_MM = (0.0, 0.3)  # a CT's own grid has no more blur than its scanner's
BLOCK = (16, 40, 40)


@dataclass(frozen=True, eq=False)
class Blocks:
    """n blocks of one CT on its own grid.

    coarse: HU float32 of the window on the working grid, NaN where unknown. hu: float32 [n, d, h, w], with the
    refiner's margin. labels uint8, weight float32: of `BLOCK`, without it. places: float32 [n, d + h + w], the voxels'
    indices in the working grid, as fractions, along the three axes one after the other. steps: mm along them. noise:
    HU.
    """

    coarse: np.ndarray
    hu: np.ndarray
    labels: np.ndarray
    weight: np.ndarray
    places: np.ndarray
    steps: tuple[float, float, float]
    noise: float


def blocks(config: dict, seed: int, index: int, n: int) -> Blocks:
    """n blocks of window `index`, which depend on (seed, index) and the configuration alone.

    config: `spacing` (mm, of the working grid), `margin` (voxels, the refiner's), `mix`, and for real CTs what
    `real_cts.real_sample` asks for.
    """
    margin = config["margin"]
    rng = np.random.default_rng([seed, index])
    sources, shares = zip(*sorted(config["mix"].items()), strict=True)
    source = str(rng.choice(sources, p=np.array(shares) / sum(shares)))
    hu, labels, weight, steps = _synthetic(rng) if source == SYNTHETIC else _real(source, config, rng)
    known = np.isfinite(hu)
    hu = np.where(known, hu, LOWEST_HU).astype(np.float32)
    matrix = np.diag([*steps[::-1], 1.0])
    grid = working_grid(Volume(hu, matrix), config["spacing"])
    coarse = resampled_rows(hu, grid, 0, grid.shape[0])
    if not known.all():
        coarse[resampled_rows(known * np.float32(1), grid, 0, grid.shape[0]) < 0.999] = np.nan
    chosen = [_chosen(rng, labels, weight, steps, margin) for _ in range(n)]
    return Blocks(
        coarse,
        np.stack([hu[outer] for outer, _ in chosen]),
        np.stack([labels[inner] for _, inner in chosen]),
        np.stack([weight[inner] for _, inner in chosen]),
        np.stack([_places(grid, outer) for outer, _ in chosen]),
        steps,
        noise_of(hu),
    )


def _synthetic(rng):
    """hu, labels, weight of a body as a CT would show it, and mm along its axes."""
    step = float(log_uniform(rng, *IN_PLANE_MM))
    every = int(rng.integers(1, max(1, min(5, int(THICKEST_MM / step))) + 1)) if rng.random() < 0.6 else 1
    n = int(WINDOW_MM / step)
    canvas, skin = random_body(rng, (n, n, n), step)
    thick = None if every == 1 else step * every * rng.uniform(0.8, 1.2)
    hu, labels, weight = scanned(
        canvas.hu, canvas.metal, canvas.labels, step, rng,
        perfused=canvas.perfused, slice_mm=thick, resampling_mm=RESAMPLING_MM,
    )  # fmt: skip
    weight[skin > 10] *= 0.3
    some = slice(every // 2, None, every)
    return hu[some], labels[some], weight[some], (step * every, step, step)


def _real(source, config, rng):
    """The same of a real CT: turned and bent at another spacing, or as it is."""
    ct = SOURCES[source]({**config, "spacing": SPACING})
    if rng.random() < 0.4:
        step = float(rng.uniform(1.0, IN_PLANE_MM[1]))
        return *window(ct, int(WINDOW_MM / step), step, rng, RESAMPLING_MM), (step,) * 3
    size = [min(n, int(WINDOW_MM / step)) for n, step in zip(ct.hu.shape, ct.spacing, strict=True)]
    for _ in range(20):
        first = [int(rng.integers(0, n - s + 1)) for n, s in zip(ct.hu.shape, size, strict=True)]
        at = tuple(slice(a, a + s) for a, s in zip(first, size, strict=True))
        if ((ct.weight[at] > 0) & (ct.labels[at] != 0)).mean() > 0.33:
            break
    hu, labels, weight = ct.hu[at], ct.labels[at].copy(), ct.weight[at]
    known = np.isfinite(hu)
    hu = other_densities(np.where(known, hu, LOWEST_HU), labels, rng)
    hu = hu + _grain(rng, hu.shape) + np.float32(rng.normal(0, 6))
    hu = np.where(known, np.clip(hu, LOWEST_HU, HIGHEST_HU), np.nan)
    every = 3 if ct.spacing[0] * 3 <= THICKEST_MM and rng.random() < 0.25 else 1
    size = float(rng.uniform(0.85, 1.15))  # a smaller or larger patient
    if every > 1:
        n = len(hu) // every * every
        hu = hu[:n].reshape(-1, every, *hu.shape[1:]).mean(1)
        labels, weight = labels[1:n:every], weight[1:n:every]
    return hu.astype(np.float32), labels, weight, tuple(s * size * e for s, e in zip(ct.spacing, (every, 1, 1)))


def _grain(rng, shape):
    white = rng.standard_normal(shape, dtype=np.float32)
    grain = along_axes(white, [None, *(gaussian_matrix(n, rng.uniform(0.3, 1.0)) for n in shape[1:])])
    return grain * np.float32(rng.choice([0.0, rng.uniform(2, 20)]) / grain.std())


def _chosen(rng, labels, weight, steps, margin):
    """Of a few places the one with the most borders: the block with its margin, and without."""
    best, most = None, -1.0
    for _ in range(3):
        outer, inner = [], []
        for n, size, step in zip(labels.shape, BLOCK, steps, strict=True):
            away = max(margin, min(int(INNER_MM / step), (n - size) // 2))
            first = int(rng.integers(away, max(away, n - size - away) + 1))
            outer.append(slice(first - margin, first + size + margin))
            inner.append(slice(first, first + size))
        part = labels[tuple(inner)]
        edges = float(((part[..., 1:] != part[..., :-1]) * weight[tuple(inner)][..., 1:]).sum())
        if edges > most:
            best, most = (tuple(outer), tuple(inner)), edges
    return best


def _places(grid: WorkingGrid, outer) -> np.ndarray:
    return np.concatenate([axis.places()[part] for axis, part in zip(grid.axes, outer, strict=True)]).astype(np.float32)
