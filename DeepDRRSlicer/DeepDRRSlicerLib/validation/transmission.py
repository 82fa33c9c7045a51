"""Polychromatic transmission against a direct sum, and the hardening of the beam."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.physics.materials import density
from DeepDRRSlicerLib.physics.primary import detected, open_detected
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum
from DeepDRRSlicerLib.validation.pictures import ideal
from DeepDRRSlicerLib.validation.reference_sum import signal
from DeepDRRSlicerLib.validation.table import Absolute, Counts, Relative, Row, worst

_VOLTAGES = (50, 80, 120)
_THICKNESSES = {  # cm
    "water": (1.0, 10.0, 30.0),
    "PMMA": (1.0, 10.0, 30.0),
    "aluminium": (0.1, 1.0, 5.0),
    "bone": (0.5, 2.0, 8.0),
    "titanium": (0.05, 0.3, 1.0),
    "iodine": (0.001, 0.01, 0.1),
}
_STEPS = 60


def transmission_rows(counts: Counts) -> Iterator[Row]:
    """Each material at three thicknesses, three voltages, on the ideal detector and on a panel."""
    for material, thicknesses in _THICKNESSES.items():
        rows = []
        for detector, short in ((ideal(), "ideal"), (load_detector("mobile_flat_panel"), "CsI panel")):
            for kvp in _VOLTAGES:
                areas = [density(material) * cm for cm in thicknesses]
                for cm, area, ours in zip(thicknesses, areas, _transmissions(material, areas, kvp, detector)):
                    reference = signal(kvp, {material: area}, detector) / signal(kvp, {}, detector)
                    what = f"T of {cm:g} cm {material}, {kvp} kV, {short}"
                    rows.append(Row(what, reference, "direct sum", ours, Relative(0.002)))
        yield from worst(rows, counts)


def hardening_rows(counts: Counts) -> Iterator[Row]:
    """Attenuation per length must fall with every step of thickness."""
    for material, thicknesses in _THICKNESSES.items():
        areas = density(material) * np.geomspace(thicknesses[0], thicknesses[-1], _STEPS)
        per_area = [-np.log(_transmissions(material, areas, kvp, ideal())) / areas for kvp in _VOLTAGES]
        steps = np.diff(per_area)
        what = f"steps of thickness without hardening, of {steps.size}: {material}"
        yield Row(what, 0, "definition", int(np.count_nonzero(~(steps < 0))), Absolute(0))


def _transmissions(material: str, areas, kvp: int, detector) -> np.ndarray:
    """Of the signal through slabs of so many g/cm2."""
    spectrum = tube_spectrum(kvp, {"aluminium": 3.0})
    mean, _ = detected(np.array(areas)[None, None, :], [material], spectrum, detector)
    return mean[0].astype(np.float64) / open_detected(spectrum, detector)[0]
