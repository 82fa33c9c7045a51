"""The section Tools as a person uses it: every control, the keys, and what a picture then shows."""

import numpy as np
import pytest
from panel_actions import opened, settle

from DeepDRRSlicerLib.scene.tool_drive import removeTool
from DeepDRRSlicerLib.scene.tools import IN_BEAM, MATERIAL, beamTools, toolNodes


@pytest.fixture
def panel(host, patient):
    """The panel with the section unfolded; pictures without scatter, which would hide half of a tool's contrast."""
    widget, parameters = opened(host, noise=False, scatter="none")
    widget.ui.toolsSection.collapsed = False
    host.processEvents()
    return widget, parameters


@pytest.fixture
def still(host, patient):
    """The same without pictures."""
    widget = host.openModule()
    parameters = widget.logic.getParameterNode()
    parameters.autoUpdate = False
    widget.ui.toolsSection.collapsed = False
    host.processEvents()
    return widget, parameters


def test_list_size_buttons_and_keys(host, still):
    """One panel for all of them, since it takes seconds to make."""
    for step in (
        each_box_of_the_list_does_what_it_says,
        material_and_size_are_typed_in,
        buttons_and_keys_advance_and_twist,
    ):
        step(host, still)
        for node in toolNodes():
            removeTool(node)


def test_lines_trackers_handles_and_the_tip_mark(host, panel):
    handles_and_tip_mark_come_and_go(host, panel)
    panel[0].ui.removeToolButton.click()
    panel[1].primaryAngle = 0.0
    a_line_and_a_tracker_place_the_tool(host, panel)


def add(widget, kind=0):
    widget.ui.toolKindSelector.setCurrentIndex(kind)
    widget.ui.addToolButton.click()
    return toolNodes()[-1]


def tip(node):
    import slicer

    return slicer.util.arrayFromTransformMatrix(node.GetParentTransformNode(), toWorld=True)[:3, 3]


def table(widget):
    """Texts and ticks of the rows: (name, material, in beam, shown)."""
    import qt

    found = widget.ui.toolTable
    return [
        tuple(
            found.item(row, column).text() if column < 2 else found.item(row, column).checkState() == qt.Qt.Checked
            for column in range(4)
        )
        for row in range(found.rowCount)
    ]


def test_an_added_tool_is_in_the_list_and_in_the_picture(host, panel):
    import slicer

    widget, parameters = panel
    before = slicer.util.arrayFromVolume(parameters.xray).copy()
    assert table(widget) == [] and not widget.ui.advanceToolButton.enabled
    add(widget, 1)
    assert table(widget) == [("Screw 1", "Titanium", True, True)]
    assert parameters.tool is toolNodes()[0] and widget.ui.advanceToolButton.enabled
    settle(host, widget)
    assert np.abs(slicer.util.arrayFromVolume(parameters.xray) - before).max() > 0.5
    widget.ui.removeToolButton.click()
    assert table(widget) == [] and parameters.tool is None
    settle(host, widget)
    assert np.abs(slicer.util.arrayFromVolume(parameters.xray) - before).max() < 1e-3


def each_box_of_the_list_does_what_it_says(host, still):
    import qt

    widget, parameters = still
    add(widget)
    needle = add(widget, 2)
    assert widget.ui.toolTable.currentRow() == 1
    widget.ui.toolTable.item(1, 2).setCheckState(qt.Qt.Unchecked)
    assert needle.GetAttribute(IN_BEAM) == "0" and len(beamTools()) == 1
    widget.ui.toolTable.item(1, 3).setCheckState(qt.Qt.Unchecked)
    assert not needle.GetDisplayVisibility()
    widget.ui.toolTable.item(1, 0).setText("Biopsy")
    assert needle.GetName() == "Biopsy"
    assert table(widget)[1] == ("Biopsy", "Stainless steel", False, False)
    widget.ui.toolTable.setCurrentCell(0, 0)
    assert parameters.tool.GetName() == "K-wire 1"
    host.processEvents()


def material_and_size_are_typed_in(host, still):
    widget, _parameters = still
    node = add(widget)
    ui = widget.ui
    ui.toolMaterialSelector.setCurrentIndex(4)
    ui.toolMaterialSelector.activated.emit(4)
    assert node.GetAttribute(MATERIAL) == "tantalum" and table(widget)[0][1] == "Tantalum"
    size = widget.sections["Tools"]._size._panels["k-wire"][1]
    before = np.ptp(beamTools()[0].vertices, axis=0).max()
    size["length"].setValue(100.0)
    assert np.ptp(beamTools()[0].vertices, axis=0).max() == pytest.approx(100.0) != before
    size["diameter"].setValue(10.0)
    size["length"].setValue(20.0)
    size["tip_angle"].setValue(5.0)
    assert "shorter than its point" in ui.toolWarningLabel.text
    needle = add(widget, 2)
    gauge = widget.sections["Tools"]._size._panels["needle"][1]["gauge"]
    gauge.setCurrentIndex(0)
    gauge.activated.emit(0)
    assert np.hypot(*beamTools()[1].vertices[:, ::2].T).max() == pytest.approx(4.191 / 2, rel=1e-2)
    assert "8" in needle.GetAttribute("DeepDRRSlicer.ToolShape")


def buttons_and_keys_advance_and_twist(host, still):
    from PySide6 import QtCore, QtTest

    widget, parameters = still
    node = add(widget)
    start = tip(node)
    parameters.toolStep, parameters.toolTwist = 4.0, 30.0
    widget.ui.advanceToolButton.click()
    assert tip(node) == pytest.approx(start + (0, 4, 0))
    widget.ui.retractToolButton.click()
    assert tip(node) == pytest.approx(start)
    widget.ui.twistRightButton.click()
    turned = beamTools()[0].vertices.copy()
    widget.ui.twistLeftButton.click()
    assert np.abs(beamTools()[0].vertices - turned).max() > 0.1

    window, alt = host._window, QtCore.Qt.KeyboardModifier.AltModifier
    for key, modifier, moved in (
        (QtCore.Qt.Key.Key_Up, alt, 4.0),
        (QtCore.Qt.Key.Key_Down, alt, 0.0),
        (QtCore.Qt.Key.Key_PageUp, alt, 0.4),
        (QtCore.Qt.Key.Key_Right, alt, 0.4),
        (QtCore.Qt.Key.Key_Left, alt, 0.4),
    ):
        QtTest.QTest.keyClick(window, key, modifier)
        host.processEvents()
        assert tip(node) == pytest.approx(start + (0, moved, 0)), key
    widget.ui.toolStepSpinBox._obj.setFocus()  # where one types
    QtTest.QTest.keyClick(window, QtCore.Qt.Key.Key_Up, alt)
    host.processEvents()
    assert tip(node) == pytest.approx(start + (0, 0.4, 0))
    widget.ui.toolStepSpinBox._obj.clearFocus()
    host.leaveModule()
    QtTest.QTest.keyClick(window, QtCore.Qt.Key.Key_Up, alt)
    host.processEvents()
    assert tip(node) == pytest.approx(start + (0, 0.4, 0))


def a_line_and_a_tracker_place_the_tool(host, panel):
    import slicer

    widget, parameters = panel
    node = add(widget)
    ui = widget.ui
    line = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "Path")
    line.AddControlPoint(10, -20, 0)
    line.AddControlPoint(10, 30, 0)
    assert not ui.tipAtEntryButton.enabled
    ui.toolLineSelector.setCurrentNode(line)
    assert parameters.toolLine is line and ui.tipAtEntryButton.enabled
    ui.tipAtEntryButton.click()
    assert tip(node) == pytest.approx([10, -20, 0]) and "50.0 mm to the target" in ui.toolTipLabel.text
    line.SetNthControlPointPosition(1, 10, 0, 0)
    assert "20.0 mm to the target" in ui.toolTipLabel.text
    ui.tipAtTargetButton.click()
    assert tip(node) == pytest.approx([10, 0, 0]) and ui.toolTipLabel.text.startswith("R 10.0  A 0.0  S 0.0 mm")
    tracker = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Tracker")
    matrix = np.eye(4)
    matrix[:3, 3] = 5, 6, 7
    slicer.util.updateTransformMatrixFromArray(tracker, matrix)
    ui.toolDriverSelector.setCurrentNode(tracker)
    assert tip(node) == pytest.approx([5, 6, 7])
    settle(host, widget)
    before = slicer.util.arrayFromVolume(parameters.xray).copy()
    matrix[:3, 3] = 25, 6, 7
    slicer.util.updateTransformMatrixFromArray(tracker, matrix)  # as OpenIGTLink does
    assert ui.toolTipLabel.text.startswith("R 25.0")
    settle(host, widget)
    assert np.abs(slicer.util.arrayFromVolume(parameters.xray) - before).max() > 0.5
    ui.toolDriverSelector.setCurrentNode(None)
    assert tip(node) == pytest.approx([25, 6, 7])


def handles_and_tip_mark_come_and_go(host, panel):
    import slicer

    widget, parameters = panel
    node = add(widget)
    ui = widget.ui
    ui.toolHandlesCheckBox.setChecked(True)
    display = node.GetParentTransformNode().GetDisplayNode()
    assert display.GetEditorVisibility3D()
    ui.toolHandlesCheckBox.setChecked(False)
    assert not display.GetEditorVisibility()
    settle(host, widget)
    ui.toolTipCheckBox.setChecked(True)
    (mark,) = [n for n in slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode") if n.GetName() == "Tool tip"]
    first = np.zeros(3)
    mark.GetNthControlPointPositionWorld(0, first)
    assert mark.GetDisplayNode().GetViewNodeIDs() == ("vtkMRMLSliceNodeXRay",)
    widget.ui.advanceToolButton.click()
    ui.primaryAngleSlider.value = 60.0
    settle(host, widget)
    second = np.zeros(3)
    mark.GetNthControlPointPositionWorld(0, second)
    # On the detector of the new picture: 400 mm behind the isocentre, which is the tip but for 1 mm.
    direction = np.array([-np.sin(np.pi / 3), np.cos(np.pi / 3), 0])
    assert second @ direction == pytest.approx(400.0, abs=0.1) and np.linalg.norm(second - first) > 100
    ui.toolTipCheckBox.setChecked(False)
    assert [n for n in slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode") if n.GetName() == "Tool tip"] == []


def test_a_model_of_the_scene_is_put_into_the_beam(host, panel):
    import slicer
    import vtk

    widget, parameters = panel
    ball = vtk.vtkSphereSource()
    ball.SetRadius(15)
    ball.Update()
    model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "Ball")
    model.SetAndObservePolyData(ball.GetOutput())
    ui = widget.ui
    ui.toolModelSelector.setCurrentNode(model)
    ui.useModelButton.click()
    assert table(widget)[0][:3] == ("Ball", "none chosen", True)
    assert "no material" in ui.toolWarningLabel.text and ui.toolWarningLabel.visible
    host.processEvents(until=lambda: "no material" in ui.warningLabel.text)
    ui.toolMaterialSelector.setCurrentIndex(2)
    ui.toolMaterialSelector.activated.emit(2)
    assert ui.toolWarningLabel.text == ""
    settle(host, widget)
    picture = slicer.util.arrayFromVolume(parameters.xray)[0]
    middle = tuple(n // 2 for n in picture.shape)
    assert picture[middle] > np.median(picture) + 1
    assert not widget.sections["Tools"]._size._panels["k-wire"][0].visible
    ui.removeToolButton.click()
    assert table(widget) == [] and slicer.mrmlScene.GetNodeByID(model.GetID()) is model


def test_tools_come_back_with_the_scene_and_nothing_is_left_behind(host, panel, tmp_path):
    import slicer

    from host.core import loadScene, saveScene

    widget, parameters = panel
    add(widget, 1)
    parameters.toolStep = 2.5
    settle(host, widget)
    saveScene(tmp_path / "scene.mrb")
    loadScene(tmp_path / "scene.mrb")
    host.processEvents()
    parameters = widget.logic.getParameterNode()
    assert table(widget) == [("Screw 1", "Titanium", True, True)]
    assert widget.ui.toolStepSpinBox.value == 2.5 and parameters.tool is toolNodes()[0]
    widget.ui.advanceToolButton.click()
    settle(host, widget)
    widget.ui.toolTipCheckBox.setChecked(True)
    slicer.mrmlScene.Clear()
    host.processEvents()
    assert table(widget) == [] and beamTools() == ()
    host.leaveModule()
    host.openModule()
    host.reloadModule()
    del widget, parameters, panel
    assert host.closeModule() == []
