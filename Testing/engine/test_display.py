"""Grey values: the stated formula, presets, and signals that are out of the ordinary."""

import json
import warnings

import numpy as np
import pytest

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.simulation.display import CHEST, WINDOWS, Display, Window, grey_values

OPEN = np.full((8, 9), 1e6, dtype=np.float32)
WIDE = Display(Window(1.0, 5.0))


def signal_of(q):
    return (OPEN * np.exp(-np.asarray(q))).astype(np.float32)


@pytest.mark.parametrize(("q", "grey"), [(0.5, 0), (1, 0), (2, 63.75), (3, 127.5), (4, 191.25), (5, 255), (8, 255)])
def test_logarithmic_curve(q, grey):
    assert grey_values(signal_of(q), OPEN, WIDE)[3, 3] == pytest.approx(grey, abs=0.51)
    inverted = grey_values(signal_of(q), OPEN, Display(WIDE.window, inverted=True))[3, 3]
    assert inverted == pytest.approx(255 - grey, abs=0.51)


@pytest.mark.parametrize("transmission", [1.0, np.exp(-1), 0.2, 0.1, 0.02, np.exp(-5), 0.0])
def test_linear_curve(transmission):
    """Between the same ends as the logarithmic one, linear in the transmission."""
    black, white = np.exp(-1), np.exp(-5)
    expected = 255 * np.clip((black - transmission) / (black - white), 0, 1)
    found = grey_values(OPEN * np.float32(transmission), OPEN, Display(WIDE.window, curve="linear"))
    assert found[2, 2] == pytest.approx(expected, abs=0.51)


def test_the_window_never_adapts():
    """A pixel keeps its grey value whatever lies beside it."""
    plain = signal_of(3.0)
    metal = plain.copy()
    metal[0, :4] = 0
    assert (grey_values(metal, OPEN, WIDE)[1:] == grey_values(plain, OPEN, WIDE)[1:]).all()
    assert (grey_values(metal, OPEN, WIDE)[0, :4] == 255).all()


def test_unsharp_mask_is_the_stated_formula():
    """On a sine of known frequency: the contrast grows by 1 + amount (1 - exp(-2 (pi radius f)^2))."""
    columns = np.arange(256)
    wave = 3.0 + 0.5 * np.cos(2 * np.pi * (columns + 0.5) * 8 / 256)
    open_field = np.full((64, 256), 1e6, dtype=np.float32)
    signal = (open_field * np.exp(-wave)).astype(np.float32)
    frequency = 8 / 256
    for settings in ({"unsharp_radius": 10.0, "unsharp_amount": 0.7}, {"edge_radius": 3.0, "edge_amount": 1.5}):
        radius, amount = settings.values()
        factor = 1 + amount * (1 - np.exp(-2 * (np.pi * radius * frequency) ** 2))
        expected = np.clip((3 + factor * (wave - 3) - 1) / 4, 0, 1) * 255
        found = grey_values(signal, open_field, Display(WIDE.window, **settings))
        np.testing.assert_allclose(found[32], expected, atol=1.5)


def test_an_even_image_is_not_changed_by_sharpening():
    strong = Display(WIDE.window, unsharp_amount=3.0, edge_amount=3.0)
    assert (grey_values(signal_of(2.5), OPEN, strong) == grey_values(signal_of(2.5), OPEN, WIDE)).all()


@pytest.mark.parametrize("curve", ["log", "linear"])
@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("amount", [0.0, 2.0])
def test_any_signal_gives_a_picture(curve, inverted, amount):
    """Noise below 0, nothing, far too much, and open fields that end: grey values without a warning."""
    signal = np.array([[-50, -1e30, 0, 1e-45, 1, 1e6, 3e38, np.nan, 5]] * 8, dtype=np.float32)
    open_field = OPEN.copy()
    open_field[2:4] = 0
    open_field[4] = 1e-45
    kept = signal.copy()
    display = Display(CHEST, curve, inverted, unsharp_amount=amount, edge_amount=amount)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = grey_values(signal, open_field, display)
    assert found.dtype == np.uint8 and (found[2:4] == 0).all()
    assert np.array_equal(signal, kept, equal_nan=True), "the stored image stays as it is"
    if amount == 0:
        assert (found[0, :4] == (0 if inverted else 255)).all() and (found[0, 6] == (255 if inverted else 0)).all()


def test_the_shutters_are_black():
    exposed = np.ones(OPEN.shape)
    exposed[:, :2], exposed[:, 2], exposed[:, 3] = 0, 0.49, 0.51
    for inverted in (False, True):
        found = grey_values(signal_of(3.0), OPEN, Display(WIDE.window, inverted=inverted), exposed)
        assert (found[:, :3] == 0).all() and (found[:, 3:] > 0).all()


def test_presets_are_stated():
    assert WINDOWS["chest"] == CHEST and len(WINDOWS) == 5
    assert all(0 <= window.low < window.high <= 12 for window in WINDOWS.values())
    assert json.loads(json.dumps(Display().to_dict()))["window"] == {"low": 1.2, "high": 7.0}
    assert {"curve", "inverted", "unsharp_radius", "unsharp_amount", "edge_radius", "edge_amount"} < set(
        Display().to_dict()
    )


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"curve": "cubic"}, "curve"),
        ({"unsharp_radius": 0}, "unsharp_radius"),
        ({"edge_radius": 1e9}, "edge_radius"),
        ({"edge_amount": -1}, "edge_amount"),
        ({"unsharp_amount": float("nan")}, "unsharp_amount"),
    ],
)
def test_settings_out_of_range_are_refused(settings, complaint):
    with pytest.raises(InputError, match=complaint):
        Display(**settings)
