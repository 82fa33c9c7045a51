"""Noise of simulated frames against the moments of the spectrum, published values and closed forms."""

import dataclasses

import numpy as np
import pytest

from DeepDRRSlicerLib.physics.blur import transfer_of
from DeepDRRSlicerLib.physics.detector import Detector, Gaussians, Glare, Lorentzian, Scintillator, Swank, load_detector
from DeepDRRSlicerLib.physics.noise import quantum_noise
from DeepDRRSlicerLib.physics.readout import frame_generator, read_out
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum

PITCH = 0.2
SIZE = (512, 512)


def panel(swank=None, mtf=None, **changes):
    """600 um of CsI at full density."""
    layer = Scintillator("CsI", 600.0, swank=swank or Swank((1.0,), (1.0,)), mtf=mtf)
    return Detector("test", SIZE, PITCH, (1,), 1, scintillator=layer, **changes)


def moments(spectrum, detector):
    """Mean in keV, variance in keV2, of one pixel and photons in it, for 1 photon/mm2 that reaches the detector."""
    energies = spectrum.energies
    absorbed = spectrum.fluence * detector.efficiency(energies) / spectrum.total_fluence * PITCH**2
    return absorbed @ energies, absorbed @ (energies**2 / detector.swank_factor(energies)), PITCH**2


def behind_water(water_mm):
    return tube_spectrum(80, {"Al": 3.0}).filtered({"water": water_mm})


def variance_against_mean(detector, spectrum, photons_per_pixel, seed=0):
    """Slope and intercept of the line through (mean, variance) of one frame per exposure, and its worst deviation."""
    mean, variance, area = moments(spectrum, detector)
    found = []
    for number, photons in enumerate(photons_per_pixel):
        images = [np.full(SIZE, moment * photons / area) for moment in (mean, variance)]
        signal = read_out(*images, detector, PITCH, frame_generator(seed, number)).signal.astype(np.float64)
        found.append((signal.mean(), signal.var()))
    means, variances = np.array(found).T
    slope, intercept = np.polyfit(means, variances, 1, w=1 / variances)
    return slope, intercept, np.abs(variances / (slope * means + intercept) - 1).max()


EXPOSURES = (2, 4, 8, 13, 21, 60, 300, 2000)  # photons per pixel; on both sides of where noise is drawn otherwise


@pytest.mark.parametrize(("water_mm", "slope_kev"), [(0, 47.1), (200, 56.6)])
def test_variance_grows_with_the_mean_by_m2_over_m1(water_mm, slope_kev):
    """80 kV, blur off, I(E) = 1: slope within 1 % of the reference, intercept the electronic variance.

    The slope must not be the mean energy of the absorbed spectrum, 43 and 55 keV, which is what a noise without energy
    weighting would give.
    """
    detector = panel(electronic_noise=40.0)
    slope, intercept, worst = variance_against_mean(detector, behind_water(water_mm), EXPOSURES)
    assert slope == pytest.approx(slope_kev, rel=0.01)
    assert intercept == pytest.approx(40.0**2, rel=0.05)
    assert worst < 5 * np.sqrt(2 / (SIZE[0] * SIZE[1])), "not a line"


@pytest.mark.parametrize("water_mm", [0, 200])
def test_the_swank_factor_raises_the_slope(water_mm):
    """By 1/I for one factor; for the factors of the shipped panel by their average over the spectrum."""
    spectrum = behind_water(water_mm)
    plain, _, _ = variance_against_mean(panel(), spectrum, EXPOSURES)
    constant, _, _ = variance_against_mean(panel(Swank((1.0,), (0.8,))), spectrum, EXPOSURES)
    assert constant / plain == pytest.approx(1 / 0.8, rel=0.01)
    swank = load_detector("mobile_flat_panel").scintillator.swank
    shaped, _, _ = variance_against_mean(panel(swank), spectrum, EXPOSURES)
    energies = spectrum.energies
    m2 = spectrum.fluence * panel().efficiency(energies) * energies**2
    by_step = np.interp(energies, swank.energies, swank.factors)  # the steps lie between the energies of the spectrum
    assert shaped / plain == pytest.approx((m2 / by_step).sum() / m2.sum(), rel=0.01)
    assert 1.1 < shaped / plain < 1.3


@pytest.mark.parametrize(
    ("mtf", "glare"),
    [(Lorentzian(1.0), None), (Gaussians((0.75, 0.25), (0.1, 0.35)), None), (Lorentzian(2.0), Glare(0.1, 3.0))],
)
@pytest.mark.parametrize("frames", [24, pytest.param(100, marks=pytest.mark.long)])
def test_noise_power_follows_the_squared_mtf(mtf, glare, frames):
    """Within 5 % below 0.8 of Nyquist, along the axes and across them, and its level is the variance before blur."""
    detector = panel(mtf=mtf, glare=glare)
    mean, variance, area = moments(behind_water(200), detector)
    images = [np.full(SIZE, moment * 100 / area) for moment in (mean, variance)]
    power = np.zeros((SIZE[0], SIZE[1] // 2 + 1))
    for frame in range(frames):
        signal = read_out(*images, detector, PITCH, frame_generator(1, frame)).signal
        power += np.abs(np.fft.rfft2(signal - images[0])) ** 2 / (SIZE[0] * SIZE[1] * frames)
    down, across = np.meshgrid(np.fft.fftfreq(SIZE[0], PITCH), np.fft.rfftfreq(SIZE[1], PITCH), indexing="ij")
    radial, nyquist = np.hypot(down, across), 0.5 / PITCH
    ratio = power / (images[1][0, 0] * transfer_of(mtf, glare, radial) ** 2)
    edges = np.linspace(0.04, 0.8, 16) * nyquist
    for low, high in zip(edges[:-1], edges[1:]):
        ring = (radial >= low) & (radial < high)
        for part in (ring & (np.abs(down) > across), ring & (np.abs(down) <= across)):
            assert ratio[part].mean() == pytest.approx(1, abs=0.05)
    assert ratio[(radial > edges[0]) & (radial < edges[-1])].mean() == pytest.approx(1, abs=0.01)


def test_two_frames_know_nothing_of_each_other():
    detector = load_detector("mobile_flat_panel")
    images = [np.full(SIZE, 5000.0), np.full(SIZE, 5000.0 * 60)]
    first, second = (read_out(*images, detector, 0.582, frame_generator(1, frame)).signal.ravel() for frame in (0, 1))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.01  # 4 standard errors, noise being correlated over a few pixels


@pytest.mark.parametrize("name", ["mobile_flat_panel", "angiography_panel", "image_intensifier"])
def test_dqe_of_simulated_frames_at_rqa5(name):
    """DQE(0) = signal^2 / (photons * noise power at low frequency): as computed from the spectrum, and 0.65 to 0.75."""
    without = {"vignetting": 0.0, "glare": None, "field_shape": "rectangular", "bit_depth": None, "saturation": None}
    detector = dataclasses.replace(load_detector(name), **without)
    spectrum = tube_spectrum(70, {"Al": 24.8})
    mean, variance, area = moments(spectrum, detector)
    photons = 2000.0
    images = [np.full(SIZE, moment * photons / area) for moment in (mean, variance)]
    slow, signal = [], []
    radial = np.hypot(np.fft.fftfreq(SIZE[0], PITCH)[:, None], np.fft.rfftfreq(SIZE[1], PITCH))
    chosen = (radial > 0) & (radial < 0.1)  # cycles/mm: the MTF is 0.98 and more
    for frame in range(24):
        frame = read_out(*images, detector, PITCH, frame_generator(3, frame)).signal.astype(np.float64)
        spectral = np.abs(np.fft.rfft2(frame - frame.mean())) ** 2 / frame.size
        slow.append((spectral / transfer_of(detector.mtf, None, radial) ** 2)[chosen].mean())
        signal.append(frame.mean())
    measured = np.mean(signal) ** 2 / (photons * np.mean(slow))
    computed = mean**2 / (variance * area)
    error = 1 / np.sqrt(24 * np.count_nonzero(chosen))
    assert measured == pytest.approx(computed, rel=4 * error + 0.01)  # 1 %: electronic noise
    assert 0.65 < measured < 0.75


def test_photons_behind_a_patient_as_they_are_seen():
    """30 nGy behind 20 cm of water, pixels of 154 um, 80 kV: 21 photons, hence a pixel noise far above 5 %."""
    spectrum = behind_water(200)
    photons = spectrum.total_fluence / spectrum.air_kerma * 0.030 * 0.154**2
    assert photons == pytest.approx(21, abs=1)
    detector = load_detector("ideal")
    energies, share = spectrum.energies, spectrum.fluence / spectrum.total_fluence
    images = [np.full(SIZE, photons * (share @ energies**power)) for power in (1, 2)]
    frame = read_out(*images, detector, 0.154, frame_generator(1)).signal
    assert (frame.mean() / frame.std()) ** 2 == pytest.approx(photons * 0.983, rel=0.02)
    assert 0.20 < frame.std() / frame.mean() < 0.23


@pytest.mark.parametrize("quanta", [0.2, 3.0, 9.99, 10.01, 30.0, 1000.0, 1e6])
def test_three_moments_of_the_noise(quanta):
    """Mean, variance and third central moment of a Poisson number times the energy, within 4 standard errors."""
    # Enough pixels to see that the continuous number's own variance, 1/18, is accounted for.
    size, energy = (2000, 2000) if quanta == 10.01 else (700, 700), 50.0
    mean = np.full(size, quanta * energy, dtype=np.float32)
    noise = quantum_noise(mean, np.full(size, energy, dtype=np.float32), frame_generator(1)) / energy
    deviation = noise.astype(np.float64) - np.float64(mean[0, 0]) / energy
    count = deviation.size
    assert deviation.mean() == pytest.approx(0, abs=4 * np.sqrt(quanta / count))
    fourth = quanta + 3 * quanta**2
    assert (deviation**2).mean() == pytest.approx(quanta, abs=4 * np.sqrt((fourth - quanta**2) / count))
    sixth = quanta + 25 * quanta**2 + 15 * quanta**3
    assert (deviation**3).mean() == pytest.approx(quanta, abs=4 * np.sqrt((sixth - quanta**2) / count))


def test_few_quanta_are_whole():
    energy = np.full((100, 100), 40.0, dtype=np.float32)
    noise = quantum_noise(np.full((100, 100), 80.0, dtype=np.float32), energy, frame_generator(1)) / 40
    assert set(np.unique(noise)) <= set(range(20)) and (noise == 0).mean() == pytest.approx(np.exp(-2), abs=0.02)


def test_energy_weighting_of_a_mixed_beam_is_local():
    """Each pixel has the noise of its own spectrum: soft on the left, hard on the right."""
    mean = np.full((256, 512), 1e4, dtype=np.float32)
    energy = np.where(np.arange(512) < 256, 30.0, 60.0).astype(np.float32)
    detector = dataclasses.replace(load_detector("ideal"))
    signal = read_out(mean, mean * energy, detector, PITCH, frame_generator(1)).signal
    soft, hard = signal[:, :240].var() / 1e4, signal[:, 272:].var() / 1e4
    assert soft == pytest.approx(30, rel=0.025) and hard == pytest.approx(60, rel=0.025)
