"""The section Tasks as a person uses it: choose, start, take pictures, finish, compare, make a task, save."""

import csv
import json

import pytest

from DeepDRRSlicerLib.rehearsal.task import Limits, Patient, Pose, Task, ViewGoal, WireGoal
from DeepDRRSlicerLib.rehearsal.task_file import load_task, shipped_tasks, task_text
from DeepDRRSlicerLib.scene.tool_drive import tipOf
from DeepDRRSlicerLib.scene.tools import toolNodes

TASK = Task(
    title="Both",
    instructions="Find the view,\nthen the bead.",
    patient=Patient("Patient", (-98.0, -98.0, -98.0), (98.0, 98.0, 98.0)),
    start=Pose(-15.0, 0.0, (0.0, 0.0, 0.0)),
    view=ViewGoal(10.0, 0.0, (0.0, 0.0, 0.0), 5.0, 10.0),
    wire=WireGoal((0.0, -40.0, 0.0), (0.0, 10.0, 0.0), 4.0, 3.0, 2.0, 150.0),
    limits=Limits(images=1),
)


@pytest.fixture
def panel(host, patient):
    widget = host.openModule()
    parameters = widget.logic.getParameterNode()
    parameters.binning, parameters.autoUpdate = 4, False  # what previews do to an attempt is tested on its own
    widget.ui.tasksSection.collapsed = False
    host.processEvents()
    return widget, parameters


def results(widget):
    """The table as {measure: (limit, texts of the attempts)}."""
    table = widget.ui.taskResultTable
    cells = [[table.item(row, column) for column in range(4)] for row in range(table.rowCount)]
    return {row[0].text(): tuple(cell.text() for cell in row[1:] if cell is not None) for row in cells}


def choose_file(widget, task, folder):
    path = folder / "task.json"
    path.write_text(task_text(task), encoding="utf-8")
    widget.ui.taskFileEdit.currentPath = str(path)
    return path


def attempt(host, widget, parameters, angle, depth, spots=1):
    """Start, aim, take spot images, push the wire, finish."""
    ui = widget.ui
    ui.startTaskButton.click()
    ui.primaryAngleSlider.value = angle
    settle_room(host, widget)
    for _ in range(spots):
        shoot(host, widget)
    parameters.toolStep = depth / 2
    ui.advanceToolButton.click()
    ui.advanceToolButton.click()
    ui.finishTaskButton.click()
    host.processEvents()


def shoot(host, widget):
    run = widget.logic.tasks
    count = run.attempt.image_count + 1
    widget.ui.spotButton.click()
    host.processEvents(until=lambda: run.attempt.image_count == count, timeout_s=60)


def settle_room(host, widget):
    section = widget.sections["XRay"]
    host.processEvents(until=lambda: section.isIdle, timeout_s=60)


def test_a_task_from_choice_to_comparison(host, panel, tmp_path):
    import slicer

    widget, parameters = panel
    ui = widget.ui
    assert ui.taskSelector.count == len(shipped_tasks()) and not ui.startTaskButton.enabled
    assert not ui.taskResultTable.visible and "No attempt" in ui.taskSummaryLabel.text
    ui.taskSelector.setCurrentIndex(1)
    ui.taskSelector.activated.emit(1)
    shipped = load_task(shipped_tasks()[1])
    assert ui.taskInstructionsLabel.text == shipped.instructions and ui.startTaskButton.enabled
    ui.taskFileEdit.currentPath = str(tmp_path / "no such file.json")
    (tmp_path / "bad.json").write_text("{}")
    ui.taskFileEdit.currentPath = str(tmp_path / "bad.json")
    assert "format" in ui.taskWarningLabel.text and ui.taskWarningLabel.visible
    choose_file(widget, TASK, tmp_path)
    assert ui.taskInstructionsLabel.text == TASK.instructions and not ui.taskWarningLabel.visible
    assert ui.taskSelector.count == 4 and ui.taskSelector.currentIndex == 3
    ui.taskLearnerEdit.setText("Ada")
    parameters.autoUpdate = True
    assert parameters.taskLearner == "Ada"

    ui.startTaskButton.click()
    assert ui.finishTaskButton.enabled and not ui.startTaskButton.enabled and not ui.taskSelector.enabled
    assert parameters.primaryAngle == -15 and not parameters.autoUpdate
    assert ui.taskLiveLabel.visible and ui.taskLiveLabel.text.startswith("Images 0 ")
    assert tipOf(parameters.taskTool) == pytest.approx([0, -80, 0])
    ui.autoUpdateCheckBox.setChecked(True)
    assert not parameters.autoUpdate and "no previews" in ui.taskWarningLabel.text
    ui.abandonTaskButton.click()
    assert parameters.autoUpdate and not ui.taskLiveLabel.visible and ui.startTaskButton.enabled
    assert "abandoned" in ui.taskAttemptSelector.itemText(0)
    parameters.autoUpdate = False

    attempt(host, widget, parameters, 8.0, 48.0)  # 2 degrees off, the tip at -32
    attempt(host, widget, parameters, 10.0, 48.0 + 42.0, spots=2)  # at +10, on the target
    assert len(toolNodes()) == 1  # the wire of the first attempt serves again
    assert ui.taskAttemptSelector.count == 3 and ui.taskAttemptSelector.currentIndex == 2
    found = results(widget)
    assert found["View error [°]"] == ("5.0", "0.0 ✓")
    assert found["Tip to target [mm]"] == ("3.0", "0.0 ✓") and found["Corridor breach [mm]"] == ("0.0", "0.0 ✓")
    assert found["Images"] == ("1", "2 ✗") and found["  spot images"] == ("", "2")
    assert found["C-arm movements"] == ("", "1")
    assert "4 of 5 limits kept" in ui.taskSummaryLabel.text
    ui.taskCompareSelector.setCurrentIndex(2)
    ui.taskCompareSelector.activated.emit(2)
    found = results(widget)
    assert found["View error [°]"] == ("5.0", "0.0 ✓", "2.0 ✓")
    assert found["Tip to target [mm]"] == ("3.0", "0.0 ✓", "42.0 ✗")
    ui.taskAttemptSelector.setCurrentIndex(0)
    ui.taskAttemptSelector.activated.emit(0)
    assert results(widget)["Corridor breach [mm]"][1] == "– ✗"

    ui.taskFolderButton.directory = str(tmp_path)
    ui.saveAttemptsButton.click()
    with open(tmp_path / "attempts.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["outcome"] for row in rows] == ["abandoned", "finished", "finished"]
    assert rows[2]["learner"] == "Ada" and float(rows[1]["view_error_deg"]) == pytest.approx(2.0)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 1


def test_task_attempt_and_history_come_back_with_the_scene(host, panel, tmp_path):
    import slicer

    from host.core import loadScene, saveScene

    widget, parameters = panel
    choose_file(widget, TASK, tmp_path)
    attempt(host, widget, parameters, 8.0, 48.0)
    widget.ui.startTaskButton.click()
    shoot(host, widget)
    slicer.mrmlScene.InvokeEvent(slicer.mrmlScene.StartSaveEvent)  # as the application does before it saves
    saveScene(tmp_path / "scene.mrb")
    loadScene(tmp_path / "scene.mrb")
    host.processEvents()
    ui, parameters = widget.ui, widget.logic.getParameterNode()
    assert ui.taskInstructionsLabel.text == TASK.instructions and ui.taskAttemptSelector.count == 1
    assert widget.logic.tasks.isRunning and widget.logic.tasks.attempt.image_count == 1
    assert ui.finishTaskButton.enabled
    ui.finishTaskButton.click()
    assert ui.taskAttemptSelector.count == 2 and results(widget)["Images"] == ("1", "1 ✓")
    # The module is left and entered again, and reloaded, in the middle of an attempt.
    ui.startTaskButton.click()
    host.leaveModule()
    host.openModule()
    assert widget.logic.tasks.isRunning and widget.ui.finishTaskButton.enabled
    widget = host.reloadModule()
    assert widget.logic.tasks.isRunning and widget.ui.finishTaskButton.enabled
    slicer.mrmlScene.Clear()
    host.processEvents()
    assert not widget.logic.tasks.isRunning and widget.ui.taskAttemptSelector.count == 0
    del widget, parameters, ui, panel
    assert host.closeModule() == []


def test_a_teacher_makes_a_task_in_the_panel(host, panel, tmp_path, monkeypatch):
    import slicer

    widget, parameters = panel
    ui = widget.ui
    ui.makeTaskGroup.collapsed = False
    ui.taskFolderButton.directory = str(tmp_path)
    ui.makeTaskTitleEdit.setText("Bead in front")
    ui.makeTaskInstructionsEdit.setPlainText("Find it.")
    ui.makeTaskPatientEdit.setText("Block 7")
    ui.primaryAngleSlider.value = 20.0
    ui.makeTaskStartButton.click()
    assert ui.makeTaskStartLabel.text.startswith("LAO 20 at")
    ui.primaryAngleSlider.value = -30.0
    ui.makeTaskViewButton.click()
    assert ui.makeTaskViewLabel.text.startswith("RAO 30")
    ui.makeTaskViewButton.click()
    assert "no view" in ui.makeTaskViewLabel.text
    ui.makeTaskViewButton.click()
    line = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "Path")
    line.AddControlPoint(0, -30, 0)
    line.AddControlPoint(0, 30, 0)
    apex = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Apex")
    apex.AddControlPoint(0, 50, 0)
    ui.makeTaskLineSelector.setCurrentNode(line)
    ui.makeTaskApexSelector.setCurrentNode(apex)
    numbers = {
        "Angle": 2.5, "Offset": 12.0, "Corridor": 3.5, "Reach": 2.0, "Diameter": 1.6, "Length": 180.0,
        "TipApex": 20.0, "Images": 7, "Beam": 3.0, "Time": 120.0, "Kerma": 1.5, "Area": 0.25,
    }  # fmt: skip
    for name, value in numbers.items():
        getattr(ui, f"makeTask{name}SpinBox").setValue(value)
    ui.writeTaskButton.click()
    path = tmp_path / "bead_in_front.json"
    task = load_task(path)
    assert parameters.task == task_text(task) and str(path) in ui.taskWarningLabel.text
    assert task.title == "Bead in front" and task.start.primary_angle == 20
    assert (task.view.primary_angle, task.view.angle, task.view.offset) == (-30, 2.5, 12)
    assert (task.wire.corridor, task.wire.reach, task.wire.diameter, task.wire.length) == (3.5, 2, 1.6, 180)
    assert (task.wire.apex, task.wire.tip_apex) == ((0, 50, 0), 20)
    assert task.limits == Limits(7, 3.0, 1.5, 0.25, 120.0)
    assert json.loads(path.read_text())["patient"]["name"] == "Block 7"
    widget = host.reloadModule()  # what was typed is kept with the scene
    assert widget.ui.makeTaskTitleEdit.text == "Bead in front" and widget.ui.makeTaskCorridorSpinBox.value == 3.5
    widget.ui.makeTaskLineSelector.setCurrentNode(None)
    widget.ui.makeTaskTitleEdit.setText("")
    said = []
    monkeypatch.setattr(slicer.util, "errorDisplay", said.append)
    widget.ui.writeTaskButton.click()
    assert len(said) == 1 and "no title" in said[0]
