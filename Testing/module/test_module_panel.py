"""The panel as a person uses it: choose, turn, press, export, close and reopen."""

import json
import threading
import time

import numpy as np
import pytest
from panel_actions import CArm_of, click_preset, mark, opened, settle

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.presets import PRESETS
from DeepDRRSlicerLib.scene.xray_image import SETTINGS_HASH
from DeepDRRSlicerLib.scene.xray_layout import VIEW_NAME
from DeepDRRSlicerLib.scene.xray_view import sliceLogic

LEFT, HEAD, FRONT = (-50, 0, 0), (0, 0, 50), (0, 50, 0)


def test_choosing_a_ct_gives_a_picture_without_further_ado(host, patient):
    widget, parameters = opened(host)
    assert parameters.ct.GetID() == patient.GetID()
    assert parameters.xray is not None and widget.ui.statusLabel.text.startswith("AP")
    assert np.allclose([parameters.isocenterR, parameters.isocenterA, parameters.isocenterS], 0, atol=0.1)
    assert CArm_of(parameters).partNode("C-arc") is not None
    assert sliceLogic().GetSliceCompositeNode().GetBackgroundVolumeID() == parameters.xray.GetID()


def test_turning_the_c_arm_changes_picture_models_and_hash(host, patient):
    import slicer

    widget, parameters = opened(host)
    before = slicer.util.arrayFromVolume(parameters.xray).copy()
    old_hash = parameters.xray.GetAttribute(SETTINGS_HASH)
    widget.ui.primaryAngleSlider.value = 40.0
    assert parameters.primaryAngle == 40
    settle(host, widget)
    assert np.abs(slicer.util.arrayFromVolume(parameters.xray) - before).max() > 0.5
    assert parameters.xray.GetAttribute(SETTINGS_HASH) != old_hash
    assert CArm_of(parameters).pose((10, 10), (1, 1)).primary_angle == pytest.approx(40)
    assert "LAO 40" in widget.ui.statusLabel.text


@pytest.mark.parametrize("order", [list(PRESETS), list(PRESETS)[::-1]])
def test_the_picture_is_upright_at_every_preset_in_any_order(host, patient, order):
    """Beads where the closed form puts them: in the array, and on the view as it is drawn."""
    import slicer

    widget, parameters = opened(host)
    for name in order:
        click_preset(widget, name)
        settle_at(host, widget, parameters, PRESETS[name])
        check_beads(parameters, PRESETS[name])
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 2


def settle_at(host, widget, parameters, angles):
    expected = axes(*angles)[2]

    def current():
        view = json.loads(parameters.xray.GetAttribute("DeepDRRSlicer.View"))
        return np.allclose(view["normal"], expected, atol=1e-6) and widget.sections["XRay"].isIdle

    host.processEvents(until=current, timeout_s=60)


def axes(primary, secondary):
    a, b = np.deg2rad([primary, secondary])
    e_c = np.array([-np.cos(a), -np.sin(a), 0])
    e_r = np.array([-np.sin(a) * np.sin(b), np.cos(a) * np.sin(b), -np.cos(b)])
    return e_c, e_r, np.array([-np.sin(a) * np.cos(b), np.cos(a) * np.cos(b), np.sin(b)])


def check_beads(parameters, angles):
    """Each bead is brighter than its surroundings where e_c, e_r and d put it: array and drawn view."""
    import slicer

    e_c, e_r, d = axes(*angles)
    image = slicer.util.arrayFromVolume(parameters.xray)[0]
    rows, columns = image.shape
    pitch = parameters.xray.GetSpacing()[0]
    source = np.array([parameters.isocenterR, parameters.isocenterA, parameters.isocenterS]) - 600 * d
    drawn = draw()
    height, width = drawn.shape
    scale = min(width / columns, height / rows)
    for bead in (LEFT, HEAD, FRONT):
        ray = np.array(bead) - source
        hit = ray * 1000 / (ray @ d)
        column, row = hit @ e_c / pitch + (columns - 1) / 2, hit @ e_r / pitch + (rows - 1) / 2
        across, down = column - (columns - 1) / 2, row - (rows - 1) / 2
        for picture, u, v, zoom in (
            (image, column, row, 1.0),
            (drawn, width / 2 + across * scale, height / 2 + down * scale, scale),
        ):
            bead_value = patch(picture, u, v, 3)
            # The bead's shadow has a radius of 8 mm * 1000 / 600 / pitch = 17 pixels.
            around = np.median([patch(picture, u + du, v + dv, 3) for du, dv in ring(26 * zoom)])
            assert bead_value > around, (angles, bead)


def ring(radius):
    return [(radius * np.cos(t), radius * np.sin(t)) for t in np.linspace(0, 2 * np.pi, 12, endpoint=False)]


def patch(picture, u, v, reach):
    u, v = round(float(u)), round(float(v))
    return float(np.mean(picture[v - reach : v + reach + 1, u - reach : u + reach + 1]))


def draw():
    """The X-ray view as pixels, grey [row, column] from the top."""
    import slicer
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    view = slicer.app.layoutManager().sliceWidget(VIEW_NAME).sliceView()
    view.forceRender()
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(view.renderWindow())
    grab.ReadFrontBufferOff()
    grab.ShouldRerenderOff()
    grab.Update()
    width, height, _ = grab.GetOutput().GetDimensions()
    pixels = vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars()).reshape(height, width, 3)
    return pixels[::-1].astype(float).mean(axis=-1)


def test_a_saved_scene_opens_as_it_was(host, patient, tmp_path):
    import slicer

    from host.core import loadScene, saveScene

    widget, parameters = opened(host, kvp=90.0)
    click_preset(widget, "Spider")
    settle_at(host, widget, parameters, PRESETS["Spider"])
    old_hash = parameters.xray.GetAttribute(SETTINGS_HASH)
    saveScene(tmp_path / "scene.mrb")
    loadScene(tmp_path / "scene.mrb")
    host.processEvents()
    parameters = widget.logic.getParameterNode()
    assert (parameters.primaryAngle, parameters.secondaryAngle, parameters.kvp) == (45, -25, 90)
    assert widget.ui.kvpSlider.value == 90 and widget.ui.primaryAngleSlider.value == 45
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 2
    check_beads(parameters, PRESETS["Spider"])
    settle(host, widget)
    assert parameters.xray.GetAttribute(SETTINGS_HASH) == old_hash
    check_beads(parameters, PRESETS["Spider"])
    click_preset(widget, "LAO 30")
    settle_at(host, widget, parameters, PRESETS["LAO 30"])
    check_beads(parameters, PRESETS["LAO 30"])


def test_closing_the_scene_in_the_middle_of_a_picture(host, patient):
    import slicer

    widget, parameters = opened(host)
    widget.ui.primaryAngleSlider.value = 33.0
    host.processEvents()
    slicer.mrmlScene.Clear()
    host.processEvents()
    time.sleep(0.3)
    host.processEvents()
    own = [n.GetName() for n in slicer.util.getNodesByClass("vtkMRMLNode") if n.GetAttribute("DeepDRRSlicer.Role")]
    assert own == []
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0
    assert widget.logic.getParameterNode().ct is None
    assert "Choose a CT" in widget.ui.statusLabel.text and not widget.ui.applyButton.enabled


def test_export_writes_the_view_with_its_labels(host, patient, tmp_path):
    import slicer

    widget, parameters = opened(host)
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Beads")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(patient)
    bone = (slicer.util.arrayFromVolume(patient) > 1000).astype(np.uint8)
    segment = segmentation.GetSegmentation().AddEmptySegment("bone", "bone")
    slicer.util.updateSegmentBinaryLabelmapFromArray(bone, segmentation, segment, patient)
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Points")
    points.AddControlPoint(*LEFT, "left")
    parameters.segmentation, parameters.landmarks = segmentation, points
    widget.ui.exportFolderButton.directory = str(tmp_path)
    widget.ui.exportButton.click()
    assert widget.ui.cancelExportButton.enabled and not widget.ui.exportButton.enabled
    host.processEvents(until=lambda: "Wrote" in widget.ui.exportStatusLabel.text, timeout_s=60)
    assert {"signal.nrrd", "masks.seg.nrrd", "thickness.nrrd", "landmarks.json"} <= {p.name for p in tmp_path.iterdir()}
    data = json.loads((tmp_path / "view.json").read_text())
    assert data["settings_hash"] == parameters.xray.GetAttribute(SETTINGS_HASH)
    assert data["segments"][0]["name"] == "bone" and data["segments"][0]["pixels"] > 50
    landmark = json.loads((tmp_path / "landmarks.json").read_text())["landmarks"][0]
    assert landmark["name"] == "left" and landmark["visible"] and landmark["column"] > 192


def test_a_cancelled_export_writes_nothing(host, patient, tmp_path):
    widget, parameters = opened(host)
    widget.ui.exportFolderButton.directory = str(tmp_path)
    widget.ui.exportButton.click()
    widget.ui.cancelExportButton.click()
    worker, ended = widget.logic.fluoroscopy._export, threading.Event()
    host.processEvents(until=lambda: worker._waiting is None)
    worker.submit(lambda shouldStop: ended.set(), interrupt=False)  # it begins when what was under way has ended
    host.processEvents(until=ended.is_set)
    assert "cancelled" in widget.ui.exportStatusLabel.text and widget.ui.exportButton.enabled
    assert list(tmp_path.iterdir()) == []


def test_an_export_folder_that_cannot_be_written_is_named(host, patient, tmp_path):
    widget, parameters = opened(host)
    (tmp_path / "file").write_text("")
    widget.ui.exportFolderButton.directory = str(tmp_path / "file")
    widget.ui.exportButton.click()
    host.processEvents(until=lambda: "Cannot write" in widget.ui.exportStatusLabel.text, timeout_s=60)


def test_what_cannot_be_simulated_is_said_in_a_sentence(host, patient):
    import slicer

    widget, parameters = opened(host)
    parameters.ct = parameters.xray
    host.processEvents(until=lambda: "choose a CT" in widget.ui.warningLabel.text)
    assert mark() is not None  # the picture on show is of the settings before
    wrong = slicer.util.addVolumeFromArray(np.full((5, 5, 5), 7, np.int16), name="Flat")
    parameters.ct = wrong
    host.processEvents(until=lambda: "same value" in widget.ui.warningLabel.text)
    parameters.ct = patient
    settle(host, widget)
    assert not widget.ui.warningLabel.text


def test_a_ct_under_a_parent_transform_is_seen_where_it_is(host, patient):
    import slicer

    widget, parameters = opened(host, noise=False)
    straight = slicer.util.arrayFromVolume(parameters.xray).copy()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    turn = np.eye(4)
    turn[:3, 3] = 30, 0, 0
    slicer.util.updateTransformMatrixFromArray(transform, turn)
    patient.SetAndObserveTransformNodeID(transform.GetID())
    widget.ui.applyButton.click()
    settle(host, widget)
    moved = slicer.util.arrayFromVolume(parameters.xray)
    assert np.abs(moved - straight).max() > 0.5
    widget.ui.centerButton.click()
    host.processEvents(until=lambda: parameters.isocenterR == 30)
    settle(host, widget)
    assert np.allclose(slicer.util.arrayFromVolume(parameters.xray), straight, atol=1e-3)


def test_nothing_is_left_behind(host, patient):
    widget, parameters = opened(host)
    host.leaveModule()
    host.openModule()
    host.reloadModule()
    del widget, parameters
    assert host.closeModule() == []


def test_a_reloaded_panel_works_without_being_entered_again(host, patient):
    widget, parameters = opened(host)
    widget = host.reloadModule()
    parameters = widget.logic.getParameterNode()
    widget.ui.primaryAngleSlider.value = 25.0
    assert parameters.primaryAngle == 25
    settle_at(host, widget, parameters, (25, 0))


def test_the_reload_button_loads_the_library_anew(host, patient, monkeypatch):
    import sys

    widget, parameters = opened(host)
    widget.ui.autoUpdateCheckBox.setChecked(False)  # kernels compiled for the new library would die with this test
    for name in [name for name in sys.modules if name.startswith("DeepDRRSlicerLib")]:
        monkeypatch.setitem(sys.modules, name, sys.modules[name])  # put back after the test
    before = sys.modules["DeepDRRSlicerLib.scene.xray_view"]
    widget.onReload()
    assert sys.modules["DeepDRRSlicerLib.scene.xray_view"] is not before
    widget = host.openModule()
    widget.ui.primaryAngleSlider.value = 25.0
    assert "press Apply" in widget.ui.statusLabel.text


def test_a_volume_that_gets_its_voxels_after_it_was_chosen_is_followed(host):
    import slicer

    widget = host.openModule()
    widget.logic.getParameterNode().binning = 4
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Late")
    widget.logic.getParameterNode().ct = node
    host.processEvents(until=lambda: "no voxels" in widget.ui.warningLabel.text)
    hu = np.full((20, 20, 20), -1000, np.int16)
    hu[5:15, 5:15, 5:15] = 300
    slicer.util.updateVolumeFromArray(node, hu)
    settle(host, widget)
    assert widget.logic.getParameterNode().isocenterR == 9.5


def test_only_a_scalar_volume_is_taken_for_the_ct(host):
    import slicer

    labels = np.ones((5, 5, 5), np.uint8)
    slicer.util.addVolumeFromArray(labels, name="Labels", nodeClassName="vtkMRMLLabelMapVolumeNode")
    assert host.openModule().logic.getParameterNode().ct is None


def test_coming_back_to_the_module_leaves_the_views_as_they_are(host, patient):
    import slicer

    opened(host)
    camera = slicer.util.getNodesByClass("vtkMRMLCameraNode")[0]
    camera.SetPosition(1, 2, 3)
    rendering = slicer.modules.volumerendering.logic().GetFirstVolumeRenderingDisplayNode(patient)
    rendering.SetVisibility(False)
    host.leaveModule()
    host.openModule()
    assert camera.GetPosition() == (1, 2, 3) and not rendering.GetVisibility()


def test_a_picture_that_was_pending_when_the_module_was_left_is_marked(host, patient):
    widget, parameters = opened(host)
    widget.ui.primaryAngleSlider.value = 12.0
    assert mark() == "updating"
    host.leaveModule()
    assert "not of the present view" in mark()
    host.openModule()
    settle_at(host, widget, parameters, (12, 0))


def test_nothing_is_made_of_a_scene_that_is_only_half_loaded(host, patient, tmp_path):
    import slicer

    from host.core import saveScene

    widget, parameters = opened(host)
    saveScene(tmp_path / "scene.mrb")
    bound = []
    scene = slicer.mrmlScene
    tag = scene.AddObserver(scene.NodeAddedEvent, lambda *_: bound.append(widget._parameterNode))
    scene.ReadFromMRB(str(tmp_path / "scene.mrb"), False, slicer.vtkMRMLMessageCollection())
    scene.RemoveObserver(tag)
    assert bound and not any(bound)  # unbound while nodes arrive
    assert widget._parameterNode is not None
    host.processEvents()


def test_settings_outside_the_device_are_refused(host, patient):
    widget, parameters = opened(host)
    parameters.sid = 1500.0
    host.processEvents()
    assert parameters.sid == 1100 or "outside" in widget.ui.warningLabel.text
    with pytest.raises(InputError):
        parameters.secondaryAngle = 80.0
        widget.logic.simulate()
