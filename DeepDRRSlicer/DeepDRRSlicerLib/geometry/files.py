"""A view as plain data: every number that leaves the program, and the two forms in which a geometry may come in."""

from __future__ import annotations

import json
from numbers import Real
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam

_VECTOR_FORM = ("source", "detector_center", "e_c", "e_r", "pitch", "size")
_MATRIX_FORM = ("K", "R", "t", "pitch", "size")
_LARGEST = 1e12  # of a number in a file
_ROUNDED = 1e-4  # how far axes written with few digits may be from orthonormal


def beam_to_dict(beam: ConeBeam) -> dict:
    """Both forms at once, so that a reader need not guess: K, R, t, P, and source, pixel00, axes and pitch."""
    return {
        "frame": "RAS, mm",
        "size": list(beam.size),
        "pitch": list(beam.pitch),
        "source": beam.source.tolist(),
        "pixel00": beam.pixel00.tolist(),
        "detector_center": beam.detector_center.tolist(),
        "e_c": beam.e_c.tolist(),
        "e_r": beam.e_r.tolist(),
        "normal": beam.normal.tolist(),
        "sid": beam.sid,
        "K": beam.K.tolist(),
        "R": beam.R.tolist(),
        "t": beam.t.tolist(),
        "P": beam.P.tolist(),
    }


def beam_from_dict(data: dict) -> ConeBeam:
    """The inverse of beam_to_dict.

    Needed are size [rows, columns], pitch in mm (a number, or [along a row, down a column]), and either source,
    detector_center (or pixel00), e_c, e_r, or K, R, t. Where a file holds both forms, the vectors are read.
    Axes that are not quite orthonormal are made so; where K and the pitch differ a little, K holds.
    Raises InputError for a missing key, a singular or mirrored R, a skewed K, or a K that contradicts the pitch.
    """
    if not isinstance(data, dict):
        raise InputError("A geometry file must hold one JSON object with source, detector_center, e_c, e_r or K, R, t.")
    has_vectors = "source" in data
    if not has_vectors and "K" not in data:
        raise InputError(f"The geometry needs the keys {', '.join(_VECTOR_FORM)}, or {', '.join(_MATRIX_FORM)}.")
    size = _numbers(data, "size", (2,))
    if (size != np.round(size)).any():
        raise InputError(f"The geometry's size must be whole numbers of rows and columns, not {size.tolist()}.")
    if isinstance(data.get("pitch"), Real):
        data = {**data, "pitch": [data["pitch"], data["pitch"]]}
    pitch = _numbers(data, "pitch", (2,))
    return (_from_vectors if has_vectors else _from_matrices)(data, pitch, size)


def read_beam(path: str | Path) -> ConeBeam:
    """The view of a JSON geometry file, or of a `view.json` written by this program. Raises InputError."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"Cannot read the geometry file {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"The geometry file {path} is not valid JSON: {error}.") from error
    nested = data.get("geometry") if isinstance(data, dict) else None
    return beam_from_dict(nested if isinstance(nested, dict) else data)


def _from_vectors(data: dict, pitch: np.ndarray, size: np.ndarray) -> ConeBeam:
    axes = np.stack([_numbers(data, "e_c", (3,)), _numbers(data, "e_r", (3,))])
    e_c, e_r = _orthonormal(axes, "e_c and e_r must be unit vectors at a right angle to each other; normalise them")
    if "pixel00" in data:
        pixel00 = _numbers(data, "pixel00", (3,))
    else:
        rows, columns = size
        center = _numbers(data, "detector_center", (3,))
        pixel00 = center - e_c * pitch[0] * (columns - 1) / 2 - e_r * pitch[1] * (rows - 1) / 2
    return ConeBeam(_numbers(data, "source", (3,)), pixel00, e_c, e_r, tuple(pitch), tuple(size))


def _from_matrices(data: dict, pitch: np.ndarray, size: np.ndarray) -> ConeBeam:
    k, r, t = _numbers(data, "K", (3, 3)), _numbers(data, "R", (3, 3)), _numbers(data, "t", (3,))
    r = _orthonormal(r, "R must be a rotation with determinant +1")
    if np.linalg.det(r) < 0:
        raise InputError("R is a mirrored rotation; negate one of its rows, and the same row of t and diagonal of K.")
    if abs(k[2, 2]) < 1e-9 or np.abs(k[2, :2]).max() > 1e-9 * abs(k[2, 2]) or abs(k[1, 0]) > 1e-6 * abs(k[1, 1]):
        raise InputError("K must be upper triangular with a last row of 0 0 1.")
    k = k / k[2, 2]
    if abs(k[0, 1]) > 1e-6 * abs(k[0, 0]):
        raise InputError("K has a skew, which a detector of rectangular pixels cannot have; resample the image first.")
    focal_lengths = np.abs([k[0, 0], k[1, 1]])  # pixels
    sids = focal_lengths * pitch
    if sids.min() <= 0 or abs(sids[0] - sids[1]) > 1e-3 * sids.max():
        raise InputError(
            f"K and the pitch contradict each other: the source-image distance is {sids[0]:.2f} mm along a row "
            f"and {sids[1]:.2f} mm down a column; correct one of them."
        )
    sid = sids.mean()
    pitch = sid / focal_lengths
    e_c, e_r = np.sign(k[0, 0]) * r[0], np.sign(k[1, 1]) * r[1]
    source = -r.T @ t
    pixel00 = source + sid * r[2] - k[0, 2] * pitch[0] * e_c - k[1, 2] * pitch[1] * e_r
    return ConeBeam(source, pixel00, e_c, e_r, tuple(pitch), tuple(size))


def _orthonormal(rows: np.ndarray, rule: str) -> np.ndarray:
    """The orthonormal rows nearest to those of a file; those that are exact stay as they are."""
    error = np.abs(rows @ rows.T - np.eye(len(rows))).max()
    if error > _ROUNDED:
        raise InputError(f"{rule}.")
    if error < 1e-12:
        return rows
    u, _, vt = np.linalg.svd(rows, full_matrices=False)
    return u @ vt


def _numbers(data: dict, key: str, shape: tuple[int, ...]) -> np.ndarray:
    if key not in data:
        raise InputError(f"The geometry lacks the key {key!r}.")
    try:
        value = np.asarray(data[key], dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        value = np.array(np.nan)
    if value.shape != shape or not (np.abs(value) <= _LARGEST).all():
        raise InputError(f"The geometry's {key} must be {' x '.join(map(str, shape))} finite numbers.")
    return value
