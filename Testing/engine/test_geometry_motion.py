"""Driving: at each joint's own speed, never beyond a limit; and saved positions, which are driven to."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from json_fuzz import files_like

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device import check_reach, load_device
from DeepDRRSlicerLib.geometry.motion import drive, jog, limits, speeds_of
from DeepDRRSlicerLib.geometry.presets import GROUPS, PRESETS
from DeepDRRSlicerLib.geometry.saved_positions import SavedPosition, positions_from_json, positions_to_json

STAND, MOBILE = load_device("angiography_stand"), load_device("mobile_carm")
LIMITS, SPEEDS = limits(STAND), speeds_of(STAND)
places = st.fixed_dictionaries({name: st.floats(*span) for name, span in LIMITS.items()})


def middle():
    return {name: sum(span) / 2 for name, span in LIMITS.items()}


def test_everything_that_moves_has_limits_and_a_speed():
    assert set(LIMITS) == set(SPEEDS) == {
        "stand_angle", "primary_angle", "secondary_angle", "sid",
        "table_height", "table_longitudinal", "table_lateral", "table_tilt",
    }  # fmt: skip
    assert LIMITS["primary_angle"] == (-185, 120) and SPEEDS["table_height"] == 30


@given(start=places, target=places, time=st.floats(0, 100), later=st.floats(0, 5))
def test_a_drive_stays_within_limits_and_speeds_and_arrives(start, target, time, later):
    motion = drive(STAND, start, target)
    here, then = motion.at(time), motion.at(time + later)
    for name, (low, high) in LIMITS.items():
        assert low <= here[name] <= high
        assert abs(then[name] - here[name]) <= SPEEDS[name] * later + 1e-6
        # Always towards the target, the direct way.
        assert abs(target[name] - then[name]) <= abs(target[name] - here[name]) + 1e-9
        assert min(start[name], target[name]) <= here[name] <= max(start[name], target[name])
    assert motion.at(0) == start and motion.at(-1) == start and motion.at(motion.duration + 1e-9) == target
    slowest = max(abs(target[n] - start[n]) / SPEEDS[n] for n in LIMITS)
    assert motion.duration == pytest.approx(slowest)


def test_each_joint_arrives_at_its_own_time():
    start = middle() | {"primary_angle": 0.0, "secondary_angle": 0.0, "sid": 1000.0}
    motion = drive(STAND, start, {"primary_angle": 50.0, "secondary_angle": 20.0, "sid": 1040.0})
    assert motion.duration == pytest.approx(2.0)  # 50 degrees at 25 degrees/s
    half = motion.at(1.0)
    assert (half["primary_angle"], half["secondary_angle"], half["sid"]) == pytest.approx((25, 20, 1040))
    assert half["table_height"] == start["table_height"]


def test_a_rotation_never_turns_through_its_limit():
    """From -170 to 170 the way through 180 would be 20 degrees, and through the end stop."""
    values = {name: sum(span) / 2 for name, span in limits(MOBILE).items()}
    motion = drive(MOBILE, values | {"primary_angle": -170.0}, {"primary_angle": 170.0})
    angles = [motion.at(t)["primary_angle"] for t in np.linspace(0, motion.duration, 50)]
    assert motion.duration == pytest.approx(340 / 25) and (np.diff(angles) > 0).all()


def test_what_cannot_be_driven_is_refused():
    with pytest.raises(InputError, match="primary angle of 130 lies outside the -185 to 120"):
        drive(STAND, middle(), {"primary_angle": 130.0})
    with pytest.raises(InputError, match="nothing to move named 'elbow'; it has stand_angle"):
        drive(STAND, middle(), {"elbow": 1.0})
    with pytest.raises(InputError, match="table height of 500"):
        drive(STAND, middle(), {"table_height": 500.0})
    with pytest.raises(InputError, match="nothing to move named 'elbow'"):
        jog(STAND, middle(), "elbow", 1.0)
    with pytest.raises(InputError, match="outside"):
        drive(STAND, middle(), {"sid": float("nan")})


def test_what_stands_beyond_a_limit_may_stay_or_come_back():
    """An isocentre near the table's surface asks for more height than the column has; the rest must still move."""
    high = middle() | {"table_height": 1075.0, "primary_angle": 0.0}
    assert drive(STAND, high, {"primary_angle": 30.0}).at(9)["table_height"] == 1075
    assert drive(STAND, high, {"table_height": 1000.0}).duration == pytest.approx(2.5)
    with pytest.raises(InputError, match="table height of 1080"):
        drive(STAND, high, {"table_height": 1080.0})


@given(start=places, name=st.sampled_from(list(LIMITS)), step=st.floats(-3000, 3000))
def test_a_jog_goes_as_far_as_the_limit(start, name, step):
    low, high = LIMITS[name]
    moved = jog(STAND, start, name, step)
    assert moved[name] == pytest.approx(min(max(start[name] + step, low), high))
    assert {**moved, name: start[name]} == start


def test_a_jog_from_beyond_a_limit_only_leads_back():
    low_table = middle() | {"table_height": 700.0}
    assert jog(STAND, low_table, "table_height", -10)["table_height"] == 700
    assert jog(STAND, low_table, "table_height", 30)["table_height"] == 730


@pytest.mark.parametrize("device", [STAND, MOBILE])
def test_every_preset_can_be_reached_lying_on_the_back(device):
    sod = device.source_isocenter_distance
    for group in GROUPS.values():
        for preset in group:
            pose = CArmPose(preset.primary_angle, preset.secondary_angle, (0, 0, 0), 1000, sod, (9, 9), (1, 1))
            check_reach(pose, device)
            assert preset.text and not preset.text.endswith(".")
    names = [preset.name for group in GROUPS.values() for preset in group]
    assert len(names) == len(set(names)) == len(PRESETS)


def test_presets_lie_as_their_words_say():
    """Judet: the detector comes to the side that the patient would be rolled up on; + is the left."""
    assert PRESETS["Judet RAO 45"] == (-45, 0) and PRESETS["Judet LAO 45"] == (45, 0)
    assert PRESETS["Inlet CRA 40"] == (0, 40) and PRESETS["Outlet CAU 40"] == (0, -40)
    for name, (primary, secondary) in PRESETS.items():
        words = name.split()
        for word, angle in zip(words, words[1:], strict=False):
            if word in ("LAO", "RAO"):
                assert primary == (1 if word == "LAO" else -1) * float(angle), name
            if word in ("CRA", "Cranial", "CAU", "Caudal"):
                assert secondary == (1 if word in ("CRA", "Cranial") else -1) * float(angle), name


SAVED = {
    "Entry point": SavedPosition(-20.0, 15.5, (1.0, -2.5, 300.0), 1000.0),
    "Lateral, tilted": SavedPosition(90.0, 0.0, (0.0, 0.0, 0.0), 950.0, {"table_tilt": 5.0, "stand_angle": -90.0}),
}


def test_saved_positions_come_back():
    data = json.loads(json.dumps(positions_to_json(SAVED)))
    assert positions_from_json(data) == SAVED and list(positions_from_json(data)) == list(SAVED)
    assert positions_from_json(positions_to_json({})) == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.pop("format"), "must hold"),
        (lambda d: d.update(more=1), "nothing else"),
        (lambda d: d.update(positions=[]), "object of at most 500"),
        (lambda d: d["positions"].update({" ": d["positions"]["Entry point"]}), "needs a name"),
        (lambda d: d["positions"]["Entry point"].pop("sid"), "key sid is missing in position Entry point"),
        (lambda d: d["positions"]["Entry point"].update(primary_angle=181), "primary_angle must lie between"),
        (lambda d: d["positions"]["Entry point"].update(secondary_angle="0"), "secondary_angle must be a number"),
        (lambda d: d["positions"]["Entry point"].update(isocenter=[0, 0]), "isocenter must be a list of 3"),
        (lambda d: d["positions"]["Entry point"].update(others=[1]), "others must be an object"),
    ],
)
def test_damaged_saved_positions_are_refused_in_a_sentence(change, words):
    data = json.loads(json.dumps(positions_to_json(SAVED)))
    change(data)
    with pytest.raises(InputError, match=words):
        positions_from_json(data)


@settings(max_examples=200, deadline=None)
@given(text=files_like(json.loads(json.dumps(positions_to_json(SAVED)))))
def test_any_json_gives_positions_or_a_sentence(text):
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return
    try:
        found = positions_from_json(data)
    except InputError as error:
        assert str(error).endswith(".") and "\n" not in str(error)
    else:
        json.dumps(positions_to_json(found), allow_nan=False)
