"""The isocentric C-arm: DICOM positioner angles to a cone beam, and back.

Angles follow DICOM PS3.3 C.8.7.5, patient-based: primary + is LAO, secondary + is cranial. At 0/0 the tube is
behind the patient and the picture is read as a radiograph: patient's left on the right, head up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam

_LONG_AXIS = 1e-9  # sine of the angle to the patient's long axis below which the primary angle cannot be told


def detector_axes(primary_angle: float, secondary_angle: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors (e_c, e_r, d) in RAS for angles in degrees: along a row, down a column, source to detector."""
    a, b = np.deg2rad(primary_angle), np.deg2rad(secondary_angle)
    e_c = np.array([-np.cos(a), -np.sin(a), 0.0])
    e_r = np.array([-np.sin(a) * np.sin(b), np.cos(a) * np.sin(b), -np.cos(b)])
    d = np.array([-np.sin(a) * np.cos(b), np.cos(a) * np.cos(b), np.sin(b)])
    return e_c, e_r, d


def positioner_angles(direction) -> tuple[float, float]:
    """(primary, secondary) degrees of a source-to-detector direction; primary in (-180, 180], secondary in [-90, 90].

    Along the patient's long axis the primary angle is undefined; 0 is returned.
    """
    x, y, z = np.asarray(direction, dtype=np.float64) / np.linalg.norm(direction)
    across = np.hypot(x, y)
    secondary = np.rad2deg(np.arctan2(z, across))
    primary = np.rad2deg(np.arctan2(-x, y)) if across > _LONG_AXIS else 0.0
    return float(primary if primary > -180.0 else 180.0) + 0.0, float(secondary)  # no -0.0


@dataclass(frozen=True, eq=False)
class CArmPose:
    """A view named by angles. isocenter: RAS mm; sid, sod: mm; size: (rows, columns); pitch: (du, dv) mm.

    Raises InputError when a number is not finite, the angles are out of range, or sod is not between 0 and sid.
    """

    primary_angle: float
    secondary_angle: float
    isocenter: tuple[float, float, float]
    sid: float
    sod: float
    size: tuple[int, int]
    pitch: tuple[float, float]

    def __post_init__(self):
        for name in ("primary_angle", "secondary_angle", "sid", "sod"):
            object.__setattr__(self, name, float(getattr(self, name)))
        object.__setattr__(self, "isocenter", tuple(float(x) for x in self.isocenter))
        numbers = [self.primary_angle, self.secondary_angle, *self.isocenter, self.sid, self.sod]
        if len(self.isocenter) != 3 or not np.isfinite(numbers).all():
            raise InputError("Angles, isocentre, SID and SOD must be finite numbers.")
        if not -180 <= self.primary_angle <= 180:
            raise InputError(f"The primary angle must lie between -180 and 180 degrees, not {self.primary_angle:g}.")
        if not -90 <= self.secondary_angle <= 90:
            raise InputError(f"The secondary angle must lie between -90 and 90 degrees, not {self.secondary_angle:g}.")
        if not 0 < self.sod < self.sid:
            raise InputError(
                f"The isocentre must lie between source and detector: SOD {self.sod:g} mm, SID {self.sid:g} mm."
            )

    def beam(self) -> ConeBeam:
        """The cone beam of this pose, its principal ray through the isocentre and the middle of the detector."""
        e_c, e_r, d = detector_axes(self.primary_angle, self.secondary_angle)
        source = np.array(self.isocenter) - self.sod * d
        rows, columns = self.size
        corner = e_c * self.pitch[0] * (columns - 1) / 2 + e_r * self.pitch[1] * (rows - 1) / 2
        return ConeBeam(source, source + self.sid * d - corner, e_c, e_r, self.pitch, self.size)

    def to_dict(self) -> dict:
        """The pose in the words of the interface and of DICOM, for metadata."""
        return {
            "view": view_name(self.primary_angle, self.secondary_angle),
            "primary_angle": self.primary_angle,
            "secondary_angle": self.secondary_angle,
            "isocenter": list(self.isocenter),
            "sid": self.sid,
            "sod": self.sod,
        }


def pose_of_beam(beam: ConeBeam, sod: float) -> CArmPose:
    """The pose whose principal ray is the beam's line from the source to the middle of the detector.

    sod: mm, where along that line the isocentre lies. Exact for a beam made by a C-arm, also along the patient's long
    axis, where the primary angle turns the picture; a beam with a tilted, shifted or rolled detector keeps its
    direction alone.
    """
    towards = beam.detector_center - beam.source
    direction = towards / np.linalg.norm(towards)
    primary, secondary = positioner_angles(direction)
    if np.hypot(direction[0], direction[1]) < _LONG_AXIS:
        primary = float(np.rad2deg(np.arctan2(-beam.e_c[1], -beam.e_c[0])))
    return CArmPose(primary, secondary, tuple(beam.source + sod * direction), beam.sid, sod, beam.size, beam.pitch)


def view_name(primary_angle: float, secondary_angle: float) -> str:
    """The angles in the words of the angiography suite, as `LAO 30 CRA 25`."""
    if (abs(round(primary_angle, 1)), round(secondary_angle, 1)) == (180, 0):
        return "PA"
    parts = []
    if round(primary_angle, 1):
        parts.append(f"{'LAO' if primary_angle > 0 else 'RAO'} {abs(round(primary_angle, 1)):g}")
    if round(secondary_angle, 1):
        parts.append(f"{'CRA' if secondary_angle > 0 else 'CAU'} {abs(round(secondary_angle, 1)):g}")
    return " ".join(parts) or "AP"
