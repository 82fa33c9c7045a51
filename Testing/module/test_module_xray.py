"""The section "X-ray" and the read-outs of the dose: what is taken, when, and what it costs."""

import json
import time

import numpy as np
import pytest
from panel_actions import click_preset, mark, opened, settle

from DeepDRRSlicerLib.scene.dose import totalsOf
from DeepDRRSlicerLib.scene.xray_image import SETTINGS_HASH
from DeepDRRSlicerLib.simulation.views import ViewSimulator

LEFT, HEAD, FRONT = (-50, 0, 0), (0, 0, 50), (0, 50, 0)


def test_without_previews_nothing_is_seen_until_x_rays_are_taken(host, patient):
    """As with a real C-arm: the last image is held, and says that it is of another view."""
    widget, parameters = opened(host)
    assert mark() == "preview, no dose"
    widget.ui.autoUpdateCheckBox.setChecked(False)
    old_hash = parameters.xray.GetAttribute(SETTINGS_HASH)
    click_preset(widget, "LAO 30")
    host.processEvents()
    assert "not of the present view" in mark() and "Apply" in widget.ui.statusLabel.text
    time.sleep(0.2)
    host.processEvents()
    assert parameters.xray.GetAttribute(SETTINGS_HASH) == old_hash and totalsOf(parameters).frames == 0
    widget.ui.applyButton.click()
    assert mark() == "updating"
    settle(host, widget)
    assert parameters.xray.GetAttribute(SETTINGS_HASH) != old_hash and mark() is None
    assert totalsOf(parameters).frames == 1


def test_settings_changed_twice_during_one_slow_projection(host, patient, monkeypatch):
    """The last settings are shown in the end, and no older picture is ever shown as current."""
    import slicer

    widget, parameters = opened(host)
    real = ViewSimulator.simulate

    def slow(self, request, should_stop=lambda: False):
        time.sleep(0.3)  # a projector that does not look whether it should stop
        return real(self, request)

    monkeypatch.setattr(ViewSimulator, "simulate", slow)
    shown = []

    def record(caller, event):
        if mark() != "updating":
            shown.append(json.loads(parameters.xray.GetAttribute("DeepDRRSlicer.View"))["normal"])

    widget.ui.primaryAngleSlider.value = 10.0
    deadline = time.monotonic() + 0.15  # the first projection is under way
    while time.monotonic() < deadline:
        host.processEvents()
    tag = parameters.xray.AddObserver("ModifiedEvent", record)
    widget.ui.primaryAngleSlider.value = 20.0
    host.processEvents()
    assert mark() == "updating"
    time.sleep(0.05)
    host.processEvents()
    widget.ui.primaryAngleSlider.value = 30.0
    pictures = set()
    end = time.monotonic() + 90
    while mark() == "updating" or "LAO 30" not in widget.ui.statusLabel.text:
        assert time.monotonic() < end
        host.processEvents()
        if mark() != "updating":
            pictures.add(parameters.xray.GetAttribute(SETTINGS_HASH))
    parameters.xray.RemoveObserver(tag)
    assert len(pictures) == 1
    normal = json.loads(parameters.xray.GetAttribute("DeepDRRSlicer.View"))["normal"]
    assert np.allclose(normal, [-0.5, np.cos(np.pi / 6), 0], atol=1e-6)
    assert all(np.allclose(n, normal) for n in shown)
    assert slicer.util.arrayFromVolume(parameters.xray).size


def test_a_missing_package_makes_it_slow_and_is_offered(host, patient, monkeypatch):
    import slicer

    asked = []
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text, title: asked.append(text))
    widget, parameters = opened(host)
    monkeypatch.setattr("DeepDRRSlicerLib.ui.dependencies.find_spec", lambda name: None)
    widget.ui.primaryAngleSlider.value = 15.0
    settle(host, widget)
    assert "numba" in widget.ui.warningLabel.text
    widget.ui.applyButton.click()
    settle(host, widget)
    assert "numba" in asked[0] and totalsOf(parameters).frames == 1, "declined: slow, but it works"


def test_dose_and_technique_are_shown_and_kept(host, patient, monkeypatch):
    import slicer

    widget, parameters = opened(host)
    ui = widget.ui
    assert totalsOf(parameters).frames == 0, "previews cost nothing"
    ui.applyButton.click()
    settle(host, widget)
    assert "kV" in ui.techniqueLabel.text and "mA" in ui.techniqueLabel.text and "mGy/min" in ui.doseRateLabel.text
    assert ui.beamQualityLabel.text.startswith("HVL ") and "mm Al" in ui.beamQualityLabel.text
    totals = totalsOf(parameters)
    assert ui.framesLabel.text == str(totals.frames) and totals.frames >= 1
    widget.ui.applyButton.click()
    settle(host, widget)
    more = totalsOf(parameters)
    assert more.frames == totals.frames + 1 and more.kerma_area_product > totals.kerma_area_product
    assert more.beam_on_time == pytest.approx(totals.beam_on_time + 1 / 15)
    ui.modeSelector.setCurrentIndex(3)
    ui.modeSelector.activated.emit(3)
    assert parameters.exposureMode == "manual" and ui.kvpSlider.enabled
    settle(host, widget)
    assert "80 kV" in ui.techniqueLabel.text and "mAs" in ui.techniqueLabel.text
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", lambda text: False)
    ui.resetDoseButton.click()
    assert totalsOf(parameters).frames > 0, "asked first"
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", lambda text: True)
    ui.resetDoseButton.click()
    assert totalsOf(parameters).frames == 0 and ui.framesLabel.text == "0"


def test_every_picture_has_its_own_noise_and_none_without(host, patient):
    import slicer

    widget, parameters = opened(host)
    widget.ui.applyButton.click()
    settle(host, widget)
    first = slicer.util.arrayFromVolume(parameters.xray).copy()
    widget.ui.applyButton.click()
    settle(host, widget)
    assert np.std(slicer.util.arrayFromVolume(parameters.xray) - first) > 1e-3
    widget.ui.noiseCheckBox.setChecked(False)
    settle(host, widget)
    still = slicer.util.arrayFromVolume(parameters.xray).copy()
    widget.ui.applyButton.click()
    settle(host, widget)
    assert np.array_equal(slicer.util.arrayFromVolume(parameters.xray), still)


def test_a_coarse_picture_comes_first_while_the_c_arm_moves(host, patient):
    import slicer

    widget, parameters = opened(host, binning=1)
    sizes, frames = [], parameters.dose
    settled = widget.sections["XRay"]._settle
    wait, never = settled.interval, 10**7
    settled.setInterval(never)  # the hand keeps moving, however slow this machine is

    def record(caller, event):
        sizes.append(slicer.util.arrayFromVolume(parameters.xray).shape[1])

    tag = parameters.xray.AddObserver("ModifiedEvent", record)
    for angle in (5.0, 6.0, 7.0):
        widget.ui.primaryAngleSlider.value = angle
        host.processEvents(until=lambda: len(sizes) > 0)
    assert max(sizes) <= 256 and mark() == "updating" and parameters.dose == frames
    settled.setInterval(wait)
    settle(host, widget)
    parameters.xray.RemoveObserver(tag)
    assert sizes[-1] == 1536 and parameters.dose == frames


def test_a_spot_image_has_its_own_dose(host, patient):
    widget, parameters = opened(host)
    widget.ui.applyButton.click()
    settle(host, widget)
    fluoroscopy = totalsOf(parameters)
    widget.ui.spotButton.click()
    settle(host, widget)
    both = totalsOf(parameters)
    assert both.frames == 2 and both.air_kerma > 5 * fluoroscopy.air_kerma and parameters.exposureMode == "fluoro"
