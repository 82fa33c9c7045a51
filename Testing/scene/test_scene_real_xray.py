"""A real X-ray image beside the simulated one: where it lies, how it is shown, and its geometry as the pose."""

import json

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from image_scene import Choices, beamOf, onScreen, radiograph

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.geometry.files import beam_to_dict
from DeepDRRSlicerLib.scene.picture import refreshPicture, showRadiograph
from DeepDRRSlicerLib.scene.real_xray import givenPose, loadRealImage, loadRealPose, removeRealImage
from DeepDRRSlicerLib.scene.shutters import collimationOf, halfField
from DeepDRRSlicerLib.scene.xray_image import QUANTITY
from DeepDRRSlicerLib.scene.xray_layout import BESIDE_LAYOUT_ID, installLayout, registerLayout
from DeepDRRSlicerLib.scene.xray_view import sliceLogic
from host.core import loadScene, saveScene
from host.views import OffscreenSliceView

WINDOW = (300, 300)


@pytest.fixture
def xray(scene):
    installLayout()
    view = OffscreenSliceView("XRay", WINDOW)
    yield view
    view.close()


def show(parameters):
    beam = beamOf(parameters)
    showRadiograph(parameters, radiograph(beam, np.full(beam.size, 1.2)))
    return beam


@pytest.fixture
def png(tmp_path):
    """A picture of 60 x 90 pixels, black with a white patch in its upper right corner."""
    import SimpleITK as sitk

    pixels = np.zeros((60, 90), np.uint8)
    pixels[2:14, 70:88] = 255
    sitk.WriteImage(sitk.GetImageFromArray(pixels), str(tmp_path / "film.png"))
    return tmp_path / "film.png"


def patch(view):
    """Middle of what is bright, from the middle of the view to the right and down, as a part of half its width."""
    rows, columns = np.nonzero(view.render().astype(float).mean(axis=2) > 90)
    assert len(rows)
    return (columns.mean() / view.size[0] - 0.5) * 2, (rows.mean() / view.size[1] - 0.5) * 2


def test_a_picture_without_spacing_is_as_wide_as_the_field(xray, png):
    parameters = Choices(imageMarkers=False)
    said = loadRealImage(parameters, png)
    assert "as wide as the field" in said and "60 × 90" in said
    node = parameters.realImage
    assert node.GetAttribute(QUANTITY)  # so that nobody takes it for a CT
    for primary in (0.0, 35.0):
        parameters.primaryAngle = primary
        beam = show(parameters)
        matrix = vtk.vtkMatrix4x4()
        node.GetIJKToRASMatrix(matrix)
        toRas = slicer.util.arrayFromVTKMatrix(matrix)
        width = beam.size[1] * beam.pitch[0]
        corner = toRas @ (-0.5, -0.5, 0, 1)
        expected = beam.detector_center - width / 2 * beam.e_c - width / 2 * 60 / 90 * beam.e_r
        np.testing.assert_allclose(corner[:3], expected, atol=1e-6)
        x, y = patch(xray)
        assert x == pytest.approx((79 - 45) / 45, abs=0.03) and y == pytest.approx((8 - 30) / 45, abs=0.03)


@pytest.mark.parametrize("rotation, flip, sides", [(90, False, (1, 1)), (180, False, (-1, 1)), (0, True, (-1, -1))])
def test_it_is_turned_and_flipped_by_hand(xray, png, rotation, flip, sides):
    """The patch in the upper right corner goes clockwise: to the lower right, to the lower left."""
    parameters = Choices(imageMarkers=False, realRotation=0)
    loadRealImage(parameters, png)
    # What is asked for is how our picture is turned to give this one; the picture itself turns the other way.
    parameters.realRotation, parameters.realFlip = (360 - rotation) % 360, flip
    show(parameters)
    x, y = patch(xray)
    assert np.sign(x) == sides[0] and np.sign(y) == sides[1]


def test_blend_and_inversion(xray, png):
    parameters = Choices(imageMarkers=False)
    loadRealImage(parameters, png)
    show(parameters)
    levels = {}
    for opacity in (0.0, 0.5, 1.0):
        parameters.realOpacity = opacity
        refreshPicture(parameters)
        levels[opacity] = int(xray.render().max())
    assert levels[0.0] < 5 and 110 < levels[0.5] < 145 and levels[1.0] > 245
    parameters.realInvert = True
    refreshPicture(parameters)
    picture = xray.render().mean(axis=2)
    assert picture[150, 150] > 240 and picture[77, 262] < 10


def test_typed_spacing_holds(xray, png):
    parameters = Choices(realPitch=0.5)
    loadRealImage(parameters, png)
    parameters.realPitch = 0.5
    show(parameters)
    np.testing.assert_allclose(parameters.realImage.GetSpacing()[:2], 0.5)


def test_side_by_side(scene, xray, png):
    parameters = Choices(imageMarkers=False, imageRotation=90)
    loadRealImage(parameters, png)
    parameters.realBeside = True
    assert installLayout(beside=True).GetViewArrangement() == BESIDE_LAYOUT_ID
    other = OffscreenSliceView("RealXRay", WINDOW)
    try:
        beam = show(parameters)
        node = parameters.realImage
        assert sliceLogic("RealXRay").GetSliceCompositeNode().GetBackgroundVolumeID() == node.GetID()
        assert sliceLogic().GetSliceCompositeNode().GetForegroundVolumeID() is None
        place = beam.detector_center + 40 * beam.e_c + 25 * beam.e_r
        np.testing.assert_allclose(onScreen(xray, [place]), onScreen(other, [place]), atol=1e-6)
        assert other.render().max() > 200
        parameters.realBeside = False
        refreshPicture(parameters)
        assert sliceLogic().GetSliceCompositeNode().GetForegroundVolumeID() == node.GetID()
    finally:
        other.close()
    assert registerLayout().IsLayoutDescription(BESIDE_LAYOUT_ID)


def test_a_dicom_image_lies_as_its_header_says(xray, tmp_path):
    """The sides in the header undo what was done to the picture: a mark at the patient's left is drawn there."""
    pytest.importorskip("pydicom")
    from dicom_headers import written

    parameters = Choices(imageMarkers=False)
    pixels = np.zeros((64, 64), np.uint16)
    pixels[30:34, 2:12] = 1000  # on the left of the file, which is towards the patient's head
    loadRealImage(parameters, written(tmp_path / "a.dcm", pixels, PositionerPrimaryAngle=0, PositionerSecondaryAngle=0,
                                      ImagerPixelSpacing=[4.0, 4.0], PatientOrientation=["F", "R"]))  # fmt: skip
    show(parameters)
    x, y = patch(xray)
    assert abs(x) < 0.1 and y < -0.5  # head up
    np.testing.assert_allclose(parameters.realImage.GetSpacing()[:2], 4.0)


def test_the_real_image_is_saved_and_can_be_removed(scene, xray, png, tmp_path):
    parameters = Choices(imageMarkers=False)
    loadRealImage(parameters, png)
    show(parameters)
    before = xray.render()
    saveScene(tmp_path / "scene.mrb")
    scene.Clear(0)
    loadScene(tmp_path / "scene.mrb")
    np.testing.assert_array_equal(xray.render(), before)
    parameters.realImage = slicer.util.getNode("Real X-ray film")
    refreshPicture(parameters)
    np.testing.assert_array_equal(xray.render(), before)
    removeRealImage(parameters)
    refreshPicture(parameters)
    assert xray.render().max() < 5 and scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1


# Geometry


def rolled(tmp_path):
    """A geometry file with a detector that is rolled and off the axis, which no C-arm has."""
    pose = CArmPose(25, -10, (5.0, 6.0, 7.0), 1040.0, 600.0, (80, 100), (2.0, 2.0))
    turn = np.eye(4)
    turn[:2, :2] = [[0.96, -0.28], [0.28, 0.96]]
    data = beam_to_dict(pose.beam())
    shift = np.array(data["e_c"]) * 12.0
    data["pixel00"] = (np.array(data["pixel00"]) + shift).tolist()
    e_c, e_r = np.array(data["e_c"]), np.array(data["e_r"])
    data["e_c"], data["e_r"] = (0.8 * e_c + 0.6 * e_r).tolist(), (-0.6 * e_c + 0.8 * e_r).tolist()
    path = tmp_path / "view.json"
    path.write_text(json.dumps({name: data[name] for name in ("source", "pixel00", "e_c", "e_r", "pitch", "size")}))
    return path, data


def test_a_geometry_file_is_taken_as_it_is_until_the_c_arm_moves(tmp_path):
    parameters, device = Choices(), load_device("mobile_carm")
    assert givenPose(parameters, device) is None
    path, data = rolled(tmp_path)
    said = loadRealPose(parameters, path)
    assert "until the C-arm is moved" in said
    beam = givenPose(parameters, device).beam()
    for name in ("source", "pixel00", "e_c", "e_r"):
        np.testing.assert_allclose(getattr(beam, name), data[name], atol=1e-9)
    assert halfField(parameters) == (100.0, 80.0) and collimationOf(parameters) is None
    parameters.shutterLeft = 90.0
    assert collimationOf(parameters).left == 90.0 and collimationOf(parameters).right == 100.0
    towards = np.array([parameters.primaryAngle, parameters.secondaryAngle])
    center = beam.detector_center - beam.source
    from DeepDRRSlicerLib.geometry.carm import positioner_angles

    np.testing.assert_allclose(towards, positioner_angles(center), atol=0.06)  # the C-arm stands nearly there
    parameters.primaryAngle += 1.0
    assert givenPose(parameters, device) is None


def test_k_r_t_files_are_read(tmp_path):
    beam = CArmPose(-15, 5, (0, 0, 0), 1000.0, 600.0, (64, 48), (1.5, 1.5)).beam()
    data = beam_to_dict(beam)
    path = tmp_path / "krt.json"
    path.write_text(json.dumps({name: data[name] for name in ("K", "R", "t", "pitch", "size")}))
    parameters = Choices()
    loadRealPose(parameters, path)
    found = givenPose(parameters, load_device("mobile_carm")).beam()
    np.testing.assert_allclose(found.P / found.P[2, 3], beam.P / beam.P[2, 3], atol=1e-6)
    assert (parameters.primaryAngle, parameters.secondaryAngle) == (-15.0, 5.0)


def test_an_xa_header_is_the_pose_about_the_present_isocentre(tmp_path):
    pytest.importorskip("pydicom")
    from dicom_headers import written

    parameters = Choices()
    said = loadRealPose(parameters, written(tmp_path / "xa.dcm"))
    assert "isocentre stayed" in said and "lacks" not in said
    pose = givenPose(parameters, load_device("mobile_carm"))
    expected = CArmPose(30.5, -12.0, (12.0, -35.0, 140.0), 1150.0, 720.0, (20, 32), (0.25, 0.3)).beam()
    found = pose.beam()
    np.testing.assert_allclose([found.source, found.pixel00], [expected.source, expected.pixel00], atol=1e-9)
    assert parameters.sid == 1100.0  # as far as the device's own goes; the picture is made with the file's


def test_a_header_without_what_is_needed_says_so(tmp_path):
    pytest.importorskip("pydicom")
    from dicom_headers import written

    parameters = Choices(realGeometry="")
    said = loadRealPose(parameters, written(tmp_path / "a.dcm", DistanceSourceToDetector=None))
    assert "source to detector" in said and "Only the angles" in said
    assert parameters.primaryAngle == 30.5 and givenPose(parameters, load_device("mobile_carm")) is None
    said = loadRealPose(parameters, written(tmp_path / "b.dcm", DistanceSourceToPatient=None))
    assert "source to isocentre; the device's is used" in said
    with pytest.raises(InputError, match="positioner angles"):
        loadRealPose(parameters, written(tmp_path / "c.dcm", PositionerPrimaryAngle=None))
    (tmp_path / "d.json").write_text("{}")
    with pytest.raises(InputError, match="keys"):
        loadRealPose(parameters, tmp_path / "d.json")
