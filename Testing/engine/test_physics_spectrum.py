"""Tube spectra against spekpy's own filtered spectra and the IEC radiation qualities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum
from DeepDRRSlicerLib.physics.tables import physics_tables

# spekpy 2.5.4, casim, tungsten, 12 degrees, 1 m, no air path.
# kVp: mean energy keV, HVL1 and HVL2 mm Al, kerma uGy/mAs, photons/(cm2 mAs)
SPEKPY_3_MM_AL = {
    60: (36.76, 2.31, 3.12, 40.3, 6.50e7),
    70: (40.28, 2.66, 3.72, 54.6, 9.81e7),
    80: (43.83, 3.03, 4.39, 70.2, 1.38e8),
    90: (47.13, 3.42, 5.07, 86.9, 1.83e8),
    100: (50.11, 3.82, 5.74, 105, 2.31e8),
    110: (52.88, 4.22, 6.41, 123, 2.84e8),
    120: (55.41, 4.62, 7.02, 142, 3.37e8),
}


@pytest.mark.parametrize("kvp", SPEKPY_3_MM_AL)
def test_spectra_behind_3_mm_al(kvp):
    mean_energy, hvl1, hvl2, kerma, fluence = SPEKPY_3_MM_AL[kvp]
    spectrum = tube_spectrum(kvp, {"Al": 3.0})
    assert spectrum.mean_energy == pytest.approx(mean_energy, rel=3e-3)
    assert spectrum.half_value_layer() == pytest.approx(hvl1, rel=1e-2)
    assert spectrum.half_value_layer(order=2) == pytest.approx(hvl2, rel=1e-2)
    # 1 % in kerma is the difference between PENELOPE's coefficients of air, in spekpy, and NIST's.
    assert spectrum.air_kerma == pytest.approx(kerma, rel=1.2e-2)
    assert spectrum.total_fluence * 100 == pytest.approx(fluence, rel=1e-2)


def _filter_for(kvp, hvl):
    low, high = 0.0, 40.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if tube_spectrum(kvp, {"Al": middle}).half_value_layer() < hvl else (low, middle)
    return tube_spectrum(kvp, {"Al": low})


def test_photons_per_kerma_at_rqa5():
    """IEC 62220-1: 70 kV at HVL 6.8 mm Al gives 30174 photons/(mm2 uGy)."""
    rqa5 = _filter_for(70, 6.8)
    assert rqa5.total_fluence / rqa5.air_kerma == pytest.approx(30174, rel=2e-2)


def test_the_unfiltered_spectrum_is_spekpys():
    spekpy = pytest.importorskip("spekpy")
    tables = physics_tables()
    energy, photons = spekpy.Spek(kvp=77, th=12, dk=0.1, physics="casim").get_spectrum(diff=False)
    # Whole-keV limits only: spekpy's bins do not know the split bins.
    whole = np.arange(1.0, 78.0)
    expected, _ = np.histogram(energy, bins=whole, weights=photons / 100)
    row = list(tables.tube_voltages).index(77)
    middles = 0.5 * (tables.bin_edges[1:] + tables.bin_edges[:-1])
    ours, _ = np.histogram(middles, bins=whole, weights=tables.fluence[row])
    # 1 % of the largest bin: a line may lie one fine bin to the other side of a limit.
    np.testing.assert_allclose(ours, expected, rtol=2e-3, atol=1e-2 * expected.max())
    assert ours.sum() == pytest.approx(expected.sum(), rel=1e-3)


def test_characteristic_lines_keep_their_energy():
    """The K alpha lines, 57.98 and 59.32 keV, draw the mean energy of their bins away from the bin's middle."""
    spectrum = tube_spectrum(100, {"Al": 3.0})
    for line, middle in ((57.98, 57.5), (59.32, 59.5)):
        bin_of_line = np.argmin(np.abs(spectrum.energies - line))
        continuum = spectrum.fluence[np.argmin(np.abs(spectrum.energies - 55.5))]
        assert spectrum.fluence[bin_of_line] > 1.5 * continuum
        assert abs(spectrum.energies[bin_of_line] - line) < 0.6 * abs(middle - line)


def test_filters_combine():
    once = tube_spectrum(80, {"Al": 3.0, "Cu": 0.2})
    twice = tube_spectrum(80, {"Al": 1.0}).filtered({"aluminium": 2.0}).filtered({"copper": 0.2})
    np.testing.assert_allclose(once.fluence, twice.fluence, rtol=1e-12)
    np.testing.assert_array_equal(tube_spectrum(80, {}).filtered({}).fluence, tube_spectrum(80, {}).fluence)


@pytest.mark.parametrize("order", [1, 2])
def test_half_value_layers_halve_the_kerma(order):
    spectrum = tube_spectrum(90, {"Al": 3.0})
    layers = sum(spectrum.half_value_layer("copper", n) for n in range(1, order + 1))
    assert spectrum.filtered({"copper": layers}).air_kerma == pytest.approx(spectrum.air_kerma / 2**order, rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(kvp=st.integers(40, 124), thickness=st.floats(0.5, 8.0), more=st.floats(0.01, 5.0))
def test_a_thicker_filter_hardens_and_a_higher_voltage_gives_more(kvp, thickness, more):
    thin, thick = (tube_spectrum(kvp, {"Al": mm}) for mm in (thickness, thickness + more))
    assert thick.air_kerma < thin.air_kerma
    assert thick.half_value_layer() > thin.half_value_layer()
    assert thick.mean_energy > thin.mean_energy
    assert tube_spectrum(kvp + 1, {"Al": thickness}).air_kerma > thin.air_kerma


@pytest.mark.parametrize("kvp", [39, 126, 80.5, float("nan"), float("inf"), -80])
def test_other_tube_voltages_are_refused(kvp):
    with pytest.raises(InputError, match="whole number from 40 to 125 kV"):
        tube_spectrum(kvp, {"Al": 3.0})


@pytest.mark.parametrize("filtration", [{"Al": -1.0}, {"Al": float("nan")}, {"Cu": float("inf")}, {"unobtainium": 1.0}])
def test_impossible_filters_are_refused(filtration):
    with pytest.raises(InputError):
        tube_spectrum(80, filtration)


def test_a_filter_that_leaves_nothing_is_refused():
    with pytest.raises(InputError, match="Practically no radiation at 40 kV passes 3 mm Cu"):
        tube_spectrum(40, {"Cu": 3.0})
    assert tube_spectrum(125, {"Cu": 3.0}).air_kerma > 1.0
