"""Frames and views against the closed forms of the design, computed here from angles alone."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from json_fuzz import files_like

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.geometry.carm import CArmPose, pose_of_beam, positioner_angles, view_name
from DeepDRRSlicerLib.geometry.files import beam_from_dict, beam_to_dict, read_beam
from DeepDRRSlicerLib.geometry.presets import PRESETS

ANGLES = {"primary": st.floats(-180, 180), "secondary": st.floats(-89, 89)}


def pose(primary=0.0, secondary=0.0, isocenter=(10.0, -20.0, 30.0), size=(301, 201), pitch=(0.5, 0.7)):
    return CArmPose(primary, secondary, isocenter, 1000.0, 600.0, size, pitch)


def pinhole(beam, point):
    """Where a point falls, from source, pixel (0,0), e_c, e_r and pitch only."""
    normal = np.cross(beam.e_c, beam.e_r)
    ray = np.asarray(point) - beam.source
    hit = beam.source + ray * ((beam.pixel00 - beam.source) @ normal) / (ray @ normal) - beam.pixel00
    return np.array([hit @ beam.e_c / beam.pitch[0], hit @ beam.e_r / beam.pitch[1]])


@given(**ANGLES)
def test_axes_follow_the_rotations_of_the_c_arm(primary, secondary):
    a, b = np.deg2rad([primary, secondary])
    about_s = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_r = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    turn = about_s @ about_r
    beam = pose(primary, secondary).beam()
    assert np.allclose(beam.normal, turn @ [0, 1, 0])
    assert np.allclose(beam.e_c, turn @ [-1, 0, 0])
    assert np.allclose(beam.e_r, turn @ [0, 0, -1])
    assert np.isclose(np.linalg.det(beam.R), 1)
    assert beam.K[0, 0] < 0 < beam.K[1, 1]


@given(**ANGLES)
def test_angles_come_back_from_geometry(primary, secondary):
    there = pose(primary, secondary)
    back = pose_of_beam(there.beam(), there.sod)
    assert np.allclose(back.beam().normal, there.beam().normal, atol=1e-9)
    assert np.allclose(back.isocenter, there.isocenter, atol=1e-6)
    assert abs((back.primary_angle - primary + 180) % 360 - 180) < 1e-6
    assert abs(back.secondary_angle - secondary) < 1e-6


@given(**ANGLES, point=st.tuples(*[st.floats(-150, 150)] * 3))
def test_matrix_and_closed_form_project_alike(primary, secondary, point):
    beam = pose(primary, secondary).beam()
    u, v, w = beam.P @ [*point, 1]
    assert np.allclose([u / w, v / w], pinhole(beam, point), atol=1e-6)
    assert np.allclose(beam.project(point)[0], pinhole(beam, point), atol=1e-6)


@pytest.mark.parametrize(
    ("angles", "point", "column", "row"),
    [
        ((0, 0), (-30, 0, 0), 1, 0),  # patient's left: right of centre
        ((0, 0), (0, 0, 30), 0, -1),  # head: above
        ((30, 0), (0, 50, 0), -1, 0),  # anterior at LAO: left of centre
        ((90, 0), (0, 50, 0), -1, 0),
        ((0, 25), (0, 50, 0), 0, 1),  # anterior at cranial: below
        ((180, 0), (-30, 0, 0), -1, 0),  # from behind: patient's left on the left
    ],
)
def test_the_picture_is_read_as_a_radiograph(angles, point, column, row):
    beam = pose(*angles, isocenter=(0, 0, 0)).beam()
    offset = beam.project(point)[0] - [(beam.size[1] - 1) / 2, (beam.size[0] - 1) / 2]
    assert np.sign(np.round(offset, 6)).tolist() == [column, row]


def test_lao_brings_the_detector_to_the_patients_left_and_cranial_to_the_head():
    assert pose(30, 0).beam().normal[0] < 0
    assert pose(0, 25).beam().normal[2] > 0
    assert np.allclose(pose(*PRESETS["Left lateral"]).beam().normal, [-1, 0, 0])


def test_a_point_behind_the_source_has_no_image():
    beam = pose().beam()
    assert np.isnan(beam.project(beam.source - 10 * beam.normal)).all()


@given(**ANGLES)
def test_both_forms_of_a_geometry_file_give_the_same_view(primary, secondary):
    beam = pose(primary, secondary).beam()
    data = json.loads(json.dumps(beam_to_dict(beam)))
    matrices = {key: data[key] for key in ("K", "R", "t", "pitch", "size")}
    vectors = {key: data[key] for key in ("source", "detector_center", "e_c", "e_r", "pitch", "size")}
    for form in (data, matrices, vectors):
        again = beam_from_dict(form)
        assert np.allclose(again.P / again.P[2, 3], beam.P / beam.P[2, 3], rtol=1e-6, atol=1e-9)
        assert np.allclose(again.pixel00, beam.pixel00, atol=1e-6)


def test_a_camera_calibrated_the_usual_way_is_read_with_its_picture_as_it_is():
    """Positive K: x to the right, seen from the source. Then e_c is the camera's x axis."""
    k = [[2000.0, 0, 99.5], [0, 2000.0, 119.5], [0, 0, 1]]
    r = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    beam = beam_from_dict({"K": k, "R": r, "t": [0, 0, 600], "pitch": 0.5, "size": [240, 200]})
    assert np.allclose(beam.e_c, [1, 0, 0]) and np.allclose(beam.K, k) and np.allclose(beam.R, r)
    assert np.isclose(beam.sid, 1000)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"R": np.diag([1.0, 1, -1]).tolist()}, "rotation"),
        ({"R": np.zeros((3, 3)).tolist()}, "rotation"),
        ({"K": [[-2000, 5, 0], [0, 2000, 0], [0, 0, 1]]}, "skew"),
        ({"K": [[-2000, 0, 0], [0, 1000, 0], [0, 0, 1]]}, "contradict"),
        ({"t": [0, 0, float("nan")]}, "finite"),
        ({"pitch": -1}, "pitch"),
        ({"pitch": [-0.5, -0.7]}, "pitch"),
        ({"pitch": [0.5, [0.7]]}, "pitch"),
        ({"pitch": 10**400}, "pitch"),
        ({"K": [[-2e9, 0, 0], [0, 2e9 / 1.4, 0], [0, 0, 1]]}, "source|pixel00"),
        ({"K": [[-2000, 0, 0], [0, 2000, 0], [0, 0, 0]]}, "triangular"),
        ({"K": [[-2000, 0, 0], [0, 2000 / 1.4, 0], [0.01, 0, 1]]}, "triangular"),
        ({"size": [10, 10**6]}, "columns"),
        ({"size": [10.5, 10]}, "whole"),
        ({"t": [0, 0, 1e9]}, "source"),
        ({"size": [0, 10]}, "row"),
        ({"size": "big"}, "size"),
    ],
)
def test_an_impossible_geometry_is_refused_in_a_sentence(change, words):
    data = beam_to_dict(pose().beam())
    matrices = {key: data[key] for key in ("K", "R", "t", "pitch", "size")} | change
    with pytest.raises(InputError, match=words):
        beam_from_dict(matrices)


@given(signs=st.tuples(st.sampled_from([-1, 1]), st.sampled_from([-1, 1])), scale=st.sampled_from([1, -2.5]), **ANGLES)
def test_a_projection_matrix_of_any_signs_is_kept(signs, scale, primary, secondary):
    """K with a positive or negative diagonal, of any scale, differing a little from the pitch: K R t is what holds."""
    a, b = np.deg2rad([primary, secondary])
    r = np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]])
    r = r @ np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    k = np.array([[signs[0] * 2000.0, 0, 70], [0, signs[1] * 1001.0, 99], [0, 0, 1]])
    t = np.array([5.0, -7.0, 640.0])
    beam = beam_from_dict(
        {"K": (scale * k).tolist(), "R": r.tolist(), "t": t.tolist(), "pitch": [0.5, 1.0], "size": [150, 200]}
    )
    points = np.random.default_rng(4).uniform(-60, 60, (5, 3))
    u, v, w = k @ (r @ points.T + t[:, None])
    assert np.allclose(beam.project(points), np.column_stack([u / w, v / w]), atol=1e-6)
    u, v, w = beam.P @ np.column_stack([points, np.ones(5)]).T
    assert np.allclose(beam.project(points), np.column_stack([u / w, v / w]), atol=1e-6)
    assert np.isclose(np.linalg.det(beam.R), 1) and beam.sid == pytest.approx(1000.5)
    assert np.allclose(beam.source, -r.T @ t)


def test_axes_written_with_few_digits_are_made_orthonormal():
    exact = pose(33, 21).beam()
    data = beam_to_dict(exact)
    vectors = {key: data[key] for key in ("source", "pixel00", "pitch", "size")}
    rounded = beam_from_dict(vectors | {key: np.round(data[key], 5).tolist() for key in ("e_c", "e_r")})
    assert np.allclose(rounded.e_c, exact.e_c, atol=2e-5) and abs(rounded.e_c @ rounded.e_r) < 1e-12
    matrices = {key: data[key] for key in ("K", "t", "pitch", "size")} | {"R": np.round(data["R"], 5).tolist()}
    assert np.allclose(beam_from_dict(matrices).R @ beam_from_dict(matrices).R.T, np.eye(3), atol=1e-12)
    with pytest.raises(InputError, match="right angle"):
        beam_from_dict(vectors | {"e_c": [1, 0, 0.1], "e_r": [0, 1, 0]})
    assert np.array_equal(beam_from_dict(data).e_c, exact.e_c), "a file of this program is read back bit for bit"


def test_middle_and_distance_of_a_detector_with_oblong_pixels():
    beam = pose(0, 0, isocenter=(0, 0, 0), size=(3, 5), pitch=(2, 10)).beam()
    assert np.allclose(beam.source, (0, -600, 0)) and np.allclose(beam.detector_center, (0, 400, 0))
    assert np.allclose(beam.pixel00, (4, 400, 10)) and beam.sid == pytest.approx(1000)
    assert np.allclose(beam.pixel_centers()[2, 4], (-4, 400, -10)) and beam.pixel_centers().shape == (3, 5, 3)
    assert np.allclose(beam.K, [[-500, 0, 2], [0, 100, 1], [0, 0, 1]])
    spacing = np.linalg.norm(beam.image_to_ras()[:3, :3], axis=0)
    assert np.allclose(spacing, (2, 10, 2))


@pytest.mark.parametrize("count", [300, pytest.param(3000, marks=pytest.mark.long)])
def test_any_file_gives_a_view_or_a_sentence(tmp_path, count):
    data = json.loads(json.dumps(beam_to_dict(pose(20, 10).beam())))
    vectors = {key: data[key] for key in ("source", "detector_center", "e_c", "e_r", "pitch", "size")}
    matrices = {key: data[key] for key in ("K", "R", "t", "pitch", "size")}
    path = tmp_path / "g.json"

    @settings(max_examples=count, deadline=None)
    @given(text=files_like(data, vectors, matrices, {"geometry": matrices}))
    def run(text):
        path.write_text(text, encoding="utf-8")
        try:
            beam = read_beam(path)
        except InputError as error:
            assert str(error).endswith(".") and "\n" not in str(error)
        else:
            assert np.isfinite(beam.P).all() and beam.sid > 0 and np.isclose(np.linalg.det(beam.R), 1)
            json.dumps(beam_to_dict(beam), allow_nan=False)

    run()


def test_a_missing_key_and_a_broken_file_are_named(tmp_path):
    with pytest.raises(InputError, match="'e_r'"):
        beam_from_dict(
            {"source": [0, 0, 0], "detector_center": [0, 1, 0], "e_c": [1, 0, 0], "pitch": 1, "size": [2, 2]}
        )
    (tmp_path / "g.json").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        read_beam(tmp_path / "g.json")
    with pytest.raises(InputError, match="Cannot read"):
        read_beam(tmp_path / "absent.json")


def test_an_image_lies_in_space_as_a_right_handed_volume():
    beam = pose(30, 20).beam()
    matrix = beam.image_to_ras()
    assert np.linalg.det(matrix[:3, :3]) > 0
    assert np.allclose((matrix @ [10, 20, 0, 1])[:3], beam.pixel_to_ras(10, 20))


def test_moving_patient_and_c_arm_together_changes_nothing():
    rng = np.random.default_rng(1)
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    move = np.eye(4)
    move[:3, :3], move[:3, 3] = q * np.sign(np.linalg.det(q)), [5, 6, 7]
    beam = pose(20, -10).beam()
    points = rng.uniform(-80, 80, (5, 3))
    assert np.allclose(beam.transformed(move).project(points @ move[:3, :3].T + move[:3, 3]), beam.project(points))


@pytest.mark.parametrize("secondary", [90.0, -90.0])
@pytest.mark.parametrize("primary", [0.0, 30.0, -120.0, 180.0])
def test_along_the_patient_the_primary_angle_is_in_the_picture(primary, secondary):
    there = pose(primary, secondary)
    back = pose_of_beam(there.beam(), there.sod)
    assert np.allclose(back.beam().P, there.beam().P, atol=1e-6)
    assert back.secondary_angle == pytest.approx(secondary)


def test_impossible_poses_are_refused():
    for change in ({"primary": 200.0}, {"secondary": 91.0}, {"isocenter": (0, 0, float("inf"))}):
        with pytest.raises(InputError):
            pose(**change)
    with pytest.raises(InputError, match="isocentre"):
        CArmPose(0, 0, (0, 0, 0), 500, 600, (10, 10), (1, 1))
    for change, words in (
        ({"pitch": (0.5, float("nan"))}, "pitch"),
        ({"pitch": (1e-9, 1)}, "pitch"),
        ({"size": (10, 100_000)}, "columns"),
        ({"isocenter": (1e9, 0, 0)}, "source"),
    ):
        with pytest.raises(InputError, match=words):
            pose(**change).beam()
    with pytest.raises(InputError, match="detector plane"):
        ConeBeam((0, 0, 0), (5, 0, 7), (1, 0, 0), (0, 0, 1), (1, 1), (2, 2))
    with pytest.raises(InputError, match="right angle"):
        ConeBeam((0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 0, 0), (1, 1), (2, 2))


def test_views_are_named_by_their_angles():
    assert [view_name(*a) for a in ((0, 0), (30, 0), (-30, 25), (0, -25))] == [
        "AP",
        "LAO 30",
        "RAO 30 CRA 25",
        "CAU 25",
    ]
    assert [view_name(*a) for a in ((180, 0), (-180, 0), (180, 25), (0.04, -0.04))] == [
        "PA",
        "PA",
        "LAO 180 CRA 25",
        "AP",
    ]
    assert positioner_angles((0, 0, 1)) == (0.0, 90.0)
    assert positioner_angles((0, -2, 0)) == positioner_angles((1e-300, -2, 0)) == (180.0, 0.0)
