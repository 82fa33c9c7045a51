"""From a job and a number to a sample: the view is drawn, simulated, labelled and made a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from DeepDRRSlicerLib.dataset.distributions import generator
from DeepDRRSlicerLib.dataset.job import Job
from DeepDRRSlicerLib.dataset.job_parts import ToolPlan
from DeepDRRSlicerLib.dataset.labels import (
    LandmarkLabel,
    SegmentLabel,
    ToolLabel,
    label_landmarks,
    label_segment,
    label_tool,
)
from DeepDRRSlicerLib.dataset.materials import segmented, whole_ct
from DeepDRRSlicerLib.dataset.patient import PatientData, anatomy_of, read_patient
from DeepDRRSlicerLib.dataset.randomization import draw_look, draw_picture
from DeepDRRSlicerLib.dataset.sampling import Anatomy, Draw, View, draw_view, rigid
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.learning.scatter_choice import scatter_model
from DeepDRRSlicerLib.physics.collimation import Collimation
from DeepDRRSlicerLib.projection import projector
from DeepDRRSlicerLib.projection.projector import Stopped
from DeepDRRSlicerLib.simulation.acquisition import Acquisition, Automatic
from DeepDRRSlicerLib.simulation.decomposition import Labelling
from DeepDRRSlicerLib.simulation.radiograph import Radiograph
from DeepDRRSlicerLib.simulation.scatter import ScatterModel
from DeepDRRSlicerLib.simulation.simulator import Simulator
from DeepDRRSlicerLib.simulation.technique import MANUAL, Technique
from DeepDRRSlicerLib.simulation.views import with_pose

if TYPE_CHECKING:
    from DeepDRRSlicerLib.projection.tools import Tool


@dataclass(frozen=True, eq=False)
class Sample:
    """A view with everything that is known of it, a function of the job and the index alone.

    picture: (rows, columns) uint16 over the full range, what a person or a network sees; picture_settings: how it was
    drawn. settings: what was drawn of geometry, technique and tools. Both are plain JSON data.
    """

    index: int
    patient: str
    radiograph: Radiograph
    picture: np.ndarray
    picture_settings: dict
    segments: tuple[SegmentLabel, ...]
    landmarks: tuple[LandmarkLabel, ...]
    tools: tuple[ToolLabel, ...]
    settings: dict


@dataclass(frozen=True, eq=False)
class ReadyPatient:
    """A patient ready to be seen: its data, the simulator that holds its CT, what plans aim at, and the job's tools
    where their mesh files have them."""

    data: PatientData
    simulator: Simulator
    anatomy: Anatomy
    tools: tuple[Tool, ...]


@dataclass(frozen=True, eq=False)
class PlacedTool:
    """A tool in the patient: the engine's Tool, and the 4x4 from its mesh file to there."""

    tool: Tool
    pose: np.ndarray


def backend_in_use(backend: str) -> str:
    """The name of the backend that `backend` stands for on this machine. Raises InputError for an unknown one."""
    return projector.backend_in_use(backend)[0]


def make_ready(job: Job, data: PatientData, backend: str = "auto", threads: int | None = None) -> ReadyPatient:
    """Decomposes the CT. threads: that take part in one projection. Raises InputError, which names the patient."""
    try:
        simulator = Simulator(data.ct, materials_of_job(job, data).decomposition(), backend, threads)
        tools = tuple(_tool(plan, *mesh) for plan, mesh in zip(job.tools, data.tool_meshes))
        expected = backend_in_use(backend)
        if simulator.projector.name not in (expected, "cpu"):  # a card that failed has the CPU take over, and says so
            raise InputError(
                f"its backend is {simulator.projector.name} instead of {expected}; name one with --backend."
            )
    except InputError as error:
        raise InputError(f"The patient {data.name} cannot be used: {error}") from error
    return ReadyPatient(data, simulator, anatomy_of(data), tools)


def make_sample(
    job: Job,
    patient: ReadyPatient,
    index: int,
    should_stop: Callable[[], bool] = lambda: False,
    threads: int | None = None,
) -> Sample:
    """Sample `index` of the job, which must show that patient. Raises InputError, or Stopped on request."""
    view = draw_view(job, patient.anatomy, index)
    draw = Draw(job.seed, index)
    technique = draw_technique(job, draw)
    tools, tool_settings = draw_tools(job, patient, draw)
    radiograph = take_picture(job, patient.simulator, view, technique, tools, index, should_stop, threads)
    segments = []
    for segment in patient.data.segments:
        if should_stop():
            raise Stopped
        segments.append(label_segment(segment, view.beam, threads))
    look = draw_look(job.picture, draw)
    overlays = draw.random("picture.overlays.drawing")
    picture, picture_settings = draw_picture(radiograph, look, overlays)
    return Sample(
        index=index,
        patient=patient.data.name,
        radiograph=radiograph,
        picture=picture,
        picture_settings=picture_settings,
        segments=tuple(segments),
        landmarks=tuple(label_landmarks(patient.data.landmarks, view.beam)),
        tools=tuple(label_tool(placed.tool, placed.pose, view.beam, threads) for placed in tools),
        settings=view.settings | {"technique": technique, "tools": tool_settings, "files": patient.data.fingerprint},
    )


def take_picture(
    job: Job,
    simulator: Simulator,
    view: View,
    technique: dict,
    tools: Sequence[PlacedTool],
    index: int,
    should_stop: Callable[[], bool],
    threads: int | None = None,
) -> Radiograph:
    """The radiograph of a view: the one place that knows how the simulator is called. technique: of draw_technique."""
    device = job.device
    chosen: Technique | Automatic
    if technique["mode"] == MANUAL:
        chosen = Technique(technique["kvp"], technique["mas"] * technique["dose"], technique["filtration_mm"])
    else:
        chosen = Automatic(technique["mode"], technique["kvp"])
        modes = [
            replace(mode, detector_kerma=mode.detector_kerma * technique["dose"]) for mode in device.exposure_modes
        ]
        device = replace(device, exposure_modes=tuple(modes))
    acquisition = Acquisition(
        device,
        job.detector,
        chosen,
        collimation=Collimation(*view.shutters) if view.shutters else None,
        grid=job.grid,
        seed=job.seed if technique["noise"] else None,
        frame=index,
        scatter=_scatter(job, index, threads),
    )
    radiograph = simulator.simulate(view.beam, acquisition, [placed.tool for placed in tools], should_stop)
    return with_pose(radiograph, view.pose, device)


def _scatter(job: Job, index: int, threads: int | None) -> ScatterModel | None:
    """The model of scatter that the job asks for, with random numbers of the sample's own."""
    seed = int(generator(job.seed, index, "scatter").integers(2**31))
    return scatter_model(job.scatter, job.histories, seed, threads)


def draw_technique(job: Job, draw: Draw) -> dict:
    """mode, dose factor, noise and whole kvp of one sample, plain data; with mode manual also mas and filtration_mm."""
    ranges, device = job.technique, job.device
    drawn = {"mode": ranges.mode, "dose": draw.one("dose", ranges.dose), "noise": ranges.noise}
    kvp = round(draw.one("kvp", ranges.kvp)) if ranges.kvp else None
    if ranges.mode != MANUAL:  # None leaves the voltage to the exposure control
        return drawn | {"kvp": kvp}
    return drawn | {
        "kvp": round(device.tube_voltage.default) if kvp is None else kvp,
        "mas": draw.one("mas", ranges.mas) if ranges.mas else device.tube_load.default,
        "filtration_mm": dict(device.filtration if ranges.filtration is None else ranges.filtration),
    }


def draw_tools(job: Job, patient: ReadyPatient, draw: Draw) -> tuple[list[PlacedTool], list[dict]]:
    """The tools of one sample where they stand, and what was drawn for each of the job's tools as plain data."""
    placed, settings = [], []
    for number, (plan, tool) in enumerate(zip(job.tools, patient.tools)):
        quantity = f"tools.{plan.name}"
        there = draw.happens(f"{quantity}.there", plan.probability)
        rotation = draw.three(f"{quantity}.rotation", plan.rotation)
        translation = draw.three(f"{quantity}.translation", plan.translation)
        settings.append({"name": plan.name, "there": there, "rotation": rotation, "translation": translation})
        if there:
            pose = _tool_pose(plan, number, tool.vertices, patient.anatomy, rotation, translation)
            placed.append(PlacedTool(tool.moved(pose), pose))
    return placed, settings


def preview(
    job: Job,
    count: int,
    backend: str = "auto",
    should_stop: Callable[[], bool] = lambda: False,
    made: Callable[[Sample], None] = lambda sample: None,
) -> list[Sample]:
    """So many different samples of the job, chosen at random, of as few patients as there can be, in rising order.

    They are those that the whole run makes. made: told of each as soon as it is there. Raises InputError, Stopped.
    """
    count = min(count, job.count)
    random = generator(job.seed, 0, "preview")
    number = int(random.integers(min(len(job.patients), job.count)))
    order = [*range(number, len(job.patients)), *range(number)]
    chosen: list[int] = []
    for patient in order:
        own = range(patient, job.count, len(job.patients))
        wanted = min(count - len(chosen), len(own))
        chosen += [own[int(at)] for at in random.choice(len(own), wanted, replace=False)] if wanted else []
    samples, ready = [], None
    for index in sorted(chosen, key=lambda index: (job.patient_of(index), index)):
        if ready is None or ready[0] != job.patient_of(index):
            ready = None  # lets go of the last patient before the next one takes its memory
            ready = job.patient_of(index), make_ready(job, read_patient(job, job.patient_of(index)), backend)
        samples.append(make_sample(job, ready[1], index, should_stop))
        made(samples[-1])
    return sorted(samples, key=lambda sample: sample.index)


def materials_of_job(job: Job, data: PatientData) -> Labelling:
    """What the job says a patient's CT is made of. Raises InputError."""
    if data.materials is None:
        return whole_ct(job.materials, job.keep_couch)
    source = next(patient.materials for patient in job.patients if patient.name == data.name and patient.materials)
    return segmented(list(data.materials), job.material_map or {}, Path(source).name, job.materials, job.keep_couch)


def _tool_pose(
    plan: ToolPlan, number: int, vertices: np.ndarray, anatomy: Anatomy, rotation, translation
) -> np.ndarray:
    """4x4 from the mesh file to the patient's RAS."""
    matrix = np.eye(4) if plan.matrix is None else np.array(plan.matrix)
    middle = matrix[:3, :3] @ ((vertices.min(axis=0) + vertices.max(axis=0)) / 2) + matrix[:3, 3]
    pivot = middle if plan.pivot is None else plan.pivot
    if isinstance(pivot, str):
        if pivot not in anatomy.landmarks:
            listed = ", ".join(list(anatomy.landmarks)[:10]) or "none"
            raise InputError(
                f"tools[{number}].pivot: {pivot!r} is not a landmark of the patient ({listed}); correct it."
            )
        pivot = anatomy.landmarks[pivot]
    pivot = np.asarray(pivot, dtype=np.float64)
    if plan.at_pivot:
        matrix = rigid((0, 0, 0), pivot - middle) @ matrix
    return rigid(rotation, translation, pivot) @ matrix


def _tool(plan: ToolPlan, vertices: np.ndarray, faces: np.ndarray) -> Tool:
    from DeepDRRSlicerLib.projection.tools import Tool

    return Tool(plan.name, vertices, faces, plan.material, plan.density)
