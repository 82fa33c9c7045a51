"""What is measured of an attempt, against geometry done by hand."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from DeepDRRSlicerLib.geometry.carm import CArmPose, detector_axes
from DeepDRRSlicerLib.physics.dose import FrameDose
from DeepDRRSlicerLib.rehearsal.attempt import Attempt, attempt_text, exposed, moved, parse_attempt
from DeepDRRSlicerLib.rehearsal.measures import (
    Wire,
    angle_between,
    beam_angle,
    corridor_breach,
    distance_in_picture,
    ray_offset,
    tip_apex_distance,
)
from DeepDRRSlicerLib.rehearsal.score import MEASURES, met_count, score
from DeepDRRSlicerLib.rehearsal.task import Limits, Patient, Pose, Task, ViewGoal, WireGoal

# 50 mm towards the front, in a corridor of 4 mm radius; the wire has a radius of 1 mm.
GOAL = WireGoal((0.0, 0.0, 0.0), (0.0, 50.0, 0.0), 4.0, 3.0, 2.0, 200.0, apex=(0.0, 60.0, 0.0))
FORWARDS = np.array([0.0, 1.0, 0.0])


def wire(tip, direction=FORWARDS):
    return Wire(np.array(tip, float), np.asarray(direction, float) / np.linalg.norm(direction), 200.0, 2.0)


def test_the_angle_between_two_beams():
    assert beam_angle((0, 0), (30, 0)) == pytest.approx(30)
    assert beam_angle((0, 0), (0, -25)) == pytest.approx(25)
    assert beam_angle((180, 0), (-180, 0)) == pytest.approx(0, abs=1e-9)
    assert beam_angle((40, 60), (41, 60)) == pytest.approx(0.5, abs=0.01)  # a degree of LAO is less when steep
    assert beam_angle((0, 90), (77, 90)) == pytest.approx(0, abs=1e-6)
    by_hand = np.rad2deg(np.arccos(np.cos(np.deg2rad(30)) * np.cos(np.deg2rad(20))))
    assert beam_angle((0, 0), (30, 20)) == pytest.approx(by_hand)


def test_the_offset_of_the_central_ray_ignores_the_depth():
    assert ray_offset((0, 0), (0, 0, 0), (3, 100, 4)) == pytest.approx(5)
    assert ray_offset((90, 0), (0, 0, 0), (100, 3, 4)) == pytest.approx(5)


@pytest.mark.parametrize(
    ("at", "breach"),
    [
        (wire((0, 50, 0)), 0.0),
        (wire((3, 50, 0)), 0.0),  # the axis 3 mm off, the surface 4: just inside
        (wire((5, 50, 0)), 2.0),
        (wire((0, 50, -7.5)), 4.5),
        (wire((5, -1, 0)), None),  # before the entry
        (wire((0, 200.5, 0)), 0.0),  # far beyond the target, but in the corridor while between its planes
        (wire((0, 300, 0)), None),  # through and out: its rear end is beyond the target, too
        (wire((0, 10, 0), -FORWARDS), None),  # backwards
    ],
)
def test_the_breach_of_a_wire_along_the_corridor(at, breach):
    assert corridor_breach(at, GOAL) == (None if breach is None else pytest.approx(breach))


def test_an_oblique_wire_breaches_most_at_an_end_of_the_corridor():
    """Through the entry at 10 degrees: at the target it is 50 tan(10) off; a tip half-way, half of that."""
    tangent = np.tan(np.deg2rad(10.0))
    direction = np.array([tangent, 1.0, 0.0])
    through = wire(80 * direction, direction)
    assert corridor_breach(through, GOAL) == pytest.approx(50 * tangent + 1 - 4)
    halfway = wire(25 * direction, direction)
    assert corridor_breach(halfway, GOAL) == pytest.approx(25 * tangent + 1 - 4)
    crossing = wire(np.array([0, 50, 0]) + 0 * direction, direction)  # on the target, off at the entry
    assert corridor_breach(crossing, GOAL) == pytest.approx(50 * tangent + 1 - 4)


def test_the_breach_is_the_largest_of_many_points_along_random_wires():
    rng = np.random.default_rng(1)
    goal = WireGoal((10.0, -20.0, 5.0), (-3.0, 25.0, 12.0), 4.0, 3.0, 2.0, 200.0)
    entry, axis = np.array(goal.entry), goal.direction
    checked = 0
    for _ in range(200):
        at = wire(entry + rng.normal(0, 15, 3) + rng.uniform(-10, 70) * axis, axis + rng.normal(0, 0.2, 3))
        along_wire = at.tip - np.linspace(0, at.length, 40001)[:, None] * at.direction
        along = (along_wire - entry) @ axis
        inside = along_wire[(along > 0) & (along < goal.depth)]
        found = corridor_breach(at, goal)
        if not len(inside):
            assert found is None
            continue
        off = np.linalg.norm(np.cross(inside - entry, axis), axis=1).max()
        assert found == pytest.approx(max(0.0, off + 1 - 4), abs=0.01)
        checked += 1
    assert checked > 100


def test_the_tip_apex_distance_is_the_sum_over_two_views():
    """Baumgaertner 1995: the distances in AP and lateral views, each at true size, added up."""
    tip, apex = np.array([10.0, 20.0, 30.0]), np.array([16.0, 17.0, 38.0])
    ap, lateral = np.hypot(6, 8), np.hypot(3, 8)  # AP sees R and S, a lateral view A and S
    assert tip_apex_distance(tip, apex, ((0, 0), (90, 0))) == pytest.approx(ap + lateral)
    assert tip_apex_distance(tip, apex, ((0, 0), (-90, 0))) == pytest.approx(ap + lateral)
    way = apex - tip
    turned = sum(np.linalg.norm(np.cross(way, detector_axes(*v)[2])) for v in ((20, 10), (110, 0)))
    assert tip_apex_distance(tip, apex, ((20, 10), (110, 0))) == pytest.approx(turned)


def test_a_distance_in_a_picture_is_corrected_for_magnification():
    """Across the beam at the tip's own depth the correction is exact, wherever between tube and detector."""
    for depth in (-150.0, 0.0, 200.0):
        beam = CArmPose(0, 0, (0, 0, 0), 1000, 600, (512, 512), (0.4, 0.4)).beam()
        tip = np.array([12.0, depth, -7.0])
        assert distance_in_picture(tip, tip + (6, 0, 8), beam) == pytest.approx(10.0)
    magnified = np.linalg.norm(np.diff(beam.project([tip, tip + (6, 0, 8)]), axis=0) * 0.4)
    assert magnified > 11.0  # so that leaving the correction out would show


def test_movements_are_counted_by_the_pauses_between_them():
    def at(primary, isocenter=(0.0, 0.0, 0.0)):
        return Pose(primary, 0.0, isocenter)

    attempt = Attempt(at(0.0))
    for time, primary in ((5.0, 10.0), (5.3, 20.0), (5.6, 15.0), (8.0, 15.01), (9.0, 20.0)):
        attempt = moved(attempt, at(primary), time)
    assert attempt.moves == 2
    assert attempt.turned == pytest.approx(10 + 10 + 5 + 5)  # to and fro both count
    attempt = moved(attempt, at(20.0, (3.0, 4.0, 0.0)), 20.0)
    assert (attempt.moves, attempt.shifted) == (3, pytest.approx(5.0))
    assert moved(attempt, attempt.pose, 30.0) is attempt


@pytest.fixture
def task():
    patient = Patient("P", (-100.0, -100.0, -100.0), (100.0, 100.0, 100.0))
    view = ViewGoal(10.0, 5.0, (0.0, 0.0, 0.0), angle=3.0, offset=10.0)
    limits = Limits(images=3, air_kerma=0.05, time=60.0)
    return Task("T", "", patient, Pose(0.0, 0.0, (0.0, 0.0, 0.0)), view, GOAL, limits)


def shots(task):
    """An AP picture with the wire out of the corridor, two pulses near AP, and a lateral spot."""
    attempt = moved(Attempt(task.start), Pose(10.0, 4.0, (6.0, 0.0, 8.0)), 3.0)
    dose = FrameDose(0.01, 0.02, 1 / 15)
    out, inside = wire((6, 40, 0)), wire((0, 48, 0))
    for kind, primary, at in (("manual", 0, out), ("fluoro", 20, inside), ("fluoro", 35, inside), ("spot", 88, inside)):
        beam = CArmPose(primary, 0, (0, 0, 0), 1000, 600, (512, 512), (0.4, 0.4)).beam()
        attempt = exposed(attempt, task, kind, dose, beam, at)
    return attempt


def test_the_result_has_every_measure_beside_its_limit(task):
    attempt, at_end = shots(task), wire((0, 48, 1.5))
    rows = {row.key: row for row in score(task, attempt, 61.0, at_end)}
    assert list(rows) == list(MEASURES)  # a task with everything has all of them, in their order
    assert rows["view_error"].value == pytest.approx(1.0) and rows["view_error"].met
    offset = np.linalg.norm(np.cross((6, 0, 8), detector_axes(10, 4)[2]))
    assert rows["view_offset"].value == pytest.approx(offset) and rows["view_offset"].met
    assert rows["tip_distance"].value == pytest.approx(math.hypot(2, 1.5)) and rows["tip_distance"].met
    assert rows["wire_angle"].value == pytest.approx(0) and rows["wire_angle"].met is None
    assert (rows["corridor_breach"].value, rows["corridor_breach"].met) == (0, True)
    assert rows["worst_breach"].value == pytest.approx(3.0) and rows["worst_breach"].met is None
    assert rows["tip_apex"].value == pytest.approx(1.5 + math.hypot(12, 1.5)) and rows["tip_apex"].met
    # From pictures: that at 0 degrees of the wire as it was then, 6 mm off; the lateral one sees 12 mm.
    beam = CArmPose(88, 0, (0, 0, 0), 1000, 600, (512, 512), (0.4, 0.4)).beam()
    lateral = distance_in_picture(np.array([0, 48, 0]), (0, 60, 0), beam)
    beam = CArmPose(0, 0, (0, 0, 0), 1000, 600, (512, 512), (0.4, 0.4)).beam()
    frontal = distance_in_picture(np.array([6, 40, 0]), (0, 60, 0), beam)
    assert rows["tip_apex_pictures"].value == pytest.approx(frontal + lateral)
    assert [rows[f"images{k}"].value for k in ("", "_fluoro", "_spot", "_cine", "_other")] == [4, 2, 1, 0, 1]
    assert rows["images"].met is False and rows["beam_on_time"].met is None
    assert rows["beam_on_time"].value == pytest.approx(4 / 15)
    assert rows["air_kerma"].value == pytest.approx(0.04) and rows["air_kerma"].met
    assert rows["kerma_area_product"].value == pytest.approx(0.08)
    assert (rows["moves"].value, rows["time"].met) == (1, False)
    assert met_count(list(rows.values())) == (6, 8)


def test_without_a_wire_the_goals_of_the_wire_are_not_met(task):
    rows = {row.key: row for row in score(task, Attempt(task.start), 1.0, None)}
    assert [rows[k].met for k in ("tip_distance", "corridor_breach", "tip_apex")] == [False, False, False]
    assert rows["worst_breach"].value is None and rows["tip_apex_pictures"].value is None


def test_a_task_of_one_kind_has_the_measures_of_that_kind(task):
    keys = [row.key for row in score(replace(task, wire=None), Attempt(task.start), 1.0, None)]
    assert keys[:3] == ["view_error", "view_offset", "images"]
    plain = replace(task, view=None, wire=replace(GOAL, apex=None))
    keys = [row.key for row in score(plain, Attempt(task.start), 1.0, wire((0, 0, 0)))]
    assert keys[0] == "tip_distance" and "tip_apex" not in keys


def test_an_attempt_under_way_goes_through_a_scene_file(task):
    attempt = shots(task)
    text = attempt_text(attempt, 12.5, "2026-01-02")
    json.loads(text)
    assert parse_attempt(text) == (attempt, 12.5, "2026-01-02")
    fresh, _, _ = parse_attempt(attempt_text(Attempt(task.start), 0.0, ""))
    assert moved(fresh, Pose(9.0, 0.0, (0.0, 0.0, 0.0)), 0.1).moves == 1


def test_small_angles_are_measured_exactly():
    assert angle_between([1, 0, 0], [1, 1e-7, 0]) == pytest.approx(np.rad2deg(1e-7), rel=1e-6)
