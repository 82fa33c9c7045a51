"""The pose that a DICOM header tells: XA with angles, DX with a named view, enhanced XA, and what is missing."""

import itertools

import numpy as np
import pytest

from DeepDRRSlicerLib.anatomy.xray_files import read_xray
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose, detector_axes
from DeepDRRSlicerLib.geometry.dicom_pose import pose_of_header, read_dicom_pose, turned_axes
from DeepDRRSlicerLib.geometry.given_pose import given_pose
from DeepDRRSlicerLib.geometry.triangulation import nearest_to_rays

pydicom = pytest.importorskip("pydicom")
from dicom_headers import header, written  # noqa: E402 (needs pydicom)

LETTERS = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "H": (0, 0, 1), "F": (0, 0, -1)}


def test_an_angiogram_tells_everything():
    pose = pose_of_header(header())
    assert pose.angles == (30.5, -12.0) and (pose.sid, pose.sod) == (1150.0, 720.0)
    assert pose.pitch == (0.25, 0.3)  # DICOM puts the distance between rows first
    assert pose.size == (20, 32) and pose.sides == ("L", "F") and pose.position == "HFS"
    assert pose.missing == () and not pose.from_view


@pytest.mark.parametrize(
    "name, words",
    [
        ("PositionerSecondaryAngle", "the positioner angles"),
        ("DistanceSourceToDetector", "the distance from source to detector"),
        ("DistanceSourceToPatient", "the distance from source to isocentre"),
        ("ImagerPixelSpacing", "the pixel spacing at the detector"),
        ("PatientOrientation", "the patient orientation"),
    ],
)
def test_what_is_missing_is_named(name, words):
    assert pose_of_header(header(**{name: None})).missing == (words,)


def test_the_magnification_stands_in_for_the_isocentre():
    pose = pose_of_header(header(DistanceSourceToPatient=None, EstimatedRadiographicMagnificationFactor=1.25))
    assert pose.sod == pytest.approx(920.0)
    assert pose_of_header(header(DistanceSourceToPatient=1200.0)).sod is None  # behind the detector


def test_spacing_that_was_calibrated_elsewhere_is_not_the_detectors():
    changes = {"ImagerPixelSpacing": None, "PixelSpacing": [0.2, 0.2]}
    assert pose_of_header(header(**changes)).pitch == (0.2, 0.2)
    assert pose_of_header(header(**changes, PixelSpacingCalibrationType="FIDUCIAL")).pitch is None


@pytest.mark.parametrize("view, angles", [("PA", (0, 0)), ("AP", (180, 0)), ("LL", (90, 0)), ("RL", (-90, 0))])
def test_a_radiograph_names_its_view(view, angles):
    """LL is the left lateral: the left side is next to the detector. AP: the detector is behind the patient."""
    pose = pose_of_header(
        header(Modality="DX", ViewPosition=view, PositionerPrimaryAngle=None, PositionerSecondaryAngle=None)
    )
    assert pose.angles == angles and pose.from_view
    towards = {"PA": "A", "AP": "P", "LL": "L", "RL": "R"}[view]
    np.testing.assert_allclose(detector_axes(*pose.angles)[2], LETTERS[towards], atol=1e-12)


def test_an_ap_radiograph_hangs_the_wrong_way_round_for_the_detector():
    """It is hung with the patient's left on the viewer's right, like a PA one, but was taken from the other side."""
    changes = {"Modality": "DX", "PositionerPrimaryAngle": None, "PositionerSecondaryAngle": None}
    sides = ["L", "F"]
    assert pose_of_header(header(**changes, ViewPosition="PA", PatientOrientation=sides)).turned() == (0, False)
    assert pose_of_header(header(**changes, ViewPosition="AP", PatientOrientation=sides)).turned() == (0, True)


@pytest.mark.parametrize("rotation, flip", itertools.product((0, 90, 180, 270), (False, True)))
@pytest.mark.parametrize("angles", [(0.0, 0.0), (90.0, 0.0), (-30.0, 20.0), (175.0, -10.0)])
def test_the_sides_tell_how_the_picture_is_turned(angles, rotation, flip):
    e_c, e_r, _ = detector_axes(*angles)
    sides = [
        max(LETTERS, key=lambda letter: np.dot(LETTERS[letter], way)) for way in turned_axes(e_c, e_r, rotation, flip)
    ]
    pose = pose_of_header(
        header(PositionerPrimaryAngle=angles[0], PositionerSecondaryAngle=angles[1], PatientOrientation=sides)
    )
    assert pose.turned() == (rotation, flip)


def test_clockwise_what_was_up_comes_to_the_right():
    right, down = turned_axes((1, 0), (0, 1), 90, False)
    assert tuple(right) == (0, -1) and tuple(down) == (1, 0)
    right, down = turned_axes((1, 0), (0, 1), 270, True)
    assert tuple(right) == (0, -1) and tuple(down) == (-1, 0)


def test_sides_that_the_view_does_not_have_tell_nothing():
    assert pose_of_header(header(PositionerPrimaryAngle=0, PatientOrientation=["A", "F"])).turned() is None
    assert pose_of_header(header(PatientOrientation=["X", "F"])).sides is None


def test_enhanced_angiograms_say_it_in_their_functional_groups():
    def sequence(**values):
        item = pydicom.Dataset()
        for name, value in values.items():
            setattr(item, name, value)
        return pydicom.Sequence([item])

    names = ["PositionerPrimaryAngle", "PositionerSecondaryAngle", "DistanceSourceToDetector", "ImagerPixelSpacing"]
    data = header(**dict.fromkeys(names), DistanceSourceToPatient=None)
    shared, frame = pydicom.Dataset(), pydicom.Dataset()
    shared.XRayGeometrySequence = sequence(DistanceSourceToDetector=1200.0, DistanceSourceToIsocenter=785.0)
    frame.PositionerPositionSequence = sequence(PositionerPrimaryAngle=-20.0, PositionerSecondaryAngle=15.0)
    data.SharedFunctionalGroupsSequence = pydicom.Sequence([shared])
    data.PerFrameFunctionalGroupsSequence = pydicom.Sequence([frame])
    pose = pose_of_header(data)
    assert (pose.angles, pose.sid, pose.sod) == ((-20.0, 15.0), 1200.0, 785.0)


def test_files_that_are_no_projection_are_refused(tmp_path):
    ct = written(tmp_path / "ct.dcm", Modality="CT")
    with pytest.raises(InputError, match="modality CT"):
        read_dicom_pose(ct)
    (tmp_path / "text.dcm").write_text("no DICOM")
    for path in (tmp_path / "text.dcm", tmp_path / "absent.dcm"):
        with pytest.raises(InputError, match="no DICOM"):
            read_dicom_pose(path)
    assert read_dicom_pose(written(tmp_path / "xa.dcm")).modality == "XA"


def test_pixels_of_a_dicom_image(tmp_path):
    pixels = np.arange(20 * 32).reshape(20, 32)
    picture = read_xray(written(tmp_path / "a.dcm", pixels, WindowCenter=300.0, WindowWidth=200.0))
    np.testing.assert_array_equal(picture.image, pixels)
    assert picture.window == (200.0, 400.0) and picture.pitch == (0.25, 0.3) and picture.pose.angles == (30.5, -12.0)
    inverse = read_xray(
        written(tmp_path / "b.dcm", pixels, PhotometricInterpretation="MONOCHROME1", WindowCenter=300.0,
                WindowWidth=200.0, RescaleSlope=2.0, RescaleIntercept=-5.0)
    )  # fmt: skip
    np.testing.assert_array_equal(inverse.image, -(2.0 * pixels - 5.0))  # the larger, the darker
    assert inverse.window == (-400.0, -200.0)
    run = read_xray(written(tmp_path / "c.dcm", np.stack([pixels, pixels + 1, pixels + 2, pixels + 3])))
    assert run.frame == (3, 4) and run.image[0, 0] == 2
    run = read_xray(written(tmp_path / "d.dcm", np.stack([pixels, pixels + 1]), RepresentativeFrameNumber=1))
    assert run.frame == (1, 2) and run.image[0, 0] == 0


def test_pictures_of_other_formats(tmp_path):
    import SimpleITK as sitk

    pixels = np.arange(24, dtype=np.uint16).reshape(4, 6)
    image = sitk.GetImageFromArray(pixels)
    image.SetSpacing((0.5, 0.4))
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
    picture = read_xray(tmp_path / "a.nrrd")
    assert picture.pitch == (0.5, 0.4) and picture.pose is None
    np.testing.assert_array_equal(picture.image, pixels)
    sitk.WriteImage(sitk.GetImageFromArray(pixels[None]), str(tmp_path / "b.nrrd"))
    assert read_xray(tmp_path / "b.nrrd").image.shape == (4, 6)
    colour = sitk.GetImageFromArray(np.stack([pixels, pixels + 3, pixels + 6], -1).astype(np.uint8), isVector=True)
    sitk.WriteImage(colour, str(tmp_path / "c.png"))
    picture = read_xray(tmp_path / "c.png")
    np.testing.assert_array_equal(picture.image, pixels + 3)
    assert picture.pitch is None and picture.window[0] < picture.window[1]
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 3, 4, 6), np.uint8), isVector=False), str(tmp_path / "d.nrrd"))
    with pytest.raises(InputError, match="dimensions"):
        read_xray(tmp_path / "d.nrrd")
    (tmp_path / "e.png").write_text("no picture")
    (tmp_path / "f.txt").write_text("no picture")
    for name, words in (("e.png", "cannot be read"), ("f.txt", "no X-ray image"), ("absent.png", "does not exist")):
        with pytest.raises(InputError, match=words):
            read_xray(tmp_path / name)


def test_a_given_beam_is_kept_on_any_matrix():
    beam = CArmPose(20, 10, (1, 2, 3), 1200, 700, (100, 140), (0.5, 0.4)).beam()
    turn = np.eye(4)
    turn[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    rolled = beam.transformed(turn)
    pose = given_pose(rolled, 700.0)
    same = pose.beam()
    np.testing.assert_allclose([same.source, same.pixel00, same.e_c], [rolled.source, rolled.pixel00, rolled.e_c])
    assert (pose.sid, pose.sod) == (1200, 700)
    from dataclasses import replace

    coarse = replace(pose, size=(50, 70), pitch=(1.0, 0.8)).beam()
    point = (15.0, 20.0, 10.0)
    np.testing.assert_allclose(coarse.project(point)[0], (rolled.project(point)[0] + 0.5) / 2 - 0.5)
    np.testing.assert_allclose(coarse.detector_center, rolled.detector_center)


def test_rays_meet_where_the_point_is():
    rng = np.random.default_rng(1)
    point, origins = np.array([3.0, -8.0, 40.0]), rng.normal(0, 500, (4, 3))
    found, distances = nearest_to_rays(origins, origins + 1.7 * (point - origins))
    np.testing.assert_allclose(found, point, atol=1e-9)
    assert distances.max() < 1e-9
    skew, gaps = nearest_to_rays([(-10, 0, 2), (0, -10, -2)], [(10, 0, 2), (0, 10, -2)])  # 4 mm apart
    np.testing.assert_allclose([skew, (*gaps, 0)], [(0, 0, 0), (2, 2, 0)], atol=1e-12)
