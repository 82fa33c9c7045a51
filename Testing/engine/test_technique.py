"""How one picture is taken, and what a generator refuses."""

import dataclasses

import numpy as np
import pytest

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.simulation.technique import Technique, check_limits, parse_filtration, total_filtration


def test_equal_techniques_are_equal_however_written():
    base = Technique(80, 2.0, {"aluminium": 3.0, "copper": 0.1}, "fluoro", 200.0, 10.0, 15.0)
    again = Technique(80.0, 2, {"Cu": 0.1, "Al": 3}, "fluoro", np.float64(200), 10, 15)
    assert again == base and again.to_dict() == base.to_dict()
    for change in (
        {"kvp": 81}, {"mode": "spot"}, {"pulse_rate": 30.0}, {"pulse_rate": None}, {"heel": True},
        {"tube_current": None}, {"filtration": {"Al": 3.0}}, {"tube_current": 100.0, "pulse_width": 20.0},
    ):  # fmt: skip
        assert dataclasses.replace(base, **change) != base


def test_metadata_leave_out_what_is_not_known():
    assert Technique(80, 1.0, {"Al": 3.0}).to_dict() == {
        "kvp": 80, "mas": 1.0, "filtration_mm": {"aluminium": 3.0}, "mode": "manual", "heel": False,
    }  # fmt: skip
    pulse = Technique(80, 0.1, {"Al": 3.0}, "fluoro", 20.0, 5.0, 7.5, True).to_dict()
    assert (pulse["tube_current_ma"], pulse["pulse_width_ms"], pulse["pulse_rate_hz"]) == (20.0, 5.0, 7.5)


def test_beam_on_time_is_that_of_the_pedal():
    assert Technique(pulse_rate=7.5).beam_on_time == pytest.approx(1 / 7.5)
    assert Technique(80, 5.0, tube_current=50, pulse_width=100).beam_on_time == pytest.approx(0.1)
    assert Technique().beam_on_time == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mas": 0}, "must be greater than 0"),
        ({"mas": float("nan")}, "must be greater than 0"),
        ({"tube_current": 0}, "tube current must be greater than 0 mA, not 0"),
        ({"pulse_width": float("inf")}, "pulse width must be greater than 0 ms"),
        ({"pulse_rate": -1}, "pulse rate must be greater than 0 pulses/s"),
        ({"mas": 1.0, "tube_current": 10, "pulse_width": 10}, "10 mA for 10 ms are 0.1 mAs, not 1 mAs"),
        ({"filtration": {"Al": 3, "aluminium": 1}}, "named twice"),
        ({"filtration": {"cheese": 1}}, "no material"),
    ],
)
def test_impossible_techniques_get_a_sentence(changes, words):
    with pytest.raises(InputError, match=words) as caught:
        Technique(**changes)
    assert str(caught.value).endswith(".")


def test_what_the_generator_can_do():
    device = load_device("mobile_carm")
    check_limits(Technique(100, 1.5, tube_current=150.0, pulse_width=10.0), device)
    for technique, words in (
        (Technique(100, 1.51, tube_current=151.0, pulse_width=10.0), "15.1 kW, more than the 15 kW"),
        (Technique(121), "tube voltage of 121 kV"),
        (Technique(80, 101.0), "tube load of 101 mAs"),
        (Technique(80, 0.009), "tube load of 0.009 mAs"),
    ):
        with pytest.raises(InputError, match=words):
            check_limits(technique, device)


def test_filters_add_up():
    assert total_filtration({"Al": 3.0}, {"Cu": 0.1, "aluminium": 1.0}) == {"aluminium": 4.0, "copper": 0.1}
    assert total_filtration() == {}
    assert parse_filtration("Al:3,Cu:0.1") == {"aluminium": 3.0, "copper": 0.1}
    with pytest.raises(InputError, match="named twice"):
        total_filtration({"Al": 3.0, "aluminium": 1.0})
