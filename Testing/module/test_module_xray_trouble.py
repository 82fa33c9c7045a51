"""What may go wrong around the picture: choices that are not there, a CT that is taken away, errors of the machine."""

import threading
import time

import pytest
from panel_actions import mark, opened, settle

from DeepDRRSlicerLib.projection.projector import Stopped
from DeepDRRSlicerLib.scene.fluoroscopy import Fluoroscopy
from DeepDRRSlicerLib.simulation.views import ViewSimulator


def test_choices_that_a_script_or_another_computer_made_are_refused_in_a_sentence(host, patient):
    widget, parameters = opened(host)
    parameters.exposureMode = "angiography"
    assert widget.ui.modeSelector.currentIndex == -1
    host.processEvents(until=lambda: "has no exposure mode" in widget.ui.warningLabel.text)
    parameters.exposureMode = "spot"
    settle(host, widget)
    parameters.binning = 7
    assert widget.ui.matrixSelector.currentIndex == -1 and "does not bin by 7" in widget.ui.warningLabel.text
    parameters.binning = 3
    assert widget.ui.matrixSelector.currentIndex == 2
    settle(host, widget)


def test_a_device_that_is_not_on_this_computer_is_named(host, patient):
    widget, parameters = opened(host)
    parameters.device = "/elsewhere/device.json"
    assert "no device" in widget.ui.warningLabel.text and widget.ui.matrixSelector.count == 0
    parameters.device = "mobile_carm"
    settle(host, widget)
    assert widget.ui.matrixSelector.count == 4 and widget.ui.matrixSelector.currentIndex == 3


def test_taking_the_ct_away_lets_go_of_the_picture_and_choosing_it_again_makes_one(host, patient):
    widget, parameters = opened(host)
    parameters.primaryAngle = 20.0  # a picture is under way
    parameters.ct = None
    frames = widget.ui.framesLabel.text
    assert widget.ui.statusLabel.text == "Choose a CT." and not widget.ui.warningLabel.text and mark() == "no CT"
    time.sleep(0.5)
    host.processEvents()
    assert widget.ui.statusLabel.text == "Choose a CT." and widget.ui.framesLabel.text == frames
    parameters.ct = patient
    settle(host, widget)
    assert mark() == "preview, no dose"


def test_an_error_that_nobody_foresaw_does_not_leave_the_panel_waiting(host, patient, monkeypatch):
    widget, parameters = opened(host)
    section = widget.sections["XRay"]

    def fails(*_):
        raise MemoryError("out of memory")

    monkeypatch.setattr(Fluoroscopy, "requestPicture", fails)
    with pytest.raises(MemoryError):
        section.onSpot()
    assert "out of memory" in widget.ui.warningLabel.text and widget.ui.statusLabel.text == ""


def test_installing_a_package_does_not_wait_for_the_picture_under_way(host, patient, monkeypatch):
    widget, parameters = opened(host)
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    views = widget.logic.fluoroscopy._views
    simulator = views._ready[1]

    def slow(*_):
        begun.set()
        go_on.wait(20)
        ended.set()
        raise Stopped

    monkeypatch.setattr(simulator, "preview", slow)
    parameters.primaryAngle = 20.0
    host.processEvents(until=begun.is_set)
    widget.logic.fluoroscopy.prepareAnew()
    assert not ended.is_set()
    go_on.set()
    parameters.primaryAngle = 25.0
    settle(host, widget)
    assert views._ready[1] is not simulator


def test_the_patient_is_let_go_of_when_the_scene_closes(host, patient):
    import slicer

    widget, _ = opened(host)
    views = widget.logic.fluoroscopy._views
    assert isinstance(views, ViewSimulator) and views._ready is not None
    slicer.mrmlScene.Clear()
    assert views._ready is None and widget.logic.fluoroscopy._patientCopy._ct is None
