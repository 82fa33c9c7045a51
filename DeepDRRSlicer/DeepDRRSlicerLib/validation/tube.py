"""Spectra, half-value layers, output and heel effect against spekpy and the IEC's radiation qualities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.physics.anode import production_depth
from DeepDRRSlicerLib.physics.exposure import inverse_square, pixel_distance
from DeepDRRSlicerLib.physics.heel import heel_kerma, heel_layer
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum
from DeepDRRSlicerLib.simulation.technique import Technique
from DeepDRRSlicerLib.validation.measure import solve
from DeepDRRSlicerLib.validation.pictures import ideal, machine, picture, view
from DeepDRRSlicerLib.validation.reference_sum import signal
from DeepDRRSlicerLib.validation.table import Counts, Relative, Row, worst

# kV: mean energy keV, HVL1 and HVL2 mm Al, kerma uGy/mAs, photons/(mm2 mAs)
_SPEKPY = {
    60: (36.76, 2.31, 3.12, 40.3, 6.50e5),
    70: (40.28, 2.66, 3.72, 54.6, 9.81e5),
    80: (43.83, 3.03, 4.39, 70.2, 1.38e6),
    90: (47.13, 3.42, 5.07, 86.9, 1.83e6),
    100: (50.11, 3.82, 5.74, 105.0, 2.31e6),
    110: (52.88, 4.22, 6.41, 123.0, 2.84e6),
    120: (55.41, 4.62, 7.02, 142.0, 3.37e6),
}
# cm from the central ray, at 1 m, the anode being on the negative side: uGy/mAs at 80 kV
_HEEL = {-15: 47.6, -10: 59.6, -5: 66.3, 0: 70.2, 5: 72.3, 10: 73.1, 15: 72.9}
_RQR5_HVL, _RQA5_ADDED, _RQA5_HVL = 2.58, 21.0, 6.8  # mm Al, at 70 kV
RQA5_PHOTONS = 30174.0  # per mm2 and uGy


def half_value_layer_rows(counts: Counts) -> Iterator[Row]:
    """HVL1 and HVL2 at every voltage of the reference."""
    for order, column in ((1, 1), (2, 2)):
        for kvp, values in _SPEKPY.items():
            ours = tube_spectrum(kvp, {"Al": 3.0}).half_value_layer(order=order)
            yield Row(f"HVL{order} at {kvp} kV, 3 mm Al, mm Al", values[column], "spekpy", ours, Relative(0.02))


def output_rows(counts: Counts) -> Iterator[Row]:
    """Mean energy, air kerma and fluence per mAs."""
    spectra = {kvp: tube_spectrum(kvp, {"Al": 3.0}) for kvp in _SPEKPY}
    for what, column, quantity, limit in (
        ("mean energy at {} kV, keV", 0, lambda s: s.mean_energy, 0.01),
        ("air kerma at 1 m at {} kV, uGy/mAs", 3, lambda s: s.air_kerma, 0.02),
        ("fluence at 1 m at {} kV, photons/(mm2 mAs)", 4, lambda s: s.total_fluence, 0.02),
    ):
        rows = [
            Row(what.format(kvp), _SPEKPY[kvp][column], "spekpy", quantity(spectrum), Relative(limit))
            for kvp, spectrum in spectra.items()
        ]
        yield from worst(rows, counts)


def radiation_quality_rows(counts: Counts) -> Iterator[Row]:
    """RQA5 from RQR5: the filter that gives the one's HVL, and 21 mm Al more, must give the other's; photons at it."""
    ours = tube_spectrum(70, {"Al": _filter_for(_RQR5_HVL) + _RQA5_ADDED}).half_value_layer()
    yield Row("HVL of RQR5 (2.58 mm Al) with 21 mm Al more, mm Al", _RQA5_HVL, "IEC 61267", ours, Relative(0.02))
    rqa5 = tube_spectrum(70, rqa5_filtration())
    ours = rqa5.total_fluence / rqa5.air_kerma
    yield Row("photons at RQA5 (HVL 6.8 mm Al), 1/(mm2 uGy)", RQA5_PHOTONS, "IEC 61267", ours, Relative(0.02))


def rqa5_filtration() -> dict[str, float]:
    """Filters that give our spectrum at 70 kV the half-value layer of RQA5."""
    return {"aluminium": _filter_for(_RQA5_HVL)}


def _filter_for(hvl: float) -> float:
    """mm of aluminium behind which the half-value layer at 70 kV is so many mm Al."""
    return solve(lambda mm: tube_spectrum(70, {"Al": mm}).half_value_layer() - hvl, 0.5, 40.0)


def heel_rows(counts: Counts) -> Iterator[Row]:
    """Air kerma across the field with the anode at the left."""
    columns = np.array([10.0 * x for x in _HEEL])
    source, pixel00, e_c, e_r = np.array([[0, 0, -1000], [columns[0], 0, 0], [1, 0, 0], [0, 1, 0]], dtype=np.float64)
    beam = ConeBeam(source, pixel00, e_c, e_r, (50, 50), (1, len(columns)))
    spectrum = tube_spectrum(80, {"Al": 3.0})
    kerma = heel_kerma(spectrum, heel_layer(beam, (-1.0, 0.0), 80))[0] * inverse_square(pixel_distance(beam))[0]
    for (x, reference), ours in zip(_HEEL.items(), kerma, strict=True):
        if x:
            ratio = reference / _HEEL[0]
            yield Row(
                f"heel: kerma at {x:+d} cm / centre, 80 kV", ratio, "spekpy", float(ours / kerma[3]), Relative(0.05)
            )


def heel_picture_rows(counts: Counts) -> Iterator[Row]:
    """The heel effect in a picture whose right side is the anode's: the path through tungsten of a slanted plane."""
    device = replace(machine(), anode_direction=(1.0, 0.0), anode_angle=12.0)
    shown = picture({"water": 0.0}, ideal(), view((3, 61), 5.0), Technique(heel=True), device=device).frame.signal[1]
    for column, x in ((0, -150.0), (60, 150.0)):
        ray = np.arctan(x / 1000)
        layer = production_depth(80) * (1 / np.sin(np.deg2rad(12) - ray) - 1 / np.sin(np.deg2rad(12)))
        expected = signal(80, {"tungsten": layer}, ideal()) / signal(80, {}, ideal()) * np.cos(ray) ** 3
        what = f"heel: signal at {x / 10:+g} cm / centre, anode at the right"
        yield Row(what, float(expected), "direct sum", float(shown[column] / shown[30]), Relative(0.005))
