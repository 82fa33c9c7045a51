"""Blur against its own transfer function as a physicist would measure it: slanted edge, penumbra, variance."""

from math import erf

import numpy as np
import pytest

from DeepDRRSlicerLib.physics.blur import aperture_blur, screen_blur, transfer_of
from DeepDRRSlicerLib.physics.detector import Detector, Gaussians, Glare, Lorentzian, Scintillator, load_detector
from DeepDRRSlicerLib.physics.readout import frame_generator, read_out

SLANT = 20  # rows after which the edge has moved by one pixel: 2.86 degrees


def edge_spread(detector, pitch, source_blur=None, size=400, down=False):
    """Positions (mm) and signal of a slanted edge, sampled SLANT times per pixel, as IEC 62220-1 has it.

    The edge lies at points between the pixels, so that no point sample falls on it.
    """
    rows, cols = np.indices((size, size))
    distance = cols - (size / 2 - size / (2 * SLANT) + (rows + 0.5) / SLANT - 0.25 / SLANT)
    mean = np.where(distance > 0, 1e5, 1e4)
    image = mean.T if down else mean
    signal = read_out(image, image * 50, detector, pitch, None, source_blur).signal
    signal = signal.T if down else signal
    steps = np.rint(distance * SLANT + 0.25).astype(int)
    inside = np.abs(steps) <= (size // 2 - size // SLANT - 10) * SLANT
    spread = np.bincount(steps[inside] - steps[inside].min(), signal[inside].astype(np.float64))
    spread /= np.bincount(steps[inside] - steps[inside].min())
    across = pitch / SLANT * np.cos(np.arctan(1 / SLANT))
    return (np.arange(len(spread)) - len(spread) // 2) * across, spread


def measured_mtf(positions, spread, frequencies):
    line = np.diff(spread)
    middle = 0.5 * (positions[1:] + positions[:-1])
    return np.abs(np.exp(-2j * np.pi * np.outer(frequencies, middle)) @ line) / line.sum()


def panel(mtf, **changes):
    return Detector("test", (512, 512), 0.2, (1,), 1, scintillator=Scintillator("CsI", 600.0, mtf=mtf), **changes)


def test_curves_are_those_of_the_file_format():
    """Lorentzian: half at its half frequency, a fifth at twice that. The others: transforms of their spreads."""
    np.testing.assert_allclose(transfer_of(Lorentzian(1.3), None, [0, 1.3, 2.6]), [1, 0.5, 0.2])
    x = np.arange(-40, 40, 0.02)
    for mtf, glare, spread in (
        (Gaussians((1.0,), (0.3,)), None, np.exp(-(x**2) / (2 * 0.3**2))),
        # Seen along lines, exp(-r / l) / (2 pi l^2) is |x|/l K1(|x|/l) / (pi l); summed here from its points.
        (None, Glare(0.999999, 1.5), np.exp(-np.hypot(x[::10], x[:, None]) / 1.5).sum(axis=1)),
    ):
        for frequency in (0.05, 0.3, 0.7):
            expected = (spread * np.cos(2 * np.pi * frequency * x)).sum() / spread.sum()
            assert transfer_of(mtf, glare, frequency) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("pitch", [0.2, 0.154])
@pytest.mark.parametrize("mtf", [Lorentzian(1.0), Gaussians((0.75, 0.25), (0.1, 0.35)), None])
def test_slanted_edge_recovers_the_configured_curve(mtf, pitch, down):
    """Pixel's sinc times the scintillator's MTF, within 3 % of the curve up to Nyquist, along rows and columns."""
    frequencies = np.linspace(0.05, 0.5 / pitch, 25)
    expected = np.sinc(frequencies * pitch) * transfer_of(mtf, None, frequencies)
    found = measured_mtf(*edge_spread(panel(mtf), pitch, down=down), frequencies)
    np.testing.assert_allclose(found, expected, rtol=0.03)


def test_slanted_edge_with_everything():
    """The focal spot's sinc and the glare's drop at low frequency are there as well."""
    glare, frequencies = Glare(0.1, 4.0), np.linspace(0.2, 2.4, 12)
    expected = (
        np.sinc(frequencies * 0.2) * np.sinc(frequencies * 0.3) * transfer_of(Lorentzian(1.0), glare, frequencies)
    )
    found = measured_mtf(*edge_spread(panel(Lorentzian(1.0), glare=glare), 0.2, source_blur=0.3), frequencies)
    np.testing.assert_allclose(found, expected, rtol=0.03)
    assert transfer_of(None, glare, 0.5) == pytest.approx(0.9, abs=0.001)


def test_shipped_panel_has_the_measured_mtf():
    """0.086 +- 0.007 at 2.5 cycles/mm with pixels of 0.194 mm (Kuhls-Gilcrist 2010)."""
    mobile = load_detector("mobile_flat_panel")
    assert measured_mtf(*edge_spread(mobile, 0.194), [2.5])[0] == pytest.approx(0.086, abs=0.007)


def test_penumbra_of_a_focal_spot():
    """0.6 mm at a magnification of 1.645: 0.387 mm within 5 %; a uniform spot's edge rises from 10 to 90 % over 0.8."""
    positions, spread = edge_spread(load_detector("ideal"), 0.02, source_blur=0.6 * (1.645 - 1))
    rise = (spread - spread[0]) / (spread[-1] - spread[0])
    middle = np.abs(positions) < 0.5
    low, high = (np.interp(level, rise[middle], positions[middle]) for level in (0.1, 0.9))
    assert (high - low) / 0.8 == pytest.approx(0.387, rel=0.05)


# Published for a Gaussian kernel sampled at the pixels. This blur has no frequencies beyond Nyquist, where narrow
# kernels still have some: the last column is what a band-limited Gaussian leaves, (erf(pi s) / (2 sqrt(pi) s))^2.
@pytest.mark.parametrize(("sigma", "sampled"), [(0.5, 0.411), (0.75, 0.144), (1, 0.0796), (1.5, 0.0354), (2, 0.0199)])
def test_variance_left_by_a_gaussian(sigma, sampled):
    noise = frame_generator(1).standard_normal((1024, 1024), dtype=np.float32)
    left = screen_blur(noise, (1.0, 1.0), Gaussians((1.0,), (sigma,)), None).var() / noise.var()
    assert left == pytest.approx((erf(np.pi * sigma) / (2 * np.sqrt(np.pi) * sigma)) ** 2, rel=0.02)
    if sigma >= 0.75:
        assert left == pytest.approx(sampled, rel=0.025)


@pytest.mark.parametrize("size", [(60, 60), (61, 47), (512, 300)])
def test_borders_do_not_wrap(size):
    """A bright left border leaves nothing on the right, a bright upper one nothing at the bottom."""
    image = np.zeros(size, dtype=np.float32)
    image[:, :4] = 1.0
    for blurred in (aperture_blur([image], (0.2, 0.2), 0.3)[0], screen_blur(image, (0.2, 0.2), Lorentzian(1.0), None)):
        assert np.abs(blurred[:, -4:]).max() < 5e-4
    tall = np.ascontiguousarray(image.T)
    for blurred in (aperture_blur([tall], (0.2, 0.2), 0.3)[0], screen_blur(tall, (0.2, 0.2), Lorentzian(1.0), None)):
        assert np.abs(blurred[-4:]).max() < 5e-4


def test_a_slope_stays_a_slope_up_to_the_border():
    """Mirrored, not extended with 0: an even slope is wrong by less than a pixel's rise at the border."""
    slope = np.tile(np.linspace(100, 200, 128, dtype=np.float32), (64, 1))
    rise = slope[0, 1] - slope[0, 0]
    blurred = aperture_blur([slope], (0.2, 0.2), 0.0)[0]
    assert np.abs(blurred - slope)[:, 2:-2].max() < 0.05 * rise and np.abs(blurred - slope).max() < 0.2 * rise


def test_undershoot_beside_total_absorption_is_as_stated():
    """A sampled step rings by at most 1.2 % of itself; read out, it does not go below 0, and the dark stays dark."""
    image = np.zeros((64, 64), dtype=np.float32)
    image[:, 32:] = 1e5
    ringing = aperture_blur([image], (0.2, 0.2))[0]
    assert -0.0125e5 < ringing.min() < -0.011e5
    frame = read_out(image, image * 50, load_detector("ideal"), 0.2, None)
    assert frame.signal.min() == 0 and (frame.signal[:, :31] == 0).all() and frame.signal[32, 31] > 0
    image[:, :32] = 1.0  # nearly dark: what rings there is not taken for dark, but stays above 0
    assert read_out(image, image * 50, load_detector("ideal"), 0.2, None).signal.min() == 0
    image[:, :32] = 0.0
    blurred = read_out(image, image * 50, load_detector("ideal"), 0.2, None, source_blur=0.9).signal
    assert (blurred[:, : 31 - 3] == 0).all() and (blurred[:, 31 - 2 :] > 0).all()


@pytest.mark.parametrize("blur", [(Lorentzian(1.0), None), (None, Glare(0.2, 3.0)), (Gaussians((1.0,), (0.4,)), None)])
def test_blur_loses_nothing(blur):
    """Far from the borders what one pixel loses the others get."""
    image = np.zeros((300, 300), dtype=np.float32)
    image[150, 150] = 1e6
    assert screen_blur(image, (0.3, 0.3), *blur).sum() == pytest.approx(1e6, rel=2e-3)
    assert aperture_blur([image], (0.3, 0.3), 0.7)[0].sum() == pytest.approx(1e6, rel=1e-4)


def test_pixels_that_are_not_square():
    """Frequencies are in cycles/mm along rows and columns alike: a round spread stays round in mm."""
    image = np.zeros((128, 256), dtype=np.float32)
    image[64, 128] = 1.0
    blurred = screen_blur(image, (0.1, 0.2), Gaussians((1.0,), (0.8,)), None)
    assert blurred[64, 128 + 8] == pytest.approx(blurred[64 + 4, 128], rel=1e-3)
    assert blurred[64, 128 + 8] / blurred[64, 128] == pytest.approx(np.exp(-0.5), rel=1e-3)
