"""Image files through SimpleITK: the one place where ITK's LPS becomes RAS and where its errors become sentences."""

import gzip
import os
import re
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.anatomy.data_file import voxels_length
from DeepDRRSlicerLib.anatomy.volume import Volume, spacing
from DeepDRRSlicerLib.errors import InputError

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

DENSEST = 1032  # bytes that one packed byte can stand for at most (deflate)
# The reader is chosen by the file's ending, so that damaged content cannot be taken for another format.
IMAGE_FORMATS = {
    ".nii": "NiftiImageIO",
    ".nii.gz": "NiftiImageIO",
    ".nrrd": "NrrdImageIO",
    ".nhdr": "NrrdImageIO",
    ".mha": "MetaImageIO",
    ".mhd": "MetaImageIO",
}


def image_format(path: Path) -> str | None:
    """SimpleITK's name for the reader of an image file, or None when its ending is not one of `IMAGE_FORMATS`."""
    name = path.name.lower()
    return next((reader for ending, reader in IMAGE_FORMATS.items() if name.endswith(ending)), None)


def existing(path) -> Path:
    """`path` as an absolute Path; InputError when nothing is there or it cannot be looked at."""
    if not str(path).strip():  # an unset variable of a shell would stand for the current folder
        raise InputError("The path is empty; name a file or a folder.")
    result = Path(os.path.abspath(path))
    try:
        result.stat()
    except (OSError, ValueError):
        raise InputError(f"'{path}' does not exist or is not accessible; check the path.") from None
    return result


@contextmanager
def simpleitk(path: Path):
    """SimpleITK with its console warnings off; what it raises becomes an InputError about `path`."""
    import SimpleITK

    process = SimpleITK.ProcessObject
    warnings = process.GetGlobalWarningDisplay()
    process.SetGlobalWarningDisplay(False)
    try:
        yield SimpleITK
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"'{path.name}' does not fit into memory; crop or resample it first.") from error
    except (RuntimeError, ValueError, OverflowError, TypeError, OSError) as error:
        raise InputError(
            f"'{path.name}' cannot be read ({_reason(error)}); check that it is complete, or export it again."
        ) from error
    finally:
        process.SetGlobalWarningDisplay(warnings)


def _reason(error: Exception) -> str:
    """The last line of ITK's message, without source positions and addresses."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = re.sub(r"^.*\(0x[0-9a-f]+\):\s*", "", lines[-1]) if lines else "damaged"
    return text.removeprefix("ITK ERROR: ").strip().rstrip(".")[:200]


def read_image(path: Path, vector: bool = False):
    """The 3D SimpleITK image in a NIfTI, NRRD or MetaImage file; 4D with one frame counts as 3D.

    vector: accept more than one component per voxel. Raises InputError for anything else.
    """
    name = image_format(path)
    if name is None:
        raise InputError(f"'{path.name}' is not a known image file; use one of {', '.join(IMAGE_FORMATS)}.")
    with simpleitk(path) as sitk:
        reader = sitk.ImageFileReader()
        reader.SetImageIO(name)
        reader.SetFileName(str(path))
        check_meta_dimensions(path)
        length = voxels_length(path)
        reader.ReadImageInformation()
        announced = check_header(path.name, reader, vector)
        if length is not None and announced > length * DENSEST:
            raise InputError(f"'{path.name}' is far shorter than its header says; copy or export it again.")
        if name == "NiftiImageIO":
            _check_nifti_length(path, reader)
        image = reader.Execute()
        return image[:, :, :, 0] if image.GetDimension() == 4 else image


def check_meta_dimensions(path: Path) -> None:
    """InputError for a MetaImage whose number of dimensions is damaged, because ITK 5.4 crashes on it."""
    if image_format(path) != "MetaImageIO":
        return
    with open(path, "rb") as file:
        counts = re.findall(rb"NDims\s*[=:]\s*(\S*)", file.read(4096))
    if not all(count.isdigit() and 1 <= int(count) <= 4 for count in counts):
        raise InputError(f"'{path.name}' is damaged in its header (NDims); copy or export it again.")


def _check_nifti_length(path: Path, reader) -> None:
    """InputError for a truncated NIfTI file, whose missing voxels ITK would silently set to 0."""
    bits = float(reader.GetMetaData("bitpix")) * reader.GetNumberOfComponents()
    needed = float(reader.GetMetaData("vox_offset")) + np.prod(reader.GetSize(), dtype=float) * bits / 8
    if path.suffix.lower() != ".gz":
        length = path.stat().st_size
    else:
        with open(path, "rb") as file:
            file.seek(-4, os.SEEK_END)
            stored = int.from_bytes(file.read(4), "little")  # length of the last gzip member, modulo 2^32
        length = needed if stored == int(needed) % 2**32 else _unpacked_length(path, needed)
    if length < needed:
        raise InputError(f"'{path.name}' is truncated; copy or export it again.")


def _unpacked_length(path: Path, enough: float) -> int:
    """Length in bytes of a gzip file's content, counted up to `enough`, or up to where it breaks off."""
    length = 0
    try:
        with gzip.open(path) as file:
            while length < enough and (block := file.read(2**20)):
                length += len(block)
    except (EOFError, OSError, zlib.error):
        pass
    return length


def check_header(name: str, reader, vector: bool) -> float:
    """Bytes that a header announces; InputError unless it is one scalar (or vector) 3D image that fits into memory."""
    import SimpleITK

    size = reader.GetSize()
    if len(size) == 4 and size[3] > 1:
        raise InputError(f"'{name}' holds {size[3]} frames over time; export one of them as a 3D volume.")
    if len(size) not in (3, 4):
        raise InputError(f"'{name}' has {len(size)} dimensions instead of three; choose a volume.")
    pixel = SimpleITK.GetPixelIDValueAsString(reader.GetPixelID())
    components = reader.GetNumberOfComponents()
    if "complex" in pixel or (components != 1 and not vector):
        raise InputError(f"'{name}' holds {components} values per voxel ({pixel}); choose an image with one.")
    bits = re.search(r"(\d+)-bit", pixel)
    announced = float(np.prod(size, dtype=float)) * components * int(bits[1] if bits else 64) / 8
    check_memory(name, announced)
    return announced


def check_memory(name: str, size_in_bytes: float) -> None:
    """InputError when an image, held twice while it is converted, is larger than the computer's memory."""
    if not hasattr(os, "sysconf"):  # Windows: an allocation beyond memory and page file fails at once
        return
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if 2 * size_in_bytes > memory:
        raise InputError(
            f"'{name}' needs {2 * size_in_bytes / 2**30:.1f} GB but this computer has {memory / 2**30:.1f} GB; "
            "crop or resample it first."
        )


def affine_from_sitk(image) -> np.ndarray:
    """ijk_to_ras (4, 4) of a 3D SimpleITK image (or of anything with its origin, spacing and direction)."""
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    ijk_to_lps[:3, 3] = image.GetOrigin()
    return LPS_TO_RAS @ ijk_to_lps


def volume_from_sitk(image) -> Volume:
    """A 3D scalar SimpleITK image as a Volume with its own copy of the voxels; vector images give InputError."""
    import SimpleITK

    return Volume(SimpleITK.GetArrayFromImage(image), affine_from_sitk(image))


def volume_to_sitk(volume: Volume):
    """A Volume as a SimpleITK image in LPS; a sheared one keeps its unit columns as direction, which NIfTI refuses."""
    import SimpleITK

    array = volume.array.astype(np.uint8) if volume.array.dtype == bool else volume.array
    image = SimpleITK.GetImageFromArray(array)
    place_image(image, volume.ijk_to_ras)
    return image


def place_image(image, ijk_to_ras: np.ndarray) -> None:
    """Give a 3D SimpleITK image its place in space; a sheared one keeps its unit columns as direction."""
    ijk_to_lps = LPS_TO_RAS @ ijk_to_ras
    lengths = spacing(ijk_to_lps)
    image.SetOrigin(ijk_to_lps[:3, 3].tolist())
    image.SetSpacing(lengths.tolist())
    image.SetDirection((ijk_to_lps[:3, :3] / lengths).ravel().tolist())
