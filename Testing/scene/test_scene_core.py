"""The scene without Qt can be started and stopped again and again, and leaves nothing behind."""

import gc

import numpy as np
import pytest
import slicer
import slicer.util

from host import core
from host.views import OffscreenSliceView, OffscreenThreeDView


def test_start_and_stop_twice_with_views():
    for _ in range(2):
        running = core.start(testing=True)
        scene = running.scene
        assert slicer.app.testingEnabled() and slicer.app.layoutManager() is None
        assert slicer.modules.volumerendering.logic().GetClassName() == "vtkSlicerVolumeRenderingLogic"
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
        slicer.util.updateVolumeFromArray(node, np.zeros((3, 4, 5), np.int16))
        slices, threeD = OffscreenSliceView("Red", (64, 48)), OffscreenThreeDView("1", (64, 48))
        assert slices.render().shape == threeD.render().shape == (48, 64, 3)
        scene.Clear(0)
        assert slices.render().shape == threeD.render().shape == (48, 64, 3)
        slices.close()
        threeD.close()
        core.stop()
        del node, slices, threeD, running
        gc.collect()
        assert scene.GetReferenceCount() == 1 and scene.GetNumberOfNodes() == 0
        assert not hasattr(slicer, "mrmlScene") and not hasattr(slicer, "app")


def test_second_start_is_refused():
    core.start()
    with pytest.raises(RuntimeError, match="already running"):
        core.start()
    core.stop()
    core.stop()  # harmless


def test_bad_paths_are_reported(tmp_path):
    core.start()
    try:
        with pytest.raises(OSError, match="could not be written"):
            core.saveScene(tmp_path / "missing" / "scene.mrb")
        with pytest.raises(OSError, match="could not be read"):
            core.loadScene(tmp_path / "missing.mrb")
    finally:
        core.stop()
