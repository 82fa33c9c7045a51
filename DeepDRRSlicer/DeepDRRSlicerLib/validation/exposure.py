"""Dose at the detector: photons per pixel, and whether the exposure control gives what its mode promises."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.physics.collimation import Collimation
from DeepDRRSlicerLib.simulation.acquisition import Acquisition, Automatic
from DeepDRRSlicerLib.simulation.technique import Technique
from DeepDRRSlicerLib.simulation.views import ViewRequest, ViewSimulator
from DeepDRRSlicerLib.validation.pictures import ideal, machine, patient, picture, view
from DeepDRRSlicerLib.validation.reference_sum import air_kerma, beam
from DeepDRRSlicerLib.validation.table import Absolute, Counts, Relative, Row

_PITCH = 0.154  # mm
_WATER = 20.0  # cm
_KERMA = 0.030  # uGy
_KERMA_80_KV = 70.2  # uGy/mAs at 1 m behind 3 mm Al, by spekpy


def photon_rows(counts: Counts) -> Iterator[Row]:
    """30 nGy behind 20 cm of water: photons of a frame by its signal, and its noise."""
    energies, photons = beam(80, {"water": _WATER}, {"aluminium": 3.0})
    technique = Technique(80, _KERMA / air_kerma(energies, photons))
    at = view((256, 256), _PITCH)
    areas = {"water": _WATER}
    still = picture(areas, ideal(), at, technique).frame.signal.astype(np.float64)
    mean_energy = (photons * energies).sum() / photons.sum()
    ours = float(still.mean() / mean_energy)
    yield Row("photons per 154 um pixel behind 20 cm water, 80 kV, 30 nGy", 21.0, "spekpy", ours, Absolute(1.0))
    noisy = picture(areas, ideal(), at, technique, seed=1).frame.signal
    spread = (photons * energies**2).sum() * photons.sum() / (photons * energies).sum() ** 2
    expected = float(np.sqrt(spread / (photons.sum() * technique.mas * _PITCH**2)))
    ours = float((noisy - still).std() / still.mean())
    yield Row("noise of that pixel / its signal", expected, "direct sum", ours, Relative(0.02))


def control_rows(counts: Counts) -> Iterator[Row]:
    """Dose at the detector behind slabs of water, from the picture and by the technique that the control chose."""
    at = view((65, 65), 4.0, sod=700.0)
    for mode in machine().exposure_modes:
        for water in (10, 20, 30):
            slab = np.ones((7, water, 7))
            body = patient("water", slab, (100.0, 10.0, 100.0))
            settings = Acquisition(replace(machine(), focal_spot=1e-6), ideal(), Automatic(mode.name))
            taken = body.simulate(at, settings)
            technique = taken.metadata["technique"]
            energies, photons = beam(technique["kvp"], {"water": float(water)}, technique["filtration_mm"])
            # Dose per signal behind that much water, and the signal that is there.
            per_kev = air_kerma(energies, photons) / (photons * energies).sum()
            ours = float(taken.signal[32, 32] / 4.0**2 * per_kev * 1000)
            what = f"detector dose, {mode.name}, {water} cm water ({technique['kvp']} kV), nGy"
            yield Row(what, mode.detector_kerma, "configured", ours, Relative(0.05))


def dose_rows(counts: Counts) -> Iterator[Row]:
    """Kerma-area product of 30 x 30 cm at 1 m and of half of it, and air kerma at the reference point, 1 mAs, 80 kV."""
    at = view((300, 300), 1.0)
    half = Collimation(75.0, 75.0, 150.0, 150.0)
    # Kerma belongs to a point, not to a surface: it falls with the square of the distance, without obliquity.
    place = (np.arange(3000) + 0.5) / 1e4 - 0.15  # m
    square = 1 / (1 + place[:, None] ** 2 + place**2)
    narrow = square[:, np.abs(place) < 0.075]
    device = replace(machine(), collimator_distance=999.99)  # blades without penumbra
    whole, halved = (
        picture({"water": 0.0}, ideal(), at, Technique(), device=device, collimation=field).metadata["dose"]
        for field in (None, half)
    )
    kerma = air_kerma(*beam(80, {}, {"aluminium": 3.0}))
    for what, dose, part in (("30 x 30", whole, square), ("15 x 30", halved, narrow)):
        reference = kerma * 1e-6 * part.sum() * 1e-4  # Gy cm2; each part is 0.1 mm square
        ours = dose["kerma_area_product_gycm2"]
        yield Row(
            f"kerma-area product of {what} cm, 80 kV, 1 mAs, Gy cm2", reference, "direct sum", ours, Relative(0.002)
        )
    pose = CArmPose(0, 0, (0, 0, 0), 1000, 600, (16, 16), (4.0, 4.0))
    body = patient("water", np.ones((3, 3, 3)), (9.0, 9.0, 9.0)).ct
    request = ViewRequest(body, 0, pose, Acquisition(device, ideal(), Technique()))
    dose = ViewSimulator().simulate(request).metadata["dose"]
    reference = _KERMA_80_KV / 0.45**2
    ours = dose["reference_air_kerma_ugy"]
    yield Row("air kerma 45 cm from the focal spot (SOD 60 cm), uGy", reference, "spekpy", ours, Relative(0.02))
