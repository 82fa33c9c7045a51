"""One CT series out of DICOM slices: which files belong to it, in which order, and where they lie.

Headers come through SimpleITK. File names and instance numbers are not trusted: slices are sorted by position.
"""

import os
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.anatomy.image_io import LPS_TO_RAS, check_memory, simpleitk
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.dicom_structure import check_structure

MOST_FILES = 20_000
MOST_ELEMENTS = 20_000_000  # of all headers together, which take a minute or two
MOST_SIDE = 8192  # pixels: no CT slice is wider, and packed pixels do not show how many there are
# "Media storage SOP class" of the file header, with one of the CT classes.
CT_STORAGE = re.compile(rb"\x02\x00\x02\x00UI..1\.2\.840\.10008\.5\.1\.4\.1\.1\.2(?![0-9])", re.DOTALL)
UNPACKED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
DENSEST_PACKED = 10_000  # numbers of an empty slice that one packed byte stands for, and a lot more
# Positions are written with as little as one decimal, so a slice may seem off by half of that and a little, in mm.
ROUNDING = 0.075
# Parts of the spacing by which a slice may be off: always, and at most for the sake of rounding.
UNEVEN, MOST_UNEVEN = 0.02, 0.15
# No scanner is larger; NaN and infinity are not smaller either.
MOST_MM = 1e6


@dataclass(frozen=True)
class Slice:
    """What the header of one DICOM image says; lengths in mm, LPS."""

    path: Path
    series_uid: str
    series_number: str
    description: str
    modality: str
    localizer: bool
    frames: int
    size: tuple[int, ...]
    components: int
    integer: bool
    spacing: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    position: tuple[float, ...] | None

    @property
    def place(self) -> np.ndarray:
        """(3,) mm of the first pixel; NaN where the header does not say it."""
        return np.array(self.position or (np.nan,) * 3)

    @property
    def axes(self) -> np.ndarray:
        """(2, 3) directions along a row and down a column; NaN where the header does not say them."""
        return np.reshape(self.orientation or (np.nan,) * 6, (2, 3))

    @property
    def pitch(self) -> np.ndarray:
        """(2,) mm between rows and between columns; NaN where the header does not say it."""
        return np.array(self.spacing or (np.nan,) * 2)

    @property
    def key(self) -> tuple[str, str, str]:
        """What the slices of a series share; anonymised files may lack the UID."""
        return (self.series_uid, "", "") if self.series_uid else ("", self.series_number, self.description)


def may_be_dicom(path: Path) -> bool:
    """Whether a file has DICOM's mark, or at least a name that DICOM files have."""
    try:
        with open(path, "rb") as file:
            marked = file.read(132)[128:] == b"DICM"
    except OSError:
        return False
    return marked or path.suffix.lower() in (".dcm", ".ima", ".dicom")


def read_folder(folder: Path, series: str | int | None = None) -> Volume:
    """The CT series in a folder and its subfolders; with several, `series` names one by number or UID."""
    slices = _scan(folder, recursive=True)
    if not slices:
        raise InputError(f"'{folder.name}' holds no DICOM image; choose a folder of CT slices or name the CT's file.")
    return _read(_choose(folder.name, _grouped(slices), series))


def read_file(path: Path, series: str | int | None = None) -> Volume:
    """The series of one DICOM image, from the files in the same folder."""
    if series is not None:
        raise InputError(f"'{path.name}' is one file, which decides the series; leave the series out.")
    own = None if _elements(path) is None else _header(path)
    if own is None:
        raise InputError(f"'{path.name}' is not a DICOM image; choose a CT slice, a folder of them or a volume file.")
    return _read([s for s in _scan(path.parent, recursive=False) if s.key == own.key])


def _scan(folder: Path, recursive: bool) -> list[Slice]:
    paths = []
    for directory, _, names in os.walk(folder):
        paths += [Path(directory, name) for name in names]
        if len(paths) > MOST_FILES:
            raise InputError(f"'{folder.name}' holds more than {MOST_FILES} files; choose the folder of one CT series.")
        if not recursive:
            break
    found, elements = [], 0
    for path in sorted(paths):
        if not path.is_file() or not may_be_dicom(path):
            continue
        count = _elements(path)
        if count is not None and (header := _header(path)) is not None:
            found.append(header)
        elements += count or 0
        if elements > MOST_ELEMENTS:
            raise InputError(f"The headers in '{folder.name}' are too long; choose the folder of one CT series.")
    return found


def _elements(path: Path) -> int | None:
    """Number of elements in a file, None where it is too odd to be opened; InputError where it claims to be a CT."""
    try:
        return check_structure(path)
    except InputError:
        if _claims_ct(path):  # without it the series might seem complete
            raise
        return None
    except OSError as error:
        raise InputError(f"'{path.name}' cannot be read ({error.strerror}); copy the series again.") from error


def _header(path: Path) -> Slice | None:
    """The header of a DICOM image, or None when the file is none (a report, a structure set, a directory).

    Raises InputError for a CT image that breaks off: without it the series might seem complete.
    """
    try:
        with simpleitk(path) as sitk:
            reader = sitk.ImageFileReader()
            reader.SetImageIO("GDCMImageIO")
            reader.SetFileName(str(path))
            reader.ReadImageInformation()
            integer = "integer" in sitk.GetPixelIDValueAsString(reader.GetPixelID())
            size, components = reader.GetSize(), reader.GetNumberOfComponents()
            tags = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
        _check_length(path, tags, float(np.prod(size, dtype=float)) * components)
    except InputError:
        if _claims_ct(path):
            raise InputError(f"'{path.name}' is a damaged or truncated CT slice; copy the series again.") from None
        return None

    def text(key: str) -> str:
        printable = (c if c.isprintable() else " " for c in tags.get(key, "").replace("\0", ""))
        return "".join(printable).encode("utf-8", "replace").decode().strip()[:100]

    def numbers(key: str, count: int) -> tuple[float, ...] | None:
        try:
            values = tuple(float(part) for part in tags.get(key, "").replace("\0", "").split("\\"))
        except ValueError:
            return None
        return values if len(values) == count and all(abs(value) < MOST_MM for value in values) else None

    frames = numbers("0028|0008", 1)
    return Slice(
        path=path,
        series_uid=text("0020|000e"),
        series_number=text("0020|0011"),
        description=text("0008|103e"),
        modality=text("0008|0060"),
        localizer="LOCALIZER" in tags.get("0008|0008", ""),
        frames=max(1, int(frames[0]) if frames else 1, *size[2:]),
        size=tuple(size),
        components=components,
        integer=integer,
        spacing=numbers("0028|0030", 2),
        orientation=numbers("0020|0037", 6),
        position=numbers("0020|0032", 3),
    )


def _check_length(path: Path, tags: dict[str, str], numbers: float) -> None:
    """InputError for fewer bytes than the pixels take: the reader would fill up the rest, however much that is."""
    try:
        needed = numbers * int(tags["0028|0100"]) / 8
    except (KeyError, ValueError):
        needed = np.inf
    if tags.get("0002|0010", "").rstrip("\0 ") not in UNPACKED:
        needed /= DENSEST_PACKED
    if not needed <= path.stat().st_size:
        raise InputError(f"'{path.name}' is shorter than its header says; copy the series again.")


def _claims_ct(path: Path) -> bool:
    """Whether the header of a file says that it is a CT image."""
    with open(path, "rb") as file:
        return CT_STORAGE.search(file.read(1000)) is not None


def _grouped(slices: list[Slice]) -> dict[str, list[Slice]]:
    """Series by the label that a person chooses them with: the series number, or 1, 2, … where numbers repeat."""
    groups = defaultdict(list)
    for s in slices:
        groups[s.key].append(s)
    ordered = [groups[key] for key in sorted(groups, key=lambda key: (groups[key][0].series_number.zfill(8), key))]
    labels = [group[0].series_number for group in ordered]
    if len(set(labels)) < len(labels) or "" in labels:
        labels = [str(n + 1) for n in range(len(ordered))]
    return dict(zip(labels, ordered, strict=True))


def _choose(name: str, groups: dict[str, list[Slice]], series: str | int | None) -> list[Slice]:
    if series is not None:
        wanted = str(series).strip()
        for label, group in groups.items():
            if wanted in (label, group[0].series_uid):
                return group
        raise InputError(f"'{name}' holds no series {wanted}, but {_listed(groups)}; choose one of these.")
    if len(groups) == 1:
        return next(iter(groups.values()))
    # Scouts and other modalities of the same study are no alternative to a CT.
    volumes = {
        label: group for label, group in groups.items() if _is_ct(group[0]) and not all(s.localizer for s in group)
    }
    if len(volumes) == 1:
        return next(iter(volumes.values()))
    if not volumes:
        raise InputError(f"'{name}' holds no CT volume, but {_listed(groups)}; choose a CT series.")
    raise InputError(f"'{name}' holds {len(volumes)} CT series: {_listed(volumes)}; choose one with --series.")


def _listed(groups: dict[str, list[Slice]]) -> str:
    shown = []
    for label, group in list(groups.items())[:30]:
        first, slices = group[0], sum(s.frames for s in group)
        modality = "" if _is_ct(first) else f"{first.modality}, "
        count = f"{slices} slice{'s' if slices > 1 else ''}"
        shown.append(f"{label} ({modality}{first.description or 'no description'}, {count})")
    return ", ".join(shown) + (", …" if len(groups) > 30 else "")


def _is_ct(s: Slice) -> bool:
    return s.modality in ("CT", "")


def _read(slices: list[Slice]) -> Volume:
    """Slices of one series, checked, sorted and stacked; voxels with rescale slope and intercept applied."""
    name = slices[0].description or f"series {slices[0].series_number or slices[0].series_uid}"
    _check_images(name, slices)
    ordered, ijk_to_lps = _place(name, slices)
    columns, rows = ordered[0].size[:2]
    dtype = np.int32 if all(s.integer for s in ordered) else np.float32
    check_memory(name, rows * columns * len(ordered) * np.dtype(dtype).itemsize)
    array = np.empty((len(ordered), rows, columns), dtype)
    for k, s in enumerate(ordered):
        with simpleitk(s.path) as sitk:
            image = sitk.ReadImage(str(s.path), imageIO="GDCMImageIO")
            array[k] = sitk.GetArrayViewFromImage(image).reshape(rows, columns)
    return Volume(array, LPS_TO_RAS @ ijk_to_lps)


def _check_images(name: str, slices: list[Slice]) -> None:
    first = slices[0]
    if not _is_ct(first):
        raise InputError(f"'{name}' is of the modality {first.modality}, not CT; choose a CT series.")
    if any(s.frames > 1 for s in slices):
        raise InputError(
            f"'{name}' is a multi-frame (enhanced) image, which is not supported; convert it to NIfTI with dcm2niix or "
            "export it as NRRD from 3D Slicer."
        )
    if max(max(s.size) for s in slices) > MOST_SIDE:
        raise InputError(f"'{name}' has slices of more than {MOST_SIDE} pixels along a side; export it again.")
    if any(s.components > 1 for s in slices):
        raise InputError(f"'{name}' holds colour images; choose the original CT series.")
    if len(slices) < 2:
        raise InputError(f"'{name}' has only one slice, but a CT needs at least two; choose another series.")
    if any(s.position is None or s.orientation is None or s.spacing is None for s in slices):
        raise InputError(f"'{name}' has slices without position, orientation or pixel spacing; export it again.")
    if any(s.pitch.min() <= 0 for s in slices):
        raise InputError(f"The pixel spacing of '{name}' is not greater than 0; export the series again.")
    if len({s.size for s in slices}) > 1 or np.ptp([s.pitch for s in slices], axis=0).max() > 1e-3:
        raise InputError(f"The slices of '{name}' differ in size or pixel spacing; choose another series.")
    if np.ptp([s.axes for s in slices], axis=0).max() > 1e-3:
        raise InputError(f"'{name}' mixes slices of different orientation; choose a series of parallel slices.")


def _place(name: str, slices: list[Slice]) -> tuple[list[Slice], np.ndarray]:
    """Slices in order of position, and ijk_to_lps; a gantry tilt shears its third column."""
    row, column = slices[0].axes
    if abs(row @ row - 1) > 0.01 or abs(column @ column - 1) > 0.01 or abs(row @ column) > 0.01:
        raise InputError(f"The image orientation of '{name}' is not two orthogonal unit vectors; export it again.")
    normal = np.cross(row, column)
    ordered = sorted(slices, key=lambda s: float(normal @ s.place))
    positions = np.array([s.place for s in ordered])
    height = positions @ normal
    _check_spacing(name, height)
    step, first = np.polyfit(np.arange(len(ordered)), positions, 1)
    line = first + np.outer(np.arange(len(ordered)), step)
    if np.abs(positions - line).max() > max(2 * ROUNDING, 0.1 * slices[0].pitch.min()):
        raise InputError(f"The slices of '{name}' are shifted against each other; resample the CT, or export it again.")
    between_rows, between_columns = slices[0].pitch
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, :3] = np.column_stack([row * between_columns, column * between_rows, step])
    ijk_to_lps[:3, 3] = first
    return ordered, ijk_to_lps


def _check_spacing(name: str, height: np.ndarray) -> None:
    """InputError for slices at the same height, missing ones, or uneven spacing; height in mm, sorted."""
    gaps = np.diff(height)
    usual = float(np.sort(gaps)[(len(gaps) - 1) // 2])
    if gaps.min() < max(0.01 * usual, 1e-4):
        where = height[int(gaps.argmin())]
        raise InputError(
            f"'{name}' has several slices at {where:.2f} mm along its axis, as when phases or reconstructions share a "
            "series; export only one of them."
        )
    count = np.arange(len(height))
    step, first = np.polyfit(count, height, 1)
    if np.abs(height - first - step * count).max() <= min(max(ROUNDING, UNEVEN * step), MOST_UNEVEN * step):
        return
    worst = int(np.abs(gaps - usual).argmax())
    between = f"between {height[worst]:.2f} and {height[worst + 1]:.2f} mm along its axis (usually {usual:.3g} apart)"
    if gaps[worst] > 1.5 * usual:
        raise InputError(f"'{name}' lacks slices {between}; export the complete series.")
    raise InputError(f"The slices of '{name}' are unevenly spaced {between}; resample the CT or choose another series.")
