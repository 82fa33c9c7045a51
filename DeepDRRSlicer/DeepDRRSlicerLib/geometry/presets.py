"""Standard views by name. Names follow radiographic habit; the angles are what counts and stand beside the name.

A name says what the picture shows, not where the tube stands: a beam and its reverse give the same shadow. The pelvic
inlet looks along the normal of the pelvic brim, which points forwards and up: the detector tilts towards the head
(cranial in DICOM's words), though radiographers, with the tube in front, say that the beam is angled caudally.
Judet's obliques raise one side by 45 degrees: with the injured side up the obturator ring of that side opens, with it
down the iliac wing. Angles of the coronary views are those of common use; they are adjusted to each patient.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """A view by its patient-based angles in degrees; text: one phrase that says what it is for."""

    name: str
    primary_angle: float
    secondary_angle: float
    text: str


GROUPS: dict[str, tuple[Preset, ...]] = {
    "Standard": (
        Preset("AP", 0.0, 0.0, "Tube behind the patient, detector in front"),
        Preset("PA", 180.0, 0.0, "Tube in front of the patient, detector behind"),
        Preset("Left lateral", 90.0, 0.0, "Detector at the patient's left"),
        Preset("Right lateral", -90.0, 0.0, "Detector at the patient's right"),
        Preset("LAO 30", 30.0, 0.0, "Left anterior oblique"),
        Preset("LAO 45", 45.0, 0.0, "Left anterior oblique"),
        Preset("RAO 30", -30.0, 0.0, "Right anterior oblique"),
        Preset("RAO 45", -45.0, 0.0, "Right anterior oblique"),
        Preset("Cranial 25", 0.0, 25.0, "Detector towards the head"),
        Preset("Caudal 25", 0.0, -25.0, "Detector towards the feet"),
    ),
    "Pelvis": (
        Preset("Inlet CRA 40", 0.0, 40.0, "Pelvic inlet: along the normal of the pelvic brim"),
        Preset("Outlet CAU 40", 0.0, -40.0, "Pelvic outlet: sacrum and foramina from the front"),
        Preset("Judet RAO 45", -45.0, 0.0, "Obturator oblique of the right acetabulum, iliac oblique of the left"),
        Preset("Judet LAO 45", 45.0, 0.0, "Iliac oblique of the right acetabulum, obturator oblique of the left"),
    ),
    "Spine": (
        Preset("Lumbar RAO 45", -45.0, 0.0, "Lumbar oblique: facet joints and pars of the left side"),
        Preset("Lumbar LAO 45", 45.0, 0.0, "Lumbar oblique: facet joints and pars of the right side"),
        Preset("Ferguson CAU 30", 0.0, -30.0, "Along the disc L5-S1 and the sacroiliac joints"),
        Preset("Cervical RAO 45 CAU 15", -45.0, -15.0, "Cervical oblique: neural foramina of the right side"),
        Preset("Cervical LAO 45 CAU 15", 45.0, -15.0, "Cervical oblique: neural foramina of the left side"),
    ),
    "Heart": (
        Preset("Spider", 45.0, -25.0, "LAO caudal: left main stem and its division"),
        Preset("LAO 45 CRA 25", 45.0, 25.0, "Left anterior descending artery and its diagonals"),
        Preset("RAO 20 CAU 20", -20.0, -20.0, "Circumflex artery and left main stem"),
        Preset("RAO 10 CRA 40", -10.0, 40.0, "Left anterior descending artery without foreshortening"),
    ),
    "Head": (
        Preset("Towne CRA 30", 0.0, 30.0, "Occipital bone and petrous ridges"),
        Preset("Caldwell CAU 15", 0.0, -15.0, "Orbits and frontal sinuses"),
    ),
}

# name: (primary angle, secondary angle) in degrees
PRESETS: dict[str, tuple[float, float]] = {
    preset.name: (preset.primary_angle, preset.secondary_angle) for group in GROUPS.values() for preset in group
}
