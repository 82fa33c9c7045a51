"""On a real card, by every driver that works there: what the other tests have this processor do in its place.

make test-gpu
"""

import sys
from dataclasses import replace

import numpy as np
import pytest
from test_cuda_formation import (  # noqa: F401 (collected here again, with the card's driver)
    test_electronic_noise_offset_and_saturation,
    test_moments_of_the_noise_are_those_of_the_cpu,
    test_nothing_is_kept_from_call_to_call,
    test_seed_frame_and_batch,
    test_shutters_heel_and_edges_are_those_of_the_cpu,
    test_without_noise_it_is_the_picture_of_the_cpu,
)
from test_cuda_live import acquisition as fluoroscopy
from test_cuda_live import (  # noqa: F401 (likewise)
    ct,
    test_a_technique_by_hand_and_no_scatter,
    test_a_train_with_lag_is_that_of_the_cpu,
    test_lag_goes_over_from_the_cpu_to_the_card_and_back,
    test_noise_of_a_view_at_rest_is_that_of_the_cpu,
    test_scatter_of_a_wide_field_with_heel_effect,
    test_the_same_state_of_the_panel_may_be_gone_on_from_twice,
)
from test_cuda_projection import chest, chest_beams, judged, relative_rms, sheared_volume, wide_view  # noqa: F401

from DeepDRRSlicerLib.commands.benchmark.body import thorax
from DeepDRRSlicerLib.commands.benchmark.projection import oblique_view
from DeepDRRSlicerLib.projection.cuda import drivers
from DeepDRRSlicerLib.projection.cuda.device_thread import shared_device
from DeepDRRSlicerLib.projection.cuda.driver import DeviceError
from DeepDRRSlicerLib.projection.cuda.projector import CudaProjector
from DeepDRRSlicerLib.projection.projector import make_projector
from DeepDRRSlicerLib.projection.tools import Tool
from DeepDRRSlicerLib.simulation.simulator import Held, Simulator

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module", params=drivers.DRIVERS)
def driver(request):
    try:
        driver = drivers.open_driver(request.param)
    except DeviceError as error:
        pytest.skip(f"{request.param}: {error}")
    yield driver
    driver.close()


@pytest.fixture
def simulator(driver, ct):  # noqa: F811
    made = Simulator(ct, backend=f"cuda/{driver.name}")
    yield made
    assert made.projector.name == "cuda", made.projector.note


def test_memory_copies_and_textures(driver):
    free, total = driver.memory()
    assert 0 < free <= total
    buffer = driver.buffer(1 << 20)
    values = np.arange(1 << 18, dtype=np.float32)
    driver.upload(values, buffer)
    back = np.zeros_like(values)
    driver.download(buffer, back)
    np.testing.assert_array_equal(back, values)
    with pytest.raises(DeviceError) as refused:
        driver.buffer(2 * total)
    assert refused.value.out_of_memory
    buffer.free()


@pytest.mark.parametrize(("exact", "most"), [(False, 2e-4), (True, 2e-5)])
def test_error_on_a_chest_from_40_directions(driver, chest, exact, most):  # noqa: F811
    beams = chest_beams(chest, 40, 12)
    projector = CudaProjector(chest, driver, exact)
    errors = relative_rms(projector.project(beams), judged(chest, beams))
    projector.free()
    print(f"largest {errors.max():.2e}")
    assert errors.max() <= most


def test_cpu_and_cuda_agree(driver, chest):  # noqa: F811
    beams = chest_beams(chest, 40, 96)
    projector = CudaProjector(chest, driver)
    cpu = make_projector(chest, "cpu").project(beams)
    errors = relative_rms(projector.project(beams), cpu.sum(axis=1, dtype=np.float64).reshape(len(beams), -1))
    projector.free()
    assert errors.max() <= 3e-4


@pytest.mark.parametrize("seed", range(4))
def test_the_card_does_what_this_processor_does_in_its_place(driver, seed):
    from host_cuda.compile import MISSING
    from host_cuda.driver import HostDriver

    if MISSING is not None:
        pytest.skip(MISSING)
    volume = sheared_volume(seed, 3)
    beams = [wide_view(volume, (40 * n, 20 * n - 50), 900, (31, 27)) for n in range(5)]
    for exact, most in ((True, 2e-6), (False, 1e-3)):  # how the hardware rounds its weights is not laid down
        ours, theirs = (CudaProjector(volume, one, exact).project(beams) for one in (driver, HostDriver()))
        assert np.abs(ours - theirs).max() <= most * theirs.max()


def test_tools_are_those_of_the_cpu(driver):
    simulator = Simulator(thorax((24, 64, 64)), backend="cpu")
    centre = simulator.ct.center_ras
    corners = centre + 30 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    tool = Tool("tool", corners, np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]), "titanium")
    beams = [oblique_view(simulator.ct, 64, turned) for turned in (0, 40, 80)]
    cpu = simulator.projector.project(beams, [tool])
    card = CudaProjector(simulator._volume, driver)
    assert relative_rms(card.project(beams, [tool]), cpu.sum(axis=1, dtype=np.float64).reshape(3, -1)).max() <= 1e-3
    card.free()


def test_a_graph_repeats_what_was_recorded(driver):
    texels = np.full((8, 8, 8, 1), 65535, np.uint16)
    kernel, texture = driver.kernels("samples.cu", ["samples_1"])["samples_1"], driver.texture(texels, True)
    sums = driver.buffer(4 * 256)
    arguments = (texture, np.int32(8), np.int32(4), sums)
    again = driver.graph(lambda: driver.launch(kernel, (1, 1, 1), (16, 16, 1), arguments))
    driver.upload(np.zeros(256, np.float32), sums)
    again()
    found = np.zeros(256, np.float32)
    driver.download(sums, found)
    inside = found.reshape(16, 16)[:7, :7]
    np.testing.assert_allclose(inside, 4, rtol=2e-2)
    assert driver.milliseconds(again) > 0


def test_no_memory_grows_over_10000_frames(driver):
    volume = Simulator(thorax((24, 64, 64)), backend="cpu")._volume
    card = CudaProjector(volume, driver)
    beams = [oblique_view(volume, 64, turned) for turned in range(10)]

    def thousand():
        for _ in range(100):
            card.project(beams)
        return driver.memory()[0]

    free = thousand()
    assert all(thousand() >= free - (1 << 20) for _ in range(9))
    card.free()


def test_no_memory_grows_over_10000_pulses(simulator, driver):
    """At rest and moving, with brightness control, scatter and lag; all other pictures are let go of."""
    way, held = fluoroscopy(seed=1), Held()
    beams = [oblique_view(simulator.ct, 64, turned) for turned in range(10)]

    def thousand(held):
        for n in range(1000):
            _, held = simulator.pulse(beams[n // 100], replace(way, frame=n), held=held, coarse=n % 100 == 0)
        return driver.memory()[0], held

    free, held = thousand(held)
    for _ in range(9):
        left, held = thousand(held)
        assert left >= free - (1 << 20)


def test_beside_torch_in_one_process(chest):  # noqa: F811
    """Both compute at once on the same context, and neither waits for the other for ever."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch finds no card")
    free = shared_device().call(lambda driver, _: driver.memory()[0])
    kept = torch.ones(1 << 26, device="cuda")
    assert shared_device().call(lambda driver, _: driver.memory()[0]) <= free - kept.nbytes + (1 << 20)
    projector, beams = make_projector(chest, "cuda"), chest_beams(chest, 4, 64)
    first = projector.project(beams)
    for _ in range(20):
        product = torch.ones(2048, 2048, device="cuda") @ torch.ones(2048, 2048, device="cuda")
        np.testing.assert_array_equal(projector.project(beams), first)
        assert float(product[0, 0]) == 2048
    assert projector.name == "cuda" and "torch" in sys.modules
