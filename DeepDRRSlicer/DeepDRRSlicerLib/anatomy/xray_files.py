"""A real X-ray picture from a file: DICOM, NRRD, MetaImage, NIfTI, PNG, JPEG or TIFF."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.anatomy.data_file import voxels_length
from DeepDRRSlicerLib.anatomy.image_io import check_memory, check_meta_dimensions, existing, image_format, simpleitk
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.dicom_pose import DicomPose, open_dicom, pose_of_header

# Readers of pictures, whose spacing, if any, is that of a printer.
_PICTURES = {".png": "PNGImageIO", ".jpg": "JPEGImageIO", ".jpeg": "JPEGImageIO", ".tif": "TIFFImageIO",
             ".tiff": "TIFFImageIO", ".bmp": "BMPImageIO"}  # fmt: skip
_MOST_SIDE = 16384  # pixels: packed ones do not show how many they become
_LOW, _HIGH = 0.5, 99.5  # per cent of the pixels, between which a picture without a window of its own is shown


@dataclass(frozen=True, eq=False)
class XrayPicture:
    """image: (rows, columns) float32, larger is brighter. pitch: mm (along a row, down a column), None if not known.

    window: values shown black and white. pose: what a DICOM header says; None for other files. frame: (number from 1,
    of how many).
    """

    image: np.ndarray
    pitch: tuple[float, float] | None
    window: tuple[float, float]
    pose: DicomPose | None = None
    frame: tuple[int, int] = (1, 1)


def read_xray(path) -> XrayPicture:
    """The picture in a file; of a sequence the representative frame, or the middle one. Raises InputError."""
    path = existing(path)
    suffix = path.suffix.lower()
    if suffix in _PICTURES or image_format(path) is not None:
        return _from_image(path, suffix in _PICTURES)
    return _from_dicom(path)


def _from_image(path: Path, is_picture: bool) -> XrayPicture:
    with simpleitk(path) as sitk:
        reader = sitk.ImageFileReader()
        reader.SetImageIO(image_format(path) or _PICTURES.get(path.suffix.lower(), ""))
        reader.SetFileName(str(path))
        check_meta_dimensions(path)
        voxels_length(path)
        reader.ReadImageInformation()
        check_memory(path.name, 8.0 * np.prod(reader.GetSize(), dtype=float) * reader.GetNumberOfComponents())
        image = reader.Execute()
        array = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() > 1:
        array = array[..., :3].mean(axis=-1)  # grey in colours
    array, (number, count) = _one_frame(array, path.name)
    spacing = image.GetSpacing()
    known = not is_picture and spacing[:2] != (1.0, 1.0)
    return XrayPicture(array, tuple(spacing[:2]) if known else None, _own_window(array), frame=(number, count))


def _from_dicom(path: Path) -> XrayPicture:
    data = open_dicom(path, f"{path.name} is no X-ray image: choose DICOM, NRRD, MetaImage, PNG, JPEG or TIFF.")
    try:
        return _picture_of(data, path)
    except InputError:
        raise
    except Exception as error:  # values are read when they are asked for
        raise InputError(f"The header of {path.name} is damaged ({type(error).__name__}); export it again.") from error


def _picture_of(data, path: Path) -> XrayPicture:
    if str(data.get("Modality", "")) in ("CT", "MR", "PT"):
        raise InputError(f"{path.name} is a slice of modality {data.Modality}; choose an X-ray image (XA, RF, DX).")
    sides = int(data.get("Rows") or 0), int(data.get("Columns") or 0)
    if max(sides) > _MOST_SIDE:
        raise InputError(f"{path.name} has {sides[0]} x {sides[1]} pixels, more than any detector; export it again.")
    check_memory(path.name, 8.0 * sides[0] * sides[1] * max(1, int(data.get("NumberOfFrames") or 1)))
    try:
        array = np.asarray(data.pixel_array)
    except Exception as error:  # pydicom raises whatever its decoders do
        raise InputError(
            f"The pixels of {path.name} cannot be read ({type(error).__name__}); save it uncompressed."
        ) from error
    if int(data.get("SamplesPerPixel", 1)) > 1:
        array = array[..., :3].mean(axis=-1)
    array, (number, count) = _one_frame(array, path.name, data.get("RepresentativeFrameNumber"))
    array = array * np.float32(data.get("RescaleSlope", 1) or 1) + np.float32(data.get("RescaleIntercept", 0) or 0)
    window = _header_window(data) or _own_window(array)
    if str(data.get("PhotometricInterpretation", "")) == "MONOCHROME1":  # larger is darker
        array, window = -array, (-window[1], -window[0])
    pose = pose_of_header(data)
    return XrayPicture(array, pose.pitch, window, pose, (number, count))


def _one_frame(array: np.ndarray, name: str, chosen=None) -> tuple[np.ndarray, tuple[int, int]]:
    """(rows, columns) float32 of one frame, and its number from 1 of how many."""
    array = array.reshape(array.shape[-2:]) if array.ndim > 2 and array.size == np.prod(array.shape[-2:]) else array
    if array.ndim == 3:
        count = len(array)
        number = int(chosen) if chosen and 1 <= int(chosen) <= count else count // 2 + 1
        array = array[number - 1]
    elif array.ndim == 2:
        number = count = 1
    else:
        raise InputError(f"{name} has {array.ndim} dimensions; an X-ray image has two, or three for a sequence.")
    array = array.astype(np.float32)
    if not np.isfinite(array).all() or array.size < 4:
        raise InputError(f"{name} holds values that are no numbers; export it again.")
    return array, (number, count)


def _own_window(array: np.ndarray) -> tuple[float, float]:
    low, high = (float(value) for value in np.percentile(array, (_LOW, _HIGH)))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _header_window(data) -> tuple[float, float] | None:
    try:
        center, width = (float(np.atleast_1d(data[name].value)[0]) for name in ("WindowCenter", "WindowWidth"))
    except (KeyError, TypeError, ValueError):
        return None
    return (center - width / 2, center + width / 2) if width > 0 else None
