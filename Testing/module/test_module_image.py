"""The section "Image" in the test host: every control, and that nothing is left behind."""

import numpy as np
import pytest
from panel_actions import opened as panelOpened
from panel_actions import settle

from DeepDRRSlicerLib.scene.nodes import findNode
from DeepDRRSlicerLib.scene.xray_image import arrayOf, shownImage
from DeepDRRSlicerLib.scene.xray_layout import BESIDE_LAYOUT_ID, LAYOUT_ID
from DeepDRRSlicerLib.scene.xray_view import sliceLogic
from host.core import loadScene, saveScene

FIDUCIAL, MODEL, VOLUME = "vtkMRMLMarkupsFiducialNode", "vtkMRMLModelNode", "vtkMRMLScalarVolumeNode"


def opened(host, **choices):
    """The panel with the sub-sections of the image unfolded."""
    widget, parameters = panelOpened(host, **choices)
    for name in ("Shutters", "Edges", "Contrast", "Mark", "Real"):
        getattr(widget.ui, f"image{name}Group").collapsed = False
    return widget, parameters


def choose(selector, index):
    selector.setCurrentIndex(index)
    selector.activated.emit(index)


def shownNode():
    import slicer

    return slicer.mrmlScene.GetNodeByID(sliceLogic().GetSliceCompositeNode().GetBackgroundVolumeID())


def screenRight():
    import slicer

    return slicer.util.arrayFromVTKMatrix(sliceLogic().GetSliceNode().GetSliceToRAS())[:3, 0]


def vessel():
    """A segmentation with a thick vessel along the patient, beside the middle."""
    import slicer
    import vtk

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Vessels")
    node.CreateDefaultDisplayNodes()
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(8, 8, 60)
    image.SetSpacing(2, 2, 2)
    image.SetOrigin(20, -8, -60)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())[:] = 1
    node.AddSegmentFromBinaryLabelmapRepresentation(image, "aorta", [1.0, 0.2, 0.2])
    return node


def test_window_and_inversion_are_shown_without_a_new_exposure(host, patient):
    widget, parameters = opened(host)
    ui, node = widget.ui, parameters.xray
    before, dose = arrayOf(node).copy(), parameters.dose
    display = node.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == pytest.approx((1.2, 7.0))
    assert not ui.imageLowSlider.enabled
    choose(ui.imageWindowSelector, 2)
    assert parameters.windowName == "extremity"
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == pytest.approx((0.2, 3.5))
    choose(ui.imageWindowSelector, ui.imageWindowSelector.count - 1)
    assert ui.imageLowSlider.enabled and ui.imageLowSlider.value == 0.2  # begins with the last one
    ui.imageHighSlider.value = 5.0
    assert display.GetWindowLevelMax() == pytest.approx(5.0)
    ui.imageLowSlider.value = 9.0  # above white: kept apart
    assert display.GetWindowLevelMax() > display.GetWindowLevelMin()
    ui.imageInvertCheckBox.setChecked(True)
    assert display.GetColorNodeID().endswith("InvertedGrey")
    choose(ui.imageWindowSelector, 0)
    ui.imageEdgeGainSlider.value = 2.0
    first = arrayOf(shownNode()).copy()
    ui.imageEdgeRadiusSlider.value = 4.0
    assert np.abs(first - before).max() > 0.05 and np.abs(arrayOf(shownNode()) - first).max() > 0.05
    ui.imageEdgeGainSlider.value = 0.0
    assert shownNode() is node
    np.testing.assert_array_equal(arrayOf(node), before)
    assert parameters.dose == dose
    _turn_and_flip(host, widget, parameters)


def _turn_and_flip(host, widget, parameters):
    """The buttons' way is that on the screen, also when the picture is flipped."""
    ui, (_image, beam) = widget.ui, shownImage()
    ui.imageTurnRightButton.click()
    np.testing.assert_allclose(screenRight(), -beam.e_r, atol=1e-9)  # the head, which was up, is on the right
    ui.imageTurnLeftButton.click()
    np.testing.assert_allclose(screenRight(), beam.e_c, atol=1e-9)
    ui.imageFlipCheckBox.setChecked(True)
    np.testing.assert_allclose(screenRight(), -beam.e_c, atol=1e-9)
    ui.imageTurnRightButton.click()
    np.testing.assert_allclose(screenRight(), -beam.e_r, atol=1e-9)
    ui.imageMarkersCheckBox.setChecked(False)
    assert findNode("image.markers", FIDUCIAL) is None
    ui.imageMarkersCheckBox.setChecked(True)
    assert findNode("image.markers", FIDUCIAL) is not None
    parameters.imageRotation, parameters.imageFlip = 0, False
    parameters.patientPosition = "FFS"
    settle(host, widget)
    np.testing.assert_allclose(screenRight(), beam.e_c, atol=1e-9)
    ui.imageAsOnDeviceCheckBox.setChecked(True)
    np.testing.assert_allclose(screenRight(), -beam.e_c, atol=1e-9)


def test_field_grid_and_shutters(host, patient):
    widget, parameters = opened(host)
    ui = widget.ui
    _shutters(host, widget, parameters)
    assert ui.imageFieldSelector.itemText(0).startswith("Whole: 30 × 30 cm")
    choose(ui.imageFieldSelector, 1)
    assert (parameters.magnificationField, parameters.binning) == ("20 cm", 0)
    settle(host, widget)
    image, beam = shownImage()
    assert beam.size == (512, 512) and beam.pitch == (0.388, 0.388)
    assert ui.imageLeftShutterSlider.maximum == pytest.approx(512 * 0.388 / 2, abs=0.5)
    before = image.copy()
    parameters.noise = False
    settle(host, widget)
    choose(ui.imageGridSelector, ui.imageGridSelector.count - 2)
    assert parameters.gridName
    settle(host, widget)
    assert not np.array_equal(arrayOf(parameters.xray), before)


def _shutters(host, widget, parameters):
    """They are typed by the sides of the picture as it is shown."""
    ui = widget.ui
    ui.imageTurnRightButton.click()  # the right of the picture is now the top of the image
    ui.imageRightShutterSlider.value = 50.0
    assert parameters.shutterTop == 50.0 and parameters.shutterRight == 1000.0
    assert findNode("image.shutterLines", MODEL) is not None  # where the next picture will end
    settle(host, widget)
    assert findNode("image.shutterLines", MODEL) is None
    image, beam = shownImage()
    above = int(beam.size[0] / 2 - 60 / beam.pitch[1])
    assert (image[:above] < -10).all() and (image[beam.size[0] // 2] > -10).all()
    ui.imageIrisSlider.value = 70.0
    assert parameters.iris == 70.0 and "14.0" in ui.imageFieldLabel.text
    ui.imageShutterHandlesCheckBox.setChecked(True)
    node = findNode("image.shutterHandles", FIDUCIAL)
    node.SetNthControlPointPosition(3, 10.0, 40.0, 0.0)  # dragged: the image's bottom, the picture's left
    assert parameters.shutterBottom == pytest.approx(40.0) and ui.imageLeftShutterSlider.value == pytest.approx(
        40, abs=1
    )
    settle(host, widget)
    ui.imageOpenShuttersButton.click()
    assert (parameters.shutterTop, parameters.shutterBottom, parameters.iris) == (1000.0, 1000.0, 1000.0)
    settle(host, widget)
    assert (shownImage()[0] > -10).all()
    ui.imageShutterHandlesCheckBox.setChecked(False)
    assert findNode("image.shutterHandles", FIDUCIAL) is None


def test_subtraction_roadmap_marks_and_overlays(host, patient):
    widget, parameters = opened(host, scatter="none")  # beside a vessel its iodine changes the scatter, too
    ui = widget.ui
    assert "segmentation" in ui.imageSubtractionLabel.text and not ui.imageContrastCheckBox.enabled
    parameters.noise = False
    parameters.segmentation = vessel()
    assert ui.imageVesselSelector.currentText == "aorta" and ui.imageContrastCheckBox.enabled
    choose(ui.imageSubtractionSelector, 1)
    assert "mask" in ui.imageSubtractionLabel.text
    settle(host, widget)
    assert findNode("image.mask", VOLUME) is None  # previews are no pictures
    ui.applyButton.click()
    settle(host, widget)
    assert "AP" in ui.imageSubtractionLabel.text
    ui.imageIodineSlider.value = 300.0
    ui.imageContrastCheckBox.setChecked(True)
    settle(host, widget)
    ui.applyButton.click()
    settle(host, widget)
    difference, (_image, beam) = arrayOf(shownNode()), shownImage()
    column, row = np.rint(beam.project((27.0, 0.0, 0.0))[0]).astype(int)
    assert difference[row, column] > 0.3  # 16 mm of 300 mg/ml
    away = difference[:, : column - 40] if column > 80 else difference[:, column + 40 :]
    assert np.abs(away).max() < 0.02
    ui.imageContrastCheckBox.setChecked(False)
    choose(ui.imageSubtractionSelector, 2)
    settle(host, widget)
    over = arrayOf(shownNode()) - arrayOf(parameters.xray)
    assert over[row, column] > 0.3 and "roadmap" in ui.imageSubtractionLabel.text
    ui.imageRoadmapSlider.value = 0.0
    np.testing.assert_allclose(arrayOf(shownNode()), arrayOf(parameters.xray), atol=1e-6)
    ui.imageClearMaskButton.click()
    assert findNode("image.mask", VOLUME) is None and shownNode() is parameters.xray
    _marks_and_overlays(host, widget, parameters)


def _marks_and_overlays(host, widget, parameters):
    import slicer
    import vtk

    ui = widget.ui
    target = np.array([-30.0, 20.0, 10.0])
    landmarks = slicer.mrmlScene.AddNewNodeByClass(FIDUCIAL, "Landmarks")
    landmarks.AddControlPointWorld(vtk.vtkVector3d(*target))
    parameters.landmarks = landmarks
    ui.imageLandmarksCheckBox.setChecked(True)
    for primary in (0.0, 60.0):
        ui.primaryAngleSlider.value = primary
        settle(host, widget)
        _image, beam = shownImage()
        place = beam.pixel_to_ras(*beam.project(target)[0])
        shown = slicer.util.arrayFromMarkupsControlPoints(findNode("image.landmarks", FIDUCIAL), world=True)
        np.testing.assert_allclose(shown, [place], atol=1e-3)
        ui.imagePointButton.click()
        findNode("rays.points", FIDUCIAL).AddControlPointWorld(vtk.vtkVector3d(*place))
    assert ui.imageMarkLabel.text.startswith("1: R A S -30.0, 20.0, 10.0")
    landmarks.SetNthControlPointPosition(0, *(target + (0, 0, 15)))
    moved = slicer.util.arrayFromMarkupsControlPoints(findNode("image.landmarks", FIDUCIAL), world=True)[0]
    assert moved[2] - place[2] > 15
    ui.imageRulerButton.click()
    for end in ((0, 0, -20.0), (0, 0, 20.0)):
        place = beam.pixel_to_ras(*beam.project(end)[0])
        findNode("rays.ruler", "vtkMRMLMarkupsLineNode").AddControlPointWorld(vtk.vtkVector3d(*place))
    assert "Distance: 40.0 mm" in ui.imageMarkLabel.text
    ui.imageClearMarksButton.click()
    assert findNode("rays.points", FIDUCIAL) is None and not ui.imageMarkLabel.text
    ui.imageOutlinesCheckBox.setChecked(True)
    host.processEvents(until=lambda: findNode("image.outline.0", MODEL) is not None)
    ui.imageOutlinesCheckBox.setChecked(False)
    assert findNode("image.outline.0", MODEL) is None


@pytest.fixture
def film(tmp_path):
    import SimpleITK as sitk

    path = tmp_path / "film.png"
    sitk.WriteImage(sitk.GetImageFromArray(np.arange(80 * 80).reshape(80, 80).astype(np.uint8)), str(path))
    return path


def test_a_real_image_is_blended_or_stands_beside(host, patient, film, monkeypatch):
    import slicer

    from DeepDRRSlicerLib.ui import real_xray_group

    widget, parameters = opened(host)
    ui = widget.ui
    ui.imageRealButton.click()  # cancelled
    assert parameters.realImage is None and not ui.imageRealRemoveButton.enabled
    monkeypatch.setattr(real_xray_group, "_chosenFile", lambda parent, title, kinds: str(film))
    ui.imageRealButton.click()
    assert "80 × 80" in ui.imageRealLabel.text and ui.imageRealRemoveButton.enabled
    composite = sliceLogic().GetSliceCompositeNode()
    assert composite.GetForegroundVolumeID() == parameters.realImage.GetID() and composite.GetForegroundOpacity() == 0.5
    ui.imageRealOpacitySlider.value = 0.25
    assert composite.GetForegroundOpacity() == 0.25
    ui.imageRealTurnButton.click()
    assert parameters.realRotation == 90
    ui.imageRealBesideCheckBox.setChecked(True)
    host.processEvents()
    layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    assert layout.GetViewArrangement() == BESIDE_LAYOUT_ID
    beside = sliceLogic("RealXRay").GetSliceCompositeNode()
    assert beside.GetBackgroundVolumeID() == parameters.realImage.GetID() and composite.GetForegroundVolumeID() is None
    ui.imageRealBesideCheckBox.setChecked(False)
    assert layout.GetViewArrangement() == LAYOUT_ID
    assert parameters.ct is patient  # nobody took the film for a CT
    ui.imageRealRemoveButton.click()
    assert parameters.realImage is None and not ui.imageRealLabel.text
    _real_geometry(host, widget, parameters, film.parent, monkeypatch)


def _real_geometry(host, widget, parameters, tmp_path, monkeypatch):
    """It is the pose until the C-arm moves."""
    import json

    from DeepDRRSlicerLib.geometry.carm import CArmPose
    from DeepDRRSlicerLib.geometry.files import beam_to_dict
    from DeepDRRSlicerLib.ui import real_xray_group

    turn = np.eye(4)
    turn[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    beam = CArmPose(0, 0, (0, 0, 0), 1000, 600, (90, 110), (2.5, 2.5)).beam().transformed(turn)
    path = tmp_path / "view.json"
    path.write_text(json.dumps(beam_to_dict(beam)))
    monkeypatch.setattr(real_xray_group, "_chosenFile", lambda parent, title, kinds: str(path))
    widget.ui.imageRealPoseButton.click()
    settle(host, widget)
    _image, shown = shownImage()
    assert shown.size == (90, 110)
    np.testing.assert_allclose([shown.source, shown.pixel00], [beam.source, beam.pixel00], atol=1e-9)
    widget.ui.primaryAngleSlider.value = widget.ui.primaryAngleSlider.value + 5
    settle(host, widget)
    assert shownImage()[1].size != (90, 110)
    path.write_text("[]")
    said = []
    monkeypatch.setattr(real_xray_group.slicer.util, "errorDisplay", said.append)
    widget.ui.imageRealPoseButton.click()
    assert "geometry" in said[0] and widget.ui.imageRealLabel.text == said[0]


def test_a_saved_scene_reopens_as_it_was(host, patient, film, tmp_path, monkeypatch):
    import slicer

    from DeepDRRSlicerLib.ui import real_xray_group

    choices = dict(
        imageRotation=90, imageFlip=True, imageInvert=True, windowName="", windowLow=0.5, windowHigh=6.5, edgeGain=1.0,
        shutterLeft=70.0, iris=110.0, shutterHandles=True, magnificationField="20 cm", realOpacity=0.3, noise=False,
    )  # fmt: skip
    monkeypatch.setattr(real_xray_group, "_chosenFile", lambda parent, title, kinds: str(film))
    widget, parameters = opened(host, **choices)
    widget.ui.imageRealButton.click()
    settle(host, widget)
    view = slicer.app.layoutManager()._obj.views["vtkMRMLSliceNode", "XRay"].view
    before = view.render()
    saveScene(tmp_path / "scene.mrb")
    slicer.mrmlScene.Clear(0)
    host.processEvents()
    loadScene(tmp_path / "scene.mrb")
    host.processEvents()
    parameters = widget.logic.getParameterNode()
    assert {name: getattr(parameters, name) for name in choices} == choices
    settle(host, widget)
    assert parameters.realImage is not None
    after = view.render()
    assert np.abs(after.astype(int) - before).mean() < 1.0
    names = ["image.markers", "image.shutterHandles"]
    for name in names:
        nodes = slicer.util.getNodesByClass(FIDUCIAL)
        assert sum(node.GetAttribute("DeepDRRSlicer.Role") == name for node in nodes) == 1


def test_nothing_is_left_behind(host, patient):
    """Leaving the module, closing the scene, reloading and closing the module."""
    import slicer

    widget, parameters = opened(host, shutterHandles=True)
    kinds = ("QPushButton", "QCheckBox", "QComboBox", "ctkSliderWidget", "ctkCollapsibleGroupBox")
    controls = {n: w for n, w in vars(widget.ui).items() if n.startswith("image") and type(w).__name__ in kinds}
    assert len(controls) > 40 and not [name for name, control in controls.items() if not control.toolTip]
    parameters.segmentation = vessel()
    parameters.overlaySegments = parameters.contrastGiven = True
    parameters.subtraction = "dsa"
    settle(host, widget)
    host.leaveModule()
    assert findNode("image.shutterHandles", FIDUCIAL) is None and findNode("image.markers", FIDUCIAL) is not None
    host.openModule()
    settle(host, widget)
    assert findNode("image.shutterHandles", FIDUCIAL) is not None
    slicer.mrmlScene.Clear(0)
    host.processEvents()
    roles = [node.GetAttribute("DeepDRRSlicer.Role") for node in slicer.util.getNodesByClass("vtkMRMLNode")]
    assert not [role for role in roles if role and role.startswith(("image.", "rays."))]
    widget = host.reloadModule()
    del parameters, widget
    assert host.closeModule() == []
