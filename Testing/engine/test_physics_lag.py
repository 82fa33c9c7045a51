"""Lag: nothing is lost, and what is left of one exposure is what the file says."""

import numpy as np
import pytest

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.physics.detector import Lag, load_detector
from DeepDRRSlicerLib.physics.lag import with_lag

FRAME = 1 / 15


def run(exposures, lag, interval=FRAME, size=(4, 5)):
    held, signals = None, []
    for exposure in exposures:
        signal, held = with_lag(np.full(size, exposure, dtype=np.float32), held, lag, interval)
        signals.append(signal[0, 0])
    return np.array(signals), held


def test_what_is_left_of_one_exposure():
    """The mobile panel: 2.5, 0.7, 0.4, 0.3 % in the first four frames (Siewerdsen and Jaffray 1999)."""
    signals, _ = run([1000, 0, 0, 0, 0], load_detector("mobile_flat_panel").lag)
    np.testing.assert_allclose(signals[1:], [25, 7, 4, 3], atol=0.8)
    single = Lag((0.1,), (0.2,))
    left, _ = run([1.0, 0, 0, 0], single, interval=0.05)
    expected = 0.1 * (1 - np.exp(-0.25)) * np.exp(-0.25 * np.arange(3))
    np.testing.assert_allclose(left, [0.9, *expected], rtol=1e-5)


@pytest.mark.parametrize("interval", [0.001, FRAME, 1.0, 100.0])
def test_under_constant_exposure_the_level_is_that_without_lag(interval):
    """And what was read out and is still held adds up to what came in, at every moment."""
    lag = Lag((0.1, 0.2), (0.05, 0.5))
    count = 3 + int(20 * 0.5 / interval)
    signals, held = run([100.0] * count, lag, interval)
    assert signals[-1] == pytest.approx(100, rel=1e-4) and (np.diff(signals) >= -1e-4).all()
    assert signals.sum(dtype=np.float64) + held.sum(axis=0)[0, 0] == pytest.approx(100 * count, rel=1e-4)
    assert signals[0] == pytest.approx(70, rel=1e-6)


def test_pixels_keep_to_themselves_and_the_images_stay_untouched():
    lag = Lag((0.1,), (0.1,))
    bright = np.zeros((6, 7), dtype=np.float32)
    bright[2, 3] = 100
    _, held = with_lag(bright, None, lag, FRAME)
    before = held.copy()
    after, _ = with_lag(np.zeros((6, 7)), held, lag, FRAME)
    assert after[2, 3] > 0 and np.count_nonzero(after) == 1
    assert (held == before).all() and bright.sum() == 100
    assert after.dtype == held.dtype == np.float32


def test_what_cannot_be():
    lag = Lag((0.1,), (0.1,))
    for interval in (0, -1, np.nan, np.inf):
        with pytest.raises(InputError, match="greater than 0 s"):
            with_lag(np.ones((2, 2)), None, lag, interval)
    _, held = with_lag(np.ones((2, 2)), None, lag, 1)
    with pytest.raises(InputError, match="one size"):
        with_lag(np.ones((2, 3)), held, lag, 1)
