"""Detectors: energy taken in, detective quantum efficiency, and the MTF of a slanted edge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from DeepDRRSlicerLib.physics.detector import Detector, Lorentzian, load_detector
from DeepDRRSlicerLib.physics.exposure import open_field
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum
from DeepDRRSlicerLib.simulation.technique import Technique
from DeepDRRSlicerLib.validation.measure import noise_power, radial_frequency, slanted_edge_mtf
from DeepDRRSlicerLib.validation.pictures import csi_panel, ideal, picture, view
from DeepDRRSlicerLib.validation.table import Absolute, Counts, Relative, Row, worst
from DeepDRRSlicerLib.validation.tube import RQA5_PHOTONS, rqa5_filtration

_ABSORBED = {(1.0, 30): 27.4, (1.0, 60): 53.0, (1.0, 100): 42.3, (0.75, 60): 48.0, (0.75, 100): 33.8}  # keV
_PANELS = ("mobile_flat_panel", "angiography_panel")
_SIZE = (512, 512)
_LOW = 0.15  # cycles/mm up to which the noise power counts as that at 0
_EDGE = (384, 400)  # rows, columns
_SLANT = 1 / 32  # columns per row: 12 columns in all


def absorption_rows(counts: Counts) -> Iterator[Row]:
    """Energy that 600 um of CsI take in of a photon."""
    for (packing, energy), reference in _ABSORBED.items():
        ours = energy * float(csi_panel(packing).efficiency(energy))
        what = f"keV absorbed of {energy} keV, 600 um CsI, {100 * packing:g} % packed"
        yield Row(what, reference, "gVirtualXray", ours, Relative(0.005))


def dqe_rows(counts: Counts) -> Iterator[Row]:
    """DQE(0) at RQA5: signal^2 over photons and noise power at low frequencies, without the MTF's part in it."""
    filtration = rqa5_filtration()
    technique = Technique(70, 2.0, filtration)
    for name in _PANELS:
        panel = load_detector(name)
        at = view(_SIZE, panel.pixel_pitch)
        still = picture({"water": 0.0}, panel, at, technique).frame.signal.astype(np.float64)
        kerma = tube_spectrum(70, filtration).air_kerma * technique.mas * open_field(at).mean()
        photons = RQA5_PHOTONS * kerma * panel.pixel_pitch**2
        noise = (
            picture({"water": 0.0}, panel, at, technique, seed=1, frame=number).frame.signal - still
            for number in range(counts.frames // 2)
        )
        radial = radial_frequency(_SIZE, panel.pixel_pitch)
        low = (radial > 0) & (radial < _LOW)
        at_zero = (noise_power(noise) / _mtf(panel, radial) ** 2)[low].mean()
        ours = float(still.mean() ** 2 / (photons * at_zero))
        yield Row(f"DQE(0) at RQA5 of {name}", 0.70, "panels", ours, Absolute(0.05))


def mtf_rows(counts: Counts) -> Iterator[Row]:
    """A slanted edge of lead on panels and on a detector that blurs by its pixels alone."""
    for name in (*_PANELS, "ideal"):
        detector = replace(load_detector(name), bit_depth=None, saturation=None)
        pitch = detector.pixel_pitch
        at = view(_EDGE, pitch)
        row, column = np.indices(_EDGE)
        # The edge passes between pixels' centres, and between the middles of their places within a pixel.
        distance = (column - 199.5 + (row - 191.5) * _SLANT) * pitch
        lead = np.where(distance > 0, 30.0, 0.0)
        image = picture({"lead": lead}, detector, at).frame.signal / picture({"lead": 0.0}, ideal(), at).frame.signal
        frequencies = np.arange(0.1, 0.9, 0.1) * 0.5 / pitch
        measured = slanted_edge_mtf(image, distance, pitch, frequencies)
        expected = _mtf(detector, frequencies) * np.sinc(frequencies * pitch)
        table = [
            Row(f"MTF at {f:.2f}/mm of {name}", float(reference), "configured", float(ours), Relative(0.03))
            for f, reference, ours in zip(frequencies, expected, measured, strict=True)
        ]
        yield from worst(table, counts)


def electronics_rows(counts: Counts) -> Iterator[Row]:
    """The panel as it ships, binned, behind 3 cm of lead and far too much exposed."""
    panel = load_detector("mobile_flat_panel")
    size, pitch = panel.pixel_grid(binning=3)
    at = view(size, pitch)
    dark = picture({"lead": 34.0}, panel, at, Technique(80, 10.0), seed=1).frame
    finite = int(np.count_nonzero(~np.isfinite(dark.signal)))
    yield Row("pixels behind 3 cm lead that are not finite", 0, "definition", finite, Absolute(0))
    assert dark.counts is not None and panel.saturation is not None
    offset = float(dark.counts.mean())
    yield Row("counts behind 3 cm lead: dark offset", panel.dark_offset, "configured", offset, Absolute(0.1))
    # Rounding to whole counts, each of which is 9 unbinned pixels' energy, adds a little.
    noise = float(np.hypot(panel.electronic_noise, 9 / panel.gain / np.sqrt(12)))
    yield Row("noise behind 3 cm lead, keV", noise, "configured", float(dark.signal.std()), Relative(0.01))
    yield Row("pixels there clipped at 0 counts", 0, "definition", dark.clipped[0], Absolute(0))
    full = picture({"water": 0.0}, panel, at, Technique(80, 100.0), seed=1).frame
    assert full.counts is not None
    least = float(full.counts.min())
    yield Row("least counts in 100 mAs of open field", panel.saturation, "configured", least, Absolute(0))
    yield Row("pixels counted as clipped there", full.signal.size, "definition", full.clipped[1], Absolute(0))


def _mtf(detector: Detector, frequency: np.ndarray) -> np.ndarray:
    """The configured curve of the scintillator, a Lorentzian, or 1."""
    if detector.mtf is None:
        return np.ones_like(frequency)
    assert isinstance(detector.mtf, Lorentzian)
    return 1 / (1 + (frequency / detector.mtf.half_frequency) ** 2)
