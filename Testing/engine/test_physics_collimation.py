"""Shutters and iris against rays cast from all over the focal spot, and fields that cannot be."""

import numpy as np
import pytest

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.physics.collimation import (
    Collimation,
    check_collimation,
    collimation,
    exposed_window,
    panel_field,
    penumbra_width,
)


def view(rows=60, cols=80, pitch=(2.0, 3.0), sid=1000.0):
    return CArmPose(30, 20, (0, 0, 0), sid, 600, (rows, cols), pitch).beam()


def cast(beam, field, focal_spot, distance, points=48):
    """The share by rays from a grid of points on the focal spot to every pixel, in space: no formula of penumbra."""
    offsets = ((np.arange(points) + 0.5) / points - 0.5) * focal_spot
    centers = beam.pixel_centers()
    shrink = distance / beam.sid
    middle = beam.source + shrink * (beam.detector_center - beam.source)
    seen = np.zeros(beam.size)
    for a in offsets:
        for b in offsets:
            start = beam.source + a * beam.e_c + b * beam.e_r
            rays = centers - start
            crossing = start + rays * (distance / (rays @ beam.normal))[..., None] - middle
            x, y = crossing @ beam.e_c / shrink, crossing @ beam.e_r / shrink
            open_ = (x > -field.left) & (x < field.right) & (y > -field.top) & (y < field.bottom)
            if field.iris is not None:
                open_ &= x**2 + y**2 < field.iris**2
            seen += open_
    return seen / points**2


FIELDS = [
    Collimation(60, 80, 40, 25),
    Collimation(-20, 80, 50, 50),
    Collimation(60, 80, 40, 25, iris=55),
    Collimation(80, 80, 60, 60, iris=45.5),
    Collimation(30, 30, 30, 30, iris=200),
    Collimation(5, 3, 4, 6),
]


@pytest.mark.parametrize("field", FIELDS)
def test_the_share_is_that_of_rays_from_all_over_the_focal_spot(field):
    beam, focal_spot, distance = view(), 1.2, 90.0
    share = collimation(beam, field, focal_spot, distance)
    assert share.dtype == np.float32 and share.shape == beam.size
    np.testing.assert_allclose(share, cast(beam, field, focal_spot, distance), atol=0.025)


@pytest.mark.parametrize("field", FIELDS)
def test_nothing_outside_the_penumbra_and_all_within(field):
    beam = view()
    penumbra = penumbra_width(0.6, beam.sid, 110.0)
    share = collimation(beam, field, 0.6, 110.0)
    x, y = (np.arange(80) - 39.5) * 2.0, ((np.arange(60) - 29.5) * 3.0)[:, None]
    # How far a pixel stands outside of the nearest edge.
    reach = np.maximum(np.maximum(-field.left - x, x - field.right), np.maximum(-field.top - y, y - field.bottom))
    if field.iris is not None:
        reach = np.maximum(reach, np.hypot(x, y) - field.iris)
    assert (share[reach > penumbra] == 0).all()
    np.testing.assert_allclose(share[reach < -penumbra], 1, atol=1e-6)
    rows, cols = exposed_window(beam, field, 0.6, 110.0)
    outside = share.copy()
    outside[rows, cols] = 0
    assert not outside.any()
    inside = share[rows, cols]
    if field.iris is None:
        assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()


def test_penumbra_of_a_focal_spot():
    """0.6 mm at a magnification of 1.645: 0.387 mm, as a formula and as it is seen in the image."""
    sid, magnification = 1000.0, 1.645
    assert penumbra_width(0.6, sid, sid / magnification) == pytest.approx(0.387, rel=0.05)
    beam = view(3, 4000, (0.005, 3.0), sid)
    profile = collimation(beam, Collimation(5, 5, 4, 4), 0.6, sid / magnification)[1]
    assert ((profile > 0) & (profile < 1)).sum() / 2 * 0.005 == pytest.approx(0.387, rel=0.05)
    rising = profile[:2000].astype(float)
    from_10_to_90 = np.ptp(np.interp([0.1, 0.9], rising, np.arange(2000))) * 0.005
    assert from_10_to_90 / 0.8 == pytest.approx(0.387, rel=0.05)
    assert np.interp(0.5, rising, (np.arange(2000) - 1999.5) * 0.005) == pytest.approx(-5.0, abs=0.005)


def test_a_point_source_has_no_penumbra():
    beam = view()
    for field in FIELDS:
        share = collimation(beam, field, 0.0, 110.0)
        assert set(np.unique(share)) <= {0.0, 1.0} and share.dtype == np.float32
    assert collimation(beam, Collimation(60, 80, 40, 25), 0.0, 110.0).sum() == 70 * 21


def test_left_is_the_first_column_and_top_the_first_row():
    beam = view()
    for field, part in (
        (Collimation(80, 0, 90, 90), np.s_[:, 40:]),
        (Collimation(0, 80, 90, 90), np.s_[:, :40]),
        (Collimation(80, 80, 90, 0), np.s_[30:]),
        (Collimation(80, 80, 0, 90), np.s_[:30]),
    ):
        share = collimation(beam, field, 0.0, 110.0)
        assert share[part].sum() == 0 and share.sum() == share.size / 2


def test_open_shutters():
    beam = view()
    assert (collimation(beam, None, 0.6, 110.0) == 1).all()
    assert exposed_window(beam, None, 0.6, 110.0) == (slice(0, 60), slice(0, 80))
    field = panel_field(beam)
    assert (field.width, field.height) == (160, 180)
    assert exposed_window(beam, field, 0.6, 110.0) == (slice(0, 60), slice(0, 80))
    share = collimation(beam, field, 0.6, 110.0)  # the shutters' penumbra lies half on the panel
    assert (share[2:-2, 2:-2] == 1).all() and share[0, 0] < 1


def test_the_window_of_a_field():
    rows, cols = exposed_window(view(), Collimation(60, 80, 40, 25), 0.0, 110.0)
    # Pixel centres at (row - 29.5) 3 mm and (column - 39.5) 2 mm.
    assert (rows, cols) == (slice(17, 38), slice(10, 80))


@pytest.mark.parametrize(
    ("edges", "words"),
    [
        ((80.1, 10, 10, 10), "larger than the panel"),
        ((10, 10, 10, 90.5), "at most 80 mm left and right and 90 mm above and below"),
        ((1000, 1000, 1000, 1000), "larger than the panel"),
    ],
)
def test_a_field_larger_than_the_panel_is_refused(edges, words):
    for refuse in (
        lambda field: check_collimation(view(), field),
        lambda field: collimation(view(), field, 0.6, 110.0),
        lambda field: exposed_window(view(), field, 0.6, 110.0),
    ):
        with pytest.raises(InputError, match=words) as caught:
            refuse(Collimation(*edges))
        assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
    check_collimation(view(), panel_field(view()))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, 0, 10, 10), "leave no field"),
        ((10, -10, 10, 10), "leave no field"),
        ((10, 10, -20, 10), "leave no field"),
        ((float("nan"), 10, 10, 10), "finite"),
        ((float("inf"), 10, 10, 10), "finite"),
        ((10, 10, 10, 10, 0), "iris must be greater than 0 mm"),
        ((10, 10, 10, 10, float("nan")), "iris must be greater than 0 mm"),
    ],
)
def test_fields_that_cannot_be(arguments, words):
    with pytest.raises(InputError, match=words):
        Collimation(*arguments)


def test_a_field_between_two_pixels_is_refused():
    with pytest.raises(InputError, match="exposes no pixel"):
        exposed_window(view(), Collimation(0.1, 0.1, 20, 20), 0.01, 900.0)
    with pytest.raises(InputError, match="exposes no pixel"):  # the iris covers what the shutters leave
        exposed_window(view(), Collimation(-30, 60, 20, 20, iris=10), 0.0, 110.0)


@pytest.mark.parametrize("distance", [0.0, -10.0, 1001.0, float("nan")])
def test_edges_stand_between_source_and_detector(distance):
    with pytest.raises(InputError, match="between focal spot and detector"):
        penumbra_width(0.6, 1000.0, distance)
