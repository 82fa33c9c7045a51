"""How much of the tube's fluence at 1 m reaches any distance, and each pixel of a flat detector."""

from functools import lru_cache

import numpy as np

from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.physics.spectrum import Spectrum

_REFERENCE_DISTANCE = 1000.0  # mm, where spectra are given
_DIGITS = 9  # of mm, which rounding of a turned detector leaves alone


def inverse_square(distance) -> np.ndarray:
    """Fluence and air kerma at a distance in mm from the focal spot, relative to 1 m."""
    return (_REFERENCE_DISTANCE / np.asarray(distance, dtype=np.float64)) ** 2


def fluence_at(spectrum: Spectrum, mas: float, distance: float) -> float:
    """Photons per mm2 of a surface that faces the source, for a tube load in mAs, at a distance in mm."""
    return float(spectrum.total_fluence * mas * inverse_square(distance))


def air_kerma_at(spectrum: Spectrum, mas: float, distance: float) -> float:
    """Air kerma in uGy, free in air on the central ray, for a tube load in mAs, at a distance in mm."""
    return float(spectrum.air_kerma * mas * inverse_square(distance))


def fluence_factor(distance, cosine) -> np.ndarray:
    """Photons per area of detector, relative to a surface at 1 m that faces the source.

    distance: mm from the source to the pixel (inverse square). cosine: of the angle between the ray and the detector's
    normal (an oblique surface catches less).
    """
    return inverse_square(distance) * np.asarray(cosine)


def plane_coordinates(beam: ConeBeam) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres in mm from the foot of the perpendicular from the source: (cols,) along a row, (rows,) down."""
    rows, cols = beam.size
    across = np.arange(cols) * beam.pitch[0] + (beam.pixel00 - beam.source) @ beam.e_c
    down = np.arange(rows) * beam.pitch[1] + (beam.pixel00 - beam.source) @ beam.e_r
    return across, down


def pixel_distance(beam: ConeBeam) -> np.ndarray:
    """(rows, cols) mm from the source to the pixel centres, read-only."""
    foot = [round(float((beam.pixel00 - beam.source) @ axis), _DIGITS) for axis in (beam.e_c, beam.e_r, beam.normal)]
    return _distances(beam.size, beam.pitch, *foot)


def open_field(beam: ConeBeam) -> np.ndarray:
    """`fluence_factor` (rows, cols) at the pixel centres of a view; 1 straight below the source at 1 m."""
    distance = pixel_distance(beam)
    return fluence_factor(distance, beam.sid / distance)


@lru_cache(maxsize=4)  # a C-arm that turns keeps its detector where it is before the source
def _distances(size: tuple[int, int], pitch: tuple[float, float], right: float, below: float, sid: float) -> np.ndarray:
    """right, below: mm to the first pixel from the foot of the perpendicular from the source."""
    across = np.arange(size[1]) * pitch[0] + right
    down = np.arange(size[0]) * pitch[1] + below
    distance = np.sqrt(down[:, None] ** 2 + across**2 + sid**2)
    distance.flags.writeable = False
    return distance
