"""The pedal in the panel: keys, mouse and node press it; pulses are counted, shown and kept; the last image is held."""

import json

import numpy as np
import pytest
from panel_actions import mark, opened, settle
from PySide6 import QtCore, QtTest, QtWidgets

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.physics.dose import DoseTotals
from DeepDRRSlicerLib.scene import pedal
from DeepDRRSlicerLib.scene.cine import runs, shownNode
from DeepDRRSlicerLib.scene.dose import totalsOf
from DeepDRRSlicerLib.scene.xray_image import SETTINGS_HASH
from DeepDRRSlicerLib.scene.xray_view import sliceLogic
from DeepDRRSlicerLib.simulation.views import ViewSimulator

SPACE = QtCore.Qt.Key.Key_Space


def stepped(host, widget, parameters, pulses=3):
    """Holds the pedal until so many more pulses are counted, and lets it go."""
    wanted = totalsOf(parameters).frames + pulses
    pedal.setPressed(True)
    host.processEvents(until=lambda: totalsOf(parameters).frames >= wanted, timeout_s=90)
    pedal.setPressed(False)
    settle(host, widget)


def test_the_last_image_is_held_and_every_pulse_counts(host, patient):
    widget, parameters = opened(host)
    seen, poses = [], []
    widget.logic.fluoroscopy.onExposure.append(seen.append)
    widget.logic.fluoroscopy.onPose.append(poses.append)
    stepped(host, widget, parameters, 4)
    totals = totalsOf(parameters)
    assert totals.frames == len(seen) >= 4 and mark() == "last image hold"
    assert totals.beam_on_time == pytest.approx(totals.frames / 15)
    kermas = [r.metadata["dose"]["reference_air_kerma_ugy"] for r in seen]
    assert totals.air_kerma == pytest.approx(sum(kermas) / 1000)
    assert parameters.xray.GetAttribute(SETTINGS_HASH) == seen[-1].settings_hash
    assert [r.metadata["noise"]["frame"] for r in seen] == list(range(len(seen))), "each pulse its own noise"
    assert widget.ui.framesLabel.text == str(len(seen)) and "X-rays on" in widget.ui.statusLabel.text
    assert poses == []
    widget.ui.primaryAngleSlider.value = 20.0
    settle(host, widget)
    assert mark() == "preview, no dose" and totalsOf(parameters).frames == len(seen)
    assert [pose.primary_angle for pose in poses][-1] == 20


def test_the_space_bar_is_the_pedal_but_not_while_typing(host, patient):
    widget, parameters = opened(host)
    window, box = host._window, widget.ui.isocenterRSpinBox._obj if hasattr(widget.ui, "isocenterRSpinBox") else None
    window.setFocus()
    QtTest.QTest.keyPress(window, SPACE)
    assert pedal.isPressed()
    host.processEvents(until=lambda: totalsOf(parameters).frames >= 2, timeout_s=90)
    QtTest.QTest.keyPress(window, SPACE)  # a key held down repeats itself
    QtTest.QTest.keyRelease(window, SPACE)
    assert not pedal.isPressed()
    settle(host, widget)
    assert mark() == "last image hold"
    line = box or widget.ui.datasetLicenceEdit._obj
    line.setFocus()
    frames = totalsOf(parameters).frames
    QtTest.QTest.keyPress(line, SPACE)
    assert not pedal.isPressed()
    QtTest.QTest.keyRelease(line, SPACE)
    host.processEvents()
    assert totalsOf(parameters).frames == frames


def test_the_key_is_let_go_of_when_another_window_takes_the_keyboard(host, patient):
    widget, parameters = opened(host)
    QtTest.QTest.keyPress(host._window, SPACE)
    assert pedal.isPressed()
    QtWidgets.QApplication.sendEvent(host._window, QtCore.QEvent(QtCore.QEvent.Type.WindowDeactivate))
    assert not pedal.isPressed()
    settle(host, widget)
    QtTest.QTest.keyPress(host._window, SPACE)
    host.leaveModule()
    assert not pedal.isPressed()
    frames = totalsOf(parameters).frames
    QtTest.QTest.keyRelease(host._window, SPACE)
    QtTest.QTest.keyPress(host._window, SPACE)
    assert not pedal.isPressed(), "another module has the space bar for itself"
    host.openModule()
    settle(host, widget)
    assert totalsOf(parameters).frames == frames


def test_the_mouse_and_another_module_step_on_the_pedal_even_after_its_node_was_deleted(host, patient):
    import slicer

    widget, parameters = opened(host)
    button = widget.ui.pedalButton._obj
    QtTest.QTest.mousePress(button, QtCore.Qt.MouseButton.LeftButton)
    host.processEvents(until=lambda: totalsOf(parameters).frames >= 2, timeout_s=90)
    QtTest.QTest.mouseRelease(button, QtCore.Qt.MouseButton.LeftButton)
    settle(host, widget)
    assert mark() == "last image hold" and not pedal.isPressed()
    before, node = totalsOf(parameters).frames, pedal.pedalNode()
    node.SetText("1\n")  # as it comes from a tracker
    host.processEvents(until=lambda: totalsOf(parameters).frames > before, timeout_s=90)
    assert widget.ui.pedalButton._obj.isDown()
    node.SetText("0")
    settle(host, widget)
    slicer.mrmlScene.RemoveNode(node)
    widget.ui.pedalButton._obj.pressed.emit()
    frames = totalsOf(parameters).frames
    host.processEvents(until=lambda: totalsOf(parameters).frames > frames, timeout_s=90)
    widget.ui.pedalButton._obj.released.emit()
    settle(host, widget)


def test_pulses_follow_the_c_arm_and_settings(host, patient):
    widget, parameters = opened(host)
    seen = []
    widget.logic.fluoroscopy.onExposure.append(seen.append)
    pedal.setPressed(True)
    host.processEvents(until=lambda: len(seen) >= 1, timeout_s=90)
    widget.ui.primaryAngleSlider.value = 25.0
    host.processEvents(until=lambda: seen[-1].metadata["c_arm"]["primary_angle"] == 25, timeout_s=90)
    widget.ui.modeSelector._obj.activated.emit(3)  # by hand
    host.processEvents(until=lambda: seen[-1].metadata["technique"]["mode"] == "manual", timeout_s=90)
    parameters.secondaryAngle = 80.0  # out of reach: it is said, and the X-rays stay where they are
    host.processEvents()
    assert "outside" in widget.ui.warningLabel.text
    pedal.setPressed(False)
    settle_somehow(host, widget)
    assert seen[-1].metadata["c_arm"]["secondary_angle"] == 0


def settle_somehow(host, widget):
    host.processEvents(until=lambda: widget.sections["XRay"].isIdle, timeout_s=90)


def test_the_pulse_rate_is_that_of_the_device(host, patient):
    widget, parameters = opened(host)
    selector = widget.ui.pulseRateSelector
    assert [selector.itemText(i) for i in range(selector.count)] == [
        f"{r} per second" for r in ("3", "7.5", "15", "30")
    ]
    for rate in (3.0, 30.0):
        index = (3.0, 7.5, 15.0, 30.0).index(rate)
        selector._obj.activated.emit(index)
        assert parameters.pulseRate == rate and selector.currentIndex == index
        before = totalsOf(parameters)
        stepped(host, widget, parameters, 2)
        totals = totalsOf(parameters)
        pulses = totals.frames - before.frames
        assert totals.beam_on_time - before.beam_on_time == pytest.approx(pulses / rate)


def test_a_cine_run_is_a_sequence_with_times_and_places(host, patient):
    """And Slicer's browser shows its frames in the X-ray view, wherever the C-arm is now."""
    import slicer

    widget, parameters = opened(host)
    seen = []
    widget.logic.fluoroscopy.onExposure.append(seen.append)
    widget.ui.cineButton.setChecked(True)
    host.processEvents(until=lambda: len(seen) >= 2, timeout_s=90)
    parameters.primaryAngle = 30.0
    host.processEvents(until=lambda: seen[-1].metadata["c_arm"]["primary_angle"] == 30, timeout_s=90)
    widget.ui.cineButton.setChecked(False)
    settle(host, widget)
    (run,) = runs()
    assert run.GetName() == "Cine" and run.GetNumberOfDataNodes() == len(seen)
    assert (run.GetIndexName(), run.GetIndexUnit()) == ("time", "s")
    times = [float(run.GetNthIndexValue(i)) for i in range(len(seen))]
    assert times[0] == 0 and np.diff(times).min() >= 1 / 15 - 2e-4
    assert seen[0].metadata["technique"]["mode"] == "cine"
    for i in (0, len(seen) - 1):
        frame = run.GetNthDataNode(i)
        assert frame.GetAttribute(SETTINGS_HASH) == seen[i].settings_hash
        placed = slicer.util.arrayFromVTKMatrix(matrix_of(frame))
        assert np.allclose(placed, seen[i].beam.image_to_ras(), atol=1e-4)
    parameters.primaryAngle = -40.0
    settle(host, widget)
    browser = slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode")[0]
    browser.SetSelectedItemNumber(0)  # as its slider does
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    host.processEvents(until=lambda: "replay" in (mark() or ""))
    assert mark() == "replay: Cine, 0.00 s" and widget.ui.runFrameSlider.value == 1
    assert sliceLogic().GetSliceCompositeNode().GetBackgroundVolumeID() == shownNode(run).GetID()
    normal = slicer.util.arrayFromVTKMatrix(sliceLogic().GetSliceNode().GetSliceToRAS())[:3, 3]
    assert np.allclose(normal, seen[0].beam.detector_center, atol=1e-3)
    widget.ui.runFrameSlider.value = float(len(seen))
    host.processEvents(until=lambda: f"{times[-1]:.2f} s" in (mark() or ""))
    parameters.primaryAngle = -30.0
    settle(host, widget)
    assert sliceLogic().GetSliceCompositeNode().GetBackgroundVolumeID() == parameters.xray.GetID()


def matrix_of(node):
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix


def test_a_cine_run_survives_in_the_saved_scene_and_the_last_fluoroscopy_does_not(host, patient, tmp_path):
    from host.core import loadScene, saveScene

    widget, parameters = opened(host)
    widget.ui.cineButton.setChecked(True)
    host.processEvents(until=lambda: totalsOf(parameters).frames >= 2, timeout_s=90)
    widget.ui.cineButton.setChecked(False)
    settle(host, widget)
    stepped(host, widget, parameters)
    stepped(host, widget, parameters)
    assert [run.GetName() for run in runs()] == ["Cine", "Last fluoroscopy"], "one is enough to look back at"
    held, count = parameters.xray.GetAttribute(SETTINGS_HASH), runs()[0].GetNumberOfDataNodes()
    frames = totalsOf(parameters).frames
    saveScene(tmp_path / "scene.mrb")
    loadScene(tmp_path / "scene.mrb")
    host.processEvents()
    parameters = widget.logic.getParameterNode()
    (run,) = runs()
    assert run.GetNumberOfDataNodes() == count and widget.ui.runSelector.count == 1
    assert parameters.xray.GetAttribute(SETTINGS_HASH) == held and mark() == "last image hold"
    assert totalsOf(parameters).frames == frames and not pedal.isPressed()


def test_the_last_fluoroscopy_can_be_kept_and_runs_deleted(host, patient):
    import slicer

    widget, parameters = opened(host)
    before = {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLNode")}
    stepped(host, widget, parameters)
    assert widget.ui.keepRunButton.enabled
    widget.ui.keepRunButton.click()
    assert not widget.ui.keepRunButton.enabled and runs()[0].GetSaveWithScene()
    stepped(host, widget, parameters)
    assert [widget.ui.runSelector.itemText(i) for i in range(2)] == ["Fluoroscopy", "Last fluoroscopy"]
    for _ in range(2):
        widget.ui.removeRunButton.click()
    assert runs() == [] and not widget.ui.exportRunButton.enabled
    left = {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLNode")} - before
    assert not [i for i in left if "Sequence" in i or "ScalarVolume" in i], left


def test_a_run_is_exported_as_dicom_and_pictures(host, patient, tmp_path):
    pydicom = pytest.importorskip("pydicom")
    from DeepDRRSlicerLib.dataset.image_bytes import png_array

    widget, parameters = opened(host)
    stepped(host, widget, parameters)
    run = runs()[0]
    widget.ui.runFolderButton.directory = str(tmp_path)
    widget.ui.exportRunButton.click()
    host.processEvents(until=lambda: "Wrote" in widget.ui.runStatusLabel.text, timeout_s=90)
    folder = tmp_path / "Last fluoroscopy"
    table = json.loads((folder / "run.json").read_text())
    count = run.GetNumberOfDataNodes()
    assert len(table["frames"]) == count and table["rate_hz"] == 15
    assert table["frames"][1]["time_s"] == pytest.approx(float(run.GetNthIndexValue(1)))
    data = pydicom.dcmread(folder / "run.dcm")
    assert data.NumberOfFrames == count and data.Modality == "XA" and data.RadiationSetting == "SC"
    assert np.array_equal(data.pixel_array[1], png_array((folder / "0001.png").read_bytes()))
    assert data.PositionerPrimaryAngle == 0 and data.PatientPosition == "HFS"
    (tmp_path / "file").write_text("")
    widget.ui.runFolderButton.directory = str(tmp_path / "file")
    widget.ui.exportRunButton.click()
    host.processEvents(until=lambda: "Cannot write" in widget.ui.runStatusLabel.text, timeout_s=90)


def test_after_five_minutes_the_alarm_sounds_once_until_it_is_reset(host, patient):
    import qt

    widget, parameters = opened(host)
    parameters.dose = json.dumps(vars(DoseTotals(1.0, 1.0, 4498, 299.9, 299.9)))
    assert "0:00.1" in widget.ui.alarmLabel.text and not widget.ui.resetAlarmButton.enabled
    beeps = qt.QApplication._qt.beeps
    stepped(host, widget, parameters, 3)
    assert qt.QApplication._qt.beeps == beeps + 1
    assert "over" in widget.ui.alarmLabel.text and "5 minutes of X-rays" in mark()
    widget.ui.resetAlarmButton.click()
    assert "5 minutes" not in mark() and "5:00.0" in widget.ui.alarmLabel.text
    assert totalsOf(parameters).frames >= 4501


def test_an_error_in_the_middle_of_a_train_is_said_and_ends_it(host, patient, monkeypatch):
    widget, parameters = opened(host)
    stepped(host, widget, parameters, 1)
    frames = totalsOf(parameters).frames

    def fails(*_):
        raise InputError("The tube is too hot.")

    monkeypatch.setattr(ViewSimulator, "pulse", fails)
    pedal.setPressed(True)
    host.processEvents(until=lambda: "too hot" in widget.ui.warningLabel.text)
    settle_somehow(host, widget)
    assert totalsOf(parameters).frames == frames
    pedal.setPressed(False)


def test_no_pedal_without_a_ct_and_none_is_left_pressed(host):
    import slicer

    widget = host.openModule()
    assert not widget.ui.pedalButton.enabled and not widget.ui.spotButton.enabled
    QtTest.QTest.keyPress(host._window, SPACE)
    assert not pedal.isPressed() and not slicer.util.getNodesByClass("vtkMRMLTextNode")


def test_closing_scene_or_module_with_the_foot_on_the_pedal(host, patient):
    import slicer

    widget, parameters = opened(host)
    pedal.setPressed(True)
    host.processEvents(until=lambda: totalsOf(parameters).frames >= 1, timeout_s=90)
    slicer.mrmlScene.Clear()
    host.processEvents()
    assert not slicer.util.getNodesByClass("vtkMRMLSequenceNode") and "Choose a CT" in widget.ui.statusLabel.text


def test_nothing_is_left_behind_of_pedal_and_runs(host, patient):
    widget, parameters = opened(host)
    stepped(host, widget, parameters)
    QtTest.QTest.keyPress(host._window, SPACE)
    host.leaveModule()
    host.openModule()
    host.reloadModule()
    del widget, parameters
    assert host.closeModule() == []
