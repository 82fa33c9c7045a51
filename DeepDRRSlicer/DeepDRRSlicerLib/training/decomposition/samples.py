"""Training samples: view `index` of a run depends on (seed, index) alone, and on the configuration."""

import numpy as np

from DeepDRRSlicerLib.training.decomposition.artefacts import scanned
from DeepDRRSlicerLib.training.decomposition.bodies import random_body

SYNTHETIC = "synthetic"


def sample(config: dict, seed: int, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HU float32 (-1024 to 3071), labels uint8 (indices of CLASSES) and weight float32, each [patch, patch, patch].

    config: `patch` (voxels), `spacing` (mm), `mix` (share of samples by source: "synthetic", or a real CT of
    `real_cts.SOURCES`), and for those the fields that `real_cts` names. Axes are k, j, i as S, A, R ascending.
    """
    rng = np.random.default_rng([seed, index])
    sources, shares = zip(*sorted(config["mix"].items()), strict=True)
    source = rng.choice(sources, p=np.array(shares) / sum(shares))
    if source != SYNTHETIC:
        from DeepDRRSlicerLib.training.decomposition.real_cts import real_sample

        return real_sample(source, config, rng)
    return synthetic_sample(rng, (config["patch"],) * 3, config["spacing"])


def synthetic_sample(rng, shape, spacing: float, place: str | None = None):
    """One window of `shape` [k, j, i] into a synthetic body, as a scanner would show it; as `sample` returns it."""
    hu, labels, weight, skin = synthetic_scan(rng, shape, spacing, place)
    weight[skin > 10] *= 0.3
    return hu, labels, weight


def synthetic_scan(rng, shape, spacing: float, place: str | None = None):
    """hu, labels and weight of a synthetic body without regard to what lies around it, and the mm from its skin."""
    canvas, skin = random_body(rng, shape, spacing, place)
    return *scanned(canvas.hu, canvas.metal, canvas.labels, spacing, rng, perfused=canvas.perfused), skin
