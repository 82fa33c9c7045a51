"""A session from beginning to end, as a person has it: open, aim, pedal, collimate, drive a wire, be scored.

Its pictures are left in build/session, to be looked at.
"""

import time
from pathlib import Path

import numpy as np
import pytest
from panel_actions import click_preset, mark, opened, settle

from DeepDRRSlicerLib.rehearsal.task import Patient, Pose, Task, ViewGoal, WireGoal
from DeepDRRSlicerLib.rehearsal.task_file import task_text
from DeepDRRSlicerLib.scene import pedal
from DeepDRRSlicerLib.scene.cine import runs
from DeepDRRSlicerLib.scene.tool_drive import tipOf
from DeepDRRSlicerLib.scene.tools import toolNodes

PICTURES = Path(__file__).resolve().parents[2] / "build" / "session"
SMALL = (1280, 800)
OPEN = {"patientSection", "carmSection", "xraySection"}  # the others are folded at first
TASK = Task(
    title="Wire to the bead",
    instructions="Turn the C-arm to LAO 30, then push the wire to the bead at the front.",
    patient=Patient("Patient", (-98.0, -98.0, -98.0), (98.0, 98.0, 98.0)),
    start=Pose(0.0, 0.0, (0.0, 0.0, 0.0)),
    view=ViewGoal(30.0, 0.0, (0.0, 0.0, 0.0), 5.0, 10.0),
    wire=WireGoal((0.0, -30.0, 0.0), (0.0, 50.0, 0.0), 5.0, 3.0, 2.0, 150.0),
)


@pytest.fixture
def picture(host):
    PICTURES.mkdir(parents=True, exist_ok=True)
    numbers = iter(range(1, 99))

    def draw(name, size=SMALL, dark=False):
        host.processEvents()
        host.screenshot(PICTURES / f"{next(numbers)}-{name}.png", size, dark)

    return draw


def image(parameters):
    import slicer

    return slicer.util.arrayFromVolume(parameters.xray)[0].copy()


def reveal(widget, section):
    """Open one section alone."""
    for name in (n for n in vars(widget.ui) if n.endswith("Section") and hasattr(getattr(widget.ui, n), "collapsed")):
        getattr(widget.ui, name).collapsed = name != section


def test_a_session_of_fluoroscopy(host, patient, picture, tmp_path):
    widget, parameters = opened(host, binning=4)
    ui, exposed = widget.ui, []
    sections = {name: getattr(ui, name) for name in vars(ui) if name.endswith("Section")}
    assert {name for name, it in sections.items() if hasattr(it, "collapsed") and not it.collapsed} == OPEN
    widget.logic.fluoroscopy.onExposure.append(exposed.append)
    assert mark() == "preview, no dose" and not exposed
    picture("opened")

    # Aim: a standard view, corrected by hand, costs nothing.
    click_preset(widget, "LAO 30")
    settle(host, widget)
    ui.primaryAngleSlider.value = 28.0
    settle(host, widget)
    assert "LAO 28" in ui.statusLabel.text and not exposed
    picture("aimed-dark", dark=True)

    # A few pulses on the pedal.
    begin = time.monotonic()
    pedal.setPressed(True)
    host.processEvents(until=lambda: len(exposed) >= 5, timeout_s=120)
    picture("pedal")
    pedal.setPressed(False)
    settle(host, widget)
    pulses = len(exposed)
    assert 5 <= pulses <= 15 * (time.monotonic() - begin) + 1 and ui.framesLabel.text == str(pulses)
    assert mark() == "last image hold" and runs()[0].GetNumberOfDataNodes() == pulses
    open_field = image(parameters)

    # Shutters: a spot image of a smaller field has less kerma-area product for the same kerma.
    parameters.shutterLeft = parameters.shutterRight = parameters.shutterTop = parameters.shutterBottom = 70.0
    ui.spotButton.click()
    settle(host, widget)
    dose = exposed[-1].metadata["dose"]
    wide = exposed[pulses - 1].metadata["dose"]
    ratio = [d["kerma_area_product_gycm2"] / d["reference_air_kerma_ugy"] for d in (dose, wide)]
    rows = open_field.shape[0]
    assert ratio[0] / ratio[1] == pytest.approx((140.0 / (1536 * 0.194)) ** 2, rel=0.1)
    assert (image(parameters)[:, : rows // 5] < 0).all() and image(parameters)[rows // 2, rows // 2] > 0
    picture("collimated")
    parameters.shutterLeft = parameters.shutterRight = parameters.shutterTop = parameters.shutterBottom = 1000.0
    settle(host, widget)
    assert (image(parameters)[:, : rows // 5] > 0).any()

    # A task: the wire is put before its entry, and the clock runs.
    path = tmp_path / "task.json"
    path.write_text(task_text(TASK), encoding="utf-8")
    reveal(widget, "tasksSection")
    ui.taskFileEdit.currentPath = str(path)
    ui.startTaskButton.click()
    click_preset(widget, "LAO 30")
    (wire,) = toolNodes()
    stepped(host, widget, exposed)
    without = exposed[-1]
    start = tipOf(wire)
    parameters.tool, parameters.toolStep = wire, float(np.linalg.norm(np.array(TASK.wire.target) - start)) / 4
    reveal(widget, "toolsSection")
    for _ in range(4):
        ui.advanceToolButton.click()
    assert np.allclose(tipOf(wire), TASK.wire.target, atol=1e-3)
    stepped(host, widget, exposed)
    column, row = np.rint(exposed[-1].beam.project(0.5 * (np.array(TASK.wire.target) + start))[0]).astype(int)
    shadow = exposed[-1].log_attenuation - without.log_attenuation
    assert shadow[row - 1 : row + 2, column - 1 : column + 2].max() > 0.5, "steel"
    picture("wire")
    reveal(widget, "tasksSection")
    picture("task")
    ui.finishTaskButton.click()
    host.processEvents()
    table = {
        ui.taskResultTable.item(r, 0).text(): ui.taskResultTable.item(r, 2) for r in range(ui.taskResultTable.rowCount)
    }
    texts = {name: cell.text() for name, cell in table.items() if cell is not None}
    assert any("image" in name.lower() for name in texts), texts
    picture("scored")
    reveal(widget, "doseSection")
    picture("dose", size=(1600, 1000), dark=True)


def stepped(host, widget, exposed):
    count = len(exposed)
    pedal.setPressed(True)
    host.processEvents(until=lambda: len(exposed) >= count + 3, timeout_s=120)  # tools may have to be compiled
    pedal.setPressed(False)
    host.processEvents(until=lambda: widget.sections["XRay"].isIdle, timeout_s=60)
