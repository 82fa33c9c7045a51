"""The scene as a job: a folder with everything that a dataset is made of, which needs neither scene nor window.

What the nodes hold is copied on the calling thread (snapshot); files are written from the copy on any thread. Nothing
in them depends on clock or machine, so that the same scene gives the same job.
"""

import gzip
import hashlib
import os
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.anatomy.ct import as_ct
from DeepDRRSlicerLib.anatomy.image_io import LPS_TO_RAS
from DeepDRRSlicerLib.anatomy.landmarks import Landmark, landmarks_text
from DeepDRRSlicerLib.anatomy.seg_nrrd import write_segments
from DeepDRRSlicerLib.anatomy.segmentation import Segment
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.dataset.job import Job, job_text, parse_job, read_job
from DeepDRRSlicerLib.dataset.set_folder import JOB_FILE, unwritable
from DeepDRRSlicerLib.descriptions import description_file
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.projection.projector import Stopped
from DeepDRRSlicerLib.projection.tools import Tool
from DeepDRRSlicerLib.scene.job_settings import PATIENT, jobSettings
from DeepDRRSlicerLib.scene.materials import materialsOfJob
from DeepDRRSlicerLib.scene.mrml import landmarksFromNode, segmentsFromNode
from DeepDRRSlicerLib.scene.request import ctVolume
from DeepDRRSlicerLib.scene.tools import placedTools

_CT, _SEGMENTATION, _LANDMARKS = "ct.nrrd", "segmentation.seg.nrrd", "landmarks.mrk.json"
_MATERIALS = "materials.seg.nrrd"
_NRRD_TYPES = {"i1": "int8", "u1": "uint8", "i2": "int16", "u2": "uint16", "i4": "int32", "u4": "uint32",
               "i8": "int64", "u8": "uint64", "f4": "float", "f8": "double"}  # fmt: skip
_FAST = 1  # of gzip's levels: noise of a CT does not get smaller with more


@dataclass(frozen=True, eq=False)
class JobContents:
    """A copy of what a job is made of: settings, the job's JSON without files; all geometry in world RAS.

    ct_name: what messages call the CT. device: name or file. tools: with the 4x4 from their own coordinates to there.
    materials: segments that are materials, and by ID those materials that a job could not tell by itself.
    """

    settings: dict
    ct: Volume
    ct_name: str
    segments: list[Segment]
    landmarks: list[Landmark]
    device: str
    tools: list[tuple[Tool, np.ndarray]] = field(default_factory=list)
    materials: tuple[list[Segment], dict[str, str]] | None = None


def snapshot(parameters, name):
    """The JobContents of the parameter node's choices. Raises InputError for what cannot become a job."""
    settings = jobSettings(parameters, name)
    ct = ctVolume(parameters.ct)
    segments = segmentsFromNode(parameters.segmentation) if parameters.segmentation else []
    landmarks = landmarksFromNode(parameters.landmarks) if parameters.landmarks else []
    tools = placedTools()
    for kind, node, labels in (
        ("segments", parameters.segmentation, segments),
        ("landmarks", parameters.landmarks, landmarks),
        ("tools", None, [tool for tool, _ in tools]),
    ):
        names = [label.name for label in labels]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            owner = f" of {node.GetName()}" if node is not None else ""
            raise InputError(f"Two {kind}{owner} have the name {twice!r}; rename one of them.")
    copied = Volume(ct.array.copy(), ct.ijk_to_ras)  # the node's memory may change at any time
    name, materials = parameters.ct.GetName(), materialsOfJob(parameters)
    return JobContents(settings, copied, name, segments, landmarks, parameters.device, tools, materials)


def writeJob(contents, folder, shouldStop=lambda: False, compress=True):
    """Write the job's folder, or find it there as it would be written; returns the path of its job file.

    The folder comes into being whole or not at all. Raises InputError where it cannot, or holds something else;
    Stopped on request.
    """
    folder = Path(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
            part = Path(beside) / "job"
            part.mkdir()
            job = _fill(part, contents, shouldStop, compress)
            _put(part, folder, job)
    except OSError as error:
        raise unwritable(folder, error) from error
    return folder / JOB_FILE


def _fill(folder, contents, shouldStop, compress):
    as_ct(contents.ct, contents.ct_name)  # which refuses what is no CT
    patient = {"name": PATIENT, "ct": _CT}
    _writeVolume(folder / _CT, contents.ct, shouldStop, compress)
    if contents.segments:
        write_segments(folder / _SEGMENTATION, contents.segments)
        patient["segmentation"] = _SEGMENTATION
    if contents.landmarks:
        (folder / _LANDMARKS).write_text(landmarks_text(contents.landmarks), encoding="utf-8", newline="\n")
        patient["landmarks"] = _LANDMARKS
    tools = [_writeTool(folder, number, *placed) for number, placed in enumerate(contents.tools)]
    settings = contents.settings
    if contents.materials is not None:
        write_segments(folder / _MATERIALS, contents.materials[0])
        patient["materials"] = _MATERIALS
        settings = settings | {"material_map": contents.materials[1]}
    device = load_device(contents.device)
    machines = {"device": contents.device, "detector": device.detector, "grid": device.grid}
    for kind, name in machines.items():
        (folder / f"{kind}.json").write_bytes(description_file(kind, name).read_bytes())
    checksums = {}
    for path in sorted(folder.iterdir()):
        if shouldStop():
            raise Stopped
        with open(path, "rb") as file:
            checksums[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    files = {kind: f"{kind}.json" for kind in machines}
    parts = {"patients": [patient], "tools": tools, **files, "checksums": checksums}
    job = parse_job(settings | parts, folder)
    (folder / JOB_FILE).write_text(job_text(job), encoding="utf-8", newline="\n")
    return job


def _writeTool(folder, number, tool, matrix):
    """Writes the surface of a tool and returns what the job says of it."""
    name = f"tool_{number}.obj"
    lines = ["# SPACE=RAS"]
    lines += ["v " + " ".join(repr(float(x)) for x in vertex) for vertex in tool.vertices]
    lines += ["f " + " ".join(str(corner + 1) for corner in face) for face in tool.faces]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")
    return {
        "name": re.sub(r"[\x00-\x1f/\\]", "_", tool.name)[:100] or name,
        "mesh": name,
        "material": tool.material,
        "density": tool.density,
        "matrix": matrix.tolist(),
    }


def _put(part, folder, job: Job):
    """Moves a written job to its place, unless it is there already."""
    if (folder / JOB_FILE).exists():
        if read_job(folder / JOB_FILE).hash != job.hash:
            raise InputError(f"{folder} holds the job of another scene or other settings; choose another folder.")
        return
    if folder.exists():
        found = sorted(path.name for path in folder.iterdir())
        if found:
            raise InputError(f"{folder} holds other files ({found[0]}); choose an empty folder for the job.")
        folder.rmdir()  # Windows does not rename over it
    os.rename(part, folder)


def _writeVolume(path, volume, shouldStop, compress):
    """A NRRD file in ITK's LPS, plane by plane. Raises OSError, Stopped."""
    matrix = LPS_TO_RAS @ volume.ijk_to_ras
    vectors = [f"({','.join(repr(float(x)) for x in column)})" for column in matrix[:3].T]
    array = volume.array
    header = [
        "NRRD0004",
        f"type: {_NRRD_TYPES[array.dtype.str[1:]]}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(str(n) for n in volume.size)}",
        f"space directions: {' '.join(vectors[:3])}",
        "kinds: domain domain domain",
        "endian: little",
        f"encoding: {'gzip' if compress else 'raw'}",
        f"space origin: {vectors[3]}",
    ]
    with open(path, "wb") as file:
        file.write(("\n".join(header) + "\n\n").encode())
        packed = gzip.GzipFile("", "wb", _FAST, file, mtime=0) if compress else None
        for plane in array:
            if shouldStop():
                raise Stopped
            (packed or file).write(plane.astype(array.dtype.newbyteorder("<"), order="C", copy=False).data)
        if packed:
            packed.close()
