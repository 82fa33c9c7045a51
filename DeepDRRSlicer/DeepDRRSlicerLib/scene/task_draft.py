"""A task in the making: what a teacher has typed and taken from the scene so far, kept in the parameter node."""

import json
import re
from pathlib import Path

import slicer.util

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.rehearsal.patient_match import patient_of
from DeepDRRSlicerLib.rehearsal.task import Limits, Pose, Task, ViewGoal, WireGoal
from DeepDRRSlicerLib.rehearsal.task_file import parse_task, task_text
from DeepDRRSlicerLib.scene.request import ctVolume
from DeepDRRSlicerLib.scene.tool_drive import lineEnds

_NO_NAME = "the CT it was made on"  # the node's name may be a person's
# What a draft begins as. start, view: [primary angle, secondary angle, R, A, S, source-image distance], or None.
# Limits of 0 are none.
EMPTY = {
    "title": "", "instructions": "", "patient": "", "start": None, "view": None,
    "angle": 5.0, "offset": 15.0, "corridor": 4.0, "reach": 3.0, "diameter": 2.0, "length": 200.0, "tip_apex": 25.0,
    "images": 0, "beam_on_time": 0.0, "time": 0.0, "air_kerma": 0.0, "kerma_area_product": 0.0,
}  # fmt: skip


def draftOf(parameters):
    """The draft of the parameter node, with every key of EMPTY."""
    try:
        kept = json.loads(parameters.taskDraft or "{}")
    except ValueError:  # a scene may have been written by hand
        kept = {}
    return EMPTY | {key: value for key, value in kept.items() if key in EMPTY}


def changeDraft(parameters, **changes):
    """Keep other values of the draft."""
    parameters.taskDraft = json.dumps(draftOf(parameters) | changes)


def presentView(parameters):
    """The view that the C-arm stands at, as a draft keeps it."""
    return [
        round(float(value), 2)
        for value in (
            parameters.primaryAngle,
            parameters.secondaryAngle,
            parameters.isocenterR,
            parameters.isocenterA,
            parameters.isocenterS,
            parameters.sid,
        )
    ]


def draftTask(parameters):
    """The Task of the draft, its lines and points those of the scene. Raises InputError for what makes no task."""
    draft = draftOf(parameters)
    if not draft["title"].strip():
        raise InputError("The task has no title; type one.")
    if draft["start"] is None:
        raise InputError("The task has no start; turn the C-arm to where it shall begin, and take that view.")
    ct = ctVolume(parameters.ct)
    try:
        view = None
        if draft["view"] is not None:
            primary, secondary, *isocenter, _sid = draft["view"]
            view = ViewGoal(primary, secondary, tuple(isocenter), draft["angle"], draft["offset"])
        task = Task(
            title=draft["title"].strip(),
            instructions=draft["instructions"],
            patient=patient_of(ct, draft["patient"].strip() or _NO_NAME),
            start=Pose(draft["start"][0], draft["start"][1], tuple(draft["start"][2:5]), draft["start"][5]),
            view=view,
            wire=_wireGoal(parameters, draft),
            limits=Limits(**{key: draft[key] or None for key in Limits.__dataclass_fields__}),
            position=parameters.patientPosition,
        )
    except InputError:
        raise
    except (ValueError, TypeError) as error:
        raise InputError(f"This makes no task: {error}; correct it.") from error
    return parse_task(task_text(task))  # what a file could not say is refused here


def writeDraft(parameters, folder):
    """Write the draft as a task file, named after its title; returns its path. Raises InputError."""
    task = draftTask(parameters)
    name = re.sub(r"[^\w-]+", "_", task.title.lower()).strip("_") or "task"
    path = Path(folder) / f"{name}.json"
    try:
        path.write_text(task_text(task), encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror or error}; choose another folder.") from error
    return path


def _wireGoal(parameters, draft):
    if parameters.makeTaskLine is None:
        return None
    entry, target = (_point(end) for end in lineEnds(parameters.makeTaskLine))
    apex = parameters.makeTaskApex
    if apex is not None and apex.GetNumberOfDefinedControlPoints() < 1:
        raise InputError(f"{apex.GetName()} has no point yet; place the apex, or choose none.")
    return WireGoal(
        entry=entry,
        target=target,
        corridor=draft["corridor"],
        reach=draft["reach"],
        diameter=draft["diameter"],
        length=draft["length"],
        apex=_point(slicer.util.arrayFromMarkupsControlPoints(apex, world=True)[0]) if apex is not None else None,
        tip_apex=draft["tip_apex"],
    )


def _point(position):
    return tuple(round(float(x), 2) for x in position)
