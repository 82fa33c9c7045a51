"""Standard views by name. Names follow radiographic habit; the angles are what counts and stand beside the name.

The pelvic inlet looks along the normal of the pelvic brim, which points forwards and up: the detector tilts towards
the head (cranial in DICOM's words), though radiographers, with the tube in front, say that the beam is angled caudally.
"""

from __future__ import annotations

# name: (primary angle, secondary angle) in degrees
PRESETS: dict[str, tuple[float, float]] = {
    "AP": (0.0, 0.0),
    "PA": (180.0, 0.0),
    "Left lateral": (90.0, 0.0),
    "Right lateral": (-90.0, 0.0),
    "LAO 30": (30.0, 0.0),
    "LAO 45": (45.0, 0.0),
    "RAO 30": (-30.0, 0.0),
    "RAO 45": (-45.0, 0.0),
    "Cranial 25": (0.0, 25.0),
    "Caudal 25": (0.0, -25.0),
    "Inlet CRA 40": (0.0, 40.0),
    "Outlet CAU 40": (0.0, -40.0),
    "Spider": (45.0, -25.0),
}
