"""Struts, wires and clips: metal thinner than the network's voxels, found by density on the CT's own grid.

A wire of a stent or of the sternum is as bright as metal on a fine grid, and no brighter than bone on a coarse one.
What else is that bright is thick (blood with a bolus of contrast agent, the crown of a tooth) or lies beside something
thick (the branches of that vein). Large implants are the network's to find.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from DeepDRRSlicerLib.anatomy.substances import METAL

CORE_HU = 1950  # no bone is denser; enamel and contrast agent may be
EDGE_HU = 1300  # of a wire, beside its core
THICK_MM = 2.6  # radius of the ball that fits into what is no wire
REACH_MM = 4.0  # from a core to the edge of its wire
BESIDE_MM = 12.0  # from something thick and as dense as metal: branches of an injected vein, the rims of teeth
_BLOCK = 128  # voxels along each axis that are looked at together, besides the margin: bounds the memory


def mark_thin_metal(hu: np.ndarray, labels: np.ndarray, spacing) -> None:
    """Sets the labels (uint8) of thin metal.

    hu: integers or floats of the labels' shape. spacing: mm along the array's axes.
    """
    margin = [int(np.ceil((BESIDE_MM + THICK_MM + REACH_MM) / step)) + 1 for step in spacing]
    for start in product(*(range(0, n, _BLOCK) for n in hu.shape)):
        block = tuple(slice(first, first + _BLOCK) for first in start)
        if not (hu[block] > CORE_HU).any():
            continue
        around = tuple(slice(max(0, part.start - m), part.stop + m) for part, m in zip(block, margin))
        inner = tuple(slice(part.start - wide.start, part.stop - wide.start) for part, wide in zip(block, around))
        labels[block][_thin_metal(hu[around], spacing)[inner]] = METAL


def _thin_metal(hu, spacing):
    core, bright = hu > CORE_HU, hu > EDGE_HU
    thick = _distance(~bright, spacing) > THICK_MM
    core &= ~(_distance(thick & core, spacing) <= BESIDE_MM) & ~(_distance(thick, spacing) <= THICK_MM)
    return bright & (_distance(core, spacing) <= REACH_MM)


def _distance(mask, spacing):
    """mm to the nearest voxel of a mask; not more than 0 in it."""
    import SimpleITK as sitk

    if not mask.any():
        return np.full(mask.shape, np.inf, np.float32)
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing([float(step) for step in spacing[::-1]])
    far = sitk.SignedMaurerDistanceMap(image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
    return sitk.GetArrayFromImage(far)
