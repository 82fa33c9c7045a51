"""The whole chain against published slabs, and the picture of a real chest."""

import threading
import time

import numpy as np
import pytest

from DeepDRRSlicerLib.anatomy.ct import read_ct
from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.physics.materials import density
from DeepDRRSlicerLib.projection.projector import Stopped
from DeepDRRSlicerLib.simulation.display import Window, display_image
from DeepDRRSlicerLib.simulation.simulator import Decomposition, Simulator
from DeepDRRSlicerLib.simulation.technique import Technique, check_limits, parse_filtration
from DeepDRRSlicerLib.simulation.worker import LatestWorker
from phantoms import centered

IDEAL = load_detector("ideal")
# 80 kVp, 3 mm Al, tungsten 12 degrees, ideal energy-integrating detector (computed with spekpy and xraylib).
PMMA_SLABS = {10: 0.76034, 50: 0.26372, 100: 0.073980, 150: 0.021504, 200: 0.0064016}


def view(primary=0, secondary=0, size=(41, 41), pitch=2.0, isocenter=(0, 0, 0), sid=1000):
    return CArmPose(primary, secondary, isocenter, sid, 600, size, (pitch, pitch)).beam()


def water_ct(hu=0, shape=(40, 40, 40)):
    array = np.full(shape, -1000, dtype=np.int16)
    array[8:-8, 8:-8, 8:-8] = hu
    return Volume(array, centered(shape, (5, 5, 5)))


@pytest.mark.parametrize("thickness", PMMA_SLABS)
def test_pmma_slabs_through_the_whole_chain(thickness):
    """A slab named PMMA, 5 mm voxels, seen face on: central transmission within 2 % of the reference."""

    def slab(ct):
        layers = np.zeros((*ct.array.shape, 1), np.float32)
        layers[:, 0 : thickness // 5] = density("PMMA")
        return MaterialVolume(("PMMA",), layers, ct.ijk_to_ras)

    shape = (60, 44, 60)
    ct = Volume(np.zeros(shape, np.int16), centered(shape, (5, 5, 5)))
    radiograph = Simulator(ct, Decomposition("slab", slab)).simulate(view(), Technique(80, 1.0, {"Al": 3}), IDEAL)
    assert radiograph.transmission[20, 20] == pytest.approx(PMMA_SLABS[thickness], rel=0.02)


def test_signal_is_absolute():
    """keV per pixel: in proportion to mAs and pixel area, and to the inverse square of the distance."""
    simulator = Simulator(water_ct())
    one = simulator.simulate(view(), Technique(mas=1), IDEAL)
    two = simulator.simulate(view(), Technique(mas=2), IDEAL)
    coarse = simulator.simulate(view(pitch=4.0), Technique(mas=1), IDEAL)
    far = simulator.simulate(view(sid=1500), Technique(mas=1), IDEAL)
    assert np.allclose(two.signal, 2 * one.signal, rtol=1e-6)
    assert coarse.open_field[20, 20] == pytest.approx(4 * one.open_field[20, 20], rel=1e-6)
    assert far.open_field[20, 20] == pytest.approx(one.open_field[20, 20] / 2.25, rel=1e-6)
    # 1.38e8 photons/cm2/mAs of 43.83 keV at 1 m (reference table), on 4 mm2.
    assert one.open_field[20, 20] == pytest.approx(1.38e6 * 43.83 * 4, rel=0.01)


def test_settings_hash_follows_whatever_changes_the_image():
    simulator = Simulator(water_ct())
    base = simulator.settings_hash(view(), Technique(), IDEAL)
    assert base == Simulator(water_ct()).settings_hash(view(), Technique(), IDEAL)
    others = [
        simulator.settings_hash(view(1), Technique(), IDEAL),
        simulator.settings_hash(view(), Technique(kvp=81), IDEAL),
        simulator.settings_hash(view(), Technique(), load_detector("mobile_flat_panel")),
        Simulator(water_ct(hu=10)).settings_hash(view(), Technique(), IDEAL),
    ]
    assert len({base, *others}) == 5


def test_display_has_a_fixed_window():
    radiograph = Simulator(water_ct()).simulate(view(), Technique(), IDEAL)
    low, high = radiograph.log_attenuation.min(), radiograph.log_attenuation.max()
    grey = display_image(radiograph, Window(low, high))
    assert (grey.min(), grey.max()) == (0, 255)
    assert display_image(radiograph, Window(high, high + 1)).max() == 0


def test_thick_metal_gives_a_finite_picture():
    def metal(ct):
        return MaterialVolume(("lead",), np.full((*ct.array.shape, 1), 11.35, np.float32), ct.ijk_to_ras)

    radiograph = Simulator(water_ct(), Decomposition("metal", metal)).simulate(view(), Technique(), IDEAL)
    assert np.isfinite(radiograph.signal).all() and np.isfinite(radiograph.log_attenuation).all()
    assert radiograph.signal.min() == 0


def test_impossible_techniques_are_refused():
    with pytest.raises(InputError, match="tube load"):
        Technique(mas=0)
    with pytest.raises(InputError, match="Al:3"):
        parse_filtration("Al=3")
    with pytest.raises(InputError, match="outside"):
        check_limits(Technique(kvp=125), load_device("mobile_carm"))
    assert parse_filtration("Al:3, Cu:0.1") == {"aluminium": 3.0, "copper": 0.1}


def test_sample_chest_is_read_as_a_radiograph(shared_data):
    """AP: head at the top (dark shoulders' neck side: lungs above, liver below), heart right of the spine."""
    ct = read_ct(shared_data / "chest_ct" / "ct_1.5mm.nii.gz")
    beam = view(size=(150, 150), pitch=2.0, isocenter=tuple(ct.center_ras))
    image = Simulator(ct).simulate(beam, Technique(), IDEAL).log_attenuation
    lungs, belly = image[20:60], image[-20:]
    assert np.median(lungs) < np.median(belly) - 1  # air above, liver and spleen below
    middle = 74
    beside_spine = slice(85, 105)  # rows at the height of the heart
    left_of_picture = image[beside_spine, middle - 45 : middle - 25]
    right_of_picture = image[beside_spine, middle + 25 : middle + 45]
    assert np.median(right_of_picture) > np.median(left_of_picture) + 0.5


def slow_worker():
    """A worker whose jobs take until they are let go, or are told to stop; and the list of jobs it began."""
    begun, go_on = [], threading.Event()

    def work(job, should_stop):
        begun.append(job)
        while not go_on.is_set():
            if should_stop():
                raise Stopped
            time.sleep(0.001)
        if job == "bad":
            raise ValueError("bad job")
        return job

    return LatestWorker(work), begun, go_on


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end
        time.sleep(0.002)
    return result


def test_the_last_of_several_requests_is_what_comes_out():
    worker, begun, go_on = slow_worker()
    worker.submit(1)
    wait_for(lambda: begun == [1])
    worker.submit(2)
    worker.submit(3)
    wait_for(lambda: begun[-1] == 3)
    assert worker.collect() is None
    go_on.set()
    assert wait_for(worker.collect).result == 3
    assert worker.collect() is None
    assert 2 not in begun or begun.index(2) < begun.index(3)
    worker.close()


def test_a_result_that_is_out_of_date_is_never_handed_out():
    worker, begun, go_on = slow_worker()
    go_on.set()
    worker.submit("old")
    wait_for(lambda: begun == ["old"])
    time.sleep(0.05)  # its outcome lies ready
    go_on.clear()
    worker.submit("new")
    assert worker.collect() is None
    go_on.set()
    assert wait_for(worker.collect).result == "new"
    worker.submit("gone")
    worker.cancel()
    time.sleep(0.05)
    assert worker.collect() is None
    worker.close()


def test_a_failed_job_is_reported_and_the_next_one_runs():
    worker, _, go_on = slow_worker()
    go_on.set()
    worker.submit("bad")
    assert "bad job" in str(wait_for(worker.collect).error)
    worker.submit("good")
    assert wait_for(worker.collect).result == "good"
    worker.close()
    assert not any(thread.name == "DeepDRRSlicer" for thread in threading.enumerate())
