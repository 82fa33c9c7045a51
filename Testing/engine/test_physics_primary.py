"""The polychromatic primary against published slabs, a direct spectral sum and closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.physics.exposure import open_field
from DeepDRRSlicerLib.physics.materials import density, mass_attenuation
from DeepDRRSlicerLib.physics.primary import open_signal, transmission
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum


def slab(material, cm, spectrum, detector="ideal"):
    """Transmission of one slab at its nominal density."""
    area_density = np.full((1, 1, 1), density(material) * cm)
    efficiency = load_detector(detector).efficiency(spectrum.energies)
    return float(transmission(area_density, [material], spectrum, efficiency)[0, 0])


@pytest.mark.parametrize(
    ("cm", "published"), [(1, 0.76034), (5, 0.26372), (10, 0.073980), (15, 0.021504), (20, 0.0064016)]
)
def test_pmma_slabs(cm, published):
    """spekpy casim, 80 kV, 3 mm Al, energy-integrating."""
    assert slab("PMMA", cm, tube_spectrum(80, {"Al": 3.0})) == pytest.approx(published, rel=4e-3)


@pytest.mark.parametrize("kvp", [50, 80, 120])
@pytest.mark.parametrize("detector", ["ideal", "mobile_flat_panel"])
@pytest.mark.parametrize(
    ("material", "thicknesses_cm"),
    [("water", (1, 10, 30)), ("PMMA", (1, 10, 30)), ("aluminium", (0.1, 1, 5)), ("bone", (0.5, 2, 8)),
     ("titanium", (0.05, 0.3, 1)), ("iodine", (0.001, 0.01, 0.1))],
)  # fmt: skip
def test_against_a_direct_spectral_sum(kvp, detector, material, thicknesses_cm):
    spectrum = tube_spectrum(kvp, {"Al": 3.0, "Cu": 0.1})
    for cm in thicknesses_cm:
        detected = total = 0.0
        for energy, photons in zip(spectrum.energies, spectrum.fluence, strict=True):
            taken_in = energy * photons
            if detector == "mobile_flat_panel":
                taken_in *= 1 - math.exp(-float(mass_attenuation("CsI", energy)) * 4.51 * 0.75 * 0.06)
            total += taken_in
            detected += taken_in * math.exp(-float(mass_attenuation(material, energy)) * density(material) * cm)
        assert slab(material, cm, spectrum, detector) == pytest.approx(detected / total, rel=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    kvp=st.integers(40, 125),
    material=st.sampled_from(["water", "bone", "aluminium", "titanium", "PMMA"]),
    depth=st.floats(0.2, 20.0),
)
def test_beam_hardening_is_strictly_monotone(kvp, material, depth):
    """The mean attenuation per g/cm2 falls with depth, and lies between those of the softest and hardest photons."""
    spectrum = tube_spectrum(kvp, {"Al": 3.0})
    depths = np.array([0.5 * depth, depth, 1.5 * depth])
    passed = transmission(depths.reshape(1, 1, 3), [material], spectrum, np.ones_like(spectrum.energies))[0]
    mean = -np.log(passed.astype(np.float64)) / depths
    assert mean[0] > mean[1] > mean[2]
    coefficients = mass_attenuation(material, spectrum.energies)
    assert coefficients.min() < mean[2] and mean[0] < coefficients.max()


def test_views_in_front_and_many_pixels_are_the_pixels_one_by_one():
    rng = np.random.default_rng(1)
    names = ["soft tissue", "bone", "titanium"]
    area_density = rng.random((2, 3, 61, 97)) * np.array([20.0, 4.0, 1.0]).reshape(3, 1, 1)
    spectrum = tube_spectrum(80, {"Al": 3.0})
    efficiency = load_detector("mobile_flat_panel").efficiency(spectrum.energies)
    images = transmission(area_density, names, spectrum, efficiency)
    assert images.shape == (2, 61, 97) and images.dtype == np.float32
    weights = spectrum.energies * spectrum.fluence * efficiency
    coefficients = np.array([mass_attenuation(name, spectrum.energies) for name in names])
    exponent = np.einsum("vmrc,mn->vrcn", area_density, coefficients)
    np.testing.assert_allclose(images, np.exp(-exponent) @ weights / weights.sum(), rtol=2e-5)
    # Not contiguous, single precision: the same.
    mirrored = np.asfortranarray(area_density.astype(np.float32))[..., ::-1]
    np.testing.assert_allclose(transmission(mirrored, names, spectrum, efficiency), images[..., ::-1], rtol=2e-5)


def test_nothing_in_the_beam_and_thick_metal():
    spectrum = tube_spectrum(125, {"Al": 3.0})
    area_density = np.array([0.0, 1e3, 1e6, 1e30]).reshape(1, 1, 4)
    passed = transmission(area_density, ["lead"], spectrum, np.ones_like(spectrum.energies))[0]
    assert passed[0] == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_array_equal(passed[1:], 0.0)


def test_no_material_at_all_is_an_open_field():
    spectrum = tube_spectrum(80, {"Al": 3.0})
    passed = transmission(np.zeros((0, 2, 3)), [], spectrum, np.ones_like(spectrum.energies))
    np.testing.assert_allclose(passed, np.ones((2, 3)), rtol=1e-6)


def test_open_signal_is_energy_fluence():
    spectrum = tube_spectrum(80, {"Al": 3.0})
    signal = open_signal(spectrum, np.ones_like(spectrum.energies))
    # spekpy: 1.38e8 photons/(cm2 mAs) of 43.83 keV
    assert signal == pytest.approx(1.377e6 * 43.83, rel=6e-3)
    assert open_signal(spectrum, np.full_like(spectrum.energies, 0.25)) == pytest.approx(0.25 * signal)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_bad_area_densities_are_refused(bad):
    spectrum = tube_spectrum(80, {"Al": 3.0})
    area_density = np.ones((1, 4, 4))
    area_density[0, 1, 2] = bad
    with pytest.raises(InputError, match="finite and not negative"):
        transmission(area_density, ["water"], spectrum, np.ones_like(spectrum.energies))


def test_negative_rounding_counts_as_nothing():
    spectrum = tube_spectrum(80, {"Al": 3.0})
    passed = transmission(np.full((1, 1, 1), -5e-4), ["lead"], spectrum, np.ones_like(spectrum.energies))
    assert 1 - 1e-6 < passed[0, 0] < 1 + 1e-6


def test_as_many_materials_as_area_densities():
    spectrum = tube_spectrum(80, {"Al": 3.0})
    with pytest.raises(InputError, match="2 materials"):
        transmission(np.ones((3, 4, 4)), ["water", "bone"], spectrum, np.ones_like(spectrum.energies))


def beam(source_distance, tilt=0.0):
    """301 x 301 pixels of 1 mm centred below the source, turned by `tilt` degrees about the image's columns."""
    cos, sin = np.cos(np.deg2rad(tilt)), np.sin(np.deg2rad(tilt))
    e_c, e_r = np.array([cos, 0.0, sin]), np.array([0.0, 1.0, 0.0])
    return ConeBeam(np.array([0.0, 0.0, -source_distance]), -150 * e_c - 150 * e_r, e_c, e_r, (1.0, 1.0), (301, 301))


def test_fall_off_towards_corner_and_edge():
    field = open_field(beam(1000.0))
    assert field[150, 150] == pytest.approx(1.0)
    assert field[0, 0] == pytest.approx(0.9361, abs=1e-4)
    assert field[300, 0] == pytest.approx(0.9361, abs=1e-4)
    assert field[0, 150] == pytest.approx(0.9672, abs=1e-4)
    assert field[150, 300] == pytest.approx(0.9672, abs=1e-4)


def test_inverse_square_with_distance():
    assert open_field(beam(1500.0))[150, 150] == pytest.approx(1 / 1.5**2)


def test_a_tilted_detector_catches_the_flux_through_its_outline():
    """Photons that cross the detector are those of the solid angle of its pixels, whichever way it is turned."""
    for tilt in (0.0, 30.0):
        view = beam(1000.0, tilt)
        # Solid angle of each pixel: pinhole projection of a 1 mm square, numerically, by its normal component.
        centers = view.pixel_centers() - view.source
        distance = np.linalg.norm(centers, axis=-1)
        solid_angle = np.abs(centers @ np.cross(view.e_c, view.e_r)) / distance**3
        np.testing.assert_allclose(open_field(view), 1e6 * solid_angle, rtol=1e-9)
