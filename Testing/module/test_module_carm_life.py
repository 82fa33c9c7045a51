"""The C-arm over the life of scene and panel: saved and opened, left, closed and reloaded."""

import numpy as np
import pytest
from panel_actions import CArm_of, click_preset

from DeepDRRSlicerLib.scene.machine_state import isocenterOf, machineOf
from DeepDRRSlicerLib.scene.nodes import nodesWithRole


@pytest.fixture
def panel(host, patient):
    """(widget, parameters, C-arm section) with a CT, and no pictures, which other tests look at."""
    widget = host.openModule()
    parameters = widget.logic.getParameterNode()
    parameters.autoUpdate = False
    host.processEvents()
    return widget, parameters, widget.sections["CArm"]


def test_a_saved_scene_gives_the_same_c_arm(panel, host, tmp_path):
    import slicer

    from host.core import loadScene, saveScene

    widget, parameters, section = panel
    parameters.patientPosition = "HFDL"
    widget.ui.standSlider.value = 25.0
    widget.ui.tableTiltSlider.value = 6.0
    section.jogPad.buttons["TableUp"].click()
    widget.ui.savedNameEdit.text = "Mine"
    widget.ui.savePositionButton.click()
    before, view = machineOf(parameters).values, viewOf(parameters)
    matrices = jointMatrices(parameters)
    saveScene(tmp_path / "scene.mrb")
    loadScene(tmp_path / "scene.mrb")
    host.processEvents()
    parameters = widget.logic.getParameterNode()
    assert machineOf(parameters).values == pytest.approx(before)
    assert viewOf(parameters) == view and parameters.patientPosition == "HFDL"
    for name, matrix in jointMatrices(parameters).items():
        assert np.allclose(matrix, matrices[name], atol=1e-6), name
    assert section.presets.buttonOf("Mine") is not None
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLTransformDisplayNode") == len(matrices)
    widget.ui.primaryAngleSlider.value = parameters.primaryAngle + 5.0
    assert not np.allclose(jointMatrices(parameters)["primary_angle"], matrices["primary_angle"])


def viewOf(parameters):
    return parameters.primaryAngle, parameters.secondaryAngle, *isocenterOf(parameters)


def jointMatrices(parameters):
    import slicer

    carm = CArm_of(parameters)
    return {j.name: slicer.util.arrayFromTransformMatrix(carm.jointNode(j.name)) for j in carm.device.joints}


def test_nothing_is_left_behind_by_handles_timers_and_keys(panel, host):
    import slicer

    widget, parameters, section = panel
    widget.ui.driveCheckBox.setChecked(True)
    click_preset(widget, "LAO 45")
    widget.ui.pickButton.click()
    section.jogPad.buttons["LAO"].pressed.emit()
    host.leaveModule()
    assert not section._timer.isActive() and not section.jogPad._timer.isActive()
    assert not any(shortcut.enabled for shortcut in section.jogPad._shortcuts)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode") == 0
    assert section.handles._tags == [] and section.isocentre._observed == []
    section = host.openModule().sections["CArm"]
    section.goToView(45.0, 0.0)
    slicer.mrmlScene.Clear()
    host.processEvents()
    assert not section._timer.isActive() and nodesWithRole("carm.") == [] and nodesWithRole("table.") == []
    host.reloadModule()
    del widget, parameters, section
    assert host.closeModule() == []
