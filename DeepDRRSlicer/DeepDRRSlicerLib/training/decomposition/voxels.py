"""Operations on masks and HU of voxels [S, A, R], by SimpleITK."""

import numpy as np


def blurred(hu, sigma: float, spacing=1.5):
    """HU after a Gaussian of `sigma` mm; spacing: mm, one number or that of S, A, R."""
    import SimpleITK as sitk

    return sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(_image(hu.astype(np.float32), spacing), sigma))


def grown(mask, mm: float, spacing=1.5):
    """All that lies within `mm` of a mask."""
    return distance(mask, spacing) <= mm if mask.any() else mask.copy()


def opened(mask, mm: float, spacing=1.5):
    """What remains of a mask where a ball of this radius in mm fits in."""
    inside = distance(~mask, spacing) > mm if not mask.all() else mask
    return grown(inside, mm, spacing)


def closed(mask, mm: float, spacing=1.5):
    """A mask with all gaps in which no ball of this radius in mm fits."""
    return ~grown(distance(mask, spacing) > mm, mm, spacing)


def distance(mask, spacing=1.5):
    """mm from the surface of a mask, negative inside; far for an empty one."""
    import SimpleITK as sitk

    if not mask.any():
        return np.full(mask.shape, 1e4, np.float32)
    image = _image(mask.astype(np.uint8), spacing)
    return sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True))


def components(mask, least: int = 1):
    """Numbers of the connected pieces of a mask, from 1 for the largest; pieces below `least` voxels are 0."""
    import SimpleITK as sitk

    pieces = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)))
    return sitk.GetArrayFromImage(sitk.RelabelComponent(pieces, least))


def divided(mask, seeds, spacing=1.5):
    """Of each voxel of a mask the seed (uint8, above 0) that it belongs to; 0 in pieces without one.

    Pieces with several seeds are cut at their necks.
    """
    import SimpleITK as sitk

    depth = sitk.Cast(_image(distance(mask, spacing), spacing), sitk.sitkFloat32)
    found = sitk.MorphologicalWatershedFromMarkers(depth, _image(seeds * mask, spacing), markWatershedLine=False)
    touched = components(mask)
    held = np.unique(touched[(seeds > 0) & mask])
    return sitk.GetArrayFromImage(found) * (mask & np.isin(touched, held))


def filled_planes(mask, axes, most: int):
    """A mask and its holes in the planes across these axes, where a hole has at most so many voxels."""
    import SimpleITK as sitk

    result = mask.copy()
    for axis in axes:
        for k in np.flatnonzero(mask.any(tuple(a for a in range(3) if a != axis))):
            plane = np.take(mask, k, axis)
            holes = sitk.GetArrayFromImage(sitk.BinaryFillhole(sitk.GetImageFromArray(plane.astype(np.uint8)))) > 0
            pieces = sitk.GetArrayFromImage(
                sitk.ConnectedComponent(sitk.GetImageFromArray((holes & ~plane).astype(np.uint8)))
            )
            small = np.bincount(pieces.ravel())[pieces] <= most
            index = [slice(None)] * 3
            index[axis] = k
            result[tuple(index)] |= (pieces > 0) & small
    return result


def _image(array, spacing):
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array)
    image.SetSpacing(np.broadcast_to(np.asarray(spacing, float), 3)[::-1].tolist())
    return image
