"""Mask, subtraction and roadmap in the scene: which picture is shown, and what is kept."""

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from image_scene import Choices, beamOf, radiograph

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.scene.nodes import findNode
from DeepDRRSlicerLib.scene.picture import refreshPicture, showRadiograph
from DeepDRRSlicerLib.scene.subtraction import (
    clearMask,
    contrastFingerprint,
    contrastOf,
    forgetContrast,
    maskNode,
    takeMask,
    vesselNode,
)
from DeepDRRSlicerLib.scene.xray_image import SHUT, arrayOf
from DeepDRRSlicerLib.scene.xray_layout import installLayout
from DeepDRRSlicerLib.scene.xray_view import sliceLogic
from host.core import loadScene, saveScene
from host.views import OffscreenSliceView

VESSEL = 0.6  # log attenuation of the iodine


@pytest.fixture
def xray(scene):
    installLayout()
    view = OffscreenSliceView("XRay", (300, 300))
    yield view
    view.close()


def anatomy(beam, shift=0):
    """Ribs across the field."""
    rows = np.arange(beam.size[0])[:, None] + shift
    return np.broadcast_to(3.0 + 0.8 * (rows % 40 < 12), beam.size).astype(np.float32)


def vessel(beam, first=0.4, last=0.6):
    image = np.zeros(beam.size, np.float32)
    image[:, int(first * beam.size[1]) : int(last * beam.size[1])] = VESSEL
    return image


def shown():
    """The node in the X-ray view."""
    return slicer.mrmlScene.GetNodeByID(sliceLogic().GetSliceCompositeNode().GetBackgroundVolumeID())


def test_the_first_picture_without_contrast_is_the_mask_and_cancels(xray):
    parameters = Choices(subtraction="dsa", imageMarkers=False)
    beam = beamOf(parameters)
    showRadiograph(parameters, radiograph(beam, anatomy(beam)), exposed=False)
    assert maskNode() is None  # a preview is no picture
    showRadiograph(parameters, radiograph(beam, anatomy(beam)))
    showRadiograph(parameters, radiograph(beam, anatomy(beam) + vessel(beam), iodine=150.0))
    np.testing.assert_allclose(arrayOf(shown()), vessel(beam), atol=1e-6)
    np.testing.assert_allclose(arrayOf(parameters.xray), anatomy(beam) + vessel(beam), atol=1e-6)  # as measured
    display = shown().GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == pytest.approx((-0.4, 0.8))
    picture = xray.render()[:, :, 0].astype(float)
    assert picture[150, 150] < 80 < picture[150, 30] - 60  # the vessel is dark, the ribs are gone
    assert np.ptp(picture[100:200, 30]) < 3


def test_a_mask_is_not_taken_from_a_picture_with_contrast(xray):
    parameters = Choices(subtraction="dsa")
    beam = beamOf(parameters)
    showRadiograph(parameters, radiograph(beam, anatomy(beam) + vessel(beam), iodine=150.0))
    assert maskNode() is None and shown() is parameters.xray


def test_motion_is_seen(xray):
    parameters = Choices(subtraction="dsa")
    beam = beamOf(parameters)
    showRadiograph(parameters, radiograph(beam, anatomy(beam)))
    showRadiograph(parameters, radiograph(beam, anatomy(beam, shift=5), iodine=150.0))
    assert arrayOf(shown()).max() == pytest.approx(0.8) and arrayOf(shown()).min() == pytest.approx(-0.8)


def test_outside_the_shutters_of_either_picture_there_is_nothing(xray):
    from DeepDRRSlicerLib.physics.collimation import Collimation

    parameters = Choices(subtraction="dsa")
    beam = beamOf(parameters)
    showRadiograph(parameters, radiograph(beam, anatomy(beam), Collimation(100, 60, 100, 100)))
    showRadiograph(parameters, radiograph(beam, anatomy(beam), Collimation(60, 100, 100, 100), iodine=150.0))
    middle, edge = (int(beam.size[1] / 2 + mm / beam.pitch[0]) for mm in (0, 80))
    row = beam.size[0] // 2
    found = arrayOf(shown())[row]
    assert found[middle] == 0 and found[edge] == SHUT and found[2 * middle - edge] == SHUT


def test_the_roadmap_is_the_most_opacified_and_lies_over_the_live_picture(xray):
    parameters = Choices(subtraction="dsa")
    beam = beamOf(parameters)
    showRadiograph(parameters, radiograph(beam, anatomy(beam)))
    first, second = vessel(beam, 0.4, 0.5), vessel(beam, 0.5, 0.6)
    for filled in (first, second, 0.2 * first):
        showRadiograph(parameters, radiograph(beam, anatomy(beam) + filled, iodine=150.0))
    np.testing.assert_allclose(arrayOf(vesselNode()), first + second, atol=1e-6)
    parameters.subtraction = "roadmap"
    live = anatomy(beam, shift=3)
    showRadiograph(parameters, radiograph(beam, live))
    over = arrayOf(shown()) - live
    np.testing.assert_allclose(over[first + second > 0], over.max(), rtol=1e-5)
    assert over.max() > 0.5
    np.testing.assert_allclose(over[first + second == 0], 0, atol=1e-6)
    parameters.roadmapOpacity = 0.0
    refreshPicture(parameters)
    np.testing.assert_allclose(arrayOf(shown()), live, atol=1e-6)
    takeMask()
    assert vesselNode() is None  # another mask, another map


def test_a_preview_is_subtracted_too_but_does_not_enter_the_map(xray):
    parameters = Choices(subtraction="dsa")
    fine, coarse = beamOf(parameters, 2), beamOf(Choices(), 4)
    showRadiograph(parameters, radiograph(fine, np.full(fine.size, 3.0)))
    showRadiograph(parameters, radiograph(coarse, np.full(coarse.size, 3.5), iodine=150.0), exposed=False)
    np.testing.assert_allclose(arrayOf(shown()), np.full(coarse.size, 0.5), atol=1e-6)
    assert vesselNode() is None


def test_a_mask_of_another_field_is_not_used(xray):
    parameters = Choices(subtraction="dsa")
    beam = beamOf(parameters)
    showRadiograph(parameters, radiograph(beam, anatomy(beam)))
    parameters.magnificationField = "15 cm"
    other = beamOf(parameters)
    showRadiograph(parameters, radiograph(other, anatomy(other), iodine=150.0))
    assert shown() is parameters.xray and vesselNode() is None


def test_without_anything_to_process_the_image_itself_is_shown(xray):
    parameters = Choices(edgeGain=1.0)
    beam = beamOf(parameters)
    showRadiograph(parameters, radiograph(beam, anatomy(beam)))
    assert shown() is not parameters.xray
    np.testing.assert_array_equal(arrayOf(parameters.xray), anatomy(beam))  # the signal stays as it is
    assert np.abs(arrayOf(shown()) - anatomy(beam)).max() > 0.1
    parameters.edgeGain = 0.0
    refreshPicture(parameters)
    assert shown() is parameters.xray and findNode("image.processed", "vtkMRMLScalarVolumeNode") is None


def test_mask_and_roadmap_are_saved_with_the_scene(scene, xray, tmp_path):
    parameters = Choices(subtraction="dsa")
    beam = beamOf(parameters)
    showRadiograph(parameters, radiograph(beam, anatomy(beam)))
    showRadiograph(parameters, radiograph(beam, anatomy(beam) + vessel(beam), iodine=150.0))
    saveScene(tmp_path / "scene.mrb")
    scene.Clear(0)
    loadScene(tmp_path / "scene.mrb")
    np.testing.assert_allclose(arrayOf(maskNode()), anatomy(beam), atol=1e-6)
    np.testing.assert_allclose(arrayOf(vesselNode()), vessel(beam), atol=1e-6)
    refreshPicture(parameters)
    np.testing.assert_allclose(arrayOf(shown()), vessel(beam), atol=1e-6)
    clearMask()
    refreshPicture(parameters)
    assert maskNode() is None and vesselNode() is None and shown().GetAttribute("DeepDRRSlicer.Role") == "xray.image"


@pytest.fixture
def segmentation(scene):
    """Two segments of 2 mm voxels: a vessel along S, and an empty one."""
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Vessels")
    for number, name in enumerate(("vessel", "empty")):
        image = slicer.vtkOrientedImageData()
        image.SetDimensions(20, 20, 40)
        image.SetSpacing(2, 2, 2)
        image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
        image.GetPointData().GetScalars().Fill(0)
        if number == 0:
            array = vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(40, 20, 20)
            array[5:35, 8:12, 8:12] = 1
        node.AddSegmentFromBinaryLabelmapRepresentation(image, name, [1.0, 0.0, 0.0])
    yield node
    forgetContrast()


def test_contrast_is_that_of_the_chosen_segment(segmentation):
    vesselID, emptyID = segmentation.GetSegmentation().GetSegmentIDs()
    parameters = Choices(segmentation=segmentation, contrastSegment=vesselID, contrastIodine=200.0)
    assert contrastOf(parameters) is None and contrastFingerprint(parameters) is None
    parameters.contrastGiven = True
    found = contrastOf(parameters)
    assert found.iodine == 200.0 and found.vessel.segment.name == "vessel"
    assert found.vessel.segment.mask.array.sum() == 30 * 4 * 4
    assert contrastOf(parameters).vessel is found.vessel  # whose surface is made once
    before = contrastFingerprint(parameters)
    assert contrastFingerprint(parameters) == before
    parameters.contrastIodine = 100.0
    assert contrastFingerprint(parameters) != before and contrastOf(parameters).vessel is found.vessel
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    moved = np.eye(4)
    moved[:3, 3] = 7, 0, 0
    slicer.util.updateTransformMatrixFromArray(transform, moved)
    segmentation.SetAndObserveTransformNodeID(transform.GetID())
    shifted = contrastOf(parameters).vessel
    assert shifted is not found.vessel
    np.testing.assert_allclose(shifted.segment.mask.center_ras - found.vessel.segment.mask.center_ras, (7, 0, 0))


@pytest.mark.parametrize("which, words", [("none", "segmentation"), ("gone", "no segment"), ("empty", "empty")])
def test_contrast_without_a_vessel_says_so(segmentation, which, words):
    ids = {"none": "", "gone": "no such", "empty": segmentation.GetSegmentation().GetSegmentIDs()[1]}
    chosen = None if which == "none" else segmentation
    parameters = Choices(segmentation=chosen, contrastSegment=ids[which], contrastGiven=True)
    contrastFingerprint(parameters)
    with pytest.raises(InputError, match=words):
        contrastOf(parameters)
