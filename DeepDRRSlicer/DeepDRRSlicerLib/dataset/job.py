"""The job file: everything that decides a dataset, read strictly, and its hash."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from DeepDRRSlicerLib.anatomy.segment_materials import checked_material_map
from DeepDRRSlicerLib.dataset.job_fields import FORMAT, JOB_FIELDS, MOST_SAMPLES
from DeepDRRSlicerLib.dataset.job_parts import (
    Box,
    Cones,
    Grid,
    ImageGrid,
    LabelChoice,
    PatientFiles,
    PictureRanges,
    Plan,
    Shutters,
    TechniqueRanges,
    ToolPlan,
    Trajectory,
    Views,
)
from DeepDRRSlicerLib.dataset.job_values import definitions, record
from DeepDRRSlicerLib.dataset.outputs import read_outputs
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.device import Device, load_device
from DeepDRRSlicerLib.geometry.presets import PRESETS
from DeepDRRSlicerLib.physics.detector import Detector, load_detector
from DeepDRRSlicerLib.physics.grid import Grid as AntiScatterGrid
from DeepDRRSlicerLib.physics.grid import load_grid
from DeepDRRSlicerLib.physics.materials import material_name
from DeepDRRSlicerLib.simulation.technique import MANUAL

SCHEMA = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True, eq=False)
class Job:
    """A job file as read. data: its JSON as it was given; folder: what its paths are relative to.

    The other fields are those of the file (job_fields.py), defaults filled in. device, detector and grid are the
    machines themselves; None is the grid of the device.
    """

    data: dict
    folder: Path
    name: str
    licence: str
    date: str
    seed: int
    count: int
    patients: tuple[PatientFiles, ...]
    labels: LabelChoice
    materials: str
    material_map: dict[str, str] | None
    keep_couch: bool
    device: Device
    detector: Detector
    grid: AntiScatterGrid | None
    scatter: str
    histories: int
    image: ImageGrid
    technique: TechniqueRanges
    collimation: Shutters | None
    plan: Plan
    tools: tuple[ToolPlan, ...]
    picture: PictureRanges
    outputs: tuple[dict, ...]
    errors: str
    checksums: dict[str, str]

    @property
    def hash(self) -> str:
        """Hex SHA-256 of the job's JSON in canonical form."""
        canonical = json.dumps(self.data, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def patient_of(self, index: int) -> int:
        """Which patient sample i shows: they take turns, so that the first samples of a longer job are the same."""
        return index % len(self.patients)


def read_job(path: str | Path) -> Job:
    """The job of a file. Raises InputError with one sentence that names the fault and its place."""
    path = Path(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=_no_constant)
    except OSError as error:
        raise InputError(
            f"Cannot read the job file {path}: {error.strerror or error}; give the path of a job."
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"The job file {path} is not valid JSON ({error}); correct it there.") from error
    return parse_job(data, path.parent, f"The job file {path}")


def parse_job(data: dict, folder: str | Path = ".", name: str = "The job") -> Job:
    """The job of a JSON value whose paths are relative to folder. Raises InputError; name: how that calls the job."""
    try:
        return _parse(data, Path(folder))
    except InputError as error:  # of the machines' files, a sentence already
        raise InputError(f"{name} cannot be used: {error}") from error
    except ValueError as error:
        raise InputError(f"{name} cannot be used: {str(error).rstrip('.')}.") from error
    except RecursionError as error:
        raise InputError(f"{name} cannot be used: it is nested too deeply.") from error


def job_text(job: Job) -> str:
    """The job as the text of a file that reads as the same job."""
    return json.dumps(job.data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def job_schema() -> dict:
    """JSON Schema (draft 2020-12) of job files; data/schemas/job.schema.json is this."""
    job = record(dict, JOB_FIELDS, {"format": FORMAT}).schema
    return {"$schema": SCHEMA, "title": FORMAT} | job | {"$defs": definitions()}


def file_of(job: Job, path: str) -> Path:
    """A file that the job names."""
    return job.folder / path


def image_grid(job: Job) -> tuple[tuple[int, int], tuple[float, float]]:
    """(rows, columns) and pitch of the job's images."""
    size, pitch = job.detector.pixel_grid()
    pitch = pitch if job.image.pitch is None else job.image.pitch
    return job.image.size or size, (pitch, pitch)


def _parse(data, folder: Path) -> Job:
    values = record(dict, JOB_FIELDS, {"format": FORMAT}).read("", data)
    values["device"] = load_device(_machine(folder, values["device"]))
    values["detector"] = load_detector(_machine(folder, values["detector"] or values["device"].detector))
    if values["grid"] is not None:
        values["grid"] = load_grid(_machine(folder, values["grid"]))
    per_patient = _once_through(values["plan"])
    if values["count"] is None:
        if per_patient is None:
            raise ValueError(f"count is missing, which a plan of the kind {data['plan']['kind']} needs")
        values["count"] = per_patient * len(values["patients"])
    if values["count"] > MOST_SAMPLES:
        raise ValueError(f"count must be at most {MOST_SAMPLES}, but the plan makes {values['count']} samples")
    job = Job(data=json.loads(json.dumps(data)), folder=folder, **values)
    _check_names(job)
    _check_plan(job)
    _check_machine(job)
    return job


def _no_constant(name: str):
    raise ValueError(f"{name} is no JSON number")


def _machine(folder: Path, name: str) -> str | Path:
    """A file beside the job, or else a shipped name."""
    try:
        return folder / name if (folder / name).is_file() else name
    except OSError as error:
        raise ValueError(f"{name[:40]!r} names no device or detector") from error


def _once_through(plan: Plan) -> int | None:
    """How many views go once through a plan; None where there is no end to them."""
    if isinstance(plan, Grid):
        return len(plan.primary_angles) * len(plan.secondary_angles)
    return plan.frames if isinstance(plan, Trajectory) else None


def _check_names(job: Job) -> None:
    for where, names in (
        ("patients", [patient.name for patient in job.patients]),
        ("tools", [tool.name for tool in job.tools]),
        ("labels.segments", job.labels.segments or ()),
        ("labels.landmarks", job.labels.landmarks or ()),
    ):
        for n, name in enumerate(names):
            if name in names[:n]:
                raise ValueError(f"{where}[{n}] has the name {name!r} of an entry before it")
    for n, tool in enumerate(job.tools):
        _material(f"tools[{n}].material", tool.material)
        if tool.matrix and tool.matrix[3] != (0, 0, 0, 1):
            raise ValueError(f"tools[{n}].matrix[3] must be [0, 0, 0, 1]")
        if tool.at_pivot and tool.pivot is None:
            raise ValueError(f"tools[{n}].pivot is missing, which at_pivot needs")
    read_outputs(job.data, job.hash)
    if job.material_map is not None:
        if not any(patient.materials for patient in job.patients):
            raise ValueError("material_map is for the patients' materials, and no patient has any")
        checked_material_map(job.material_map, "material_map")
    for metal in job.technique.filtration or ():
        _material(f"technique.filtration.{metal}", metal)


def _material(where: str, name: str) -> None:
    try:
        material_name(name)
    except InputError as error:
        raise ValueError(f"{where} is not known: {error}") from error


def _check_plan(job: Job) -> None:
    around = job.plan.around
    centre = around.centre
    if (centre.on == "point") != (centre.point is not None):
        raise ValueError("plan.centre.point must be there for on: point, and for nothing else")
    if centre.names and centre.on not in ("landmarks", "segments"):
        raise ValueError("plan.centre.names is for on: landmarks and on: segments")
    for n, demand in enumerate(around.visible):
        if (demand.segment is None) == (demand.landmark is None):
            raise ValueError(f"plan.visible[{n}] must name either a segment or a landmark")


def _check_machine(job: Job) -> None:
    """ValueError where something that can be drawn lies outside the device's limits."""
    device = job.device
    for where, primary, secondary in _angle_bounds(job.plan):
        for angle, bounds in (("primary_angle", primary), ("secondary_angle", secondary)):
            _check_bounds(where.replace("*", angle), bounds, device.joint(angle).limits, "degrees", device.name)
    sid, sod = job.plan.around.sid, job.plan.around.sod
    lowest_sid = device.source_image_distance.default
    if sid:
        _check_bounds("plan.sid", sid.bounds, device.source_image_distance.limits, "mm", device.name)
        lowest_sid = sid.bounds[0]
    if isinstance(job.plan, Trajectory):
        for n, waypoint in enumerate(job.plan.waypoints):
            if waypoint.sid is not None:
                where, limits = f"plan.waypoints[{n}].sid", device.source_image_distance.limits
                _check_bounds(where, (waypoint.sid,) * 2, limits, "mm", device.name)
                lowest_sid = min(lowest_sid, waypoint.sid)
    if sod and not sod.bounds[1] < lowest_sid:
        raise ValueError(
            f"plan.sod must be below the source-image distance of {lowest_sid:g} mm, not {sod.bounds[1]:g}"
        )
    if job.technique.mode != MANUAL:
        device.exposure_mode(job.technique.mode)
        for key in ("mas", "filtration"):
            if getattr(job.technique, key) is not None:
                raise ValueError(f"technique.{key} is for the mode manual; the exposure control chooses it")
    if job.technique.kvp:
        _check_bounds("technique.kvp", job.technique.kvp.bounds, device.tube_voltage.limits, "kV", device.name)
    if job.technique.mas:
        _check_bounds("technique.mas", job.technique.mas.bounds, device.tube_load.limits, "mAs", device.name)

    if job.collimation:
        (rows, columns), (du, dv) = image_grid(job)
        for edge, half in (("left", columns * du), ("right", columns * du), ("top", rows * dv), ("bottom", rows * dv)):
            bounds = getattr(job.collimation, edge).bounds
            _check_bounds(f"collimation.{edge}", bounds, (0.0, half / 2), "mm", "half of the image")


def _check_bounds(where: str, bounds, limits, unit: str, machine: str) -> None:
    if not (limits[0] <= bounds[0] and bounds[1] <= limits[1]):
        drawn = f"{bounds[0]:g}" if bounds[0] == bounds[1] else f"{bounds[0]:g} to {bounds[1]:g}"
        raise ValueError(
            f"{where} can be {drawn} {unit}, outside the {limits[0]:g} to {limits[1]:g} {unit} of {machine}"
        )


def _angle_bounds(plan: Plan) -> Iterator[tuple[str, tuple[float, float], tuple[float, float]]]:
    """(place, lowest and highest primary angle, lowest and highest secondary angle) of the parts of a plan."""
    if isinstance(plan, Grid):
        first, second = plan.primary_angles, plan.secondary_angles
        yield "plan.*s", (min(first), max(first)), (min(second), max(second))
    elif isinstance(plan, Box):
        yield "plan.*", plan.primary_angle.bounds, plan.secondary_angle.bounds
    elif isinstance(plan, Cones):
        for n, cone in enumerate(plan.cones):
            yield f"plan.cones[{n}], the *,", *_cap_bounds(*cone.axis, cone.half_angle)
    elif isinstance(plan, Views):
        for n, name in enumerate(plan.views):
            errors = plan.primary_error.bounds, plan.secondary_error.bounds
            primary, secondary = ((angle + low, angle + high) for angle, (low, high) in zip(PRESETS[name], errors))
            yield f"plan.views[{n}] ({name}), its * with its error,", _turned(*primary), secondary
    else:
        for n, waypoint in enumerate(plan.waypoints):
            yield f"plan.waypoints[{n}].*", (waypoint.primary_angle,) * 2, (waypoint.secondary_angle,) * 2


def _turned(low: float, high: float) -> tuple[float, float]:
    """Primary angles as they are drawn: beyond 180 degrees they go on at -180."""
    return (low, high) if -180 <= low and high <= 180 else (-180.0, 180.0)


def _cap_bounds(primary: float, secondary: float, half: float):
    """Angles of the directions within `half` degrees of an axis: the longitudes and latitudes of a cap on a sphere."""
    low, high = max(secondary - half, -90.0), min(secondary + half, 90.0)
    if abs(secondary) + half >= 90:
        return (-180.0, 180.0), (low, high)
    reach = math.degrees(math.asin(min(1.0, math.sin(math.radians(half)) / math.cos(math.radians(secondary)))))
    return _turned(primary - reach, primary + reach), (low, high)
