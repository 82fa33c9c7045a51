"""How much of the tube's fluence at 1 m reaches each pixel of a flat detector."""

import numpy as np

from DeepDRRSlicerLib.geometry.camera import ConeBeam

_REFERENCE_DISTANCE = 1000.0  # mm, where spectra are given


def fluence_factor(distance, cosine) -> np.ndarray:
    """Photons per area of detector, relative to a surface at 1 m that faces the source.

    distance: mm from the source to the pixel (inverse square). cosine: of the angle between the ray and the detector's
    normal (an oblique surface catches less).
    """
    return (_REFERENCE_DISTANCE / np.asarray(distance)) ** 2 * np.asarray(cosine)


def open_field(beam: ConeBeam) -> np.ndarray:
    """`fluence_factor` (rows, cols) at the pixel centres of a view; 1 straight below the source at 1 m."""
    rows, cols = beam.size
    across = np.arange(cols) * beam.pitch[0] + (beam.pixel00 - beam.source) @ beam.e_c
    down = np.arange(rows) * beam.pitch[1] + (beam.pixel00 - beam.source) @ beam.e_r
    distance = np.sqrt(down[:, None] ** 2 + across[None, :] ** 2 + beam.sid**2)
    return fluence_factor(distance, beam.sid / distance)
