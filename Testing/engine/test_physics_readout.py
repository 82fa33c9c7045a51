"""From mean and variance to counts: order of the steps, electronics, fields, and images out of the ordinary."""

import dataclasses

import numpy as np
import pytest

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.physics.detector import Detector, Gaussians, Glare, Lorentzian, Scintillator, load_detector
from DeepDRRSlicerLib.physics.field import distorted
from DeepDRRSlicerLib.physics.readout import digitised, field_gain, frame_generator, read_out, taken_in

PITCH = 0.2
KEV = 50.0
NAMES = ["angiography_panel", "ideal", "image_intensifier", "mobile_flat_panel"]


def detector(mtf=None, **changes):
    layer = Scintillator("CsI", 600.0, mtf=mtf)
    return Detector("test", (256, 256), PITCH, (1, 2), 1, scintillator=layer, **changes)


def flat(quanta, size=(256, 256)):
    """Mean and variance of an even exposure by photons of KEV."""
    mean = np.full(size, quanta * KEV, dtype=np.float32)
    return mean, mean * np.float32(KEV)


def expose(quanta, panel, seed=1, size=(256, 256), pitch=PITCH, **more):
    return read_out(*flat(quanta, size), panel, pitch, frame_generator(seed), **more)


def spot(size=(64, 64), centre=(31.0, 33.0), width=3.0):
    rows, cols = np.indices(size)
    return np.exp(-((rows - centre[0]) ** 2 + (cols - centre[1]) ** 2) / (2 * width**2)).astype(np.float32) * 1e5


def centroid(image):
    rows, cols = np.indices(image.shape)
    return np.array([(rows * image).sum(), (cols * image).sum()]) / image.sum()


@pytest.mark.parametrize("name", NAMES)
def test_an_image_stays_where_it_is(name):
    """No step moves the image, not by a part of a pixel: centroids agree to 0.01 pixel."""
    panel = dataclasses.replace(load_detector(name), bit_depth=None, saturation=None, vignetting=0.0)
    mean = spot()
    found = read_out(mean, mean * KEV, panel, PITCH, None, source_blur=0.5).signal
    # Glare reaches beyond this small image, more on its nearer side; the bright part tells where the spot is.
    bright = np.where(found > 0.1 * found.max(), found - 0.1 * found.max(), 0)
    np.testing.assert_allclose(centroid(bright), (31.0, 33.0), atol=0.01)


@pytest.mark.parametrize("size", [(64, 64), (61, 64), (64, 63), (45, 31)])
def test_mirrored_in_mirrored_out(size):
    """All borders are treated alike: the mirror image of an object gives the mirror image."""
    panel = detector(Lorentzian(1.0), glare=Glare(0.1, 2.0))
    mean = np.random.default_rng(4).random(size, dtype=np.float32) * 1e4
    for flip in (np.fliplr, np.flipud):
        plain = read_out(mean, mean * KEV, panel, PITCH, None, 0.3).signal
        again = read_out(flip(mean), flip(mean) * np.float32(KEV), panel, PITCH, None, 0.3).signal
        np.testing.assert_allclose(flip(again), plain, atol=1e-4 * plain.max())


def test_without_noise_an_even_exposure_stays_as_it_is():
    panel = detector(Gaussians((0.7, 0.3), (0.1, 0.5)), glare=Glare(0.1, 5.0), electronic_noise=50.0)
    mean, variance = flat(100)
    frame = read_out(mean, variance, panel, PITCH, None, source_blur=0.4)
    np.testing.assert_allclose(frame.signal, mean, rtol=1e-5)
    assert frame.counts is None and frame.clipped == (0, 0)


def test_deep_shadow_without_noise_is_not_rounded_away():
    """Behind exp(-11.5) of a bright field: the average over the pixel, mean + pitch^2/24 Laplacian, to 1e-3."""
    along = np.sin(np.pi * (np.arange(512) + 0.5) / 512) ** 2
    mean = 1e7 * np.exp(-11.5 * along[:, None] * along)
    signal = read_out(mean, mean * KEV, load_detector("ideal"), 0.582, None).signal
    inside = np.s_[1:-1, 1:-1]
    neighbours = mean[:-2, 1:-1] + mean[2:, 1:-1] + mean[1:-1, :-2] + mean[1:-1, 2:]
    np.testing.assert_allclose(signal[inside], mean[inside] + (neighbours - 4 * mean[inside]) / 24, rtol=1e-3)


def test_noise_leaves_the_mean():
    """The mean of 65,536 pixels of 300 quanta agrees with the noise-free frame within 4 standard errors."""
    panel = detector(Lorentzian(1.0), electronic_noise=100.0)
    frame = expose(300, panel)
    error = np.sqrt(300 * KEV**2 + 100.0**2) / 256
    assert frame.signal.mean() == pytest.approx(300 * KEV, abs=4 * error)


def test_same_seed_same_bytes_and_no_other():
    mobile = load_detector("mobile_flat_panel")
    once = read_out(*flat(20), mobile, 0.582, frame_generator(7, 3), 0.4)
    again = read_out(*flat(20), mobile, 0.582, frame_generator(7, 3), 0.4)
    assert once.counts.tobytes() == again.counts.tobytes() and once.signal.tobytes() == again.signal.tobytes()
    for seed, frame in ((7, 4), (8, 3), (3, 7)):
        assert read_out(*flat(20), mobile, 0.582, frame_generator(seed, frame), 0.4).counts.tobytes() != (
            once.counts.tobytes()
        )


def test_noise_is_as_strong_at_the_border_as_within():
    """Noise that is mirrored at the border adds up there: its variance was 1.6-fold in the outermost row."""
    panel = detector(Lorentzian(1.0))
    frames = np.stack([expose(500, panel, seed).signal for seed in range(12)])
    within = frames[:, 20:-20, 20:-20].var()
    rows = [frames[:, n].var() for n in (0, 1, 2, -1)] + [frames[:, :, n].var() for n in (0, 1, -1)]
    assert np.allclose(np.array(rows) / within, 1, atol=0.1)  # 3072 correlated pixels each: about 0.04


def test_electronic_noise_comes_last_and_is_white():
    """Without radiation only the electronic noise is left, as much as configured, and neighbours do not know of it."""
    panel = detector(Lorentzian(0.5), electronic_noise=80.0)
    signal = expose(0, panel).signal
    assert signal.std() == pytest.approx(80.0, rel=4 / np.sqrt(2 * signal.size))
    assert abs(np.corrcoef(signal[:, 1:].ravel(), signal[:, :-1].ravel())[0, 1]) < 4 / 256
    assert signal.min() < 0, "after correction for the offset, noise around 0 stays on both sides"


def test_dark_offset_keeps_the_noise_from_being_clipped():
    """With an offset of 500 counts not one dark pixel is clipped, and noise keeps its mean of 0."""
    mobile = load_detector("mobile_flat_panel")
    dark = read_out(*flat(0), mobile, 0.194, frame_generator(1))
    assert dark.clipped == (0, 0) and dark.counts.dtype == np.uint16
    assert dark.counts.mean() == pytest.approx(500, abs=0.2)
    step = 1 / mobile.gain
    assert dark.signal.std() == pytest.approx(np.hypot(120.0, step / np.sqrt(12)), rel=0.015)
    without = read_out(*flat(0), dataclasses.replace(mobile, dark_offset=0.0), 0.194, frame_generator(1))
    assert without.clipped[0] == pytest.approx(without.signal.size / 2, rel=0.1) and without.counts.min() == 0


def test_signal_is_the_counts_corrected_for_gain_and_offset():
    panel = detector(gain=0.02, dark_offset=10.0, bit_depth=12)
    frame = expose(100, panel)
    np.testing.assert_allclose(frame.signal, (frame.counts.astype(float) - 10) / 0.02, rtol=1e-6)
    assert frame.counts.mean() == pytest.approx(10 + 0.02 * 100 * KEV, rel=1e-3)
    assert len(np.unique(frame.counts)) > 10


def test_saturation_at_both_ends_is_counted():
    panel = detector(gain=1.0, dark_offset=100.0, bit_depth=12)
    energy = np.array([[-200.0, -100.4, -100.6, 0.0], [3995.4, 3995.6, 1e9, 1e24]], dtype=np.float32)
    frame = digitised(energy, panel, PITCH)
    np.testing.assert_array_equal(frame.counts, [[0, 0, 0, 100], [4095, 4095, 4095, 4095]])
    assert frame.clipped == (2, 3) and frame.counts.dtype == np.uint16
    full = digitised(energy, dataclasses.replace(panel, saturation=3000.0), PITCH)
    assert full.counts.max() == 3000 and full.clipped == (2, 4)
    analogue = digitised(energy, dataclasses.replace(panel, bit_depth=None, saturation=3000.0), PITCH)
    assert analogue.counts is None and analogue.signal.max() == 2900 and analogue.signal.min() == -200
    assert analogue.clipped == (0, 4)


@pytest.mark.parametrize(("bits", "kind"), [(8, np.uint8), (14, np.uint16), (24, np.uint32), (32, np.uint32)])
def test_counts_of_every_bit_depth(bits, kind):
    panel = detector(gain=1.0, bit_depth=bits)
    highest = 2**bits - 1
    energy = np.array([[0.0, 7.0, highest - 1 if bits <= 24 else 2.0**31, 1e20]], dtype=np.float32)
    frame = digitised(energy, panel, PITCH)
    assert frame.counts.dtype == kind
    np.testing.assert_array_equal(frame.counts[0], [0, 7, int(energy[0, 2]), highest])


def test_the_same_dose_gives_the_same_counts_in_every_binning():
    """A binned pixel shows the mean of its pixels; its electronic noise in keV is its own."""
    mobile = load_detector("mobile_flat_panel")
    plain = read_out(*flat(90), mobile, 0.194, None).counts.mean()
    binned = read_out(*flat(90 * 9), mobile, 0.582, None).counts.mean()
    assert plain == pytest.approx(binned, abs=0.5)
    rows_of_three = read_out(*flat(90 * 3), mobile, (0.582, 0.194), None).counts.mean()
    assert plain == pytest.approx(rows_of_three, abs=0.5)
    dark = read_out(*flat(0), dataclasses.replace(mobile, bit_depth=None, saturation=None), 0.582, frame_generator(1))
    assert dark.signal.std() == pytest.approx(120.0, rel=0.015)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3), (17, 40)])
@pytest.mark.parametrize("noise", [True, False])
def test_no_input_gives_a_pixel_that_is_not_finite(name, size, noise):
    """Nothing at all, nearly nothing, far too much, all at once, and energies that no photon has."""
    panel = load_detector(name)
    rng = np.random.default_rng(5)
    wild = 10.0 ** rng.uniform(-45, 23.9, size)
    images = [
        np.zeros(size),
        np.full(size, 1e-45),
        np.full(size, 9e23),
        wild,
        np.where(rng.random(size) < 0.5, 0, wild),
    ]
    for mean in images:
        for variance in (mean * 0, np.minimum(mean * KEV, 9e23), np.full(size, 1e-45), np.full(size, 9e23)):
            for bits in (panel.bit_depth, None):
                variant = dataclasses.replace(panel, bit_depth=bits, saturation=panel.saturation if bits else None)
                generator = frame_generator(1) if noise else None
                frame = read_out(mean, variance, variant, PITCH, generator, 0.3)
                assert np.isfinite(frame.signal).all() and frame.signal.dtype == np.float32
                assert frame.signal.shape == size


def test_behind_thick_metal_there_is_noise():
    """Zero transmission: electronic noise alone, no NaN, no bias."""
    mean, variance = flat(300)
    mean[:, :128] = variance[:, :128] = 0
    signal = read_out(mean, variance, detector(electronic_noise=30.0), PITCH, frame_generator(2)).signal[:, :120]
    assert np.isfinite(signal).all() and signal.std() == pytest.approx(30.0, rel=0.02)
    assert signal.mean() == pytest.approx(0, abs=4 * 30 / np.sqrt(signal.size))


@pytest.mark.parametrize(
    ("mean", "variance", "pitch", "blur", "complaint"),
    [
        (np.full((2, 2), np.nan), np.ones((2, 2)), 1, 0, "finite and not negative"),
        (np.full((2, 2), -1.0), np.ones((2, 2)), 1, 0, "finite and not negative"),
        (np.ones((2, 2)), np.full((2, 2), np.inf), 1, 0, "finite and not negative"),
        (np.ones((2, 2)), np.ones((2, 3)), 1, 0, "one shape"),
        (np.ones((0, 2)), np.ones((0, 2)), 1, 0, "one shape"),
        (np.ones((2, 2)), np.ones((2, 2)), 0, 0, "pitch"),
        (np.ones((2, 2)), np.ones((2, 2)), (1, np.nan), 0, "pitch"),
        (np.ones((2, 2)), np.ones((2, 2)), 1, -1, "focal spot"),
        (np.ones((2, 2)), np.ones((2, 2)), 1, np.inf, "focal spot"),
    ],
)
def test_impossible_images_are_refused(mean, variance, pitch, blur, complaint):
    with pytest.raises(InputError, match=complaint) as refusal:
        read_out(mean, variance, detector(), pitch, None, blur)
    assert str(refusal.value).count("\n") == 0


def test_the_circular_field_is_blank_outside():
    """23 cm: no signal and the dark offset outside the circle, which touches all four borders."""
    tube = load_detector("image_intensifier")
    frame = expose(200, tube, pitch=0.898)
    rows, cols = np.indices((256, 256)) - 127.5
    radius = np.hypot(rows, cols)
    outside = radius > 128.5
    assert (frame.signal[outside] == 0).all() and (frame.counts[outside] == 64).all()
    unrounded = expose(200, dataclasses.replace(tube, bit_depth=None), pitch=0.898)
    assert (unrounded.signal[outside] == 0).all(), "no electronic noise either"
    assert (frame.signal[radius < 127.5] > 0).all()
    assert field_gain(tube, (256, 256), 0.898)[128, 0] > 0 and field_gain(load_detector("ideal"), (9, 9), 1.0) is None


def test_vignetting_grows_with_the_square_of_the_radius():
    tube = dataclasses.replace(load_detector("image_intensifier"), glare=None)
    energy = taken_in(*flat(1000), tube, 0.898, None)
    column = np.arange(140, 240)  # nearer to the circle, its sharp edge rings
    expected = 1 - 0.2 * (((column - 127.5) / 128) ** 2 + (0.5 / 128) ** 2)
    np.testing.assert_allclose(energy[128, column] / (1000 * KEV), expected, rtol=1e-4)
    panel = detector(vignetting=0.3)
    corner = taken_in(*flat(1000), panel, PITCH, None)[[0, 0, -1, -1], [0, -1, 0, -1]] / (1000 * KEV)
    np.testing.assert_allclose(corner, 1 - 0.3 * (127.5 / 128) ** 2, rtol=1e-4)


def test_contrast_ratio_of_the_image_intensifier():
    """A disc of lead on 10 % of the field (IEC 61262-6): its centre is 24 times darker than the open field's."""
    tube = load_detector("image_intensifier")
    mean, _ = flat(1000, (512, 512))
    rows, cols = np.indices(mean.shape) - 255.5
    lead = np.where(np.hypot(rows, cols) < 256 * np.sqrt(0.1), 0, mean).astype(np.float32)
    bright, dark = (taken_in(image, image * KEV, tube, 0.44921875, None)[256, 256] for image in (mean, lead))
    # Exponential glare, closed form: what of it comes from within a radius, 1 - (1 + r/l) exp(-r/l).
    within = [1 - (1 + r / 25) * np.exp(-r / 25) for r in (115 * np.sqrt(0.1), 115)]
    assert bright / dark == pytest.approx((0.92 + 0.08 * within[1]) / (0.08 * (within[1] - within[0])), rel=0.01)
    assert 20 < bright / dark < 30


def test_noise_of_the_image_intensifier_is_correlated():
    """Neighbours share light: the correlation is the blur's own autocorrelation."""
    tube = dataclasses.replace(load_detector("image_intensifier"), vignetting=0.0, electronic_noise=0.0, bit_depth=None)
    noise = expose(500, tube, size=(512, 512)).signal[150:-150, 150:-150]
    noise = noise - noise.mean()
    assert (noise[:, 1:] * noise[:, :-1]).mean() / noise.var() > 0.2


@pytest.mark.parametrize("amount", [0.06, -0.1])
def test_pincushion_moves_points_outwards(amount):
    """A point at radius r appears at r (1 + amount (r/R)^2)."""
    size, radius = 401, 200.5
    image = np.zeros((size, size), dtype=np.float32)
    for r in (40, 90, 140):
        image[200, 200 + r - 2 : 200 + r + 3] = (1, 4, 6, 4, 1)
    shown = distorted(np.stack([image, image.T]), amount)
    for r in (40, 90, 140):
        expected = r * (1 + amount * (r / radius) ** 2)
        near = np.arange(int(expected) - 9, int(expected) + 10)
        for line in (shown[0, 200, 200 + near], shown[1, 200 + near, 200]):
            assert (line * near).sum() / line.sum() == pytest.approx(expected, abs=0.1)
    assert np.isfinite(shown).all() and distorted(image, 0.0) is image


def test_a_barrel_sees_nothing_in_its_corners():
    shown = distorted(np.ones((101, 101)), -0.3, fill=-1.0)
    assert shown[50, 50] == 1 and shown[0, 0] == -1 and set(np.unique(shown)) == {-1.0, 1.0}
    assert distorted(np.ones((1, 1)), 0.1).tolist() == [[1.0]]
