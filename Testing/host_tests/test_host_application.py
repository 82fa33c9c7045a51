"""Loading, entering, closing and reloading a module; what it leaves behind; views and pictures."""

import numpy as np
import pytest


def test_module_attributes(slicer_host, sample):
    import slicer

    slicer_host.loadModule(sample)
    module = slicer.modules.samplepanel
    assert module.title == "Sample panel" and module.categories == ("Testing",)
    assert slicer.util.modulePath("SamplePanel") == str(sample)
    with pytest.raises(AttributeError):
        module.category = "Testing"


def test_panel_in_use(slicer_host, panel):
    import slicer

    panel.ui.inputSelector.setCurrentNode(slicer.mrmlScene.GetFirstNodeByName("CT"))
    panel.ui.angleSlider.value = 21.0
    panel.ui.applyButton.click()
    slicer_host.processEvents()
    assert panel.ui.resultLabel.text == "42.0"


def test_enter_and_exit(slicer_host, panel):
    slicer_host.leaveModule()
    assert not panel.parent.isEntered and panel._parameterNode is None
    assert slicer_host.openModule() is panel
    assert panel.parent.isEntered and panel.entered == 2


def test_closing_the_scene_resets_the_panel(slicer_host, panel):
    import slicer

    panel.ui.angleSlider.value = 55.0
    slicer.mrmlScene.Clear(0)
    slicer_host.processEvents()
    assert panel.ui.angleSlider.value == 10.0
    assert panel.logic.getParameterNode().parameterNode.GetAttribute("ModuleName") == "SamplePanel"


def test_saved_scene_restores_the_panel(slicer_host, panel, tmp_path):
    import slicer

    from host import core

    panel.ui.angleSlider.value = 55.0
    panel.ui.inputSelector.setCurrentNode(slicer.mrmlScene.GetFirstNodeByName("CT"))
    core.saveScene(tmp_path / "scene.mrb")
    slicer.mrmlScene.Clear(0)
    core.loadScene(tmp_path / "scene.mrb")
    slicer_host.processEvents()
    assert panel.ui.angleSlider.value == 55.0 and panel.ui.inputSelector.currentNode().GetName() == "CT"


def test_reload_and_close_leave_nothing_behind(slicer_host, panel):
    del panel
    slicer_host.reloadModule()
    assert slicer_host.closeModule() == []


def test_what_is_left_behind_is_reported(slicer_host, panel):
    import threading

    import qt
    import slicer

    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="worker")
    thread.start()
    timer = qt.QTimer()
    timer.setObjectName("poll")
    timer.start(1000)
    qt.QTimer.singleShot(60000, stop.set)
    slicer.mrmlScene.AddObserver(slicer.mrmlScene.NodeAddedEvent, panel.onModified)
    del panel
    found = " ".join(slicer_host.closeModule())
    stop.set()
    thread.join()
    assert all(part in found for part in ("thread worker", "timer poll", "single shot", "panel <SamplePanel"))


def test_module_test_class_runs(slicer_host, sample):
    import slicer

    module = slicer_host.loadModule(sample)
    module.SamplePanelTest().runTest()
    assert slicer.app.testingEnabled()


def test_error_displays_do_not_block(slicer_host):
    import slicer

    assert slicer.util.errorDisplay("An error.") is None


def test_waiting_ends(slicer_host):
    with pytest.raises(TimeoutError):
        slicer_host.processEvents(until=lambda: False, timeout_s=0.05)


_LAYOUT = """<layout type="vertical"><item><view class="vtkMRMLSliceNode" singletontag="XRay">
<property name="orientation" action="default">Coronal</property></view></item>
<item><view class="vtkMRMLViewNode" singletontag="1"/></item></layout>"""


def test_own_layout(slicer_host):
    import slicer

    manager = slicer.app.layoutManager()
    red = manager.sliceWidget("Red").sliceView()
    node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    node.AddLayoutDescription(501, _LAYOUT)
    assert manager.sliceWidget("XRay") is None
    node.SetViewArrangement(501)
    assert slicer.app.applicationLogic().GetSliceLogicByLayoutName("XRay") is not None
    assert manager.sliceWidget("XRay").sliceView().visible and not red.visible
    node.SetViewArrangement(3)
    assert red.visible and manager.sliceWidget("Red").sliceView() is red


def test_screenshot(slicer_host, panel, tmp_path):
    """The panel is on the left, the slice views on the right show the volume; dark differs from light."""
    import slicer
    from PySide6.QtGui import QImage

    volume = slicer.mrmlScene.GetFirstNodeByName("CT")
    slicer.util.updateVolumeFromArray(volume, np.full((20, 20, 20), 300, np.int16))
    volume.CreateDefaultDisplayNodes()
    volume.GetDisplayNode().SetAutoWindowLevel(False)
    volume.GetDisplayNode().SetWindowLevelMinMax(0, 400)
    for logic in slicer.app.applicationLogic().GetSliceLogics():
        logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
        logic.FitSliceToAll()
    pixels = {}
    for dark in (False, True):
        path = tmp_path / f"{dark}.png"
        slicer_host.screenshot(path, size=(1280, 800), dark=dark)
        image = QImage(str(path)).convertToFormat(QImage.Format.Format_RGB888)
        assert (image.width(), image.height()) == (1280, 800)
        pixels[dark] = np.asarray(image.constBits()).reshape(800, -1)[:, : 3 * 1280].reshape(800, 1280, 3).astype(int)
    red = pixels[False][40:360, 460:820]
    assert (np.abs(red - 191).max(axis=2) <= 3).mean() > 0.5
    panel_light, panel_dark = (pixels[dark][500:780, 20:380].mean() for dark in (False, True))
    assert panel_light > 200 and panel_dark < 90
