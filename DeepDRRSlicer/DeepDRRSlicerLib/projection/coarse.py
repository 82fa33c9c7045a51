"""The material volume at half its fineness, for pictures that move."""

from __future__ import annotations

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.projection.parallel import run_parts

_TWICE = np.array([[2.0, 0, 0, 0.5], [0, 2, 0, 0.5], [0, 0, 2, 0.5], [0, 0, 0, 1]])  # coarse indices to fine ones


def halved(volume: MaterialVolume, threads: int | None = None) -> MaterialVolume:
    """The means over 2x2x2 voxels, centred between them. The mass stays, to within rounding to 16 bits.

    Where a size is odd, the last voxels are paired with the air beyond them. threads: as in run_parts.
    """
    fine = volume.density
    half = [(n + 1) // 2 for n in fine.shape[1:]]
    coarse = np.empty((len(fine), *half), dtype=np.uint16)

    def average(part):
        m, k = part
        summed = np.zeros((2 * half[1], 2 * half[2]), dtype=np.uint32)
        for plane in fine[m, 2 * k : 2 * k + 2]:
            summed[: plane.shape[0], : plane.shape[1]] += plane
        summed = summed[::2] + summed[1::2]
        coarse[m, k] = (summed[:, ::2] + summed[:, 1::2] + 4) >> 3

    run_parts(average, [(m, k) for m in range(len(fine)) for k in range(half[0])], threads)
    return MaterialVolume(volume.materials, coarse, volume.scale, volume.ijk_to_ras @ _TWICE)
