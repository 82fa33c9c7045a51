"""The pose of a real X-ray picture, from what its DICOM header says: angles, distances, pixels and sides.

Read are, at the top of the header or in the functional groups of an enhanced XA image:

  positioner angles (0018,1510 and 1511), patient-based as ours; a DX image without them often names its view
      (0018,5101): PA 0, AP 180, LL +90, RL -90, where AP means that the beam goes from front to back
  source to detector (0018,1110), which is our SID
  source to isocentre (0018,9402), or to patient (0018,1111), which is our SOD; or SID over the magnification
      (0018,1114)
  pixel spacing at the detector (0018,1164); (0028,0030) only where it is said not to be calibrated otherwise
  patient orientation (0020,0020): towards which side rows and columns run, from which follows how the picture is
      turned against ours

A header says nothing of where the isocentre lies in the CT.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import detector_axes
from DeepDRRSlicerLib.geometry.dicom_structure import check_structure

VIEW_POSITIONS = {"PA": (0.0, 0.0), "AP": (180.0, 0.0), "LL": (90.0, 0.0), "RL": (-90.0, 0.0)}
_DIRECTIONS = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "H": (0, 0, 1), "F": (0, 0, -1)}
_CLEARLY = 0.5  # cosine above which a side of ours is the one that a header names
_WORDS = {
    "angles": "the positioner angles",
    "sid": "the distance from source to detector",
    "sod": "the distance from source to isocentre",
    "pitch": "the pixel spacing at the detector",
    "sides": "the patient orientation",
}


@dataclass(frozen=True)
class DicomPose:
    """What a header says; None for what it leaves out. Angles degrees, lengths mm.

    pitch: (along a row, down a column) at the detector. size: (rows, columns). sides: letters (R L A P H F) of the
    directions in which rows and columns run. position: Patient Position such as "HFS". from_view: the angles are those
    of a named view. modality: such as "XA".
    """

    angles: tuple[float, float] | None
    sid: float | None
    sod: float | None
    pitch: tuple[float, float] | None
    size: tuple[int, int] | None
    sides: tuple[str, str] | None
    position: str | None = None
    modality: str = ""
    from_view: bool = False

    @property
    def missing(self) -> tuple[str, ...]:
        """What the header does not say, in words."""
        return tuple(words for name, words in _WORDS.items() if getattr(self, name) is None)

    def turned(self) -> tuple[int, bool] | None:
        """(degrees clockwise, whether then flipped sideways) that make our picture of the angles into this one.

        None where the header does not tell angles or sides, or tells sides that this view does not have.
        """
        if self.angles is None or self.sides is None:
            return None
        e_c, e_r, _ = detector_axes(*self.angles)
        wanted = [np.array(_DIRECTIONS[letter], float) for letter in self.sides]
        for flip in (False, True):
            for quarter in range(4):
                across, down = turned_axes(e_c, e_r, 90 * quarter, flip)
                if across @ wanted[0] > _CLEARLY and down @ wanted[1] > _CLEARLY:
                    return 90 * quarter, flip
        return None


def turned_axes(e_c, e_r, degrees: float, flip: bool) -> tuple[np.ndarray, np.ndarray]:
    """(along a row, down a column) of a picture turned clockwise by whole quarter turns and then flipped sideways."""
    quarter = int(round(degrees / 90)) % 4
    across, down = np.asarray(e_c, float), np.asarray(e_r, float)
    for _ in range(quarter):
        across, down = -down, across
    return (-across if flip else across), down


def read_dicom_pose(path: str | Path) -> DicomPose:
    """The pose in a DICOM file. Raises InputError for a file that is none, or that holds no projection."""
    name = Path(path).name
    refusal = f"{name} is no DICOM file that can be read; choose an XA or DX image."
    header = open_dicom(path, refusal, stop_before_pixels=True)
    try:
        modality = str(header.get("Modality", ""))
        if modality in ("CT", "MR", "PT", "NM", "US", "SEG", "RTSTRUCT"):
            raise InputError(f"{name} is an image of modality {modality}; choose an X-ray image (XA, RF, DX).")
        return pose_of_header(header)
    except InputError:
        raise
    except Exception as error:  # values are read when they are asked for
        raise InputError(refusal) from error


def open_dicom(path: str | Path, refusal: str, **how):
    """The pydicom dataset of a file. refusal: what is said of one that is none; how: as dcmread. Raises InputError."""
    try:
        import pydicom
        from pydicom.misc import is_dicom
    except ImportError as error:
        raise InputError("Reading a DICOM file needs the Python package pydicom; install it.") from error
    try:
        if not is_dicom(path):
            raise InputError(refusal)
        check_structure(Path(path))
        return pydicom.dcmread(path, **how)
    except InputError:
        raise
    except Exception as error:  # pydicom raises whatever a damaged file leads to
        raise InputError(refusal) from error


def pose_of_header(header) -> DicomPose:
    """The pose in a pydicom dataset."""
    sid = _number(header, "DistanceSourceToDetector")
    sod = _number(header, "DistanceSourceToIsocenter") or _number(header, "DistanceSourceToPatient")
    magnification = _number(header, "EstimatedRadiographicMagnificationFactor")
    if sod is None and sid is not None and magnification is not None and magnification > 1:
        sod = sid / magnification
    if sid is not None and sod is not None and not 0 < sod < sid:
        sod = None
    primary, secondary = _number(header, "PositionerPrimaryAngle", 0), _number(header, "PositionerSecondaryAngle", 0)
    view = str(_find(header, "ViewPosition") or "").upper()
    from_view = (primary is None or secondary is None) and view in VIEW_POSITIONS
    angles = VIEW_POSITIONS[view] if from_view else None
    if primary is not None and secondary is not None:
        angles = (primary, secondary)
    rows, columns = header.get("Rows"), header.get("Columns")
    return DicomPose(
        angles=angles,
        sid=sid,
        sod=sod,
        pitch=_pitch(header),
        size=(int(rows), int(columns)) if rows and columns else None,
        sides=_sides(header),
        position=str(header.get("PatientPosition") or "") or None,
        modality=str(header.get("Modality", "")),
        from_view=from_view,
    )


def _find(header, keyword: str):
    """The value of an attribute at the top, or in the functional groups that all frames share, or the first one has."""
    if header.get(keyword) not in (None, ""):
        return header.get(keyword)
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in list(header.get(name) or [])[:1]:
            for element in group:
                if element.VR == "SQ" and len(element.value) and element.value[0].get(keyword) not in (None, ""):
                    return element.value[0].get(keyword)
    return None


def _number(header, keyword: str, least: float | None = None) -> float | None:
    """A finite number; above 0 unless `least` is given, which then stands for any number."""
    try:
        value = float(_find(header, keyword))
    except (TypeError, ValueError):
        return None
    if not np.isfinite(value) or (least is None and value <= 0):
        return None
    return value


def _pitch(header) -> tuple[float, float] | None:
    spacing = _find(header, "ImagerPixelSpacing")
    if spacing is None and not header.get("PixelSpacingCalibrationType"):
        spacing = _find(header, "PixelSpacing")
    try:
        down, across = (float(value) for value in spacing)
    except (TypeError, ValueError):
        return None
    return (across, down) if across > 0 and down > 0 else None


def _sides(header) -> tuple[str, str] | None:
    """The first letters of rows' and columns' directions, if both are among R L A P H F."""
    orientation = _find(header, "PatientOrientation")
    letters = [str(value)[:1].upper() for value in orientation] if orientation else []
    if len(letters) != 2 or not all(letter in _DIRECTIONS for letter in letters):
        return None
    return letters[0], letters[1]
