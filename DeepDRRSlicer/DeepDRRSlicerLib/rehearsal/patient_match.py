"""Whether a CT is the one that a task was made for."""

from __future__ import annotations

import hashlib

import numpy as np

from DeepDRRSlicerLib.anatomy.volume import Volume, transform_points
from DeepDRRSlicerLib.rehearsal.task import Patient

_NEAR = 6.0  # mm between the boxes of two resamplings of one CT
_SAME = 0.05  # mm between the boxes of the same voxels
_LOWEST = -1024  # HU: what is below, a scanner writes outside its field of view


def patient_of(ct: Volume, name: str) -> Patient:
    """The Patient that a task made on this CT names; values in HU."""
    low, high = _box(ct)
    return Patient(name, tuple(low.round(2).tolist()), tuple(high.round(2).tolist()), voxels_digest(ct))


def voxels_digest(ct: Volume) -> str:
    """SHA-256 of size and values, rounded to whole HU of at least -1024, whatever type they are stored in."""
    digest = hashlib.sha256(repr(ct.array.shape).encode())
    for plane in ct.array:
        digest.update(np.ascontiguousarray(np.clip(np.rint(plane), _LOWEST, 32767).astype("<i2")))
    return digest.hexdigest()


def mismatch(patient: Patient, ct: Volume) -> str:
    """A sentence on how the CT is not the one of the task; empty where it is.

    The same CT in another resampling passes: its box lies within 6 mm of the task's, and its voxels are not compared.
    """
    apart = np.abs(np.concatenate(_box(ct)) - (*patient.low, *patient.high)).max()
    if apart > _NEAR:
        return f"The task was made on another CT ({patient.name}), which lies elsewhere; load that one."
    if apart < _SAME and patient.voxels is not None and voxels_digest(ct) != patient.voxels:
        return f"This CT lies where that of the task does ({patient.name}), but shows something else; load that one."
    return ""


def _box(ct: Volume) -> tuple[np.ndarray, np.ndarray]:
    size = np.array(ct.array.shape[::-1])
    corners = np.array(list(np.ndindex(2, 2, 2))) * (size - 1)
    places = transform_points(ct.ijk_to_ras, corners)
    return places.min(axis=0), places.max(axis=0)
