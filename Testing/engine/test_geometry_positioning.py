"""How the patient lies, and what a patient-based view is to the machine: by physical statements and round trips."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose, detector_axes
from DeepDRRSlicerLib.geometry.device import check_reach, joint_frames, load_device
from DeepDRRSlicerLib.geometry.positioning import (
    POSITIONS,
    device_angles,
    image_roll,
    patient_angles,
    patient_to_room,
    quarter_turns,
    room_to_ras,
    stand_joints,
)

MOBILE, STAND = load_device("mobile_carm"), load_device("angiography_stand")
RIGHT, ANTERIOR, SUPERIOR = np.eye(3)
UP, HEADWARDS = np.array([0.0, 1, 0]), np.array([0.0, 0, 1])
positions = st.sampled_from(list(POSITIONS))
tilts = st.one_of(st.just(0.0), st.floats(-30, 30))
stands = st.one_of(st.just(0.0), st.just(90.0), st.floats(-90, 90))
primaries, secondaries = st.floats(-180, 180), st.floats(-89, 89)


@pytest.mark.parametrize("position", POSITIONS)
def test_the_side_that_is_up_and_the_end_at_the_tables_head(position):
    turn = patient_to_room(position)
    up = {"S": ANTERIOR, "P": -ANTERIOR, "DL": RIGHT, "DR": -RIGHT}[position[2:]]
    assert np.allclose(turn @ up, UP) and np.linalg.det(turn) == pytest.approx(1)
    assert np.allclose(turn @ SUPERIOR, HEADWARDS if position[:2] == "HF" else -HEADWARDS)
    assert ("first" in POSITIONS[position]) and set(np.unique(np.abs(turn))) == {0, 1}


def test_a_tilt_raises_the_head_end():
    assert (patient_to_room("HFS", 20) @ SUPERIOR)[1] == pytest.approx(np.sin(np.deg2rad(20)))
    assert (patient_to_room("FFS", 20) @ SUPERIOR)[1] == pytest.approx(-np.sin(np.deg2rad(20)))
    assert np.allclose(patient_to_room("HFP", 20) @ RIGHT, -RIGHT)


def test_an_unknown_position_is_refused():
    with pytest.raises(InputError, match="HFS, HFP.*not 'SITTING'"):
        patient_to_room("SITTING")


@pytest.mark.parametrize(
    ("position", "view"),
    [
        ("HFS", (0, 0)),  # tube under the back
        ("HFP", (180, 0)),  # tube under the belly: the beam enters from the front
        ("FFS", (0, 0)),
        ("FFP", (180, 0)),
        ("HFDL", (-90, 0)),  # tube at the left side, which is down: detector at the right
        ("HFDR", (90, 0)),
        ("FFDL", (-90, 0)),
        ("FFDR", (90, 0)),
    ],
)
def test_the_tube_under_the_table_means_another_view_for_everyone(position, view):
    values = {"primary_angle": 0.0, "secondary_angle": 0.0}
    assert patient_angles(values, MOBILE.joints, position) == pytest.approx(view)
    assert device_angles(*view, MOBILE.joints, position) == pytest.approx((0, 0))


@pytest.mark.parametrize(
    ("position", "machine", "view"),
    [
        ("HFP", (30, 0), (-150, 0)),  # detector up and to the table's left, at the prone patient's right and back
        ("FFS", (30, 0), (-30, 0)),  # the same side of the room is the patient's right
        ("FFS", (0, 20), (0, -20)),  # the table's head end is at the feet
        ("HFP", (0, 20), (180, 20)),
    ],
)
def test_oblique_views_of_turned_patients(position, machine, view):
    values = dict(zip(("primary_angle", "secondary_angle"), machine, strict=True))
    assert patient_angles(values, MOBILE.joints, position) == pytest.approx(view)


def test_a_table_tilted_head_up_looks_more_cranial():
    values = {"primary_angle": 0.0, "secondary_angle": 0.0}
    assert patient_angles(values, MOBILE.joints, "HFS", 15) == pytest.approx((0, 15))
    assert patient_angles(values, MOBILE.joints, "FFS", 15) == pytest.approx((0, -15))


@given(position=positions, tilt=tilts, stand=stands, primary=primaries, secondary=secondaries)
def test_joints_draw_the_beam_that_the_pose_has(position, tilt, stand, primary, secondary):
    """Through the room and the chain of joints, source and detector come to where the engine's pose has them."""
    isocenter, sid = (11.0, -22.0, 33.0), 1000.0
    sod = STAND.source_isocenter_distance
    turned = {"stand_angle": stand}
    angles = device_angles(primary, secondary, STAND.joints, position, tilt, turned)
    values = turned | dict(zip(("primary_angle", "secondary_angle"), angles, strict=True)) | {"sid": sid}
    world = room_to_ras(position, tilt, isocenter)
    frames = {name: world @ frame for name, frame in joint_frames(STAND, values).items()}
    beam = CArmPose(primary, secondary, isocenter, sid, sod, (11, 21), (1, 2)).beam()
    assert np.allclose((frames["secondary_angle"] @ (0, -sod, 0, 1))[:3], beam.source, atol=1e-4)
    assert np.allclose((frames["sid"] @ (0, -sod, 0, 1))[:3], beam.detector_center, atol=1e-4)
    # The machine's own picture is the patient-based one turned by the roll; seen on the screen, x right and y down.
    roll = np.deg2rad(image_roll(primary, secondary, STAND.joints, position, tilt, turned))
    own = -frames["sid"][:3, 0], -frames["sid"][:3, 2]
    clockwise = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    for direction in (beam.e_c, beam.e_r):
        on_screen = np.array([direction @ beam.e_c, direction @ beam.e_r])
        assert np.allclose([direction @ own[0], direction @ own[1]], clockwise @ on_screen, atol=1e-5)


@given(position=positions, tilt=tilts, stand=stands, primary=primaries, secondary=secondaries)
def test_there_and_back(position, tilt, stand, primary, secondary):
    turned = {"stand_angle": stand}
    angles = device_angles(primary, secondary, MOBILE.joints, position, tilt, turned)
    values = turned | dict(zip(("primary_angle", "secondary_angle"), angles, strict=True))
    back = patient_angles(values, MOBILE.joints, position, tilt)
    assert np.allclose(detector_axes(*back)[2], detector_axes(primary, secondary)[2], atol=1e-7)
    assert -180 < back[0] <= 180 and abs(back[1]) <= 90


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("secondary", [90.0, -90.0])
def test_along_the_patient_the_picture_tells_the_primary_angle(position, secondary):
    angles = device_angles(30.0, secondary, MOBILE.joints, position)
    back = patient_angles(dict(zip(("primary_angle", "secondary_angle"), angles, strict=True)), MOBILE.joints, position)
    for one, other in zip(detector_axes(*back), detector_axes(30.0, secondary), strict=True):
        assert np.allclose(one, other, atol=1e-7) or np.allclose(one[:2], -other[:2], atol=1e-7)


def test_the_own_picture_of_the_machine_is_turned_with_the_patient_and_the_stand():
    def roll(position, stand=0.0, view=(0, 0)):
        return image_roll(*view, MOBILE.joints, position, 0, {"stand_angle": stand})

    assert quarter_turns(roll("HFS")) == 0 and quarter_turns(roll("FFS")) == 2
    assert quarter_turns(roll("HFP", view=(180, 0))) == 0 and quarter_turns(roll("FFP", view=(180, 0))) == 2
    # With the stand at the patient's right, that side is at the top of its picture, which it was not: left to top.
    assert quarter_turns(roll("HFS", 90.0)) == 1 and quarter_turns(roll("HFS", -90.0)) == 3
    assert quarter_turns(roll("HFS", 40.0)) is None and roll("HFS", 40.0) == pytest.approx(40)
    assert quarter_turns(-180.0) == quarter_turns(180.0) == 2 and quarter_turns(360.0) == 0
    assert quarter_turns(roll("HFDL", view=(-90, 0))) == 0
    assert quarter_turns(image_roll(30, 20, MOBILE.joints, "HFS", 10)) is None, "a tilted table turns oblique views"


def test_the_stand_is_what_carries_the_primary_angle():
    assert [joint.name for joint in stand_joints(STAND.joints)] == ["stand_angle"]
    alone = tuple(dataclasses.replace(joint, parent=None) for joint in STAND.joints[1:2])
    assert stand_joints(alone) == ()


def test_of_equal_turns_the_one_within_reach_and_nearest_is_taken():
    assert device_angles(180, 0, STAND.joints)[0] == -180, "the stand turns to -185, not to 180"
    assert device_angles(178, 0, STAND.joints)[0] == -182
    assert device_angles(150, 0, STAND.joints)[0] == 150, "out of reach either way"
    assert device_angles(180, 0, MOBILE.joints)[0] == 180
    assert device_angles(180, 0, MOBILE.joints, near=-170)[0] == -180


def test_limits_are_those_of_the_machine_not_of_the_patient():
    def pose(primary, secondary):
        return CArmPose(primary, secondary, (0, 0, 0), 1000, 750, (10, 10), (1, 1))

    check_reach(pose(180, 0), STAND, "HFP")
    check_reach(pose(150, 0), STAND, "HFP")  # -30 to the machine
    check_reach(pose(30, 0), STAND, "HFP")  # -150 to the machine
    check_reach(pose(0, 55), STAND)
    check_reach(pose(0, 60), STAND, table_tilt=10)
    check_reach(pose(0, 60), STAND, stand={"stand_angle": 90})  # the other axis does it then
    for bad, how, words in (
        (pose(0, 60), {}, "secondary angle of 60 .* -55 to 55 degrees of Generic angiography stand"),
        (pose(150, 0), {}, "primary angle of 150"),
        (pose(-30, 0), {"position": "HFP"}, "primary angle of 150 .* with the patient as they lie"),
        (pose(60, 0), {"stand": {"stand_angle": 90}}, "secondary angle of -60 .* with the patient as they lie"),
        (pose(0, 50), {"table_tilt": -10}, "secondary angle of 60"),
    ):
        with pytest.raises(InputError, match=words):
            check_reach(bad, STAND, **how)
