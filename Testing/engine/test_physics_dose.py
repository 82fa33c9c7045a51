"""Dose at the reference point, kerma-area product, and the totals of a study."""

import numpy as np
import pytest

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.physics.collimation import Collimation, collimation
from DeepDRRSlicerLib.physics.dose import DoseTotals, FrameDose, frame_dose, kerma_area_product, reference_air_kerma
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum


def view(sid=1000.0, side=300.0, pixels=150):
    return CArmPose(0, 0, (0, 0, 0), sid, 400, (pixels, pixels), (side / pixels, side / pixels)).beam()


def test_kerma_at_the_reference_point():
    """15 cm from the isocentre towards the source: at 45 cm for a source 60 cm away, (100/45)^2 of that at 1 m."""
    assert reference_air_kerma(70.2, 600.0) == pytest.approx(70.2 * 4.9383, rel=1e-4)
    assert reference_air_kerma(1.0, 1150.0) == pytest.approx(1.0)
    for near in (150.0, 100.0, float("nan")):
        with pytest.raises(InputError, match="no reference point"):
            reference_air_kerma(1.0, near)


def test_a_small_field_is_kerma_times_area():
    """1 mGy at 1 m over 1 cm2 is 0.001 Gy cm2."""
    assert kerma_area_product(1000.0, view(side=10.0)) == pytest.approx(1e-3, rel=1e-4)


def test_over_a_large_field_kerma_falls_with_the_square_of_the_distance_alone():
    """Integral of 1 / (d^2 + x^2 + y^2) over the square, by Gauss quadrature; obliquity would take 1 % more."""
    nodes, weights = np.polynomial.legendre.leggauss(30)
    x = 150.0 * nodes
    mean = weights @ (1e6 / (1e6 + x[:, None] ** 2 + x[None, :] ** 2)) @ weights / 4
    assert kerma_area_product(1000.0, view()) == pytest.approx(1e-3 * mean * 900.0, rel=1e-5)
    assert mean == pytest.approx(0.985, abs=1e-3)


def test_the_product_does_not_depend_on_the_distance():
    beams = [view(sid, 0.3 * sid) for sid in (500.0, 1000.0, 1300.0)]
    products = [kerma_area_product(50.0, beam) for beam in beams]
    assert products == pytest.approx([products[0]] * 3, rel=1e-9)


def test_collimating_lowers_the_product():
    beam, kerma = view(), tube_spectrum(80, {"Al": 3.0}).air_kerma
    whole = kerma_area_product(kerma, beam)
    products = [
        kerma_area_product(kerma, beam, collimation(beam, Collimation(half, half, half, half), 0.6, 110.0))
        for half in (150, 100, 75, 30, 10)
    ]
    assert whole > products[0] and (np.diff(products) < 0).all()
    # Small fields: the penumbra takes and gives alike, so that the area is that of the stated edges.
    assert products[3] == pytest.approx(kerma * 1e-6 * 36.0, rel=2e-3)
    assert products[4] == pytest.approx(kerma * 1e-6 * 4.0, rel=2e-3)
    iris = collimation(beam, Collimation(75, 75, 75, 75, iris=40), 0.6, 110.0)
    assert kerma_area_product(kerma, beam, iris) == pytest.approx(kerma * 1e-6 * np.pi * 16.0, rel=3e-3)


def test_a_typical_minute_of_fluoroscopy():
    """0.1 mAs per pulse at 80 kV, 15 pulses/s: about 30 mGy/min at the reference point."""
    frame = frame_dose(0.1 * 70.2, 600.0, kerma_area_product=0.006, time=1 / 15)
    assert frame.air_kerma == pytest.approx(0.1 * 70.2e-3 / 0.45**2)
    assert frame.air_kerma_rate == pytest.approx(frame.air_kerma * 900)
    assert FrameDose(1.0, 1.0, 0.0).air_kerma_rate == 0


def test_totals_add_up():
    one, two = FrameDose(0.03, 0.006, 1 / 15), FrameDose(1.0, 0.2, 0.05)
    before = DoseTotals()
    totals = before.add(one).add(one).add(two)
    assert before == DoseTotals(0.0, 0.0, 0, 0.0, 0.0)
    assert totals.frames == 3
    assert totals.air_kerma == pytest.approx(1.06) and totals.kerma_area_product == pytest.approx(0.212)
    assert totals.beam_on_time == pytest.approx(2 / 15 + 0.05)


@pytest.mark.parametrize("rate", [3, 7.5, 15, 30])
def test_the_alarm_sounds_after_five_minutes_of_pedal_time(rate):
    frame, totals = FrameDose(0.03, 0.006, 1 / rate), DoseTotals()
    for _ in range(round(300 * rate) - 1):
        totals = totals.add(frame)
    assert not totals.alarm
    totals = totals.add(frame)
    assert totals.alarm and totals.beam_on_time == pytest.approx(300)
    reset = totals.with_alarm_reset()
    assert not reset.alarm and reset.beam_on_time == totals.beam_on_time and reset.frames == totals.frames
