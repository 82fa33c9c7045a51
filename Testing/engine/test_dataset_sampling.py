"""What is drawn: the distributions it is said to be drawn from, views that are where the plan wants them."""

import math

import numpy as np
import pytest
from dataset_jobs import job_data

from DeepDRRSlicerLib.dataset.distributions import Choice, Constant, LogUniform, Normal, Uniform, generator, pick
from DeepDRRSlicerLib.dataset.job import parse_job
from DeepDRRSlicerLib.dataset.sampling import Anatomy, draw_view, in_cone, rigid, seen_part, wrapped
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose, detector_axes
from DeepDRRSlicerLib.geometry.device import check_reach
from DeepDRRSlicerLib.geometry.presets import PRESETS

BALL = np.random.default_rng(1).normal(size=(500, 3))
BALL = 20 * BALL / np.linalg.norm(BALL, axis=1)[:, None]
ANATOMY = Anatomy(
    np.array([1.0, 2.0, 3.0]),
    {"a": (10.0, 0.0, 0.0), "b": (0.0, -40.0, 60.0)},
    {"ball": BALL + (0, 0, 30), "far": BALL + (0, 0, 100)},
)
PATIENTS = [{"name": "p", "ct": "p.nrrd"}]
UNIFORM = {"distribution": "uniform", "range": [-20, 20]}


def job_of(plan, patients=PATIENTS, **more):
    return parse_job(job_data(patients, plan=plan, count=1000) | more)


def box(**more):
    return {"kind": "box", "primary_angle": UNIFORM, "secondary_angle": UNIFORM} | more


def ks_distance(values, cdf):
    """Kolmogorov-Smirnov: the largest distance between the two distribution functions."""
    values = np.sort(values)
    expected = np.array([cdf(x) for x in values])
    steps = np.arange(len(values) + 1) / len(values)
    return max(np.abs(expected - steps[1:]).max(), np.abs(expected - steps[:-1]).max())


def phi(x):
    return (1 + math.erf(x / math.sqrt(2))) / 2


def truncated(mean, sd, low, high):
    a, b = phi((low - mean) / sd), phi((high - mean) / sd)
    return lambda x: (phi((x - mean) / sd) - a) / (b - a)


@pytest.mark.parametrize(
    ("distribution", "cdf"),
    [
        (Uniform(-3, 5), lambda x: (x + 3) / 8),
        (LogUniform(0.1, 100), lambda x: math.log(x / 0.1) / math.log(1000)),
        (Normal(10, 2, 0, 20), truncated(10, 2, 0, 20)),
        (Normal(0, 1, 0.5, 3), truncated(0, 1, 0.5, 3)),
        (Normal(0, 1, -4, -1), truncated(0, 1, -4, -1)),
    ],
    ids=lambda value: value.describe() if hasattr(value, "describe") else "",
)
def test_draws_follow_their_distribution(distribution, cdf):
    """KS at 4000 draws, one for each sample number: 1.95/sqrt(n) is exceeded once in 1000 times by the right one."""
    values = [distribution.draw(generator(1, index, "test")) for index in range(4000)]
    low, high = distribution.bounds
    assert low <= min(values) and max(values) <= high
    assert ks_distance(values, cdf) < 1.95 / math.sqrt(len(values))


def test_far_tail_of_a_normal_is_drawn_with_precision():
    """Beyond 4 sd the excess over the border is nearly exponential; its mean is sd * (hazard - z) exactly."""
    values = [Normal(0, 1, 4, 40).draw(generator(2, index, "tail")) for index in range(4000)]
    hazard = math.exp(-8) / math.sqrt(2 * math.pi) / (math.erfc(4 / math.sqrt(2)) / 2)
    excess = np.array(values) - 4
    assert excess.mean() == pytest.approx(hazard - 4, abs=4 * excess.std() / math.sqrt(len(values)))
    assert len(set(values)) == len(values)


def test_choices_come_as_often_as_their_weights():
    choice = Choice((1.0, 2.0, 3.0), (1.0, 0.0, 3.0))
    drawn = np.array([choice.draw(generator(1, index, "choice")) for index in range(4000)])
    assert not (drawn == 2).any()
    assert (drawn == 3).mean() == pytest.approx(0.75, abs=4 * math.sqrt(0.75 * 0.25 / 4000))
    assert pick([0, 1, 0], generator(1, 1, "x")) == 1
    assert Constant(7.0).draw(generator(1, 1, "x")) == 7.0


def test_generators_differ_by_seed_sample_and_quantity_and_by_nothing_else():
    keys = [(seed, index, name) for seed in (0, 1) for index in (0, 1, 11) for name in ("a", "b", "1/a")]
    first = [generator(*key).random() for key in keys]
    assert len(set(first)) == len(keys)
    assert first == [generator(*key).random() for key in keys]
    neighbours = np.array([[generator(s, i, "x").random() for i in range(2000)] for s in (3, 4)])
    assert abs(np.corrcoef(neighbours)[0, 1]) < 4 / math.sqrt(2000)
    assert abs(np.corrcoef(neighbours[0, :-1], neighbours[0, 1:])[0, 1]) < 4 / math.sqrt(2000)


def test_directions_fill_a_cone_evenly():
    """The share of a cap within half its angle is the ratio of the heights; around the axis they are uniform."""
    e_c, e_r, axis = detector_axes(30, 20)
    found = np.array([detector_axes(*in_cone(30, 20, 40, generator(1, i, "cone")))[2] for i in range(4000)])
    cosine = found @ axis
    assert cosine.min() >= math.cos(math.radians(40)) - 1e-9
    assert ks_distance(1 - cosine, lambda h: h / (1 - math.cos(math.radians(40)))) < 1.95 / math.sqrt(4000)
    around = np.arctan2(found @ e_r, found @ e_c)
    assert ks_distance(around, lambda a: (a + math.pi) / (2 * math.pi)) < 1.95 / math.sqrt(4000)


def test_a_cap_never_leaves_the_limits_that_were_checked():
    """Draws of many cones against the closed-form borders of the job's check."""
    from DeepDRRSlicerLib.dataset.job import _cap_bounds

    for primary, secondary, half in ((0, 0, 30), (170, 30, 20), (-60, 60, 25), (10, 80, 15), (0, -45, 90)):
        (low, high), (lowest, highest) = _cap_bounds(primary, secondary, half)
        drawn = np.array([in_cone(primary, secondary, half, generator(1, i, "cap")) for i in range(2000)])
        assert ((drawn[:, 0] >= low - 1e-9) & (drawn[:, 0] <= high + 1e-9)).all()
        assert ((drawn[:, 1] >= lowest - 1e-9) & (drawn[:, 1] <= highest + 1e-9)).all()
        if abs(secondary) + half < 90 and (low, high) != (-180, 180):
            assert np.ptp(drawn[:, 0]) > 0.9 * (high - low) and np.ptp(drawn[:, 1]) > 0.9 * (highest - lowest)


def test_box_of_angles():
    job = job_of(box())
    views = [draw_view(job, ANATOMY, index) for index in range(500)]
    angles = np.array([(view.pose.primary_angle, view.pose.secondary_angle) for view in views])
    for column in angles.T:
        assert ks_distance(column, lambda x: (x + 20) / 40) < 1.95 / math.sqrt(500)
    assert abs(np.corrcoef(angles.T)[0, 1]) < 4 / math.sqrt(500)
    assert all(view.pose.isocenter == (1.0, 2.0, 3.0) for view in views)
    for view in views:
        check_reach(view.pose, job.device)


def test_grid_goes_through_every_cell_of_every_patient():
    plan = {"kind": "grid", "primary_angles": [0, 30, 60], "secondary_angles": {"start": -10, "stop": 10, "step": 10}}
    job = job_of(plan, [*PATIENTS, {"name": "q", "ct": "q.nrrd"}], count=None)
    assert job.count == 18
    seen = {
        (job.patient_of(i), (p := draw_view(job, ANATOMY, i).pose).primary_angle, p.secondary_angle) for i in range(18)
    }
    assert seen == {(n, float(a), float(b)) for n in (0, 1) for a in (0, 30, 60) for b in (-10, 0, 10)}


def test_standard_views_with_an_operators_error():
    error = {"distribution": "normal", "mean": 0, "sd": 3, "range": [-9, 9]}
    plan = {"kind": "views", "views": ["AP", "PA", "Spider"], "primary_error": error, "secondary_error": error}
    job = job_of(plan)
    counts = dict.fromkeys(plan["views"], 0)
    errors = []
    for index in range(900):
        view = draw_view(job, ANATOMY, index)
        name = view.settings["aim"]["view"]
        counts[name] += 1
        primary, secondary = PRESETS[name]
        errors += [wrapped(view.pose.primary_angle - primary), view.pose.secondary_angle - secondary]
        check_reach(view.pose, job.device)
    assert all(abs(count - 300) < 4 * math.sqrt(900 * 2 / 9) for count in counts.values())
    assert ks_distance(errors, truncated(0, 3, -9, 9)) < 1.95 / math.sqrt(1800)


def test_trajectory_passes_its_waypoints_at_even_steps():
    waypoints = [
        {"primary_angle": 0, "secondary_angle": 0},
        {"primary_angle": 60, "secondary_angle": 20, "isocenter": [0, 0, 100], "sid": 1050},
        {"primary_angle": -30, "secondary_angle": 20, "sid": 950},
    ]
    job = job_of({"kind": "trajectory", "waypoints": waypoints, "frames": 9}, count=None)
    poses = [draw_view(job, ANATOMY, index).pose for index in range(job.count)]
    assert [pose.primary_angle for pose in poses] == pytest.approx([0, 15, 30, 45, 60, 37.5, 15, -7.5, -30])
    assert [pose.sid for pose in poses] == pytest.approx([1000, 1012.5, 1025, 1037.5, 1050, 1025, 1000, 975, 950])
    assert poses[2].isocenter == pytest.approx(np.mean([ANATOMY.centre, (0, 0, 100)], axis=0))
    assert poses[8].isocenter == pytest.approx(ANATOMY.centre)
    assert {draw_view(job, ANATOMY, i).settings["sequence"] for i in range(9)} == {0}


def test_landmarks_take_turns_at_the_centre():
    job = job_of(box(centre={"on": "landmarks"}))
    names = []
    for index in range(200):
        view = draw_view(job, ANATOMY, index)
        name = view.settings["centre"]["name"]
        names.append(name)
        rows, columns = view.beam.size
        assert view.beam.project(ANATOMY.landmarks[name])[0] == pytest.approx([(columns - 1) / 2, (rows - 1) / 2])
    assert 60 < names.count("a") < 140
    with pytest.raises(InputError, match="plan.centre.names.*'c'"):
        draw_view(job_of(box(centre={"on": "landmarks", "names": ["c"]})), ANATOMY, 0)
    middle = draw_view(job_of(box(centre={"on": "segments", "names": ["far"]})), ANATOMY, 0).pose.isocenter
    assert middle == pytest.approx(ANATOMY.segments["far"].mean(axis=0))


def test_moving_the_patient_is_what_moving_every_point_is():
    """A point of the patient, moved as the plan says, falls in the C-arm's own view where the sample has it."""
    move = {"rotation": [10, -20, 30], "translation": [5, 6, 7]}
    view = draw_view(job_of(box(patient=move, table=[-3, 0, 40], centre={"offset": [1, 2, 3]})), ANATOMY, 3)
    a, b, c = np.deg2rad([10, -20, 30])
    about_r = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_a = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_s = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    points = BALL * 3
    moved = (points - ANATOMY.centre) @ (about_s @ about_a @ about_r).T + ANATOMY.centre + (2, 6, 47)
    assert view.pose.isocenter == pytest.approx((2, 4, 6))
    np.testing.assert_allclose(view.beam.project(points), view.pose.beam().project(moved), atol=1e-8)
    assert rigid((0, 0, 90), (1, 0, 0), (5, 0, 0)) @ (6, 0, 0, 1) == pytest.approx((6, 1, 0, 1))


def test_seen_part_counts_what_falls_into_the_open_field():
    """Half of a ball beyond an edge through its middle; between source and detector alone; behind shutters."""
    job = job_of(box(primary_angle=0, secondary_angle=0, centre={"on": "point", "point": [0, 0, 0]}))
    view = draw_view(job, ANATOMY, 0)
    grid = np.stack(np.meshgrid(*(np.linspace(-10, 10, 20),) * 3), -1).reshape(-1, 3)
    assert seen_part(view, grid) == 1
    half_width = view.beam.size[1] * view.beam.pitch[0] / 2 * view.pose.sod / view.pose.sid
    assert seen_part(view, grid * (1, 0, 1) + (half_width, 0, 0)) == 0.5
    assert seen_part(view, grid + (0, -700, 0)) == 0 and seen_part(view, grid + (0, 500, 0)) == 0
    shut = job_of(
        box(primary_angle=0, secondary_angle=0, centre={"on": "point", "point": [0, 0, 0]}),
        collimation={"left": 0, "right": 100, "top": 100, "bottom": 0},
    )
    assert seen_part(draw_view(shut, ANATOMY, 0), grid) == 0.25
    # the patient's left is on the image's right, the head on top
    assert seen_part(draw_view(shut, ANATOMY, 0), np.array([[-5.0, 0, 5]])) == 1


def test_every_segment_visible_at_least():
    offset = {"offset": [0, 0, {"distribution": "uniform", "range": [-200, 200]}]}
    demand = [{"segment": "*", "at_least": 0.8}, {"landmark": "a"}]
    job, free = job_of(box(centre=offset, visible=demand)), job_of(box(centre=offset))
    attempts = 0
    for index in range(100):
        view = draw_view(job, ANATOMY, index)
        attempts += view.settings["attempts"]
        assert min(seen_part(view, points) for points in ANATOMY.segments.values()) >= 0.8
        if view.settings["attempts"] == 1:
            assert view.settings == draw_view(free, ANATOMY, index).settings
    assert attempts > 150
    # what is accepted is what the plan gives, under the condition
    free_views = [draw_view(free, ANATOMY, index) for index in range(400)]
    good = np.mean([min(seen_part(view, p) for p in ANATOMY.segments.values()) >= 0.8 for view in free_views])
    assert 100 / attempts == pytest.approx(good, abs=0.12)


def test_an_impossible_demand_is_a_sentence():
    job = job_of(
        box(tries=20, visible=[{"segment": "far", "at_least": 1}], centre={"on": "point", "point": [0, 0, -500]})
    )
    with pytest.raises(InputError, match="None of the 20 views drawn for sample 4 .*segment far has 0%"):
        draw_view(job, ANATOMY, 4)
    with pytest.raises(InputError, match=r"plan.visible\[0\].segment: 'liver'"):
        draw_view(job_of(box(visible=[{"segment": "liver", "at_least": 1}])), ANATOMY, 0)


def test_a_view_depends_on_seed_and_number_alone():
    """Neither on the views drawn before, nor on how many there will be, nor on quantities added to the job."""
    short, long = job_of(box()), job_of(box(), count=5)
    other = job_of(box(), seed=6)
    more = job_of(box(sid={"distribution": "uniform", "range": [950, 1050]}))
    backwards = {index: draw_view(long, ANATOMY, index) for index in reversed(range(5))}
    for index in range(5):
        view = draw_view(short, ANATOMY, index)
        assert view.settings == backwards[index].settings != draw_view(other, ANATOMY, index).settings
        assert draw_view(more, ANATOMY, index).pose.primary_angle == view.pose.primary_angle


@pytest.mark.parametrize(("angle", "expected"), [(180, 180), (185, -175), (-180, 180), (-190, 170), (0, 0), (540, 180)])
def test_angles_go_on_beyond_180(angle, expected):
    assert wrapped(angle) == pytest.approx(expected)
    CArmPose(wrapped(angle), 0, (0, 0, 0), 1000, 600, (1, 1), (1, 1))
