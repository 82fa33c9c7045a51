"""Scatter in the panel: the choice, what live pictures use, and the reference image by following photons."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from panel_actions import mark, opened, settle

from DeepDRRSlicerLib.scene.job_settings import jobSettings
from DeepDRRSlicerLib.scene.scatter import CHOICES, MONTE_CARLO, NETWORK, NONE
from DeepDRRSlicerLib.scene.xray_image import SCATTER

STEPS = 4


class Flat:
    """Stands in for a way to find scatter: a share of the signal beside the patient, everywhere."""

    def __init__(self, name, key, share, details=None):
        self.name, self.key, self.share, self.details = name, key, share, details or {}
        self.warning = ""

    def scatter(self, view, should_stop=lambda: False):
        from DeepDRRSlicerLib.physics.exposure import inverse_square
        from DeepDRRSlicerLib.physics.primary import open_detected
        from DeepDRRSlicerLib.simulation.scatter import Scatter

        open_field = open_detected(view.spectrum, view.detector)[0] * inverse_square(view.beam.sid)
        mean = np.full(view.beam.size, self.share * open_field, dtype=np.float32)
        return Scatter(mean, 40 * mean, self.details, self.warning)


class Photons(Flat):
    """Stands in for the Monte Carlo: the first quarter comes by itself, the others when it is let."""

    def __init__(self, may, histories, tell):
        error = 0.1 * (1e6 / histories) ** 0.5
        details = {"histories": histories, "relative_error_of_a_cell": error}
        super().__init__(MONTE_CARLO, f"photons {histories}", 0.02, details)
        self.may, self.tell = may, tell

    def scatter(self, view, should_stop=lambda: False):
        from DeepDRRSlicerLib.projection.projector import Stopped

        histories, error = self.details["histories"], self.details["relative_error_of_a_cell"]
        for step in range(1, STEPS + 1):
            self.tell(histories * step // STEPS, error * (STEPS / step) ** 0.5)
            while not should_stop() and not self.may.wait(0.01):
                pass
            if should_stop():
                raise Stopped
        return super().scatter(view)


@pytest.fixture
def models(host, monkeypatch):
    """The network is there, and both models are stand-ins; Photons go on when `may` is set."""
    from DeepDRRSlicerLib.scene import scatter

    class Models:
        network, may, followed = Flat(NETWORK, "network", 0.01), threading.Event(), []

    def model(choice, histories=0, seed=0, threads=None, progress=None):
        if choice != MONTE_CARLO:
            return {NONE: None, NETWORK: Models.network}[choice]
        Models.followed.append(histories)
        return Photons(Models.may, histories, progress)

    monkeypatch.setattr(scatter, "scatter_model", model)
    monkeypatch.setattr(scatter, "_WEIGHTS", Path(__file__))  # a file that is there
    return Models


def choose(widget, choice):
    widget.ui.scatterSelector.setCurrentIndex(CHOICES.index(choice))
    widget.ui.scatterSelector.activated.emit(CHOICES.index(choice))


def shown(parameters):
    """(what the picture says of its scatter, median of its pixels)."""
    import slicer

    told = json.loads(parameters.xray.GetAttribute(SCATTER))
    return told, float(np.median(slicer.util.arrayFromVolume(parameters.xray)))


def test_without_weights_there_is_no_network_to_choose(host, patient, monkeypatch):
    import qt

    from DeepDRRSlicerLib.scene import scatter

    monkeypatch.setattr(scatter, "_WEIGHTS", Path(__file__) / "nothing")
    widget, parameters = opened(host)
    selector = widget.ui.scatterSelector
    assert selector.currentText == "None" and parameters.scatter == "" and shown(parameters)[0]["model"] == "none"
    flags = [selector.itemData(i, qt.Qt.UserRole - 1) for i in range(selector.count)]
    assert flags[CHOICES.index(NETWORK)] == 0  # neither enabled nor to be selected
    assert "weights" in selector.itemData(CHOICES.index(NETWORK), qt.Qt.ToolTipRole)
    assert "weights" in widget.ui.scatterLabel.text
    parameters.scatter = NETWORK  # as a script or a scene from elsewhere may say
    host.processEvents(until=lambda: widget.ui.warningLabel.text != "")
    assert "scatter" in widget.ui.warningLabel.text


def test_live_pictures_are_by_the_network_and_say_so(host, patient, models):
    widget, parameters = opened(host, noise=False)
    assert widget.ui.scatterSelector.currentText == "Network" and not widget.ui.scatterLabel.visible
    parameters.gridName = "none"  # a grid would leave little of it
    settle(host, widget)
    told, with_scatter = shown(parameters)
    assert told["model"] == NETWORK
    choose(widget, NONE)
    settle(host, widget)
    told, without = shown(parameters)
    assert parameters.scatter == NONE and told["model"] == "none" and without > with_scatter + 0.1
    models.network.warning = "Outside what it was trained on."
    choose(widget, MONTE_CARLO)
    host.processEvents(until=lambda: "Outside what" in widget.ui.warningLabel.text)
    assert shown(parameters)[0]["model"] == NETWORK and not models.followed
    assert "Live pictures are by the network" in widget.ui.scatterLabel.text
    assert "20 million photons" in widget.ui.datasetPlanLabel.text
    settings = jobSettings(parameters, "set")
    assert settings["scatter"] == MONTE_CARLO and settings["histories"] == 20_000_000


def test_a_reference_image_follows_photons_and_goes_when_the_view_changes(host, patient, models, tmp_path):
    widget, parameters = opened(host, scatterPhotons=2.0)
    ui = widget.ui
    before, dose = parameters.xray.GetAttribute("DeepDRRSlicer.SettingsHash"), parameters.dose
    ui.xraySection.collapsed = ui.scatterGroup.collapsed = False
    ui.referenceButton.click()
    assert ui.cancelReferenceButton.enabled and not ui.referenceButton.enabled and ui.referenceProgressBar.visible
    host.processEvents(until=lambda: "0.5 of 2 million photons, a cell within 14 %" in ui.referenceLabel.text)
    assert ui.referenceProgressBar.value == 500_000 and mark() == "preview, no dose"
    ui.cancelReferenceButton.click()
    assert not ui.cancelReferenceButton.enabled and not ui.referenceProgressBar.visible
    assert parameters.xray.GetAttribute("DeepDRRSlicer.SettingsHash") == before and mark() == "preview, no dose"

    models.may.set()
    ui.referenceButton.click()
    host.processEvents(until=lambda: mark() == "Monte Carlo reference, no dose")
    told, _ = shown(parameters)
    assert told["model"] == MONTE_CARLO and told["histories"] == 2_000_000 and parameters.dose == dose
    assert "reference" in ui.statusLabel.text and "by 2 million photons" in ui.referenceLabel.text
    widget.logic.fluoroscopy.startExport(parameters, tmp_path)
    host.processEvents(until=lambda: widget.logic.fluoroscopy.collectExport() is not None)
    written = json.loads((tmp_path / "view.json").read_text())
    assert written["scatter"]["model"] == MONTE_CARLO and len(models.followed) == 2
    assert written["exposure"]["control"] == "automatic"

    models.may.clear()
    ui.referenceButton.click()  # and the hand goes on
    ui.primaryAngleSlider.value = 10.0
    settle(host, widget)
    assert mark() == "preview, no dose" and shown(parameters)[0]["model"] == NETWORK and not ui.referenceLabel.text


def test_photons_are_followed_until_the_wanted_error(host, patient, models):
    """A pilot tells how many it takes: 0.1 at a million, so 2.5 % take 16 million, and a fifth more to be sure."""
    widget, parameters = opened(host)
    ui = widget.ui
    ui.scatterLimitSelector.setCurrentIndex(1)
    ui.scatterLimitSelector.activated.emit(1)
    assert parameters.scatterLimit == "error" and not ui.scatterPhotonsSlider.isVisibleTo(ui.scatterGroup)
    ui.scatterErrorSlider.value = 2.5
    models.may.set()
    ui.referenceButton.click()
    host.processEvents(until=lambda: mark() == "Monte Carlo reference, no dose")
    pilot, photons = models.followed
    assert pilot == 100_000 and photons == pytest.approx(19.2e6, rel=1e-3)
    assert shown(parameters)[0]["relative_error_of_a_cell"] <= 0.025
