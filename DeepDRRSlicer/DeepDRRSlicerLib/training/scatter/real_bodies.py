"""Real CTs as bodies for scatter: by threshold, in coarse voxels, larger or smaller and mirrored at random."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from DeepDRRSlicerLib.anatomy.ct import read_ct
from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.simulation.decomposition import THRESHOLD, never, unheard
from DeepDRRSlicerLib.transport.body import coarsened

_VOXEL = 5.0  # mm at most
_SIZES = (0.8, 1.5)  # of the person: these CTs do not show all of a large one


def real_body(generator: np.random.Generator, paths: tuple[str, ...]) -> MaterialVolume:
    """One of the CTs, its middle at the origin. Raises InputError where it cannot be read."""
    volume = ct_body(paths[generator.integers(len(paths))])
    turned = volume.ijk_to_ras.copy()
    scale = np.exp(generator.uniform(*np.log(_SIZES))) * np.exp(generator.normal(0, 0.07, 3))
    if generator.random() < 0.5:
        scale[0] *= -1  # left becomes right
    turned[:3] = np.diag(scale) @ turned[:3]
    return MaterialVolume(volume.materials, volume.density, volume.scale, turned)


@lru_cache(maxsize=4)
def ct_body(path: str) -> MaterialVolume:
    """A CT by threshold in coarse voxels, its middle at the origin. Raises InputError where it cannot be read."""
    volume = coarsened(THRESHOLD.decompose(read_ct(path), never, unheard), _VOXEL)
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, 3] -= volume.corners_ras().mean(axis=0)
    return MaterialVolume(volume.materials, volume.density, volume.scale, matrix)
