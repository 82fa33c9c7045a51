"""The benchmark of a card, run by this processor in its place: what it measures is there and right, not how fast."""

import argparse

import numpy as np
import pytest

from DeepDRRSlicerLib.commands import bench
from DeepDRRSlicerLib.commands.benchmark import body, cuda
from DeepDRRSlicerLib.commands.benchmark.projection import oblique_view, with_channels
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.projection.cuda import device_thread, drivers
from DeepDRRSlicerLib.projection.cuda.device_thread import DeviceThread
from DeepDRRSlicerLib.projection.cuda.driver import DeviceError
from DeepDRRSlicerLib.projection.cuda.records import packed
from host_cuda.compile import MISSING
from phantoms import centered, material_volume

here = pytest.mark.skipif(MISSING is not None, reason=MISSING or "")
TINY = (10, 24, 24)


def options(*arguments):
    parser = argparse.ArgumentParser()
    bench.add_parser(parser.add_subparsers())
    return parser.parse_args(["bench", *arguments])


@pytest.fixture
def small(monkeypatch):
    for name, value in (("LARGE", 24), ("SMALL", 16), ("BATCH", 2), ("_REPEATS", 1), ("_SIDE", 8), ("_PIXELS", 16),
                        ("_STEPS", 8), ("_JUDGED_RAYS", 20)):  # fmt: skip
        monkeypatch.setattr(cuda, name, value)


@pytest.fixture
def device():
    from host_cuda.driver import HostDriver

    class Driver(HostDriver):
        def close(self):
            pass

    thread = DeviceThread(Driver)
    yield thread
    thread.close()


@here
def test_all_rows_are_there(small, device, monkeypatch):
    monkeypatch.setattr(device_thread, "shared_device", lambda choice: {"host": device}[choice])
    measured = list(cuda.card_rows(body.thorax(TINY), device))
    assert len(measured) == 14 and measured[-1].what.startswith("memory of the card in use: ")
    assert "left out" in measured[-6].what  # the peer needs a card of its own
    projections = [row for row in measured if row.what == "projection"]
    assert [(row.channels, row.size, row.views) for row in projections] == [(3, 24, 2), (1, 16, 2)]
    assert all(0 < row.error < 0.02 and row.rate > 0 and row.share > 0 for row in projections)
    exact = [row for row in measured if "exact" in row.what]
    assert all(row.error < 2e-3 for row in exact)  # against steps of 0.1 mm
    whole = [row for row in measured if row.what.startswith("complete radiograph")]
    assert [(row.channels, row.size, row.views) for row in whole] == [(3, 24, 2), (3, 24, 1)]
    live = [row for row in measured if row.what.startswith("live: pulses")]
    assert [(row.channels, row.size, row.views) for row in live] == [(3, 24, 1)] * 2
    assert all(row.milliseconds > 0 for row in (*whole, *live))


@here
def test_live_pulses_of_the_cpu_are_not_told_as_the_cards(small, device, monkeypatch):
    monkeypatch.setattr(device_thread, "shared_device", lambda choice: device)

    def short(*_):
        raise DeviceError("the card has not enough free memory")

    rows = cuda.live_rows(body.thorax(TINY), 24, device)
    monkeypatch.setattr(drivers, "_lost", {})
    device.call(lambda driver, _: setattr(driver, "launch", short))
    with pytest.raises(DeviceError, match="not enough free memory"):
        next(rows)


@here
def test_the_rate_counts_every_sample(small, device):
    """As many samples as threads times steps: the sum of ones is their number."""
    seen = {}

    def measured(driver, _):
        launch, download = driver.launch, driver.download

        def watched(kernel, grid, block, arguments):
            launch(kernel, grid, block, arguments)
            sums = np.empty(np.prod(np.multiply(grid, block)), np.float32)
            download(arguments[-1], sums)
            seen["sums"] = sums

        driver.launch = watched
        driver.milliseconds = lambda work: work() or 2.0
        try:
            return cuda.sample_rate(driver, 2)
        finally:
            del driver.launch, driver.milliseconds

    rate = device.call(measured)
    assert rate == 16 * 16 * 8 / 2e-3 and len(seen["sums"]) == 256
    assert 8 * 2 * 0.2 < seen["sums"].mean() < 8 * 2 * 0.8  # random texels from 0 to 1, in two channels


def test_samples_of_a_block_whose_planes_are_known():
    """Along j, through 9 voxels and one beyond on either side: 20 samples for a ray that meets it."""
    block = material_volume(np.ones((60, 9, 60)), centered((60, 9, 60), (4.0, 5.0, 4.0)))
    beam = oblique_view(block, 8)
    (part,) = packed(block)
    straight = beam.__class__((0, -600.0, 0), (-3, 400, 3), (1, 0, 0), (0, 0, -1), (1, 1), (8, 8))
    assert cuda.samples_taken(block, part, [straight]) == pytest.approx(20 * 64)
    beside = beam.__class__((900, -600.0, 0), (897, 400, 3), (1, 0, 0), (0, 0, -1), (1, 1), (8, 8))
    assert cuda.samples_taken(block, part, [straight, beside]) == pytest.approx(20 * 64)
    assert cuda.samples_taken(with_channels(block, 1), part, [beam]) > 10 * 64


def test_a_row_as_text():
    row = cuda.CardRow("projection", 8.0, 16, 3, 1024, 512.25, 0.634, 1.5e-4)
    text = cuda.line(row)
    assert text.split() == ["projection", "3", "1024", "16", "8.000", "2000.0", "512.2", "63%", "1.5e-04"]
    assert len(text) == len(cuda.HEADER)
    assert cuda.line(cuda.CardRow("nanodrr: left out")).split() == ["nanodrr:", "left", "out", "1"]


def test_without_a_card_there_is_one_sentence(monkeypatch):
    def none(choice):
        raise DeviceError(f"{choice} finds nothing")

    monkeypatch.setattr(device_thread, "shared_device", none)
    chosen = options("--backend", "cuda", "--cuda-driver", "pycuda")
    with pytest.raises(InputError, match="^There is nothing to measure: pycuda finds nothing.$"):
        chosen.run(chosen)
