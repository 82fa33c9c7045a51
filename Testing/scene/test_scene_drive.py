"""Driving by hand and at the machine's speed: it takes as long as the joints need, and stops where something is."""

import numpy as np
import pytest
from room_parameters import RoomParameters, waterPatient

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.collision import PATIENT
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.geometry.motion import speeds_of
from DeepDRRSlicerLib.scene.drive import MARGIN, Mover
from DeepDRRSlicerLib.scene.machine_state import machineOf, writeValues

SPEEDS = speeds_of(load_device("mobile_carm"))


class Clock:
    """Seconds that pass when they are told to."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def mover(clock):
    return Mover(clock)


def widePatient(scene):
    """Reaches to 480 mm at the sides: turning the detector, 400 mm from the isocentre, to the side must hit it."""
    return RoomParameters(ct=waterPatient((480, 100, 150), voxel=10.0), isocenterA=-20.0)


def run(mover, parameters, clock, step=0.04):
    """Ticks until it stands; returns (seconds, Stop or None, primary angles passed)."""
    begun, passed, blocked = clock.now, [], None
    while mover.moving:
        clock.now += step
        blocked = mover.tick(parameters)
        passed.append(parameters.primaryAngle)
    return clock.now - begun, blocked, passed


@pytest.mark.parametrize(
    "target", [{"primary_angle": 60.0}, {"sid": 1090.0}, {"primary_angle": -30.0, "secondary_angle": 40.0}]
)
def test_a_drive_takes_as_long_as_the_slowest_joint_needs(scene, mover, clock, target):
    parameters = RoomParameters()
    start = machineOf(parameters).values
    mover.start(parameters, target)
    seconds, blocked, _ = run(mover, parameters, clock)
    expected = max(abs(value - start[name]) / SPEEDS[name] for name, value in target.items())
    assert blocked is None and expected <= seconds < expected + 0.04 + 1e-9
    values = machineOf(parameters).values
    assert all(values[name] == pytest.approx(value) for name, value in target.items())


def test_on_the_way_it_moves_at_the_joints_speed(scene, mover, clock):
    parameters = RoomParameters()
    mover.start(parameters, {"primary_angle": 90.0})
    for seconds in (0.5, 1.0, 2.5):
        clock.now = 100.0 + seconds
        mover.tick(parameters)
        assert parameters.primaryAngle == pytest.approx(seconds * SPEEDS["primary_angle"], abs=1e-4)


def test_stopping_leaves_it_where_it_is(scene, mover, clock):
    parameters = RoomParameters()
    mover.start(parameters, {"primary_angle": 90.0})
    clock.now += 1.0
    mover.tick(parameters)
    mover.stop()
    clock.now += 1.0
    assert mover.tick(parameters) is None and not mover.moving
    assert parameters.primaryAngle == pytest.approx(SPEEDS["primary_angle"])


def test_a_drive_ends_when_somebody_else_moves_the_c_arm(scene, mover, clock):
    parameters = RoomParameters()
    mover.start(parameters, {"primary_angle": 90.0})
    clock.now += 0.5
    mover.tick(parameters)
    parameters.primaryAngle = -40.0
    clock.now += 0.5
    mover.tick(parameters)
    assert not mover.moving and parameters.primaryAngle == -40


def test_a_place_outside_the_limits_is_refused_before_anything_moves(scene, mover):
    parameters = RoomParameters()
    with pytest.raises(InputError, match="secondary angle -50 to 50"):
        mover.start(parameters, {"secondary_angle": 70.0})
    assert not mover.moving and parameters.secondaryAngle == 0


@pytest.mark.parametrize(
    "name, wanted, end", [("secondary_angle", 80.0, 50.0), ("sid", 1400.0, 1100.0), ("sid", 100.0, 900.0)]
)
def test_moving_by_hand_stops_at_the_limit(scene, mover, name, wanted, end):
    parameters = RoomParameters()
    stop = mover.moveTo(parameters, {name: wanted})
    assert stop.limits == (name,) and stop.contact is None
    assert machineOf(parameters).values[name] == pytest.approx(end)


def test_from_beyond_a_limit_one_may_only_come_back(scene, mover):
    parameters = RoomParameters(sid=1150.0)
    assert mover.moveTo(parameters, {"sid": 1200.0}).limits == ("sid",)
    assert parameters.sid == 1150
    assert mover.moveTo(parameters, {"sid": 1120.0}) is None and parameters.sid == 1120


def clearanceTo(parameters):
    """mm between the detector's entrance face at the sides and the cylinder, told by closed form in the plane z = 0."""
    device = load_device("mobile_carm")
    values = machineOf(parameters).values
    front = parameters.sid - device.source_isocenter_distance
    angle = np.deg2rad(values["primary_angle"])
    across = np.linspace(-186, 186, 373)  # the housing is 372 mm wide
    x = -np.sin(angle) * front + np.cos(angle) * across + parameters.isocenterR
    y = np.cos(angle) * front + np.sin(angle) * across + parameters.isocenterA
    t = np.linspace(0, 2 * np.pi, 7201)
    body = np.column_stack([480 * np.cos(t), 100 * np.sin(t)])
    return np.linalg.norm(np.column_stack([x, y])[:, None] - body[None], axis=2).min()


def test_a_drive_stops_before_it_hits_the_patient(scene, mover, clock):
    parameters = widePatient(scene)
    mover.start(parameters, {"primary_angle": 90.0})
    _, blocked, passed = run(mover, parameters, clock)
    assert blocked.contact.obstacle == PATIENT and not mover.moving
    assert 5 < parameters.primaryAngle < 85
    distance = clearanceTo(parameters)
    assert 0 < distance < MARGIN + 40, distance  # the body is told in points 10 mm apart, the way in steps
    assert passed == sorted(passed)


def test_what_is_moved_by_hand_stops_there_too_and_may_go_back(scene, mover):
    parameters = widePatient(scene)
    stop = mover.moveTo(parameters, {"primary_angle": 90.0})
    assert stop.contact.obstacle == PATIENT
    reached = parameters.primaryAngle
    assert 5 < reached < 85
    again = mover.moveTo(parameters, {"primary_angle": 90.0})
    assert again.contact is not None and parameters.primaryAngle == pytest.approx(reached, abs=1.0)
    assert mover.moveTo(parameters, {"primary_angle": 0.0}) is None and parameters.primaryAngle == 0


def test_a_jump_looks_at_the_end_of_the_way_alone(scene, mover):
    parameters = widePatient(scene)
    assert mover.moveTo(parameters, {"primary_angle": 180.0}, wholeWay=False) is None
    assert abs(parameters.primaryAngle) == 180
    parameters.primaryAngle = 0.0
    assert mover.moveTo(parameters, {"primary_angle": 90.0}, wholeWay=False).contact.obstacle == PATIENT


def test_without_stopping_the_contact_is_told_instead(scene, mover):
    parameters = widePatient(scene)
    parameters.collisionStops = False
    assert mover.contact(machineOf(parameters)) is None
    assert mover.moveTo(parameters, {"primary_angle": 90.0}) is None and parameters.primaryAngle == 90
    contact = mover.contact(machineOf(parameters))
    assert contact.obstacle == PATIENT and contact.distance < 0


def test_a_view_that_touches_can_be_left(scene, mover):
    """Set by a script; the C-arm must not be stuck there."""
    parameters = widePatient(scene)
    parameters.primaryAngle = 90.0
    mover.moveTo(parameters, {"primary_angle": 0.0})
    assert mover.contact(machineOf(parameters)) is None or parameters.primaryAngle < 90


def test_an_untouched_view_comes_back_from_the_joints_to_the_last_digit(scene):
    for position in ("HFS", "HFP", "HFDL", "FFDR"):
        parameters = RoomParameters(patientPosition=position, primaryAngle=33.3, secondaryAngle=-12.7, isocenterS=7.1)
        machine = machineOf(parameters)
        assert not writeValues(parameters, machine, machine.values)
