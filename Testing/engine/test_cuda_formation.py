"""Pictures formed by the CUDA kernels, run by this processor, against the CPU's own steps and against statistics."""

import ctypes
from dataclasses import replace
from math import factorial

import numpy as np
import pytest

from DeepDRRSlicerLib.anatomy.phantom import chest_phantom
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.physics.blur import aperture_blur, aperture_weights, screen_blur, screen_weights
from DeepDRRSlicerLib.physics.collimation import Collimation
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.projection.cuda.driver import DeviceError
from DeepDRRSlicerLib.projection.cuda.projector import Areas
from DeepDRRSlicerLib.simulation.acquisition import Acquisition, Automatic
from DeepDRRSlicerLib.simulation.card_frames import CardFrames
from DeepDRRSlicerLib.simulation.exposing import Shadow, expose
from DeepDRRSlicerLib.simulation.formation_plan import why_not, why_not_in_batches
from DeepDRRSlicerLib.simulation.simulator import Simulator
from DeepDRRSlicerLib.simulation.technique import Technique
from host_cuda.compile import MISSING
from host_cuda.driver import HostDriver

pytestmark = pytest.mark.skipif(MISSING is not None, reason=MISSING or "")

MATERIALS = ("adipose", "water", "bone")
DEVICE = load_device("mobile_carm")


@pytest.fixture(scope="module")
def driver():
    return HostDriver()


def beam(size=(40, 48), pitch=0.8):
    return CArmPose(0, 0, (0, 0, 0), 1000, 600, size, (pitch, pitch)).beam()


def acquisition(detector="mobile_flat_panel", mas=1.0, **changes):
    technique = Technique(80.0, mas, {"aluminium": 3.0})
    return Acquisition(DEVICE, load_detector(detector), technique, **changes)


def smooth_areas(views, size):
    """A patient without sharp edges: filters that end earlier or later see the same."""
    r, c = np.indices(size) / np.array(size)[:, None, None]
    shapes = [3 + np.sin(3 * r), 12 + 6 * np.cos(4 * c + r), 2 * np.exp(-20 * ((r - 0.5) ** 2 + (c - 0.4) ** 2))]
    return np.array([[shape * (1 + 0.1 * v) for shape in shapes] for v in range(views)], np.float32)


def on_card(driver, areas):
    buffer = driver.buffer(areas.nbytes)
    driver.upload(areas, buffer)
    return Areas(buffer, areas.shape)


def formed(driver, areas, view, how, blur=0.4, number=0, materials=MATERIALS):
    frames = CardFrames(driver)
    result = frames.formed(on_card(driver, areas), materials, view, how, [blur] * len(areas), number)
    frames.free()
    return result


def by_cpu(area, view, how, blur=0.4):
    """object_distance: at which the focal spot's penumbra is `blur`."""
    distance = view.sid / (1 + blur / DEVICE.focal_spot)
    return expose(Shadow(area, MATERIALS, view, distance), how).frame


@pytest.mark.parametrize("detector", ["mobile_flat_panel", "angiography_panel", "ideal"])
def test_without_noise_it_is_the_picture_of_the_cpu(driver, detector):
    view, areas = beam(), smooth_areas(3, (40, 48))
    how = acquisition(detector)
    for area, frame in zip(areas, formed(driver, areas, view, how), strict=True):
        expected = by_cpu(area, view, how)
        step = 0 if frame.counts is None else 1.01 / (how.detector.gain * (how.detector.pixel_pitch / 0.8) ** 2)
        assert np.abs(frame.signal - expected.signal).max() <= 3e-4 * expected.signal.max() + step
        assert (frame.counts is None) == (expected.counts is None)
        if frame.counts is not None:
            assert frame.counts.dtype == expected.counts.dtype


def test_shutters_heel_and_edges_are_those_of_the_cpu(driver):
    """Steps, too, within what the filters leave out; nothing where shutters cover the field."""
    view, areas = beam(), smooth_areas(1, (40, 48))
    areas[0, 2, :, 25:] += 3
    how = acquisition("ideal", collimation=Collimation(8, 12, 10, 9))
    how = replace(how, technique=replace(how.technique, heel=True))
    (frame,) = formed(driver, areas, view, how)
    expected = by_cpu(areas[0], view, how)
    assert np.abs(frame.signal - expected.signal).max() < 1e-3 * expected.signal.max()
    assert (frame.signal[:, :5] == 0).all() and (expected.signal[:, :5] == 0).all()
    (without,) = formed(driver, areas, view, acquisition("ideal"))
    assert abs(without.signal[20, 33] / frame.signal[20, 33] - 1) > 2e-3  # the heel did something


def test_moments_of_the_noise_are_those_of_the_cpu(driver):
    """Mean and standard deviation over many pixels of one exposure, dim and bright; the detector blurs it alike."""
    view = beam((96, 96))
    for water, mas in ((20.0, 0.001), (20.0, 1.0)):
        areas = np.zeros((1, 3, 96, 96), np.float32)
        areas[0, 1] = water
        how = acquisition("mobile_flat_panel", mas, seed=3)
        how = replace(how, detector=replace(how.detector, electronic_noise=0.0, bit_depth=None, saturation=None))
        (ours,), theirs = formed(driver, areas, view, how), by_cpu(areas[0], view, how)
        still = by_cpu(areas[0], view, replace(how, seed=None)).signal
        a, b = (frame.signal / still - 1 for frame in (ours, theirs))
        assert a.std() == pytest.approx(b.std(), rel=0.06)  # 3 standard errors of blurred noise in 9216 pixels
        assert abs(a.mean()) < 4 * b.std() / 96
        lag = [np.mean(x[:, 1:] * x[:, :-1]) / x.var() for x in (a, b)]
        assert lag[0] == pytest.approx(lag[1], abs=0.06)


def test_electronic_noise_offset_and_saturation(driver):
    view = beam((64, 64), pitch=0.3)
    areas = np.full((1, 3, 64, 64), 500.0, np.float32)
    how = acquisition(seed=1)
    detector = how.detector
    (frame,) = formed(driver, areas, view, how)
    counts = frame.counts.astype(float)
    per_kev = detector.gain * (detector.pixel_pitch / 0.3) ** 2
    assert counts.mean() == pytest.approx(detector.dark_offset, abs=0.2)
    assert counts.std() == pytest.approx(np.hypot(detector.electronic_noise * per_kev, 1 / np.sqrt(12)), rel=0.06)
    (full,) = formed(driver, np.zeros((1, 3, 64, 64), np.float32), view, acquisition(mas=5000.0))
    assert (full.counts == detector.full_scale).all() and full.clipped == (0, 64 * 64)


def test_seed_frame_and_batch(driver):
    """The same numbers for the same (seed, frame), alone or in a batch; others for another frame or seed."""
    view, areas = beam(), smooth_areas(3, (40, 48))
    how = acquisition(seed=12345678901)
    together = formed(driver, areas, view, how, number=5)
    alone = formed(driver, areas[1:2], view, how, number=6)[0]
    assert np.array_equal(together[1].counts, alone.counts)
    still = formed(driver, areas[1:2], view, replace(how, seed=None))[0].signal
    for seed, number in ((how.seed, 7), (how.seed + 2**32, 6), (how.seed + 1, 6)):
        (other,) = formed(driver, areas[1:2], view, replace(how, seed=seed), number=number)
        noise = [(frame.signal - still).ravel() for frame in (alone, other)]
        assert abs(np.corrcoef(noise)[0, 1]) < 0.09  # four standard errors of 1920 pixels


def test_nothing_is_kept_from_call_to_call(driver):
    before = driver.live_bytes
    frames = CardFrames(driver)
    view, how, areas = beam(), acquisition(seed=1), on_card(driver, smooth_areas(2, (40, 48)))
    frames.formed(areas, MATERIALS, view, how, [0.4, 0.4], 0)
    held = driver.live_bytes
    for n in range(20):
        frames.formed(areas, MATERIALS, view, how, [0.4, 0.4], n)
    assert driver.live_bytes == held
    frames.free()
    areas.buffer.free()
    assert driver.live_bytes == before


def test_weights_of_neighbours_are_the_filters():
    """Inside an image, away from its border, both ways to filter agree."""
    image = np.random.default_rng(2).random((128, 128))
    pitch, mtf = (0.2, 0.2), load_detector("mobile_flat_panel").mtf
    (expected,) = aperture_blur([image], pitch, 0.5)
    across, n = aperture_weights(0.2, 0.5), len(aperture_weights(0.2, 0.5)) // 2
    lines = np.apply_along_axis(lambda line: np.convolve(line, across, "same"), 1, image)
    found = np.apply_along_axis(lambda line: np.convolve(line, across, "same"), 0, lines)
    assert np.abs(found - expected)[2 * n : -2 * n, 2 * n : -2 * n].max() < 2e-3
    weights = screen_weights(pitch, mtf)
    n = len(weights) // 2
    expected = screen_blur(image, pitch, mtf, None)
    windows = np.lib.stride_tricks.sliding_window_view(image, weights.shape)
    found = np.einsum("rcij,ij->rc", windows, weights)
    assert np.abs(found - expected[n:-n, n:-n]).max() < 2e-3


def test_what_a_card_leaves_to_the_cpu_is_named():
    assert why_not(acquisition()) == ""
    automatic = replace(acquisition(), technique=Automatic("fluoro"))
    assert why_not_in_batches(automatic) == "automatic exposure" and why_not(automatic) == ""
    assert why_not(acquisition("image_intensifier")) != ""
    assert why_not(acquisition(distortion=True)) == "the detector's distortion"


KNOWN = [  # counter, key, result: kat_vectors of the Random123 library, philox 4x32 with 10 rounds
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
     (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]  # fmt: skip


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """The functions of philox.h, to be called one by one."""
    import subprocess

    from host_cuda import compile as host

    folder = tmp_path_factory.mktemp("philox")
    (folder / "numbers.cpp").write_text(f"""
#include "{host._HEADER}"
#include "{host.KERNELS / "philox.h"}"
extern "C" void bits(const unsigned* c, const unsigned* k, unsigned* out) {{
    const uint4 r = philox({{c[0], c[1], c[2], c[3]}}, {{k[0], k[1]}});
    out[0] = r.x; out[1] = r.y; out[2] = r.z; out[3] = r.w;
}}
extern "C" void draw(int n, float mean, float* normal, float* poisson) {{
    for (int i = 0; i < n; i++) {{
        const uint4 r = philox({{(unsigned)i, 7u, 0u, 0u}}, {{1u, 2u}});
        normal[i] = normal_of(r.x, r.y); poisson[i] = poisson_of(mean, r.z);
    }}
}}""")
    target = folder / "numbers.so"
    subprocess.run(["g++", "-std=c++17", "-O2", "-fPIC", "-shared", folder / "numbers.cpp", "-o", target],
                   check=True)  # fmt: skip
    return ctypes.CDLL(str(target))


@pytest.mark.parametrize("counter, key, expected", KNOWN)
def test_random_numbers_are_philox(numbers, counter, key, expected):
    found = (ctypes.c_uint * 4)()
    numbers.bits((ctypes.c_uint * 4)(*counter), (ctypes.c_uint * 2)(*key), found)
    assert tuple(found) == expected


@pytest.mark.parametrize("mean", [0.3, 4.0, 9.9])
def test_normal_and_poisson_numbers(numbers, mean):
    n = 200_000
    normal, poisson = np.empty((2, n), np.float32)
    numbers.draw(n, ctypes.c_float(mean), *(a.ctypes.data_as(ctypes.c_void_p) for a in (normal, poisson)))
    assert np.isfinite(normal).all() and abs(normal.mean()) < 4 / np.sqrt(n)
    assert normal.var() == pytest.approx(1, abs=4 * np.sqrt(2 / n)) and (normal**4).mean() == pytest.approx(3, abs=0.1)
    for k in range(12):
        share = np.exp(-mean) * mean**k / factorial(k)
        assert (poisson == k).mean() == pytest.approx(share, abs=4.5 * np.sqrt(share / n) + 1e-6)


class Counting(HostDriver):
    """most_images: that one launch may form, as if memory ended there; left: launches until the card is lost.

    images: of each launch.
    """

    def __init__(self, most_images=99):
        super().__init__()
        self.most_images, self.left, self.images = most_images, 10**9, []

    def close(self):
        pass

    def launch(self, kernel, grid, block, arguments):
        self.left -= 1
        if self.left < 0:
            raise DeviceError("the card was lost", lost=True)
        if kernel.name == "read_out":
            if grid[2] > self.most_images:
                raise DeviceError("the card has not enough free memory", out_of_memory=True)
            self.images.append(grid[2])
        super().launch(kernel, grid, block, arguments)


def simulator_on(monkeypatch, driver):
    from DeepDRRSlicerLib.projection.cuda import device_thread, drivers

    monkeypatch.setattr(drivers, "_lost", {})  # what this test loses is there for the next one
    device = device_thread.DeviceThread(lambda: driver)
    monkeypatch.setattr(device_thread, "shared_device", lambda *_: device)
    return Simulator(chest_phantom(8.0).ct, backend="cuda")


def views(simulator, count):
    center = simulator.ct.center_ras
    return [CArmPose(20.0 * n, 0, center, 1000, 600, (72, 96), (3.0, 3.0)).beam() for n in range(count)]


def test_frames_of_many_views_are_made_in_batches_on_the_card(monkeypatch):
    driver = Counting()
    simulator, how = simulator_on(monkeypatch, driver), acquisition("ideal")
    beams = views(simulator, 5)
    frames = list(simulator.frames_only(beams, how))
    assert driver.images == [5]
    materials = simulator.projector.materials
    for beam_, area, frame in zip(beams, simulator.projector.project(beams), frames, strict=True):
        shadow = Shadow(area, materials, beam_, float((simulator.ct.center_ras - beam_.source) @ beam_.normal))
        expected = expose(shadow, how).frame.signal
        # Filters end differently at the picture's border.
        assert np.sqrt(np.mean((frame.signal - expected) ** 2)) < 2e-3 * expected.max()
        assert np.median(np.abs(frame.signal - expected)) < 1e-4 * expected.max()


def test_batches_shrink_to_the_memory_and_the_cpu_takes_over_a_lost_card(monkeypatch):
    driver, how = Counting(most_images=2), acquisition(seed=4)
    simulator = simulator_on(monkeypatch, driver)
    frames = list(simulator.frames_only(views(simulator, 5), how))
    assert driver.images == [2, 2, 1]
    driver.most_images, driver.left = 99, 4  # in the middle of the batch
    broken = list(simulator.frames_only(views(simulator, 5), how))
    assert len(broken) == 5 and simulator.projector.name == "cpu" and "lost" in simulator.projector.note
    # Means agree, but every pixel has the noise of whichever made it.
    for a, b in zip(frames, broken, strict=True):
        assert a.signal.mean() == pytest.approx(b.signal.mean(), rel=0.02)


def test_what_is_not_made_in_batches_is_made_one_by_one(monkeypatch):
    driver = Counting()
    simulator = simulator_on(monkeypatch, driver)
    automatic = replace(acquisition(seed=1), technique=Automatic("fluoro"))
    made = list(simulator.frames_only(views(simulator, 2), automatic))
    assert driver.images == [1, 1] and made[0].signal.shape == (72, 96)
    (frame,) = simulator.frames_only(views(simulator, 1), acquisition("image_intensifier", seed=1))
    assert driver.images == [1, 1] and frame.signal.shape == (72, 96), "this one by the CPU"
