"""Pulses and single pictures made by a card from voxels to counts, run by this processor, against those of the CPU."""

import gc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from DeepDRRSlicerLib.anatomy.phantom import chest_phantom
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.learning.scatter import NetworkScatter
from DeepDRRSlicerLib.physics.collimation import Collimation
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.physics.grid import load_grid
from DeepDRRSlicerLib.projection.cuda import device_thread, drivers
from DeepDRRSlicerLib.projection.cuda.card_array import CardArray, CardArrays
from DeepDRRSlicerLib.projection.cuda.driver import DeviceError
from DeepDRRSlicerLib.simulation.acquisition import Acquisition, Automatic
from DeepDRRSlicerLib.simulation.card_live import _VIEWS
from DeepDRRSlicerLib.simulation.card_steps import CardSteps
from DeepDRRSlicerLib.simulation.cells import at_pixels, to_cells, to_pixels
from DeepDRRSlicerLib.simulation.exposing import Shadow, expose
from DeepDRRSlicerLib.simulation.formation_plan import why_not
from DeepDRRSlicerLib.simulation.simulator import Held, Simulator
from DeepDRRSlicerLib.simulation.technique import Technique
from host_cuda.compile import MISSING
from host_cuda.driver import HostDriver

pytestmark = pytest.mark.skipif(MISSING is not None, reason=MISSING or "")

SIZE, PITCH = (64, 56), 0.776  # four pixels of the mobile panel
FIELD = Collimation(12, 16, 18, 11)


class Watched(HostDriver):
    """up, down: bytes copied since `forget`. left: launches until `error` is raised, by every call from then on."""

    def __init__(self):
        super().__init__()
        self.left, self.error = 10**9, None
        self.forget()

    def forget(self):
        self.up = self.down = 0
        self.launches.clear()

    def close(self):
        pass

    def _fail(self):
        if self.left < 0:
            raise self.error

    def upload(self, array, target, offset=0):
        self._fail()
        self.up += array.nbytes
        super().upload(array, target, offset)

    def download(self, source, array, offset=0):
        self._fail()
        self.down += array.nbytes
        super().download(source, array, offset)

    def launch(self, kernel, grid, block, arguments):
        self.left -= 1
        self._fail()
        super().launch(kernel, grid, block, arguments)


@pytest.fixture(scope="module")
def ct():
    return chest_phantom(8.0).ct


@pytest.fixture
def driver():
    return Watched()


@pytest.fixture
def simulator(ct, driver, monkeypatch):
    monkeypatch.setattr(drivers, "_lost", {})  # what one test loses is there for the next one
    device = device_thread.DeviceThread(lambda: driver)
    monkeypatch.setattr(device_thread, "shared_device", lambda *_: device)
    return Simulator(ct, backend="cuda")


def view(ct, angle=10.0, size=SIZE, pitch=PITCH):
    return CArmPose(angle, 5, ct.center_ras, 1000, 600, size, (pitch, pitch)).beam()


def acquisition(machine="mobile_carm", analogue=False, **changes):
    """Fluoroscopy as it is by default: brightness control, and scatter by the network."""
    device = load_device(machine)
    detector = load_detector(device.detector)
    if analogue:
        detector = replace(detector, bit_depth=None, saturation=None)
    how = Acquisition(device, detector, Automatic("fluoro"), scatter=NetworkScatter())
    return replace(how, **changes)


def rms(found, expected):
    return np.sqrt(np.mean((found.astype(np.float64) - expected) ** 2) / np.mean(expected.astype(np.float64) ** 2))


def shadow_of(simulator, radiograph):
    return Shadow(
        radiograph.area_density, radiograph.materials, radiograph.beam, simulator._object_distance(radiograph.beam),
        simulator._volume,
    )  # fmt: skip


def alike(told, other):
    """Whether metadata are the same, but for the last digits of numbers."""
    if isinstance(told, dict):
        return told.keys() == other.keys() and all(alike(told[key], other[key]) for key in told)
    return told == pytest.approx(other, rel=1e-4) if isinstance(told, float) else told == other


@pytest.mark.parametrize("machine", ["mobile_carm", "angiography_stand"])
@pytest.mark.parametrize("field", [None, FIELD], ids=["open", "shutters"])
@pytest.mark.parametrize("heel", [False, True], ids=["even", "heel"])
def test_without_noise_it_is_the_picture_of_the_cpu(simulator, driver, machine, field, heel):
    """Of the same area densities, with brightness control and scatter; in digits it differs by a count at most."""
    how = acquisition(machine, True, collimation=field, technique=Automatic("fluoro", heel=heel))
    made = simulator.simulate(view(simulator.ct), how)
    assert driver.launches.count("add_surface") == 1 and made.metadata["scatter"]["model"] == "network"
    expected = expose(shadow_of(simulator, made), how)
    assert rms(made.signal, expected.frame.signal) <= 3e-4
    technique, other = made.metadata["technique"], expected.metadata["technique"]
    assert technique["kvp"] == other["kvp"] and technique["mas"] == pytest.approx(other["mas"], rel=1e-4)
    assert np.allclose(made.open_field, expected.open_field, rtol=1e-5) and made.open_field.dtype == np.float32
    assert np.array_equal(made.exposed, expected.exposed)
    about = {key: made.metadata[key] for key in expected.metadata}
    assert alike(about, expected.metadata)
    digits = replace(how, detector=acquisition(machine).detector)
    counted, expected = simulator.simulate(view(simulator.ct), digits), expose(shadow_of(simulator, made), digits)
    assert counted.counts.dtype == expected.frame.counts.dtype
    off = np.abs(counted.counts.astype(int) - expected.frame.counts)
    assert (off <= 1 + 3e-4 * expected.frame.counts.max()).all()


def test_from_voxels_on_it_is_the_picture_of_the_cpu(simulator, ct):
    """With the projections of both, whose difference grows with the depth of the patient, and in a preview."""
    how, cpu = acquisition(analogue=True, collimation=FIELD), Simulator(ct, backend="cpu")
    for way, most in (("simulate", 1e-3), ("preview", 6e-3)):
        ours, theirs = (getattr(each, way)(view(ct), how) for each in (simulator, cpu))
        assert rms(ours.signal, theirs.signal) < most
        assert ours.metadata["technique"]["kvp"] == theirs.metadata["technique"]["kvp"]
        assert ours.metadata["technique"]["mas"] == pytest.approx(theirs.metadata["technique"]["mas"], rel=most)
        assert ours.settings_hash == theirs.settings_hash and ours.materials == theirs.materials
        assert list(ours.metadata) == list(theirs.metadata)
        assert ours.metadata["backend"].startswith("cuda") and theirs.metadata["backend"].startswith("cpu")


def test_scatter_of_a_wide_field_with_heel_effect(simulator, ct):
    """Where the open field differs by a fifth from one side to the other."""
    how = acquisition(technique=Automatic("fluoro", heel=True), detector=load_detector("ideal"), grid=load_grid("none"))
    made = simulator.simulate(view(ct, 0, (96, 96), 3.1), how)
    assert made.open_field.min() < 0.8 * made.open_field.max()
    assert rms(made.signal, expose(shadow_of(simulator, made), how).frame.signal) <= 3e-4


def test_a_technique_by_hand_and_no_scatter(simulator):
    how = acquisition(analogue=True, technique=Technique(90, 0.5, {"aluminium": 3.0}, heel=True), scatter=None)
    made = simulator.simulate(view(simulator.ct), how)
    expected = expose(shadow_of(simulator, made), how)
    assert rms(made.signal, expected.frame.signal) <= 3e-4
    assert alike({key: made.metadata[key] for key in expected.metadata}, expected.metadata)


def test_a_train_with_lag_is_that_of_the_cpu(simulator, ct):
    """The C-arm moves, rests, and reads out another size; each frame shows what those before have left."""
    how, held, kept = acquisition(analogue=True), Held(), None
    poses = [(0, False), (0, False), (25, True), (25, False), (0, False)]
    for number, (angle, coarse) in enumerate(poses):
        this = replace(how, frame=number)
        made, held = simulator.pulse(view(ct, angle), this, held=held, coarse=coarse)
        expected = expose(shadow_of(simulator, made), this, True, kept)
        kept = expected.held
        assert isinstance(held.energy, CardArray) and made.metadata["effects"]["lag"]
        assert rms(made.signal, expected.frame.signal) <= 3e-4
        assert rms(held.energy.fetched(), kept) <= 3e-4
    without = simulator.simulate(view(ct, 0), how)
    assert rms(without.signal, made.signal) > 1e-3, "there is lag"
    smaller = view(ct, 0, (32, 28), 2 * PITCH)
    after, fresh = (simulator.pulse(smaller, how, held=which)[0] for which in (held, Held()))
    assert np.array_equal(after.signal, fresh.signal)


def test_the_same_state_of_the_panel_may_be_gone_on_from_twice(simulator, ct):
    """Also when newer ones have taken its place on the card."""
    _, first = simulator.pulse(view(ct), acquisition())
    one, held = simulator.pulse(view(ct, 30), acquisition(), held=first)
    kept = [held]
    for _ in range(5):
        other, held = simulator.pulse(view(ct, 30), acquisition(), held=first)
        assert np.array_equal(one.signal, other.signal)
        kept.append(held)


def test_lag_goes_over_from_the_cpu_to_the_card_and_back(simulator, ct):
    """As when contrast is given, whose pictures the CPU makes; here a detector that only the CPU reads."""
    how = acquisition(analogue=True)
    odd = replace(how, detector=replace(how.detector, vignetting=0.1))
    held, kept = Held(), None
    for each in (how, odd, how):
        made, held = simulator.pulse(view(ct), each, held=held)
        expected = expose(shadow_of(simulator, made), each, True, kept)
        kept = expected.held
        assert isinstance(held.energy, CardArray) == (each is how)
        assert rms(made.signal, expected.frame.signal) <= 3e-4


def test_lag_of_another_kind_and_without_a_rate_is_refused_as_by_the_cpu(simulator, ct):
    how = acquisition()
    _, held = simulator.pulse(view(ct), how)
    lag = how.detector.lag
    fewer = replace(how, detector=replace(how.detector, lag=replace(lag, fractions=(0.1,), time_constants=(1.0,))))
    with pytest.raises(InputError, match="start anew"):
        simulator.pulse(view(ct), fewer, held=held)
    with pytest.raises(InputError, match="time between two frames"):
        simulator.pulse(view(ct), replace(how, technique=Technique()))
    assert simulator.projector.name == "cuda"


def test_noise_of_a_view_at_rest_is_that_of_the_cpu(simulator, ct):
    """Standard deviation over many frames, pixel by pixel; new in every frame, the same for the same number."""
    how = acquisition(analogue=True, seed=9, grid=load_grid("none"))  # which leaves much scatter
    how = replace(how, detector=replace(how.detector, electronic_noise=60.0, lag=None))
    made = [simulator.simulate(view(ct), replace(how, frame=n)) for n in range(24)]
    still, shadow = simulator.simulate(view(ct), replace(how, seed=None)), shadow_of(simulator, made[0])
    theirs = [expose(shadow, replace(how, frame=n)).frame.signal for n in range(24)]
    ours = np.array([each.signal for each in made]) - still.signal
    spread = np.std(theirs, axis=0)
    assert np.sqrt((ours**2).mean() / (spread**2).mean()) == pytest.approx(np.sqrt(24 / 23), abs=0.02)
    bright = still.signal > np.median(still.signal)
    for part in (bright, ~bright):
        assert np.sqrt((ours[:, part] ** 2).mean() / (spread[part] ** 2).mean()) == pytest.approx(1.02, abs=0.03)
    assert abs(ours.mean()) < 4 * ours.std() / np.sqrt(ours.size) * 3  # neighbours share light
    assert abs(np.corrcoef(ours[0].ravel(), ours[1].ravel())[0, 1]) < 0.08
    again = simulator.simulate(view(ct), replace(how, frame=1)).signal
    assert np.array_equal(again, made[1].signal)


def test_a_view_at_rest_is_only_read_out(simulator, driver, ct):
    """Launches and bytes of a pulse: hardly more than the picture comes, and nothing large goes."""
    how, picture = acquisition(seed=1), 2 * SIZE[0] * SIZE[1]
    _, held = simulator.pulse(view(ct), how)
    _, held = simulator.pulse(view(ct), replace(how, frame=1), held=held)
    driver.forget()
    _, held = simulator.pulse(view(ct), replace(how, frame=2), held=held)
    assert driver.launches == ["quanta", "read_out"]
    assert picture <= driver.down < 1.2 * picture and driver.up < 64
    driver.forget()
    # What goes with a C-arm that moves does not depend on the size of the picture.
    moved, _ = simulator.pulse(view(ct, 20), replace(how, frame=3), held=held, coarse=True)
    rays, cells = 4 * 1024 * len(moved.materials), 4 * 32 * 32
    assert driver.down <= 1.2 * picture + rays + 5 * cells and driver.up < 24_000
    assert len(driver.launches) < 24
    assert not moved.meets_nothing and moved.warning == "" or "CT ends" in moved.warning
    assert driver.down <= 1.2 * picture + rays + 5 * cells, "a warning asks for no area densities"


def test_area_densities_come_when_they_are_asked_for_and_stay_right(simulator, driver, ct):
    """Also those of a picture long past, whose place on the card others have taken."""
    how = acquisition(collimation=FIELD)
    made = [simulator.simulate(view(ct, 15 * n), how) for n in range(_VIEWS + 3)]
    assert not made[0].meets_nothing
    rows, columns = (slice(*np.flatnonzero(made[0].exposed.any(axis=axis))[[0, -1]] + [0, 1]) for axis in (1, 0))
    for number in (len(made) - 1, 0, 3, _VIEWS):
        (expected,) = simulator.projector.project([view(ct, 15 * number).window(rows, columns)])
        areas = made[number].area_density
        assert np.array_equal(areas[:, rows, columns], expected)
        assert areas.sum() == pytest.approx(expected.sum(), rel=1e-5), "and 0 outside the shutters"
        driver.forget()
        assert made[number].area_density is areas and driver.down == 0
    again = simulator.simulate(view(ct, 15 * (len(made) - 1)), replace(how, technique=Technique()))
    assert again.area_density is made[-1].area_density, "the view is still there"
    beside = CArmPose(0, 0, ct.center_ras + [0, 3000, 0], 1000, 600, SIZE, (PITCH, PITCH)).beam()
    air = simulator.simulate(beside, how)
    assert air.meets_nothing and "No ray" in air.warning and air.area_density.max() == 0


def test_area_densities_of_a_lost_card_are_traced_again(simulator, driver, ct):
    made = simulator.simulate(view(ct), acquisition())
    driver.left, driver.error = -1, DeviceError("the card stopped working", lost=True)
    after = simulator.simulate(view(ct, 40), acquisition())
    assert after.metadata["backend"].startswith("cpu") and after.metadata["backend_note"] == "the card stopped working"
    expected = Simulator(ct, backend="cpu").simulate(view(ct), acquisition()).area_density
    assert np.array_equal(made.area_density, expected)
    driver.left = 10**9  # the next simulator's own
    other = Simulator(ct, backend="cuda")
    alone = other.simulate(view(ct), acquisition())
    driver.left = -1
    del other
    gc.collect()
    with pytest.raises(InputError, match="lost with the card"):
        _ = alone.area_density


@pytest.mark.parametrize("lost", [False, True], ids=["memory", "lost"])
@pytest.mark.parametrize("launch", [0, 9, 14])
def test_the_cpu_takes_over_in_the_middle_of_a_train(simulator, driver, ct, lost, launch):
    """What the panel held back comes along where the card can still be read; the picture arrives in any case."""
    how, held, kept = acquisition(analogue=True), Held(), None
    for number, angle in enumerate((0, 30, 60, 60)):
        if number == 2:
            driver.left, driver.error = launch, DeviceError("the card has no room", out_of_memory=not lost, lost=lost)
        if number == 2 and not lost:
            # Only what asks for more fails; copies of what is there work.
            driver._fail = lambda: None
            real, calls = driver.launch, [0]

            def short(*arguments, real=real, calls=calls):
                calls[0] += 1
                if calls[0] > launch:
                    raise driver.error
                real(*arguments)

            driver.launch = short
        made, held = simulator.pulse(view(ct, angle), replace(how, frame=number), held=held)
        if number == 2 and lost:
            kept = None
        expected = expose(shadow_of(simulator, made), how, True, kept)
        kept = expected.held
        assert made.metadata["backend"].startswith("cuda" if number < 2 else "cpu")
        assert rms(made.signal, expected.frame.signal) <= 3e-4
    assert isinstance(held.energy, np.ndarray) and simulator.projector.name == "cpu"


def test_many_threads_have_pictures_made_by_one_simulator(simulator, driver, ct):
    """As the workers of a dataset do; more of them than there are places for area densities."""
    how, angles = acquisition(seed=3), range(0, 90, 9)
    alone = [simulator.simulate(view(ct, angle), how) for angle in angles]
    with ThreadPoolExecutor(_VIEWS + 3) as pool:
        for _ in range(2):
            made = list(pool.map(lambda angle: simulator.simulate(view(ct, angle), how), angles))
            for one, other in zip(alone, made, strict=True):
                assert np.array_equal(one.signal, other.signal) and one.settings_hash == other.settings_hash
                assert one.metadata == other.metadata and np.array_equal(one.area_density, other.area_density)


def test_a_model_of_scatter_that_wants_the_whole_picture_is_for_the_cpu(simulator, driver, ct):
    class Even:
        name, key = "even", "even"

        def scatter(self, seen, should_stop=lambda: False):
            from DeepDRRSlicerLib.simulation.scatter import Scatter

            image = np.full(seen.beam.size, 1.0, np.float32)
            return Scatter(image, image)

    how = acquisition(scatter=Even())
    assert why_not(how) == "scatter by the Monte Carlo"
    made = simulator.simulate(view(ct), how)
    assert made.metadata["scatter"]["model"] == "even" and "read_out" not in driver.launches
    assert any(name.startswith("project") for name in driver.launches), "but projected there"


def test_contrast_is_added_by_the_cpu(simulator, driver, ct):
    class Dye:
        key, vessel = "dye", SimpleNamespace(digest="dye")

        def added_to(self, areas, materials, beam):
            return 1.5 * areas, materials

        def to_dict(self):
            return {"segment": "vessel"}

    plain, filled = (simulator.pulse(view(ct), acquisition(), contrast=each)[0] for each in (None, Dye()))
    assert driver.launches.count("read_out") == 1 and filled.metadata["contrast"] == {"segment": "vessel"}
    assert np.allclose(filled.area_density, 1.5 * plain.area_density)


@pytest.mark.parametrize("machine", ["mobile_carm", "angiography_stand"])
@pytest.mark.parametrize("mode", ["fluoro", "cine"])
def test_the_machines_that_ship_are_made_by_the_card(machine, mode):
    assert why_not(acquisition(machine, technique=Automatic(mode), seed=1)) == ""


def test_memory_does_not_grow_and_goes_with_the_simulator(simulator, driver, ct):
    device, before, how = simulator.projector.device, driver.live_bytes, acquisition(seed=1)
    another, seen, kept, held = Simulator(ct, backend="cuda"), [], [], Held()
    for number in range(18):
        made, held = another.pulse(view(ct, 5 * (number // 2)), replace(how, frame=number), held=held)
        kept.append(made)  # all of them
        seen.append(driver.live_bytes)
    assert len(set(seen[2 * _VIEWS :])) == 1
    del another
    device.call(lambda *_: None)
    there = driver.live_bytes - before
    assert there <= 4 * (_VIEWS * len(made.materials) + 4) * SIZE[0] * SIZE[1], "what is held, and a frame's lag"
    del kept, made, held
    device.call(lambda *_: None)
    assert driver.live_bytes == before


@pytest.mark.parametrize("size", [(45, 70), (96, 64), (20, 31)])
@pytest.mark.parametrize("part", [(1.0, 1.0), (0.7, 1.0)])
def test_cells_and_pixels_are_those_of_the_cpu(size, part):
    """More and fewer pixels than cells; at some pixels as at all."""
    driver, random = HostDriver(), np.random.default_rng(4)
    images = random.random((3, *size)).astype(np.float32)
    steps, buffer = CardSteps(driver), driver.buffer(images.nbytes)
    driver.upload(images, buffer)
    found = steps.in_cells(buffer, images.shape, (32, 32), part)
    expected = [to_cells(image, (32, 32), part) for image in images]
    np.testing.assert_allclose(found, expected, atol=2e-6)
    cells = random.random((32, 32)).astype(np.float32)
    steps.add_surface(buffer, size, cells, part, 2.0, 5.0)
    after = np.empty_like(images)
    driver.download(buffer, after)
    surface = to_pixels(cells, size, part)
    np.testing.assert_allclose(after[:2] - images[:2], [2 * surface, 5 * surface], atol=3e-6)
    pixels = random.integers(0, size[0] * size[1], 40)
    np.testing.assert_allclose(at_pixels(cells, size, pixels, part), surface.reshape(-1)[pixels], rtol=1e-5)


def test_arrays_on_the_card_make_room_for_new_ones():
    driver = Watched()
    device = device_thread.DeviceThread(lambda: driver)
    arrays = CardArrays(driver, device, 2)
    made = [device.call(lambda *_, n=n: arrays.uploaded(np.full((2, 3), n, np.float32))) for n in range(3)]
    assert [array.on(device) is None for array in made] == [True, False, False]
    assert driver.live_bytes == 2 * 24 and [array.fetched().max() for array in made] == [0, 1, 2]
    del made[1]
    gc.collect()
    fourth = device.call(lambda *_: arrays.new((2, 3)))
    assert driver.live_bytes == 2 * 24 and made[1].on(device) is not None and fourth.shape == (2, 3)
    del made, fourth
    gc.collect()
    larger = device.call(lambda *_: arrays.new((4, 3)))
    assert driver.live_bytes == 48 and larger.on(device) is not None
    device.close()
