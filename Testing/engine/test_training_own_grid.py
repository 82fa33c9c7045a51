"""Samples of the refiner: blocks on a CT's own grid, in their places on the working grid, with the network's answer."""

import numpy as np
import pytest
from learning_samples import one_thread, write_small_network  # noqa: F401

from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.learning.grid import resampled
from DeepDRRSlicerLib.training.decomposition import own_grid
from DeepDRRSlicerLib.training.decomposition.body.canvas import BONE, SOFT
from DeepDRRSlicerLib.training.decomposition.own_grid import BLOCK, blocks

torch = pytest.importorskip("torch")

from DeepDRRSlicerLib.learning.device import cpu  # noqa: E402
from DeepDRRSlicerLib.learning.inference import placed, tile  # noqa: E402
from DeepDRRSlicerLib.learning.refinement import about, between  # noqa: E402
from DeepDRRSlicerLib.learning.weights import load_trained  # noqa: E402
from DeepDRRSlicerLib.training.decomposition.refiner_samples import BLOCKS, refiner_sample  # noqa: E402

SYNTHETIC = {"spacing": 4.0, "margin": 4, "mix": {"synthetic": 1.0}}
STEPS = (3.0, 2.0, 2.0)


@pytest.fixture
def ramp(monkeypatch):
    """Windows whose HU tell the place: 10 S + 2 A + 5 R in mm from the window's middle; above 100 HU is bone."""
    shape = (37, 56, 56)
    s, a, r = (np.ogrid[tuple(slice(n) for n in shape)][axis] for axis, n in enumerate(shape))
    places = [(axis - (n - 1) / 2) * step for axis, n, step in zip((s, a, r), shape, STEPS)]
    hu = sum(np.float32(f) * place for f, place in zip((10, 2, 5), places)).astype(np.float32)
    labels = np.where(hu > 100, BONE, SOFT).astype(np.uint8)
    weight = (hu > -300).astype(np.float32)
    monkeypatch.setattr(own_grid, "_synthetic", lambda rng: (hu, labels, weight, STEPS))
    return hu


def test_blocks_lie_where_they_say(ramp):
    found = blocks(SYNTHETIC, 1, 0, 3)
    d, h, w = (n + 8 for n in BLOCK)
    assert found.hu.shape == (3, d, h, w) and found.labels.shape == found.weight.shape == (3, *BLOCK)
    inner = found.hu[:, 4:-4, 4:-4, 4:-4]
    assert np.array_equal(found.labels == BONE, inner > 100) and np.array_equal(found.weight == 1, inner > -300)
    middle = (np.array(found.coarse.shape) - 1) / 2
    for hu, places in zip(found.hu, found.places):
        s, a, r = (4 * (p - m) for p, m in zip(np.split(places, (d, d + h)), middle))
        expected = 10 * s[:, None, None] + 2 * a[:, None] + 5 * r
        assert hu == pytest.approx(expected, abs=0.01)
        values = between(torch.from_numpy(found.coarse)[None], np.split(places, (d, d + h)))[0].numpy()
        assert np.median(abs(values - hu)) < 1  # the same ramp on the working grid


def test_the_working_grid_is_that_of_any_ct(ramp):
    found = blocks(SYNTHETIC, 1, 0, 1)
    assert found.coarse == pytest.approx(resampled(Volume(ramp, np.diag([2.0, 2.0, 3.0, 1.0])), 4.0))


def test_unknown_voxels_are_unknown_on_the_working_grid(ramp, monkeypatch):
    hu, labels, weight, steps = own_grid._synthetic(None)
    hu = hu.copy()
    hu[:12] = np.nan
    monkeypatch.setattr(own_grid, "_synthetic", lambda rng: (hu, labels, weight, steps))
    found = blocks(SYNTHETIC, 1, 0, 1)
    planes = np.isnan(found.coarse).all((1, 2))
    assert planes[:8].all() and not planes[10:].any() and np.isfinite(found.hu).all()


def test_a_sample_is_what_the_network_says_of_its_window(tmp_path):
    weights = write_small_network(tmp_path / "small.safetensors")
    first, again = (refiner_sample(SYNTHETIC, 5, weights, BLOCKS + 1) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    probabilities, hu, told, labels, weight = first
    window = blocks(SYNTHETIC, 5, 1, BLOCKS)
    assert np.array_equal(hu, window.hu[1]) and np.array_equal(labels, window.labels[1])
    assert np.array_equal(told, about(window.steps, window.noise).numpy()) and weight.shape == labels.shape
    size = [-(-n // 4) * 4 for n in window.coarse.shape]
    network = placed(load_trained(weights).network, cpu())
    coarse = tile(network, cpu(), torch.from_numpy(window.coarse), size)
    expected = between(coarse, np.split(window.places[1], np.cumsum(hu.shape)[:2])).numpy()
    assert probabilities == pytest.approx(expected, abs=2e-3) and probabilities.sum(0) == pytest.approx(1, abs=5e-3)


def test_windows_have_the_spacings_of_cts(monkeypatch):
    monkeypatch.setattr(own_grid, "WINDOW_MM", 30.0)
    rng = np.random.default_rng(0)
    found = [own_grid._synthetic(rng) for _ in range(12)]
    steps = np.array([steps for *_, steps in found])
    assert (steps[:, 1] == steps[:, 2]).all() and (steps[:, 0] >= steps[:, 1]).all()
    assert steps[:, 1].min() < 1 and steps[:, 1].max() > 1.5 and steps[:, 0].max() > 2.5
    for hu, labels, weight, (s, a, _) in found:
        assert hu.shape == labels.shape == weight.shape
        assert abs(hu.shape[0] * s - hu.shape[1] * a) < 2 * s
