"""An attempt at a task in a scene: set up, counted along, judged, and kept in a table and a CSV file."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
import slicer.util
from test_scene_mrml import warp  # noqa: F401

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.rehearsal.task import Limits, Patient, Pose, Task, ViewGoal, WireGoal
from DeepDRRSlicerLib.rehearsal.task_file import load_task, task_text
from DeepDRRSlicerLib.scene.task_draft import changeDraft, draftTask, presentView, writeDraft
from DeepDRRSlicerLib.scene.task_run import TaskRun
from DeepDRRSlicerLib.scene.task_table import attempts, attemptsNode, rowsOf, writeAttempts
from DeepDRRSlicerLib.scene.tool_drive import addTool, advance, alignToLine, setDriver, shapeOf, tipOf, wireOf
from DeepDRRSlicerLib.scene.tools import beamTools, toolNodes

TASK = Task(
    title="View, and wire",
    instructions="",
    patient=Patient("a block", (-98.0, -98.0, -98.0), (98.0, 98.0, 98.0)),
    start=Pose(-20.0, 5.0, (0.0, 0.0, 10.0)),
    view=ViewGoal(0.0, 0.0, (0.0, 0.0, 0.0), 5.0, 10.0),
    wire=WireGoal((0.0, -40.0, 0.0), (0.0, 10.0, 0.0), 4.0, 3.0, 1.8, 150.0),
    limits=Limits(images=2),
    position="HFP",
)


class Choices(SimpleNamespace):
    """Stands for the parameter node."""

    def StartModify(self):
        return 0

    def EndModify(self, _was):
        pass


@pytest.fixture
def parameters(scene):
    node = slicer.util.addVolumeFromArray(np.zeros((50, 50, 50), np.int16), name="Block")
    node.SetSpacing(4, 4, 4)
    node.SetOrigin(-98, -98, -98)
    return Choices(
        ct=node, device="mobile_carm", task=task_text(TASK), taskTool=None, tool=None, taskLearner="Ada",
        taskAttempt="", taskDraft="", makeTaskLine=None, makeTaskApex=None, autoUpdate=True, patientPosition="HFS",
        primaryAngle=0.0, secondaryAngle=0.0, isocenterR=0.0, isocenterA=0.0, isocenterS=0.0, sid=1000.0,
    )  # fmt: skip


class Machine(SimpleNamespace):
    """Stands for Fluoroscopy: it takes pictures and moves, and has a clock."""

    def __init__(self):
        super().__init__(onExposure=[], onPose=[], now=100.0)

    def shoot(self, parameters, mode="fluoro"):
        dose = {"reference_air_kerma_ugy": 10.0, "kerma_area_product_gycm2": 0.02, "beam_on_time_s": 0.1}
        technique = {"mode": mode} if mode else {}
        picture = SimpleNamespace(metadata={"dose": dose, "technique": technique}, beam=pose_of(parameters).beam())
        for tell in self.onExposure:
            tell(picture)

    def move(self, parameters, **changes):
        for name, value in changes.items():
            setattr(parameters, name, value)
        self.now += 2.0
        for tell in self.onPose:
            tell(pose_of(parameters))


def pose_of(p):
    isocenter = (p.isocenterR, p.isocenterA, p.isocenterS)
    return CArmPose(p.primaryAngle, p.secondaryAngle, isocenter, p.sid, 600, (100, 100), (2, 2))


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def run(machine):
    return TaskRun(machine, lambda: machine.now)


def test_the_start_sets_the_scene_up(parameters, run):
    assert run.start(parameters) == ""
    assert (parameters.primaryAngle, parameters.secondaryAngle, parameters.isocenterS) == (-20, 5, 10)
    assert parameters.patientPosition == "HFP" and parameters.autoUpdate is False
    wire = wireOf(parameters.taskTool)
    assert (wire.diameter, wire.length) == (1.8, 150.0) and len(beamTools()) == 1
    assert wire.tip == pytest.approx([0, -80, 0]) and wire.direction == pytest.approx([0, 1, 0])
    parameters.autoUpdate = True
    assert run.hold(parameters) and parameters.autoUpdate is False
    run.finish()
    assert parameters.autoUpdate is True and not run.isRunning and not run.hold(parameters)


def test_a_ct_of_another_place_is_remarked_on(parameters, run):
    parameters.ct.SetOrigin(0, 0, 0)
    assert "another CT" in run.start(parameters)


def test_what_cannot_begin_is_said_in_a_sentence(parameters, run):
    ct = parameters.ct
    for name, value, says in (("ct", None, "No CT"), ("task", "{}", "format"), ("task", "", "cannot be used")):
        before = getattr(parameters, name)
        setattr(parameters, name, value)
        with pytest.raises(InputError, match=says):
            run.start(parameters)
        setattr(parameters, name, before)
    assert not run.isRunning and parameters.ct is ct and toolNodes() == []


def test_an_attempt_is_counted_and_judged(parameters, run, machine):
    machine.shoot(parameters)  # before the start: it does not count
    run.start(parameters)
    machine.move(parameters, primaryAngle=0.0, secondaryAngle=0.0)
    machine.move(parameters, isocenterS=4.0)
    machine.shoot(parameters, "spot")
    for _ in range(3):
        machine.shoot(parameters)
    machine.shoot(parameters, None)
    advance(parameters.taskTool, 88.0)  # from 80 mm behind to 8 mm in front of the origin: 2 mm short
    machine.now = 130.0
    number, rows = run.finish()
    found = {row.key: row for row in rows}
    assert number == 1
    assert found["view_error"].value == pytest.approx(0, abs=1e-6)
    assert found["view_offset"].value == pytest.approx(4.0)
    assert found["tip_distance"].value == pytest.approx(2.0, abs=1e-4) and found["tip_distance"].met
    assert found["corridor_breach"].value == pytest.approx(0, abs=1e-4)
    assert [found[k].value for k in ("images", "images_fluoro", "images_spot", "images_other")] == [5, 3, 1, 1]
    assert found["images"].met is False
    assert found["air_kerma"].value == pytest.approx(0.05)
    assert found["beam_on_time"].value == pytest.approx(0.5)
    assert (found["moves"].value, found["shifted"].value) == (2, pytest.approx(6.0))
    assert found["time"].value == pytest.approx(30.0)
    machine.shoot(parameters)  # after the end
    assert len(attempts()) == 1


def test_the_table_keeps_every_attempt_with_its_limits(parameters, run, machine, tmp_path):
    run.start(parameters)
    machine.shoot(parameters)
    run.finish()
    run.start(parameters)
    run.abandon()
    first, second = attempts()
    assert [first["attempt"], first["task"], first["learner"], first["outcome"]] == [
        "1", "View, and wire", "Ada", "finished"
    ]  # fmt: skip
    assert (second["attempt"], second["outcome"]) == ("2", "abandoned")
    rows = {row.key: row for row in rowsOf(first)}
    assert (rows["images"].value, rows["images"].limit, rows["images"].met) == (1, 2, True)
    assert rows["view_error"].limit == 5 and rows["view_error"].value == pytest.approx(20.6, abs=0.1)
    assert rows["corridor_breach"].value is None and rows["corridor_breach"].met is False
    path = writeAttempts(tmp_path)
    with open(path, encoding="utf-8-sig", newline="") as file:
        written = list(csv.DictReader(file))
    assert written == [dict(first), dict(second)]
    assert float(written[0]["view_error_deg"]) == pytest.approx(rows["view_error"].value)
    with pytest.raises(InputError, match="another folder"):
        writeAttempts(tmp_path / "no folder")
    (tmp_path / "attempts.csv").unlink()
    slicer.mrmlScene.RemoveNode(attemptsNode())
    with pytest.raises(InputError, match="no attempts"):
        writeAttempts(tmp_path)


def test_table_and_attempt_survive_the_scene_file(parameters, run, machine, tmp_path):
    from host.core import loadScene, saveScene

    run.start(parameters)
    machine.shoot(parameters)
    run.finish()
    before = attempts()
    run.start(parameters)
    machine.now += 10.0
    machine.shoot(parameters)
    run.keep(parameters)
    saveScene(tmp_path / "scene.mrb")
    run.forget()
    loadScene(tmp_path / "scene.mrb")
    assert attempts() == before
    parameters.taskTool, machine.now = toolNodes()[0], 5000.0
    assert shapeOf(parameters.taskTool) is not None
    run.resume(parameters)
    assert run.isRunning and run.attempt.image_count == 1 and run.elapsed == pytest.approx(10.0)
    assert parameters.taskAttempt == ""
    number, rows = run.finish()
    assert number == 2 and {row.key: row.value for row in rows}["images"] == 1
    parameters.taskAttempt = '{"elapsed": 3}'
    run.resume(parameters)  # damaged
    assert not run.isRunning


def test_a_wire_under_a_warp_cannot_be_judged(parameters, run, warp):  # noqa: F811
    run.start(parameters)
    parameters.taskTool.GetParentTransformNode().SetAndObserveTransformNodeID(warp.GetID())
    with pytest.raises(InputError, match="non-linear"):
        run.finish()
    assert run.isRunning  # it can be put right


def test_the_module_takes_its_attempt_along(parameters, run, machine):
    run.start(parameters)
    run.close()
    assert not run.isRunning
    other = TaskRun(machine, lambda: machine.now)
    other.resume(parameters)
    assert other.isRunning and other.task == TASK


# Making tasks


def test_a_teacher_makes_a_task_that_reads_back(parameters, scene, tmp_path):
    with pytest.raises(InputError, match="title"):
        draftTask(parameters)
    changeDraft(parameters, title="My Task: 1", instructions="Look.")
    with pytest.raises(InputError, match="start"):
        draftTask(parameters)
    parameters.primaryAngle, parameters.isocenterA = 12.345, -7.0
    changeDraft(parameters, start=presentView(parameters), images=5)
    with pytest.raises(InputError, match="goal is missing"):
        draftTask(parameters)
    line = scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "Path")
    parameters.makeTaskLine = line
    with pytest.raises(InputError, match="no two points"):
        draftTask(parameters)
    line.AddControlPoint(0, -30, 0)
    line.AddControlPoint(0, 20, 5)
    apex = parameters.makeTaskApex = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Apex")
    with pytest.raises(InputError, match="no point"):
        draftTask(parameters)
    apex.AddControlPoint(0, 30, 6)
    changeDraft(parameters, view=presentView(parameters), angle=2.5)
    path = writeDraft(parameters, tmp_path)
    assert path.name == "my_task_1.json"
    task = load_task(path)
    assert task.start == Pose(12.35, 0.0, (0.0, -7.0, 0.0), 1000.0)
    assert (task.view.angle, task.limits) == (2.5, Limits(images=5))
    assert (task.wire.entry, task.wire.apex) == ((0.0, -30.0, 0.0), (0.0, 30.0, 6.0))
    assert task.patient.name == "the CT it was made on" and task.patient.low == (-98.0, -98.0, -98.0)
    node = addTool("k-wire")
    alignToLine(node, line, atTarget=True)
    assert tipOf(node) == pytest.approx(task.wire.target)
    changeDraft(parameters, corridor=0.5)
    with pytest.raises(InputError, match="must hold the wire"):
        draftTask(parameters)
    changeDraft(parameters, corridor=4.0)
    with pytest.raises(InputError, match="another folder"):
        writeDraft(parameters, tmp_path / "none")
    parameters.taskDraft = "damaged"
    with pytest.raises(InputError, match="title"):
        draftTask(parameters)
    json.loads(path.read_text(encoding="utf-8"))
    setDriver(node, None)
