"""Unsharp masking against its closed forms."""

import numpy as np
import pytest

from DeepDRRSlicerLib.simulation.edge_enhancement import detail, enhanced

SIZE = (256, 240)
RADIUS, GAIN = 3.0, 1.5


@pytest.mark.parametrize("wavelength", [6.0, 20.0, 60.0])
def test_a_sine_grows_by_the_stated_factor(wavelength):
    columns = np.arange(SIZE[1])
    wave = 5 + np.tile(np.cos(2 * np.pi * (columns + 0.5) / wavelength), (SIZE[0], 1))  # its mirror images continue it
    expected = 1 + GAIN * (1 - np.exp(-2 * (np.pi * RADIUS / wavelength) ** 2))
    inner = slice(60, 180)
    result = enhanced(wave, RADIUS, GAIN)[:, inner] - 5
    np.testing.assert_allclose(result, expected * (wave[:, inner] - 5), atol=2e-3 * expected)


def test_a_step_shoots_by_half_the_gain_and_no_more():
    image = np.ones(SIZE)
    image[:, 120:] = 3.0
    sharp = enhanced(image, RADIUS, GAIN)
    assert sharp.max() == pytest.approx(
        3 + GAIN * 2 / 2 * 0.87, abs=0.1
    )  # the pixel beside the edge is half a pixel off
    assert sharp.max() <= 3 + GAIN and sharp.min() >= 1 - GAIN
    far = np.r_[20:100, 140:220]
    np.testing.assert_allclose(sharp[:, far], image[:, far], atol=1e-3)


def test_plain_regions_and_no_gain_change_nothing():
    flat = np.full(SIZE, 4.25, np.float32)
    np.testing.assert_allclose(enhanced(flat, RADIUS, GAIN), flat, atol=1e-5)
    noisy = np.random.default_rng(0).normal(size=SIZE).astype(np.float32)
    assert enhanced(noisy, RADIUS, 0.0) is noisy
    assert enhanced(noisy, RADIUS, 1.0).dtype == np.float32
    assert abs(detail(noisy, RADIUS).mean()) < 1e-3


def test_what_is_not_shown_neither_changes_nor_leaves_a_halo():
    image, shown = np.full(SIZE, 4.0), np.ones(SIZE, bool)
    shown[:, :80] = False
    image[~shown] = -100.0
    sharp = enhanced(image, RADIUS, GAIN, shown)
    np.testing.assert_array_equal(sharp[~shown], -100.0)
    np.testing.assert_allclose(sharp[shown], 4.0, atol=1e-4)
