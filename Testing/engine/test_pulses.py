"""Pulse trains on a clock that is none: how many pulses, when, of which view; and frames that share what they can."""

import dataclasses
import threading
import time

import numpy as np
import pytest
from test_simulation import DEVICE, request, water_ct

from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.simulation import simulator as simulator_module
from DeepDRRSlicerLib.simulation.acquisition import Acquisition, Automatic
from DeepDRRSlicerLib.simulation.pulses import PulseTrain
from DeepDRRSlicerLib.simulation.simulator import Held, Simulator
from DeepDRRSlicerLib.simulation.views import ViewRequest, ViewSimulator

PANEL = load_detector("mobile_flat_panel")


class FakeViews:
    """Takes `cost` seconds of a clock of its own for each pulse, and lets go of the pedal at `until` seconds."""

    def __init__(self, cost, until):
        self.now, self.cost, self.until = 0.0, cost, until
        self.starts, self.asked, self.at = [], [], {}

    def clock(self):
        return self.now

    def wait(self, released, seconds):
        self.now += seconds
        if self.now >= self.until:
            released.set()

    def pulse(self, request, held, coarse, should_stop):
        self.starts.append(self.now)
        self.asked.append((request, held, coarse))
        if len(self.starts) in self.at:
            self.at[len(self.starts)]()
        self.now += self.cost
        return request, len(self.starts)


def train_on(views, rate, **changes):
    return PulseTrain(fluoro_request(**changes), rate, views.clock, views.wait)


def fluoro_request(primary=0.0, rate=15.0, frame=0):
    pose = CArmPose(primary, 0, (0, 0, 0), 1000, 600, (24, 24), (8.0, 8.0))
    return ViewRequest(
        water_ct(), "a", pose, Acquisition(DEVICE, PANEL, Automatic("fluoro", pulse_rate=rate), seed=0, frame=frame)
    )


@pytest.mark.parametrize("rate", [3.0, 7.5, 15.0, 30.0])
def test_a_pedal_held_for_three_seconds_gives_three_times_the_rate(rate):
    views = FakeViews(0.02, 3.0 - 1e-9)
    train = train_on(views, rate, frame=7)
    train.run(views)
    pulses = train.collect()
    assert len(pulses) == np.ceil(3 * rate) and train.ended and train.collect() == []
    assert np.allclose([pulse.time for pulse in pulses], np.arange(len(pulses)) / rate)
    assert [pulse.radiograph.acquisition.frame for pulse in pulses] == list(range(7, 7 + len(pulses)))
    assert train.achieved == pytest.approx(rate)


def test_a_slow_computer_gives_fewer_pulses_and_says_so():
    """0.1 s for each: ten per second of the 15 wanted, without any two following faster."""
    views = FakeViews(0.1, 3.0 - 1e-9)
    train = train_on(views, 15.0)
    train.run(views)
    assert len(train.collect()) == 30 and train.achieved == pytest.approx(10.0)
    assert np.diff(views.starts).min() >= 1 / 15 - 1e-9


def test_one_slow_pulse_is_not_made_up_for_by_a_burst():
    views = FakeViews(0.01, 1.0)
    views.at[5] = lambda: setattr(views, "now", views.now + 0.5)
    train_on(views, 15.0).run(views)
    assert np.diff(views.starts).min() >= 1 / 15 - 1e-9 and np.diff(views.starts).max() == pytest.approx(0.51)


def test_a_pulse_that_began_late_is_not_followed_all_the_sooner():
    views = FakeViews(0.05, 1.0)

    def wait(released, seconds):
        views.wait(released, seconds + 0.02 * (len(views.starts) == 5))  # the thread had to wait for its turn

    train = PulseTrain(fluoro_request(), 15.0, views.clock, wait)
    train.run(views)
    assert np.diff([pulse.time for pulse in train.collect()]).min() >= 1 / 15 - 1e-9


def test_a_short_tap_is_one_pulse():
    views = FakeViews(0.02, 0.0)
    train = train_on(views, 15.0)
    train.release()
    train.run(views)
    assert len(train.collect()) == 1


def test_pulses_follow_the_view_coarsely_and_are_fine_at_rest():
    views = FakeViews(0.01, 0.39)
    train = train_on(views, 15.0)
    other = fluoro_request(10.0)
    views.at[2] = lambda: train.follow(other)
    train.run(views)
    angles = [request.pose.primary_angle for request, _, _ in views.asked]
    assert angles == [0, 0, 10, 10, 10, 10] and train.shows_newest
    assert [coarse for _, _, coarse in views.asked] == [False, False, True, False, False, False]
    held = [held for _, held, _ in views.asked]
    assert held[0].energy is None and held[1:] == [1, 2, 3, 4, 5], "each pulse gets what the one before has left"


def test_a_view_that_came_too_late_for_a_pulse_is_known():
    views = FakeViews(0.01, 0.05)
    train = train_on(views, 15.0)
    views.at[1] = lambda: train.follow(fluoro_request(10.0))
    train.run(views)
    assert len(views.asked) == 1 and not train.shows_newest


def test_an_error_ends_the_train():
    class Broken:
        def pulse(self, *_):
            raise MemoryError

    train = PulseTrain(fluoro_request(), 15.0)
    with pytest.raises(MemoryError):
        train.run(Broken())
    assert train.ended and train.collect() == []


def test_a_real_train_runs_in_real_time():
    views, train = ViewSimulator(), PulseTrain(fluoro_request(), 15.0)
    views.simulate(request())  # compiled, and the patient ready
    views.simulate(fluoro_request())
    thread = threading.Thread(target=train.run, args=(views,))
    begin, pulses = time.monotonic(), []
    thread.start()
    while len(pulses) < 4:
        assert time.monotonic() < begin + 60 and thread.is_alive()
        time.sleep(0.005)
        pulses += train.collect()
    train.release()
    thread.join()
    pulses += train.collect()
    assert len(pulses) <= 15 * (time.monotonic() - begin) + 1, "one at once, and 15 a second, if this computer can"
    signals = [pulse.radiograph.signal for pulse in pulses]
    assert len({signal.tobytes() for signal in signals}) == len(signals), "each with its own noise"
    assert len({pulse.radiograph.settings_hash for pulse in pulses}) == len(pulses)
    assert all(pulse.radiograph.metadata["effects"]["lag"] for pulse in pulses)


def test_frames_of_one_view_are_projected_and_irradiated_once(monkeypatch):
    """And they are the frames that one would get one by one."""
    calls = []
    real = simulator_module.irradiate
    monkeypatch.setattr(simulator_module, "irradiate", lambda *a: calls.append("irradiate") or real(*a))
    asked = fluoro_request()
    beam, acquisition = asked.pose.beam(), asked.acquisition
    simulator, held, frames = Simulator(water_ct()), Held(), []
    for number in range(3):
        radiograph, held = simulator.pulse(beam, dataclasses.replace(acquisition, frame=number), held=held)
        frames.append(radiograph)
    assert calls == ["irradiate"] and frames[0].area_density is frames[2].area_density
    alone = [f.signal for f in Simulator(water_ct()).frames([beam] * 3, acquisition)]
    assert all(np.array_equal(a.signal, b) for a, b in zip(frames, alone))
    calls.clear()
    louder = dataclasses.replace(acquisition, technique=Automatic("cine"))
    simulator.pulse(beam, louder)
    simulator.pulse(beam, acquisition)
    assert calls == ["irradiate"] * 2, "another technique, and back"


def test_a_panel_read_out_in_another_size_forgets_what_it_held():
    simulator, asked = Simulator(water_ct()), fluoro_request()
    _, held = simulator.pulse(asked.pose.beam(), asked.acquisition)
    pose = dataclasses.replace(asked.pose, size=(12, 12), pitch=(16.0, 16.0))
    after, _ = simulator.pulse(pose.beam(), asked.acquisition, held=held)
    fresh, _ = simulator.pulse(pose.beam(), asked.acquisition)
    assert np.array_equal(after.signal, fresh.signal)
