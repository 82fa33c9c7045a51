"""Where the CT ends before the body does: pixels whose ray enters or leaves the CT's box inside the body.

Such a ray missed a part of the patient that was never scanned, so its pixel is too bright. The top and bottom slices of
most CTs are body everywhere, so rays through them are flagged: many in an oblique view, few at the edges of an AP view.
Padding outside the round field of view is not body, and the border meant here is that of the box. Up to two outermost
planes of nothing but padding are taken off first, because resampling a CT leaves such planes.
"""

import numpy as np

from DeepDRRSlicerLib.anatomy.ct import BODY_HU, LOWEST_HU
from DeepDRRSlicerLib.anatomy.volume import Volume, transform_points
from DeepDRRSlicerLib.geometry.camera import ConeBeam

_MOST_PADDING_PLANES = 2


def border_mask(volume: Volume, beam: ConeBeam, threshold_hu: float = BODY_HU) -> np.ndarray:
    """bool [rows, columns]: the pixel's ray crosses the outer voxel borders of the CT in a voxel above `threshold_hu`.

    Only what lies between source and pixel counts: a detector or source inside the CT is no border.
    """
    return crossed_border(without_padding(volume), beam, threshold_hu)


def crossed_border(volume: Volume, beam: ConeBeam, threshold_hu: float = BODY_HU) -> np.ndarray:
    """As border_mask, of a volume that is `without_padding`, to which one comes back view after view."""
    to_index = np.linalg.inv(volume.ijk_to_ras)
    source = transform_points(to_index, beam.source)
    rows, columns = beam.size
    # Components of the rays from source to pixel along i, j, k: sums of a row's and a column's part.
    down = np.arange(rows)[:, None, None] * (to_index[:3, :3] @ beam.e_r * beam.pitch[1])
    along = np.arange(columns)[:, None] * (to_index[:3, :3] @ beam.e_c * beam.pitch[0])
    first_ray = transform_points(to_index, beam.pixel00) - source
    rays = [down[..., axis] + (along[:, axis] + first_ray[axis]) for axis in range(3)]

    entry, leave = np.zeros(beam.size), np.ones(beam.size)
    with np.errstate(divide="ignore", invalid="ignore"):
        for ray, start, size in zip(rays, source, volume.size, strict=True):
            # A ray in the plane of a face gives 0/0; fmax and fmin then leave the decision to the other axes.
            first, second = (-0.5 - start) / ray, (size - 0.5 - start) / ray
            np.fmax(entry, np.fmin(first, second), out=entry)
            np.fmin(leave, np.fmax(first, second), out=leave)
    hits = leave > entry
    flagged = np.zeros(beam.size, dtype=bool)
    for position, on_border in ((entry, entry > 0), (leave, leave < 1)):
        crossed = hits & on_border
        index = []
        for ray, start, size in zip(rays, source, volume.size, strict=True):
            index.append(np.clip(np.rint(start + ray[crossed] * position[crossed]), 0, size - 1).astype(np.intp))
        flagged[crossed] |= volume.array[tuple(reversed(index))] > threshold_hu
    return flagged


def without_padding(volume: Volume) -> Volume:
    """The volume without up to two outermost planes of nothing but padding on each side."""
    low, high = [0, 0, 0], list(volume.size)
    for axis in range(3):
        planes = np.moveaxis(volume.array, 2 - axis, 0)
        most = min(_MOST_PADDING_PLANES, (len(planes) - 1) // 2)
        while low[axis] < most and planes[low[axis]].max() <= LOWEST_HU:
            low[axis] += 1
        while len(planes) - high[axis] < most and planes[high[axis] - 1].max() <= LOWEST_HU:
            high[axis] -= 1
    return volume.cropped(low, high)
