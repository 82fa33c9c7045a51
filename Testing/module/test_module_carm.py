"""The C-arm by hand: views, sliders, jogging, driving, isocentre, table, positions of the patient, two patients."""

import time
from pathlib import Path

import numpy as np
import pytest
from panel_actions import CArm_of, click_preset

from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.geometry.motion import speeds_of
from DeepDRRSlicerLib.geometry.positioning import POSITIONS
from DeepDRRSlicerLib.geometry.presets import GROUPS, PRESETS
from DeepDRRSlicerLib.scene.machine_state import isocenterOf, machineOf
from DeepDRRSlicerLib.scene.nodes import nodesWithRole
from host.application import HostApplication

MODULE = Path(__file__).resolve().parents[2] / "DeepDRRSlicer" / "DeepDRRSlicer.py"
SPEEDS = speeds_of(load_device("mobile_carm"))


BEGINNING = {
    "device": "mobile_carm", "patientPosition": "HFS", "primaryAngle": 0.0, "secondaryAngle": 0.0, "sid": 1000.0,
    "isocenterR": 0.0, "isocenterA": 0.0, "isocenterS": 0.0, "tableTilt": 0.0, "standJoints": "", "savedPositions": "",
    "driveAtSpeed": False, "collisionStops": True, "carmHandles": True, "landmarks": None, "segmentation": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def host():
    """One host for this file: opening the panel takes two seconds, and there are forty tests."""
    with HostApplication() as host, pytest.MonkeyPatch.context() as patched:
        host.loadModule(MODULE)
        from DeepDRRSlicerLib.scene import materials_work

        patched.setattr(materials_work, "network_missing", lambda: "The network rests.")
        yield host


@pytest.fixture(scope="module")
def patient(host):
    """A CT node: 18 cm of water in voxels of 4 mm."""
    import slicer

    hu = np.full((50, 50, 50), -1000, np.int16)
    hu[2:-2, 2:-2, 2:-2] = 0
    node = slicer.util.addVolumeFromArray(hu, name="Patient")
    place(node)
    return node


def place(node):
    node.SetAndObserveTransformNodeID(None)
    node.SetSpacing(4.0, 4.0, 4.0)
    node.SetOrigin(-98.0, -98.0, -98.0)


@pytest.fixture
def panel(host, patient, monkeypatch):
    """(widget, parameters, C-arm section) as at the beginning, and no pictures, which other tests look at.

    The models follow at once; that they wait for the picture is a test of its own.
    """
    import slicer

    widget = host.openModule()
    parameters, section = widget.logic.getParameterNode(), widget.sections["CArm"]
    monkeypatch.setattr(section.room, "ask", section.room.do)
    section.stop()
    section.mover._clock = section.jogPad._clock = time.monotonic
    place(patient)
    parameters.autoUpdate = False
    parameters.ct = patient
    for name, value in BEGINNING.items():
        setattr(parameters, name, value)
    host.processEvents(until=lambda: widget.sections["XRay"].isIdle)  # of the picture that opening it asks for
    for name in ("vtkMRMLMarkupsFiducialNode", "vtkMRMLSegmentationNode", "vtkMRMLGridTransformNode"):
        for node in slicer.util.getNodesByClass(name):
            slicer.mrmlScene.RemoveNode(node)
    host.processEvents()
    return widget, parameters, section


def values(parameters):
    return machineOf(parameters).values


def angles(parameters):
    return parameters.primaryAngle, parameters.secondaryAngle


class Clock:
    """Seconds that pass when they are told to."""

    now = 1000.0

    def __call__(self):
        return self.now


# Views


def test_every_standard_view_has_a_button_that_goes_there(panel):
    widget, parameters, section = panel
    for name, view in PRESETS.items():
        click_preset(widget, name)
        assert angles(parameters) == pytest.approx(view), name
        tip = section.presets.buttonOf(name).toolTip
        assert f"{view[0]:g}° / {view[1]:g}°" in tip


def test_one_group_of_views_is_shown_at_a_time(panel):
    widget, parameters, section = panel
    for number, presets in enumerate(GROUPS.values()):
        widget.ui.presetGroupSelector.setCurrentIndex(number)
        visible = {name for name in PRESETS if section.presets.buttonOf(name).isVisible()}
        assert visible == {preset.name for preset in presets}
        assert not widget.ui.savedPanel.isVisible()


def test_own_positions_are_saved_gone_to_renamed_and_deleted(panel):
    widget, parameters, section = panel
    ui = widget.ui
    ui.presetGroupSelector.setCurrentIndex(len(GROUPS))
    assert ui.savedPanel.isVisible()
    parameters.primaryAngle, parameters.isocenterS = 20.0, 15.0
    ui.savedNameEdit.text = "Entry"
    ui.savePositionButton.click()
    section.goToView(0.0, 0.0)
    parameters.isocenterS = 0.0
    ui.savedNameEdit.text = "Straight"
    ui.savePositionButton.click()
    section.presets.buttonOf("Entry").click()
    assert angles(parameters) == pytest.approx((20, 0)) and parameters.isocenterS == pytest.approx(15)
    ui.savedNameEdit.text = "Entry point"
    ui.renamePositionButton.click()
    assert section.presets.buttonOf("Entry") is None and section.presets.buttonOf("Entry point").isVisible()
    ui.deletePositionButton.click()
    assert section.presets.buttonOf("Entry point") is None
    section.presets.buttonOf("Straight").click()
    assert angles(parameters) == pytest.approx((0, 0), abs=1e-5)
    ui.savedNameEdit.text = ""
    ui.savePositionButton.click()  # named by its view
    assert section.presets.buttonOf("AP") is not None and "AP" in parameters.savedPositions


def test_saved_positions_that_cannot_be_read_are_left_out(panel, host):
    widget, parameters, section = panel
    parameters.savedPositions = "{broken"
    host.processEvents()
    widget.ui.savedNameEdit.text = "New"
    widget.ui.savePositionButton.click()
    assert section.presets.buttonOf("New") is not None


def test_a_view_out_of_reach_is_refused_in_a_sentence(panel):
    widget, parameters, section = panel
    section.goToView(0.0, 70.0)
    assert angles(parameters) == (0, 0)
    assert "cannot go there" in widget.ui.carmMessageLabel.text and widget.ui.carmMessageLabel.isVisible()
    click_preset(widget, "LAO 30")
    assert widget.ui.carmMessageLabel.text == "" and not widget.ui.carmMessageLabel.isVisible()


# Sliders and jogging


def test_sliders_turn_the_c_arm_and_stop_at_its_limits(panel):
    widget, parameters, section = panel
    ui = widget.ui
    ui.primaryAngleSlider.value = 33.0
    ui.secondaryAngleSlider.value = -12.5
    ui.sidSlider.value = 950.0
    assert angles(parameters) == pytest.approx((33, -12.5)) and parameters.sid == 950
    assert (ui.secondaryAngleSlider.minimum, ui.secondaryAngleSlider.maximum) == (-50, 50)
    pose = CArm_of(parameters).pose((10, 10), (1, 1))
    assert (pose.primary_angle, pose.secondary_angle, pose.sid) == pytest.approx((33, -12.5, 950))
    assert "LAO 33 CAU 12.5" in ui.carmViewLabel.text and "950 mm" in ui.carmViewLabel.text
    parameters.primaryAngle = -20.0
    assert ui.primaryAngleSlider.value == -20


def test_an_angle_finer_than_the_slider_shows_stays_when_another_slider_moves(panel):
    widget, parameters, section = panel
    parameters.primaryAngle = 12.3456
    widget.ui.secondaryAngleSlider.value = 5.0
    assert parameters.primaryAngle == pytest.approx(12.3456)


def test_every_jog_button_and_key_moves_its_axis_one_step(panel, host):
    from DeepDRRSlicerLib.ui.jog_pad import JOGS

    widget, parameters, section = panel
    for (name, what, direction, key), shortcut in zip(JOGS, section.jogPad._shortcuts):
        joint = {"primary": "primary_angle", "secondary": "secondary_angle"}.get(what, what)
        step = 5.0 if joint in ("sid", "table_height", "table_longitudinal", "table_lateral") else 1.0
        before = values(parameters)[joint]
        section.jogPad.buttons[name].click()
        assert values(parameters)[joint] == pytest.approx(before + direction * step), name
        section.jogPad._keyTimes.clear()
        shortcut.activated.emit()
        assert values(parameters)[joint] == pytest.approx(before + 2 * direction * step), name
        assert f"Key: {key}." in getattr(widget.ui, f"jog{name}Button").toolTip


def test_a_held_button_moves_at_the_devices_speed_until_it_is_let_go_or_the_limit_is_reached(panel, host):
    widget, parameters, section = panel
    clock = section.jogPad._clock = Clock()
    button = section.jogPad.buttons["Cranial"]
    button.setDown(True)
    button.pressed.emit()
    assert parameters.secondaryAngle == 1  # the step of a tap
    for _ in range(10):
        clock.now += 0.0625
        section.jogPad._onTick()
    # Ten times a sixteenth of a second, of which it waits until a quarter of a second has passed.
    assert parameters.secondaryAngle == pytest.approx(1 + 7 * 0.0625 * SPEEDS["secondary_angle"])
    for _ in range(100):
        clock.now += 0.05
        section.jogPad._onTick()
    assert parameters.secondaryAngle == 50
    assert "cranial / caudal joint ends at -50 and 50" in widget.ui.carmMessageLabel.text
    button.released.emit()
    assert not section.jogPad._timer.isActive()


def test_keys_do_nothing_while_somebody_types(panel, host):
    widget, parameters, section = panel
    for edit in (widget.ui.isocenterRSpinBox, widget.ui.savedNameEdit):
        edit.setVisible(True)
        edit.setFocus()
        section.jogPad._shortcuts[1].activated.emit()
        assert parameters.primaryAngle == 0
    widget.ui.stopButton.setFocus()
    widget.ui.deviceSelector.setFocus()
    section.jogPad._shortcuts[1].activated.emit()
    assert parameters.primaryAngle == 1


def test_jogging_says_left_and_right_of_the_patient_however_they_lie(panel, host):
    widget, parameters, section = panel
    for position in POSITIONS:
        parameters.patientPosition = position
        section.goToView(10.0, 5.0)
        section.jogPad.buttons["LAO"].click()
        section.jogPad.buttons["Cranial"].click()
        assert angles(parameters) == pytest.approx((11, 6), abs=1e-4), position


def test_the_tilt_turns_the_patient_and_leaves_the_machine(panel):
    widget, parameters, section = panel
    widget.ui.tableTiltSlider.value = 8.0
    assert parameters.tableTilt == 8 and parameters.secondaryAngle == pytest.approx(8)
    assert values(parameters)["secondary_angle"] == pytest.approx(0, abs=1e-4)
    assert "machine at" in widget.ui.carmViewLabel.text


def test_the_stand_turns_and_the_view_of_the_patient_with_it(panel):
    widget, parameters, section = panel
    parameters.secondaryAngle = 20.0
    widget.ui.standSlider.value = 90.0
    assert values(parameters)["stand_angle"] == pytest.approx(90)
    assert values(parameters)["secondary_angle"] == pytest.approx(20, abs=1e-4)
    assert abs(parameters.primaryAngle) == pytest.approx(20, abs=1e-3)  # the tilt is now to the patient's side


# Driving


def test_driving_takes_the_joints_time_shows_every_step_and_ends_exactly_there(panel, host):
    widget, parameters, section = panel
    clock = section.mover._clock = Clock()
    widget.ui.driveCheckBox.setChecked(True)
    click_preset(widget, "LAO 45")
    assert parameters.primaryAngle == 0 and widget.ui.stopButton.enabled
    duration = 45 / SPEEDS["primary_angle"]
    for share in (0.25, 0.5, 0.99):
        clock.now = 1000.0 + share * duration
        section.onTick()
        assert parameters.primaryAngle == pytest.approx(45 * share, abs=1e-3)
        assert CArm_of(parameters).pose((10, 10), (1, 1)).primary_angle == pytest.approx(45 * share, abs=1e-3)
        assert widget.ui.primaryAngleSlider.value == pytest.approx(45 * share, abs=0.06)
    clock.now = 1000.0 + duration
    section.onTick()
    assert parameters.primaryAngle == 45 and not widget.ui.stopButton.enabled and not section._timer.isActive()


@pytest.mark.parametrize("how", ["stop", "jog", "slider", "leave"])
def test_a_drive_is_stopped_by_the_button_a_jog_a_slider_and_by_leaving(panel, host, how):
    widget, parameters, section = panel
    clock = section.mover._clock = Clock()
    widget.ui.driveCheckBox.setChecked(True)
    click_preset(widget, "LAO 45")
    clock.now += 0.4
    section.onTick()
    reached = parameters.primaryAngle
    assert 0 < reached < 45
    if how == "stop":
        widget.ui.stopButton.click()
    elif how == "jog":
        section.jogPad.buttons["RAO"].click()
        reached -= 1
    elif how == "slider":
        widget.ui.primaryAngleSlider.value = 3.0
        reached = 3.0
    else:
        host.leaveModule()
    assert not section._timer.isActive() and not section.mover.moving and not widget.ui.stopButton.enabled
    clock.now += 5.0
    host.processEvents()
    assert parameters.primaryAngle == pytest.approx(reached)
    host.openModule()


def test_the_timer_drives_in_real_time(panel, host):
    widget, parameters, section = panel
    widget.ui.driveCheckBox.setChecked(True)
    begun = time.monotonic()
    section.goToView(10.0, 0.0)
    host.processEvents(until=lambda: parameters.primaryAngle == 10)
    assert time.monotonic() - begun >= 10 / SPEEDS["primary_angle"]


# Collision


def widen(patient):
    """The patient becomes 940 mm wide: turning the detector to the side must hit."""
    patient.SetSpacing(20.0, 4.0, 4.0)
    patient.SetOrigin(-490.0, -98.0, -98.0)


def test_the_c_arm_stops_before_the_patient_turns_red_and_says_so(panel, host, patient):
    widget, parameters, section = panel
    widen(patient)
    host.processEvents()
    section.isocentre.onCenter()
    widget.ui.primaryAngleSlider.value = 90.0
    assert 5 < parameters.primaryAngle < 85
    assert widget.ui.primaryAngleSlider.value == pytest.approx(parameters.primaryAngle, abs=0.06)
    assert "is about to touch the patient" in widget.ui.carmMessageLabel.text
    red = [
        n.GetName()
        for n in nodesWithRole("carm.part.")
        if n.GetDisplayNode().GetColor()[0] > 0.8 > 0.5 > n.GetDisplayNode().GetColor()[1]
    ]
    assert len(red) == 1 and red[0] in widget.ui.carmMessageLabel.text
    reached = parameters.primaryAngle
    click_preset(widget, "Left lateral")
    assert parameters.primaryAngle == reached and "would touch" in widget.ui.carmMessageLabel.text
    click_preset(widget, "AP")
    assert parameters.primaryAngle == pytest.approx(0) and widget.ui.carmMessageLabel.text == ""
    assert all(n.GetDisplayNode().GetColor()[1] > 0.08 for n in nodesWithRole("carm.part."))
    parameters.primaryAngle = 90.0  # a script may
    host.processEvents()
    assert "touches the patient" in widget.ui.carmMessageLabel.text
    widget.ui.collisionCheckBox.setChecked(False)
    widget.ui.primaryAngleSlider.value = 80.0
    assert parameters.primaryAngle == 80


def test_a_table_that_is_touched_is_red(panel, host):
    widget, parameters, section = panel
    machine = machineOf(parameters)
    parameters.collisionStops = False
    section._move(lambda machine: {"secondary_angle": 50.0, "table_height": 700.0, "sid": 900.0})
    contact = section.mover.contact(machineOf(parameters))
    if contact is None:  # the tube under the table is what comes first
        section._move(lambda machine: {"table_lateral": 250.0, "primary_angle": 90.0})
        contact = section.mover.contact(machineOf(parameters))
    assert contact is not None and contact.obstacle == "table"
    colors = {node.GetDisplayNode().GetColor() for node in nodesWithRole("table.part.")}
    assert colors == {(0.86, 0.10, 0.08)}
    section._move(lambda now: machine.values)
    assert (0.86, 0.10, 0.08) not in {node.GetDisplayNode().GetColor() for node in nodesWithRole("table.part.")}


# Handles


def test_a_dragged_handle_moves_the_parameters_and_stops_at_the_limit(panel, host):
    import slicer

    widget, parameters, section = panel
    node = CArm_of(parameters).jointNode("secondary_angle")
    assert node.GetDisplayNode().GetEditorVisibility()
    turn = np.eye(4)
    a = np.deg2rad(30.0)
    turn[1:3, 1:3] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    slicer.util.updateTransformMatrixFromArray(node, turn)
    assert parameters.secondaryAngle == pytest.approx(30)
    a = np.deg2rad(75.0)
    turn[1:3, 1:3] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    turn[:3, 3] = 40, 50, 60  # a handle of Slicer's could shift it, too
    slicer.util.updateTransformMatrixFromArray(node, turn)
    assert parameters.secondaryAngle == pytest.approx(50)
    matrix = slicer.util.arrayFromTransformMatrix(node)
    assert np.allclose(matrix[:3, 3], 0) and np.rad2deg(np.arccos(matrix[1, 1])) == pytest.approx(50)
    assert "ends at -50 and 50" in widget.ui.carmMessageLabel.text
    slicer.util.updateTransformMatrixFromArray(node, turn)  # against the limit once more: it is put back
    assert np.allclose(slicer.util.arrayFromTransformMatrix(node), matrix)


def test_handles_are_there_as_long_as_the_panel_is_and_can_be_switched_off(panel, host):
    widget, parameters, section = panel

    def seen():
        joints = load_device(parameters.device).joints
        return {CArm_of(parameters).jointNode(j.name).GetDisplayNode().GetEditorVisibility() for j in joints}

    assert seen() == {True}
    widget.ui.handlesCheckBox.setChecked(False)
    assert seen() == {False}
    widget.ui.handlesCheckBox.setChecked(True)
    assert seen() == {True}
    host.leaveModule()
    assert seen() == {False}
    host.openModule()
    assert seen() == {True}


# Device, patient and isocentre


def test_another_device_brings_its_distances_table_and_joints(panel, host):
    widget, parameters, section = panel
    names = [widget.ui.deviceSelector.itemText(i) for i in range(widget.ui.deviceSelector.count)]
    assert "Generic mobile C-arm" in names and len(names) == 2
    stand = load_device("angiography_stand")
    index = names.index(stand.name)
    widget.ui.deviceSelector.setCurrentIndex(index)
    widget.ui.deviceSelector.activated.emit(index)
    assert parameters.device == "angiography_stand" and parameters.sid == stand.source_image_distance.default
    assert {n.GetName() for n in nodesWithRole("carm.part.")} == {part.name for part in stand.parts}
    assert widget.ui.sidSlider.maximum == stand.source_image_distance.limits[1]
    parameters.device = "nowhere.json"
    assert "There is no device" in widget.ui.carmMessageLabel.text
    parameters.device = "mobile_carm"


@pytest.mark.parametrize("position", POSITIONS)
def test_the_patient_lies_as_chosen_and_the_read_out_stays_the_patients(panel, host, position):
    widget, parameters, section = panel
    click_preset(widget, "LAO 30")
    index = [*POSITIONS].index(position)
    widget.ui.positionSelector.setCurrentIndex(index)
    widget.ui.positionSelector.activated.emit(index)
    assert parameters.patientPosition == position and angles(parameters) == (30, 0)
    assert "LAO 30" in widget.ui.carmViewLabel.text
    assert widget.ui.primaryAngleSlider.value == 30
    pose = CArm_of(parameters).pose((10, 10), (1, 1))
    assert (pose.primary_angle, pose.secondary_angle) == pytest.approx((30, 0), abs=1e-6)
    assert ("machine at" in widget.ui.carmViewLabel.text) == (position != "HFS")


def test_the_isocentre_is_typed_centred_and_clicked(panel, host):
    import slicer

    widget, parameters, section = panel
    ui = widget.ui
    ui.isocenterASpinBox.value = 12.5
    assert parameters.isocenterA == 12.5
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Points")
    points.AddControlPoint(1, 2, 3, "tip")
    parameters.landmarks = points
    points.AddControlPoint(-4, -5, -6, "entry")
    shown = [ui.centerTargetSelector.itemText(i) for i in range(ui.centerTargetSelector.count)]
    assert shown == ["CT", "Point tip", "Point entry"]
    ui.centerTargetSelector.setCurrentIndex(2)
    ui.centerButton.click()
    assert isocenterOf(parameters) == (-4, -5, -6)
    points.RemoveNthControlPoint(0)
    assert ui.centerTargetSelector.itemText(ui.centerTargetSelector.currentIndex) == "Point entry"
    ui.centerTargetSelector.setCurrentIndex(0)
    ui.centerButton.click()
    assert isocenterOf(parameters) == pytest.approx((0, 0, 0), abs=0.06)
    ui.pickButton.click()
    picked = slicer.app.applicationLogic().GetSelectionNode().GetActivePlaceNodeID()
    slicer.mrmlScene.GetNodeByID(picked).AddControlPoint(7, 8, 9)
    assert isocenterOf(parameters) == (7, 8, 9)
    host.processEvents(until=lambda: not ui.pickButton.checked)
    assert slicer.util.getNodes("Isocentre*") == {}
    ui.pickButton.click()
    ui.pickButton.click()  # thought better of it
    assert isocenterOf(parameters) == (7, 8, 9)
    assert slicer.util.getNodes("Isocentre*") == {}


def test_segments_can_be_centred_on(panel, host, patient):
    import slicer

    widget, parameters, section = panel
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Beads")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(patient)
    parameters.segmentation = segmentation
    left = np.zeros((50, 50, 50), np.uint8)
    left[24:26, 24:26, 11:13] = 1
    key = segmentation.GetSegmentation().AddEmptySegment("left", "left")
    slicer.util.updateSegmentBinaryLabelmapFromArray(left, segmentation, key, patient)
    host.processEvents()
    widget.ui.centerTargetSelector.setCurrentIndex(1)
    assert widget.ui.centerTargetSelector.currentText == "Segment left"
    widget.ui.centerButton.click()
    assert isocenterOf(parameters) == pytest.approx((-52, 0, 0), abs=0.06)


def test_two_patients_keep_their_isocentres_and_positions(panel, host, patient):
    import slicer

    widget, parameters, section = panel
    parameters.isocenterR, parameters.patientPosition = 33.0, "HFP"
    hu = np.full((20, 20, 20), -1000, np.int16)
    hu[5:15, 5:15, 5:15] = 300
    second = slicer.util.addVolumeFromArray(hu, name="Second")
    second.SetOrigin(100, 0, 0)
    second.SetSpacing(5, 5, 5)
    parameters.ct = second
    assert isocenterOf(parameters) == pytest.approx((147.5, 47.5, 47.5), abs=0.06)  # centred on, the first time
    assert parameters.patientPosition == "HFS" and widget.ui.positionSelector.currentText == POSITIONS["HFS"]
    parameters.isocenterS = -8.0
    rendering = slicer.modules.volumerendering.logic().GetFirstVolumeRenderingDisplayNode
    assert rendering(second).GetVisibility() and not rendering(patient).GetVisibility()
    parameters.ct = patient
    assert parameters.isocenterR == 33 and parameters.patientPosition == "HFP"
    assert rendering(patient).GetVisibility() and not rendering(second).GetVisibility()
    red = slicer.app.applicationLogic().GetSliceLogicByLayoutName("Red").GetSliceCompositeNode()
    assert red.GetBackgroundVolumeID() == patient.GetID()
    parameters.ct = second
    assert parameters.isocenterS == -8
    parameters.ct = patient
    slicer.mrmlScene.RemoveNode(second)
    host.processEvents()


def test_a_non_linear_transform_over_the_ct_or_the_c_arm_is_said_in_a_sentence(panel, host, patient):
    import slicer

    widget, parameters, section = panel
    warp = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLGridTransformNode", "Warp")
    root = CArm_of(parameters).jointNode(None)
    root.SetAndObserveTransformNodeID(warp.GetID())
    parameters.primaryAngle = 10.0
    assert "put under the transform Warp" in widget.ui.carmMessageLabel.text
    root.SetAndObserveTransformNodeID(None)
    parameters.primaryAngle = 11.0
    assert widget.ui.carmMessageLabel.text == ""
    patient.SetAndObserveTransformNodeID(warp.GetID())
    parameters.primaryAngle = 12.0
    assert "non-linear transform Warp" in widget.ui.carmMessageLabel.text
    widget.ui.primaryAngleSlider.value = 40.0  # nothing but the sentence again
    assert "non-linear transform Warp" in widget.ui.carmMessageLabel.text and parameters.primaryAngle == 12


def test_every_control_of_the_section_has_a_tooltip_and_nothing_is_cut_off(panel, host):
    widget, parameters, section = panel
    kinds = ("QPushButton", "QComboBox", "QCheckBox", "QLineEdit", "QDoubleSpinBox", "ctkSliderWidget")
    for name, control in vars(widget.ui).items():
        if control.className() in kinds and not name.startswith("qt_") and _within(control, widget.ui.carmSection):
            assert control.toolTip, name
    widget.ui.carmMoreGroup.collapsed = False
    widget.ui.presetGroupSelector.setCurrentIndex(len(GROUPS))
    host.processEvents()
    for name, control in vars(widget.ui).items():
        if control.className() == "QPushButton" and _within(control, widget.ui.carmSection) and control.isVisible():
            text = control.fontMetrics().horizontalAdvance(control.text)
            assert control.width >= text + 6, name
            assert control.geometry.right() < control.parent().width, name


def _within(control, section):
    while control is not None and control != section:
        control = control.parent()
    return control is not None


def test_models_follow_a_moment_later_once_for_many_changes(panel, host, monkeypatch):
    from DeepDRRSlicerLib.ui import carm_section

    widget, parameters, section = panel
    monkeypatch.undo()
    moved = []
    moveRoom = carm_section.moveRoom
    monkeypatch.setattr(carm_section, "moveRoom", lambda p: moved.append(p.primaryAngle) or moveRoom(p))
    for angle in (5.0, 10.0, 15.0):
        parameters.primaryAngle = angle
    assert moved == [] and section.room.isWaiting and widget.ui.primaryAngleSlider.value == 15
    host.processEvents(lambda: not section.room.isWaiting)
    assert moved == [15.0] and CArm_of(parameters).jointValue("primary_angle") == pytest.approx(15)
    parameters.primaryAngle = 20.0
    section.setParameters(None)
    assert not section.room.isWaiting and moved == [15.0]
    section.setParameters(parameters)
    section.parametersChanged(parameters)
    host.processEvents(lambda: not section.room.isWaiting)
    assert moved == [15.0, 20.0]
