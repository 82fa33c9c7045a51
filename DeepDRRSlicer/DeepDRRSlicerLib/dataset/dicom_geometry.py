"""The cone beam in a DICOM header: positioner angles and distances, and a private block for what they cannot say.

DICOM's angles and distances leave open how the detector is turned and shifted about the central ray and where the
patient lies. The private block DEEPDRRSLICER 1.0 in group 0021 says it, in LPS millimetres as all of DICOM, with one
value or tuple for each frame:

    (0021,xx01) FD  isocentre, 3 numbers: on the perpendicular from the source to the detector, at the distance from
                    source to patient (0018,1111); left out where the view has none
    (0021,xx02) FD  detector roll in degrees: e_c = cos(roll) e_c0 + sin(roll) e_r0, where e_c0 and e_r0 are the axes
                    of the detector that the positioner angles alone give
    (0021,xx03) FD  detector offset, 2 numbers: mm along a row and down a column from the foot of the perpendicular,
                    dropped from the source on the detector, to the middle of the image
    (0021,xx04) CS  YES where the image is seen from the source towards the detector (mirrored), else NO
    (0021,xx05) FD  source, 3 numbers
    (0021,xx06) FD  source-image distance along the detector's normal
    (0021,xx07) FD  primary angle of the detector's normal     (0021,xx08) FD  secondary angle
    (0021,xx09) FD  air kerma at the interventional reference point in uGy; left out where it is not known
    (0021,xx0A) UL  number of the sample in its job
    (0021,xx0B) UT  JSON list of the annotation of each frame: labels, technique, settings

The standard's angles are those of the detector's normal as well, so that they go together with roll and offset.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.geometry.carm import detector_axes, positioner_angles

GROUP, CREATOR = 0x0021, "DEEPDRRSLICER 1.0"
ISOCENTER, ROLL, OFFSET, MIRRORED, SOURCE, SID, PRIMARY, SECONDARY, KERMA, INDEX, ANNOTATION = range(1, 12)
_LPS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Placement:
    """A cone beam in DICOM's words. Lengths in mm, angles in degrees, vectors in LPS."""

    primary_angle: float
    secondary_angle: float
    roll: float
    offset: tuple[float, float]
    mirrored: bool
    source: np.ndarray
    sid: float

    def isocenter(self, distance: float) -> list[float]:
        """LPS mm of the point that far from the source on the way to the detector."""
        normal = detector_axes(self.primary_angle, self.secondary_angle)[2]
        return (self.source + distance * normal * _LPS).tolist()

    def beam(self, size: tuple[int, int], pitch: tuple[float, float]) -> ConeBeam:
        """The cone beam with an image of (rows, columns) pixels of (du, dv) mm."""
        across, down, normal = detector_axes(self.primary_angle, self.secondary_angle)
        angle = np.deg2rad(self.roll)
        e_c = np.cos(angle) * across + np.sin(angle) * down
        # (e_c, e_r, normal) is left-handed unless the image is mirrored.
        e_r = np.cross(normal, e_c) if self.mirrored else np.cross(e_c, normal)
        source = self.source * _LPS
        middle = source + self.sid * normal + self.offset[0] * e_c + self.offset[1] * e_r
        corner = e_c * pitch[0] * (size[1] - 1) / 2 + e_r * pitch[1] * (size[0] - 1) / 2
        return ConeBeam(source, middle - corner, e_c, e_r, pitch, size)


def placement(beam: ConeBeam) -> Placement:
    """The inverse of Placement.beam."""
    primary, secondary = positioner_angles(beam.normal)
    across, down, _ = detector_axes(primary, secondary)
    foot = beam.source + beam.sid * beam.normal
    shift = beam.detector_center - foot
    return Placement(
        primary_angle=primary,
        secondary_angle=secondary,
        roll=float(np.rad2deg(np.arctan2(beam.e_c @ down, beam.e_c @ across))),
        offset=(float(shift @ beam.e_c), float(shift @ beam.e_r)),
        mirrored=bool(np.cross(beam.e_c, beam.e_r) @ beam.normal > 0),
        source=beam.source * _LPS,
        sid=beam.sid,
    )


def beam_from_dicom(dataset, frame: int = 0) -> ConeBeam:
    """The view of a frame of a pydicom dataset.

    Where the private block lacks the source (another program may have dropped it), it lies on the central ray before
    the isocentre. Without the private block there is no answer: raises InputError, as it does for damaged values.
    """
    try:
        block = dataset.private_block(GROUP, CREATOR)
        rows, columns = int(dataset.Rows), int(dataset.Columns)
        down, across = (float(p) for p in dataset.ImagerPixelSpacing)
        standard = frame == 0
        primary = _value(block, PRIMARY, frame, 1, float(dataset.PositionerPrimaryAngle) if standard else None)
        secondary = _value(block, SECONDARY, frame, 1, float(dataset.PositionerSecondaryAngle) if standard else None)
        sid = _value(block, SID, frame, 1, float(dataset.DistanceSourceToDetector) if standard else None)
        along, down_by = _value(block, OFFSET, frame, 2)
        place = Placement(
            primary_angle=primary[0],
            secondary_angle=secondary[0],
            roll=_value(block, ROLL, frame, 1)[0],
            offset=(along, down_by),
            mirrored=MIRRORED in block and block[MIRRORED].value == "YES",
            source=_source(dataset, block, frame, primary[0], secondary[0]),
            sid=sid[0],
        )
        return place.beam((rows, columns), (across, down))
    except (KeyError, AttributeError, ValueError, TypeError, IndexError) as error:
        raise InputError(
            "The DICOM header does not say the whole geometry; use a file that this program wrote, with its private "
            f"block {CREATOR}."
        ) from error


def _source(dataset, block, frame: int, primary: float, secondary: float) -> np.ndarray:
    if SOURCE in block:
        return np.array(_value(block, SOURCE, frame, 3))
    normal = detector_axes(primary, secondary)[2]
    isocenter = np.array(_value(block, ISOCENTER, frame, 3))
    return isocenter - float(dataset.DistanceSourceToPatient) * normal * _LPS


def _value(block, element: int, frame: int, length: int, default: float | None = None) -> tuple[float, ...]:
    """Numbers of one frame; default: what a header without this element says elsewhere."""
    if element not in block and default is not None:
        return (default,)
    values = np.atleast_1d(np.asarray(block[element].value, np.float64))
    part = values[frame * length : (frame + 1) * length]
    if len(part) != length:
        raise IndexError
    return tuple(float(x) for x in part)
