"""Noise: how much, of which energies, how it is spread over frequencies, and that frames know nothing of each other."""

from __future__ import annotations

from collections.abc import Iterator
from math import erf, pi, sqrt

import numpy as np

from DeepDRRSlicerLib.physics.detector import Detector, Gaussians, Lorentzian, Swank, load_detector
from DeepDRRSlicerLib.physics.readout import frame_generator, read_out
from DeepDRRSlicerLib.simulation.technique import Technique
from DeepDRRSlicerLib.validation.measure import noise_power, radial_frequency, ring_means
from DeepDRRSlicerLib.validation.pictures import csi_panel, picture, view
from DeepDRRSlicerLib.validation.reference_sum import beam, taken_in
from DeepDRRSlicerLib.validation.table import Absolute, Counts, Relative, Row, worst

_SIZE = (512, 512)
_PITCH = 0.194
_ELECTRONIC = 40.0  # keV
_PHOTONS = (2, 4, 8, 13, 21, 60, 300, 2000)  # per pixel, of each exposure
_SLOPES = {0.0: ("in the open field", 47.1), 20.0: ("behind 20 cm water", 56.6)}  # keV, M2/M1 at 80 kV
# Variance left by a Gaussian of so many pixels; sampled and band-limited kernels agree from 0.75 pixels on.
_GAUSSIAN = {0.75: 0.144, 1.0: 0.0796, 1.5: 0.0354, 2.0: 0.0199}
_BORDER = 16  # pixels
_QUANTA, _KEV = 200, 50.0


def slope_rows(counts: Counts) -> Iterator[Row]:
    """Variance against mean over eight exposures: a line, its slope and its intercept."""
    scintillator = load_detector("mobile_flat_panel").scintillator
    assert scintillator is not None
    shaped = scintillator.swank
    for water, (where, reference) in _SLOPES.items():
        slope, intercept, off = _line(csi_panel(electronic_noise=_ELECTRONIC), water)
        yield Row(f"variance / mean {where}, keV", reference, "spekpy", slope, Relative(0.01))
        yield Row(f"intercept {where}: electronic, keV2", _ELECTRONIC**2, "configured", intercept, Relative(0.05))
        yield Row(f"variance {where} over its line, of 8 exposures", 1.0, "definition", off, Relative(0.015))
        swank = csi_panel(swank=Swank((1.0,), (0.8,)), electronic_noise=_ELECTRONIC)
        ratio = _line(swank, water)[0] / slope
        yield Row(f"rise of the slope {where} by I(E) = 0.8", 1 / 0.8, "configured", ratio, Relative(0.01))
        with_steps, _, _ = _line(csi_panel(swank=shaped), water)
        expected = _slope_of_spectrum(water, shaped)
        yield Row(f"the slope {where} with I(E) of the panel", expected, "direct sum", with_steps, Relative(0.01))


def power_rows(counts: Counts) -> Iterator[Row]:
    """Noise power over that of the quanta times the squared MTF, in rings up to 0.8 of Nyquist."""
    for name, mtf, curve in (
        ("a Lorentzian", Lorentzian(1.0), lambda f: 1 / (1 + f**2)),
        (
            "two Gaussians",
            Gaussians((0.75, 0.25), (0.1, 0.35)),
            lambda f: 0.75 * np.exp(-2 * (pi * 0.1 * f) ** 2) + 0.25 * np.exp(-2 * (pi * 0.35 * f) ** 2),
        ),
    ):
        power = noise_power(_noise(csi_panel(mtf=mtf), counts.frames)) / (_QUANTA * _KEV**2)
        radial, nyquist = radial_frequency(_SIZE, _PITCH), 0.5 / _PITCH
        edges = np.linspace(0.05, 0.8, 16) * nyquist
        rings = ring_means(power / curve(radial) ** 2, radial, edges)
        rows = [
            Row(f"noise power / MTF^2 of {name} at {f:.2f}/mm", 1.0, "configured", float(ours), Relative(0.05))
            for f, ours in zip((edges[1:] + edges[:-1]) / 2, rings, strict=True)
        ]
        yield from worst(rows, counts)


def gaussian_rows(counts: Counts) -> Iterator[Row]:
    """What a Gaussian blur leaves of the variance, away from the border, where the mirror image's noise adds up."""
    for sigma in (0.5, *_GAUSSIAN):
        blurred = csi_panel(mtf=Gaussians((1.0,), (sigma * _PITCH,)))
        ours = np.mean(
            [frame[_BORDER:-_BORDER, _BORDER:-_BORDER].var() for frame in _noise(blurred, counts.frames // 4)]
        ) / (_QUANTA * _KEV**2)
        within_nyquist = (erf(pi * sigma) / (2 * sqrt(pi) * sigma)) ** 2
        reference = _GAUSSIAN.get(sigma, within_nyquist)
        source = "closed form"
        yield Row(f"variance left by a Gaussian of {sigma:g} pixels", reference, source, float(ours), Relative(0.03))


def frame_rows(counts: Counts) -> Iterator[Row]:
    """Two frames of the panel, as it ships, behind a patient."""
    panel = load_detector("mobile_flat_panel")
    still, one, next_frame, other_seed, again = (
        picture({"water": 20.0}, panel, view(_SIZE, _PITCH), Technique(), seed, frame).frame.signal
        for seed, frame in ((None, 0), (1, 0), (1, 1), (2, 0), (1, 0))
    )
    for what, frame in (("two frames", next_frame), ("two seeds", other_seed)):
        ours = float(np.corrcoef((one - still).ravel(), (frame - still).ravel())[0, 1])
        # Noise is alike over a few pixels, so that of 262,144 some 20,000 count: 4 standard errors.
        yield Row(f"correlation of the noise of {what}", 0.0, "definition", ours, Absolute(0.03))
    differing = int(np.count_nonzero(one != again))
    yield Row("pixels that differ for the same seed and frame", 0, "definition", differing, Absolute(0))


def _line(detector: Detector, water: float) -> tuple[float, float, float]:
    """Slope and intercept of variance against mean, and the variance farthest off the line relative to it."""
    at, areas = view(_SIZE, _PITCH), {"water": water}
    without_noise = picture(areas, detector, at, Technique(mas=1.0)).frame.signal.astype(np.float64)
    photons_per_mas = beam(80, areas, {"aluminium": 3.0})[1].sum() * _PITCH**2
    all_means, all_variances = [], []
    for number, photons in enumerate(_PHOTONS):
        technique = Technique(mas=photons / photons_per_mas)
        noisy = picture(areas, detector, at, technique, seed=1, frame=number).frame.signal
        all_means.append(technique.mas * without_noise.mean())
        all_variances.append((noisy - technique.mas * without_noise).var())
    means, variances = np.array(all_means), np.array(all_variances)
    slope, intercept = np.polyfit(means, variances, 1, w=1 / variances)
    ratios = variances / (slope * means + intercept)
    return float(slope), float(intercept), float(ratios[np.abs(ratios - 1).argmax()])


def _noise(detector: Detector, frames: int) -> Iterator[np.ndarray]:
    """Deviations from the mean of frames of an even exposure by photons of one energy."""
    mean = np.full(_SIZE, _QUANTA * _KEV, dtype=np.float32)
    for number in range(frames):
        yield read_out(mean, mean * np.float32(_KEV), detector, _PITCH, frame_generator(1, number)).signal - mean


def _slope_of_spectrum(water: float, swank: Swank) -> float:
    """M2/M1 in keV of what 600 um of CsI take in at 80 kV, with the Swank factor of each energy."""
    energies, photons = beam(80, {"water": water}, {"aluminium": 3.0})
    energy = photons * taken_in(energies, csi_panel()) * energies
    # No energy lies on a step, where two factors are at one place.
    return float((energy * energies / np.interp(energies, swank.energies, swank.factors)).sum() / energy.sum())
