"""One patient of a job, read and made ready: simulator, segments, landmarks, tools."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.anatomy.ct import read_ct
from DeepDRRSlicerLib.anatomy.landmarks import Landmark, read_landmarks
from DeepDRRSlicerLib.anatomy.segmentation import Segment, read_segmentation
from DeepDRRSlicerLib.anatomy.volume import Volume, transform_points
from DeepDRRSlicerLib.dataset.job import Job, file_of
from DeepDRRSlicerLib.dataset.sampling import Anatomy
from DeepDRRSlicerLib.errors import InputError

MOST_POINTS = 2000  # of a segment that stand for all of it when a view is drawn
_CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class PatientData:
    """What the files of a patient hold, as far as the job labels it. fingerprint: hex digest of all of it.

    materials: segments that are materials; None where it has no such file.
    """

    name: str
    ct: Volume
    segments: tuple[Segment, ...]
    landmarks: tuple[Landmark, ...]
    tool_meshes: tuple[tuple[np.ndarray, np.ndarray], ...]
    materials: tuple[Segment, ...] | None
    fingerprint: str


def read_patient(job: Job, number: int) -> PatientData:
    """The files of the job's patient of that number. Raises InputError, which names patient and file."""
    files = job.patients[number]
    try:
        paths = [files.ct, files.segmentation, files.landmarks, files.materials, *(tool.mesh for tool in job.tools)]
        for path in filter(None, paths):
            _check_sum(job, path)
        ct = read_ct(file_of(job, files.ct), files.series)
        all_segments = read_segmentation(file_of(job, files.segmentation)) if files.segmentation else []
        all_landmarks = read_landmarks(file_of(job, files.landmarks)) if files.landmarks else []
        materials = tuple(read_segmentation(file_of(job, files.materials))) if files.materials else None
        segments = _chosen(all_segments, job.labels.segments, "segments")
        landmarks = _chosen(all_landmarks, job.labels.landmarks, "landmarks")
        meshes = tuple(_read_mesh(file_of(job, tool.mesh)) for tool in job.tools)
    except InputError as error:
        raise InputError(f"The patient {files.name} cannot be used: {error}") from error
    except OSError as error:
        raise InputError(
            f"The patient {files.name} cannot be read: {error.strerror or error}; check its files."
        ) from error
    fingerprint = _fingerprint(ct, segments, landmarks, meshes, materials)
    return PatientData(files.name, ct, segments, landmarks, meshes, materials, fingerprint)


def anatomy_of(data: PatientData) -> Anatomy:
    """What plans aim at."""
    return Anatomy(
        data.ct.center_ras,
        {landmark.name: landmark.position_ras for landmark in data.landmarks},
        {segment.name: points_of(segment.mask) for segment in data.segments},
    )


def points_of(mask: Volume, most: int = MOST_POINTS) -> np.ndarray:
    """(n, 3) RAS mm of the centres of at most so many voxels of a mask, evenly in the order of its array."""
    inside = np.flatnonzero(mask.array)
    if len(inside) > most:
        inside = inside[np.linspace(0, len(inside) - 1, most).round().astype(np.intp)]
    k, j, i = np.unravel_index(inside, mask.array.shape)
    return transform_points(mask.ijk_to_ras, np.stack([i, j, k], axis=-1))


def _chosen(found: Sequence, names: Sequence[str] | None, kind: str) -> tuple:
    """Those of the names, in their order; all of them, which must then have names of their own, if None."""
    by_name = {one.name: one for one in found}
    if len(by_name) < len(found):
        twice = next(one.name for n, one in enumerate(found) if one.name in [other.name for other in found[:n]])
        raise InputError(f"Two of its {kind} have the name {twice!r}; rename one of them.")
    if names is None:
        return tuple(found)
    for n, name in enumerate(names):
        if name not in by_name:
            listed = ", ".join(list(by_name)[:10]) or "none"
            raise InputError(f"labels.{kind}[{n}]: it has no {name!r} among its {kind} ({listed}); correct the job.")
    return tuple(by_name[name] for name in names)


def _check_sum(job: Job, path: str) -> None:
    wanted = job.checksums.get(path)
    if wanted is None:
        return
    file = file_of(job, path)
    if not file.is_file():
        raise InputError(f"'{path}' is not there, or is a folder, which has no checksum; restore it.")
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != wanted:
        raise InputError(f"'{path}' is not the file that the job was written for (its checksum differs); restore it.")


def _read_mesh(path: Path) -> tuple[np.ndarray, np.ndarray]:
    from DeepDRRSlicerLib.anatomy.mesh import read_mesh

    return read_mesh(path)


def _fingerprint(ct: Volume, segments, landmarks, meshes, materials) -> str:
    digest = hashlib.sha256()

    def add(array):
        array = np.asarray(array)
        digest.update(repr((array.shape, array.dtype.str)).encode())
        for plane in array if array.ndim == 3 else [array]:
            digest.update(np.ascontiguousarray(plane))

    for volume in (ct, *(segment.mask for segment in (*segments, *(materials or ())))):
        add(volume.array)
        add(volume.ijk_to_ras)
    digest.update(repr([(s.name, s.color) for s in segments]).encode())
    if materials is not None:
        digest.update(repr([(s.name, s.id, s.terminology) for s in materials]).encode())
    digest.update(repr([(one.name, one.position_ras) for one in landmarks]).encode())
    for vertices, faces in meshes:
        add(vertices)
        add(faces)
    return digest.hexdigest()
