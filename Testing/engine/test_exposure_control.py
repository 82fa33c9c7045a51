"""Automatic brightness control behind slabs of water, by the dose that the whole spectrum gives there."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.physics.collimation import Collimation, collimation
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum
from DeepDRRSlicerLib.simulation.exposure_control import measuring_field, technique_for
from DeepDRRSlicerLib.simulation.technique import check_limits

DEVICE = load_device("mobile_carm")
MODES = {mode.name: mode for mode in DEVICE.exposure_modes}
SIZE = (64, 64)


def automatic_technique(area_density, materials, beam, mode, device, share=None, **options):
    """What the control chooses behind area densities; share: of the focal spot that each pixel sees, all by default."""
    share = np.ones(beam.size) if share is None else share
    return technique_for(measuring_field(area_density, materials, beam, share), beam, mode, device, **options)


def beam(sid=1000.0, size=SIZE):
    return CArmPose(0, 0, (0, 0, 0), sid, 600, size, (300 / size[1], 300 / size[1])).beam()


def slab(cm, size=SIZE):
    return np.full((1, *size), cm, dtype=np.float32)


def chosen(cm, mode="fluoro", sid=1000.0, **options):
    return automatic_technique(slab(cm), ["water"], beam(sid), MODES[mode], DEVICE, **options)


def kerma_behind_water(technique, cm, sid=1000.0):
    """nGy on the central ray, from the filtered spectrum."""
    spectrum = tube_spectrum(technique.kvp, technique.filtration).filtered({"water": 10.0 * cm})
    return 1000.0 * spectrum.air_kerma * technique.mas * (1000.0 / sid) ** 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cm", [6, 10, 15, 20, 25, 30])
@pytest.mark.parametrize("sid", [900.0, 1100.0])
def test_the_detector_gets_the_dose_of_the_mode(mode, cm, sid):
    found = chosen(cm, mode, sid)
    assert not found.saturated
    # The median of the field is a little below the central ray: inverse square.
    assert kerma_behind_water(found.technique, cm, sid) == pytest.approx(MODES[mode].detector_kerma, rel=0.02)
    assert found.detector_kerma == pytest.approx(MODES[mode].detector_kerma, rel=1e-6)
    check_limits(found.technique, DEVICE)


@pytest.mark.parametrize("mode", MODES)
def test_the_technique_lies_on_or_below_the_curve(mode):
    for cm in range(0, 31, 3):
        technique = chosen(cm, mode).technique
        voltages, currents, widths = np.transpose(MODES[mode].curve)
        load = np.interp(technique.kvp, voltages, currents * widths / 1000)
        assert voltages[0] <= technique.kvp <= voltages[-1]
        assert technique.mas <= load * (1 + 1e-9)
        assert technique.tube_current * technique.pulse_width / 1000 == pytest.approx(technique.mas)
        assert technique.pulse_width >= MODES[mode].shortest_pulse * (1 - 1e-9)
        if voltages[0] < technique.kvp and not chosen(cm, mode).saturated:
            # One kV less would not do: that is where the curve ends for this patient.
            below = dataclasses.replace(
                technique, kvp=technique.kvp - 1, mas=np.interp(technique.kvp - 1, voltages, currents * widths / 1000),
                tube_current=None,
            )  # fmt: skip
            assert kerma_behind_water(below, cm) < MODES[mode].detector_kerma * 1.01


@settings(max_examples=40, deadline=None)
@given(mode=st.sampled_from(sorted(MODES)), cm=st.floats(0, 45), more=st.floats(0.1, 10))
def test_a_thicker_patient_gets_more(mode, cm, more):
    thin, thick = chosen(cm, mode), chosen(cm + more, mode)
    assert thick.technique.kvp >= thin.technique.kvp
    assert thick.detector_kerma <= thin.detector_kerma * (1 + 1e-6)
    if thick.technique.kvp == thin.technique.kvp:
        assert thick.technique.mas >= thin.technique.mas


def test_a_typical_patient():
    """20 cm of water: 70 to 75 kV, tens of mA for some ms, and 10 to 50 mGy/min, as C-arms show them."""
    technique = chosen(20).technique
    assert 68 <= technique.kvp <= 76 and 10 < technique.tube_current < 50 and 3 < technique.pulse_width < 10
    rate = tube_spectrum(technique.kvp, technique.filtration).air_kerma * technique.mas / 0.45**2 * 15 * 60 / 1000
    assert 10 < rate < 50
    assert (technique.mode, technique.pulse_rate) == ("fluoro", 15)
    assert chosen(20, "spot").technique.pulse_rate is None


def test_limits_are_told():
    thick = chosen(45, "spot")
    assert thick.saturated and thick.technique.kvp == 120 and thick.technique.mas == pytest.approx(24)
    assert thick.detector_kerma < 1000 and "the most that the mode spot allows" in thick.limit
    nobody = chosen(0)
    assert nobody.technique.kvp == 45 and nobody.technique.mas == pytest.approx(0.01)
    assert nobody.detector_kerma > 30 and "hardly a patient" in nobody.limit
    metal = automatic_technique(slab(1e4), ["lead"], beam(), MODES["fluoro"], DEVICE)
    assert metal.technique.kvp == 120 and metal.detector_kerma == 0 and metal.saturated
    assert "gets less than 0.01 instead of 30 nGy" in metal.limit
    for found in (thick, nobody, metal):
        assert found.limit.endswith(".") and "\n" not in found.limit


@pytest.mark.parametrize("rate", [15, 30])
def test_the_air_kerma_rate_stays_below_its_limit(rate):
    """88 mGy/min, 30 cm in front of the detector (21 CFR 1020.32)."""
    found = chosen(38, pulse_rate=rate)
    technique = found.technique
    kerma = tube_spectrum(technique.kvp, technique.filtration).air_kerma * technique.mas / 0.7**2
    assert kerma * rate * 60 / 1000 == pytest.approx(88, rel=1e-6)
    assert "limit of 88 mGy/min" in found.limit and "fewer pulses" in found.limit
    assert chosen(38, pulse_rate=3).detector_kerma > found.detector_kerma


def test_pulse_rates():
    assert chosen(20, pulse_rate=7.5).technique.pulse_rate == 7.5
    assert chosen(20, pulse_rate=7.5).technique.mas == chosen(20).technique.mas
    with pytest.raises(InputError, match="choose 3, 7.5, 15, 30 pulses/s"):
        chosen(20, pulse_rate=10)
    with pytest.raises(InputError, match="exposures are single"):
        chosen(20, "spot", pulse_rate=15)


def test_a_voltage_of_ones_own():
    for kvp in (60, 80, 100):
        found = chosen(20, kvp=kvp)
        assert found.technique.kvp == kvp and not found.saturated
        assert kerma_behind_water(found.technique, 20) == pytest.approx(30, rel=0.02)
        check_limits(found.technique, DEVICE)
    assert chosen(30, kvp=50).saturated
    with pytest.raises(InputError, match="40 to 120 kV"):
        chosen(20, kvp=125)


def test_neither_implant_nor_open_air_in_less_than_half_of_the_field_changes_it():
    plain = chosen(20).technique
    for other in (0.0, 500.0):
        patient = slab(20)
        patient[0, :, :29] = other  # less than half of the middle
        found = automatic_technique(patient, ["water"], beam(), MODES["fluoro"], DEVICE).technique
        assert found.kvp == plain.kvp and found.mas == pytest.approx(plain.mas, rel=0.03)
        patient[0, :, :36] = other
        found = automatic_technique(patient, ["water"], beam(), MODES["fluoro"], DEVICE).technique
        assert abs(found.kvp - plain.kvp) > 10


def test_outside_the_measuring_field_nothing_counts():
    """A circle of half the image's width: everything beyond it may be anything."""
    patient = slab(20)
    y, x = (np.indices(SIZE) - 31.5) / 16
    patient[0][np.hypot(x, y) > 1] = 60.0
    assert automatic_technique(patient, ["water"], beam(), MODES["cine"], DEVICE) == chosen(20, "cine")


def test_shuttered_pixels_do_not_count():
    patient, view = slab(60), beam()
    patient[0, :, 26:38] = 20.0  # 56 mm about the middle are thin; without shutters most of the field is thick
    open_ = automatic_technique(patient, ["water"], view, MODES["fluoro"], DEVICE)
    assert open_.technique.kvp > chosen(20).technique.kvp + 10
    share = collimation(view, Collimation(25, 25, 100, 100), 0.6, 110.0)
    found = automatic_technique(patient, ["water"], view, MODES["fluoro"], DEVICE, share)
    assert kerma_behind_water(found.technique, 20) == pytest.approx(30, rel=0.02)
    away = collimation(view, Collimation(-90, 140, 40, 40), 0.6, 110.0)  # the field lies beside the circle
    patient = slab(20)
    patient[0, :, 50:] = 10.0
    found = automatic_technique(patient, ["water"], view, MODES["fluoro"], DEVICE, away)
    assert kerma_behind_water(found.technique, 10) == pytest.approx(30, rel=0.04)
    with pytest.raises(InputError, match="cover every pixel"):
        automatic_technique(patient, ["water"], view, MODES["fluoro"], DEVICE, np.zeros(SIZE))


def test_a_thousand_rays_stand_for_the_field():
    rng = np.random.default_rng(5)
    size = (512, 512)
    y, x = np.indices(size) / 512 - 0.5
    water = 18 + 10 * x + 4 * np.sin(40 * y) + rng.normal(0, 1, size)
    found = automatic_technique(water[None], ["water"], beam(size=size), MODES["fluoro"], DEVICE)
    inside = water[np.hypot(x, y) < 0.25]
    assert kerma_behind_water(found.technique, float(np.median(inside))) == pytest.approx(30, rel=0.05)


def test_several_materials_and_added_filtration():
    mode = dataclasses.replace(MODES["fluoro"], added_filtration={"Cu": 0.2})
    layers = np.concatenate([slab(12), slab(4), slab(0.05)])
    found = automatic_technique(layers, ["water", "bone", "iodine"], beam(), mode, DEVICE)
    assert found.technique.filtration == {"aluminium": 3.0, "copper": 0.2}
    spectrum = tube_spectrum(found.technique.kvp, {"Al": 3.0, "Cu": 0.2})
    behind = spectrum.filtered({"water": 120.0, "bone": 40.0 / 1.92, "iodine": 0.5 / 4.93})
    assert 1000 * behind.air_kerma * found.technique.mas == pytest.approx(30, rel=0.02)


def test_the_anode_of_the_device_counts():
    steep = dataclasses.replace(DEVICE, anode_angle=8.0)
    other = automatic_technique(slab(20), ["water"], beam(), MODES["fluoro"], steep).technique
    assert other.mas != chosen(20).technique.mas


def test_area_densities_must_fit():
    with pytest.raises(InputError, match=r"2 materials must have the shape \(2, 64, 64\)"):
        automatic_technique(slab(20), ["water", "bone"], beam(), MODES["fluoro"], DEVICE)
