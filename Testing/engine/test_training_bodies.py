"""Synthetic bodies: shapes keep their volume and mass, labels follow the stated rules, one seed gives one body."""

import numpy as np
import pytest

from DeepDRRSlicerLib.training.decomposition.bodies import PLACES, random_body
from DeepDRRSlicerLib.training.decomposition.body.canvas import (
    ADIPOSE,
    AIR,
    BONE,
    CONTRAST,
    LUNG,
    METAL,
    SOFT,
    new_canvas,
)
from DeepDRRSlicerLib.training.decomposition.body.implants import paint_metal
from DeepDRRSlicerLib.training.decomposition.body.noise import smooth_noise
from DeepDRRSlicerLib.training.decomposition.body.shapes import blob, rod, sheet, union
from DeepDRRSlicerLib.training.decomposition.body.tissues import (
    Skeleton,
    paint_blood,
    paint_bone,
    paint_organ,
    paint_soft,
)

SKELETON = Skeleton(compact_hu=1000.0, compact_mm=2.0, spongy_hu=100.0, spongy_texture=0.0, marrow_hu=-60.0)


def canvas(n=48, spacing=2.0, center=(0, 0, 0), rotation=None):
    return new_canvas(np.random.default_rng(0), (n, n, n), spacing, center, rotation, warp_mm=0)


def test_a_canvas_lies_where_it_says_and_its_axes_are_s_a_r():
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    window = canvas(5, 3.0, (10, 20, 30), turn)
    assert window.points[:, 2, 2, 2] == pytest.approx((10, 20, 30))
    assert window.points[:, 4, 2, 2] - window.points[:, 2, 2, 2] == pytest.approx((0, 0, 6))
    assert window.points[:, 2, 2, 4] - window.points[:, 2, 2, 2] == pytest.approx((0, 6, 0))  # first column of turn


@pytest.mark.parametrize("center", [(0, 0, 0), (0.7, -0.4, 0.9)])
def test_a_ball_and_a_rod_keep_their_volume(center):
    window = canvas()
    ball, box = 4 / 3 * np.pi * 20**3, None
    for shape, volume in (
        (blob(center, (20, 20, 20)), ball),
        (rod((0, 0, -20), (0, 0, 20), 9), np.pi * 81 * (40 + 12)),
    ):
        box, distance = union(window, [shape])
        assert window.cover(distance).sum() * 8 == pytest.approx(volume, rel=0.01)
    assert box is not None


def test_a_wall_thinner_than_a_voxel_keeps_its_mass():
    """Along a ray through the wall the covered length is its thickness, whatever part of a voxel that is."""
    for thickness in (0.5, 1.0, 3.0):
        window = canvas(64, 2.0)
        box, distance = union(window, [sheet(blob((0.3, 0.2, 0.1), (40, 40, 40)), thickness)])
        covered = window.cover(distance).sum() * 8
        if thickness >= 2.0:
            assert covered == pytest.approx(4 * np.pi * 40**2 * thickness, rel=0.03)
        else:  # thinner than a voxel: never lost, never more than a third too thick a voxel
            assert covered > 4 * np.pi * 40**2 * thickness * 0.95


def test_a_box_misses_nothing_of_a_turned_shape():
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    window = canvas(40, 2.0, (5, 0, 0), turn)
    shape = blob((20, 10, -15), (18, 6, 30), turn)
    inside = shape.distance(window.points) < 0
    box = window.box(shape.low, shape.high)
    outside = inside.copy()
    outside[box] = False
    assert inside.any() and not outside.any()
    assert window.box(np.array([300.0] * 3), np.array([310.0] * 3)) is None


def test_bone_is_a_compact_shell_and_its_marrow_is_bone():
    window = canvas()
    paint_bone(window, [blob((0, 0, 0), (30, 30, 30))], SKELETON, marrow=1.0)
    middle = window.hu[24, 24, 24]
    assert window.labels[24, 24, 24] == BONE and middle == pytest.approx(-60, abs=1)
    assert 700 < window.hu.max() < 1500
    assert (window.labels == BONE).sum() * 8 == pytest.approx(4 / 3 * np.pi * 30**3, rel=0.08)


@pytest.mark.parametrize("hu, label", [(100, SOFT), (149, SOFT), (151, CONTRAST)])
def test_iodine_counts_from_150_hu_in_organs_and_blood(hu, label):
    for paint in (lambda w, s: paint_organ(w, s, hu, 0), lambda w, s: paint_blood(w, s, hu)):
        window = canvas(24)
        paint(window, [blob((0, 0, 0), (15, 15, 15))])
        assert window.labels[12, 12, 12] == label
        assert window.perfused[12, 12, 12] == hu and window.perfused[0, 0, 0] == 0
        paint_soft(window, [blob((0, 0, 0), (9, 9, 9))], hu, 0)  # cartilage, say, as dense as it is
        assert window.labels[12, 12, 12] == SOFT and window.perfused[12, 12, 12] == 0


def test_metal_displaces_what_is_there_and_is_kept_apart():
    window = canvas(24)
    window.hu[:] = 50
    paint_metal(window, [blob((0, 0, 0), (10, 10, 10))], 9000)
    assert window.metal[12, 12, 12] == pytest.approx(9000) and window.hu[12, 12, 12] == pytest.approx(0)
    assert window.hu[0, 0, 0] == 50 and window.metal[0, 0, 0] == 0


def test_noise_has_the_spread_and_the_grain_it_promises():
    noise = smooth_noise(np.random.default_rng(1), (64, 64, 64), 4.0)
    assert noise.mean() == pytest.approx(0, abs=0.1) and noise.std() == pytest.approx(1, abs=0.1)
    step = np.diff(noise, axis=2).std()
    assert 0.2 < step < 0.6  # neighbours a quarter of a knot apart are alike


@pytest.mark.parametrize("place", [name for name in PLACES if name != "anywhere"])
def test_every_place_holds_body_and_bone_and_one_seed_one_body(place):
    def make(number):
        return random_body(np.random.default_rng([9, number]), (40, 40, 40), 3.2, place)

    bone = 0
    for number in range(3):
        window, skin = make(number)
        assert np.isfinite(window.hu).all() and window.hu.min() >= -1400 and window.labels.max() <= METAL
        assert (skin < 0).mean() > 0.02
        beyond = skin > 2 * window.spacing
        assert not np.isin(window.labels[beyond], (BONE, CONTRAST)).any()  # couch, clothes and cables are neither
        bone += (window.labels == BONE).sum()
    assert bone > 0
    again, _ = make(2)
    assert np.array_equal(again.hu, window.hu) and np.array_equal(again.labels, window.labels)
    assert not np.array_equal(make(0)[0].hu, window.hu)


def test_bodies_hold_all_tissues_with_their_densities():
    """A fourth of a real patient's bone is below 150 HU; a threshold must not do for the synthetic ones either."""
    hu, labels = [], []
    for number in range(12):
        window, _ = random_body(np.random.default_rng([4, number]), (32, 32, 32), 4.0)
        hu.append(window.hu)
        labels.append(window.labels)
    hu, labels = np.concatenate(hu), np.concatenate(labels)
    medians = {c: float(np.median(hu[labels == c])) for c in (AIR, LUNG, ADIPOSE, SOFT, BONE, CONTRAST)}
    assert medians[AIR] < -950 and -960 < medians[LUNG] < -600 and -130 < medians[ADIPOSE] < -60
    assert 20 < medians[SOFT] < 90 and 150 < medians[BONE] < 700 and medians[CONTRAST] > 150
    assert 0.1 < (hu[labels == BONE] < 150).mean() < 0.45
