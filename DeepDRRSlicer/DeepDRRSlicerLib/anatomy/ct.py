"""Reading a CT: any common file or a DICOM folder, and the checks that its voxels are HU."""

import numpy as np

from DeepDRRSlicerLib.anatomy.image_io import IMAGE_FORMATS, existing, image_format, read_image, volume_from_sitk
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.errors import InputError

LOWEST_HU, HIGHEST_HU = -1024, 32767
# Skin and anything heavier; skips lung, couch foam and clothes.
BODY_HU = -500
# Noise of air reaches a little below -1000 HU; what lies lower is the padding outside the field of view.
PADDING_HU = -1100
# Metal on an extended scale reaches 30,000 HU in some voxels; wrapped 16-bit values put all the air above this.
METAL_HU, MOST_METAL = 10_000, 0.02
PLAUSIBLE = (-40_000, 70_000)
# Even a water phantom's noise spans more; images normalised to 0..1 or to unit variance span less.
LEAST_RANGE = 100


def read_ct(path, series: str | int | None = None) -> Volume:
    """The CT in a NIfTI, NRRD or MetaImage file, a folder of DICOM slices, or the series of one DICOM slice, in HU.

    series: which one of several DICOM series, by its number in the error message that lists them, or by its UID.
    Voxels are int16, at least -1024 HU: below lies what the scanner did not see, which counts as air.
    Raises InputError with one sentence for whatever cannot be used.
    """
    from DeepDRRSlicerLib.anatomy import dicom_series  # needed for DICOM alone

    path = existing(path)
    if path.is_dir():
        volume = dicom_series.read_folder(path, series)
    elif image_format(path) is None:
        if not dicom_series.may_be_dicom(path):
            endings = ", ".join(IMAGE_FORMATS)
            raise InputError(f"'{path.name}' is not a known CT file; use one of {endings} or a DICOM folder.")
        volume = dicom_series.read_file(path, series)
    elif series is not None:
        raise InputError(f"'{path.name}' is a single image, not a DICOM folder; leave the series out.")
    else:
        volume = volume_from_sitk(read_image(path))
    return as_ct(volume, path.name, overwrite=True)


def as_ct(volume: Volume, name: str = "the volume", overwrite: bool = False) -> Volume:
    """A volume checked to be a CT in HU, as int16 (fractions of an HU are less than noise), at least -1024 HU.

    name: what messages call it. overwrite: clamp in the given array if it is int16. Works plane by plane.
    Raises InputError when a side has fewer than two voxels, or when values are not finite or cannot be HU.
    """
    if min(volume.size) < 2:
        shape = " x ".join(map(str, volume.size))
        raise InputError(f"'{name}' has {shape} voxels, but a CT needs at least two slices; choose a volume.")
    _check_values(volume.array, name)
    array = volume.array
    result = array if overwrite and array.dtype == np.int16 else np.empty(array.shape, np.int16)
    for plane, out in zip(array, result, strict=True):
        whole = plane if array.dtype == np.int16 else np.rint(plane.astype(np.float64))
        np.clip(whole, LOWEST_HU, HIGHEST_HU, out=out, casting="unsafe")
    return Volume(result, volume.ijk_to_ras)


def _check_values(array: np.ndarray, name: str) -> None:
    if array.dtype.kind not in "iuf":
        raise InputError(f"'{name}' holds values of the type {array.dtype}; choose a CT in HU.")
    with np.errstate(invalid="ignore"):
        low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        raise InputError(f"'{name}' has NaN or infinite voxels; export the CT again with -1024 HU in their place.")
    shown = f"values {low:g} to {high:g}"
    if low == high:
        raise InputError(f"All voxels of '{name}' have the same value {low:g}; choose a CT in HU.")
    if low < PLAUSIBLE[0] or high > PLAUSIBLE[1] or _share_above(array, METAL_HU, high) > MOST_METAL:
        raise InputError(
            f"'{name}' is not in HU ({shown}), as when 16-bit values wrap or are rescaled; export the CT again in HU."
        )
    if _lowest_above_padding(array, low) >= 0:
        raise InputError(
            f"'{name}' is not in HU ({shown}): no air or fat is below 0, as in an MR image, a label map or a CT "
            "without its rescale intercept; export the CT in HU."
        )
    if high - low < LEAST_RANGE:
        raise InputError(f"'{name}' is not in HU ({shown}), as in a normalised image; export the CT in HU.")
    if high < BODY_HU:
        raise InputError(f"'{name}' holds nothing but air ({shown}); choose a CT of a body in HU.")


def _share_above(array: np.ndarray, threshold: float, high: float) -> float:
    if high <= threshold:
        return 0.0
    return sum(np.count_nonzero(plane > threshold) for plane in array) / array.size


def _lowest_above_padding(array: np.ndarray, low: float) -> float:
    if low >= PADDING_HU:
        return low
    lowest = np.inf
    for plane in array:
        seen = plane[plane >= PADDING_HU]
        lowest = min(lowest, float(seen.min())) if seen.size else lowest
    return lowest
