"""The polychromatic primary against published slabs, a direct spectral sum and closed forms."""

import hashlib
import math
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.physics import spectral_nodes
from DeepDRRSlicerLib.physics.detector import Scintillator, Swank, load_detector
from DeepDRRSlicerLib.physics.exposure import open_field
from DeepDRRSlicerLib.physics.materials import density, mass_attenuation
from DeepDRRSlicerLib.physics.primary import detected, open_detected
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum

IDEAL = load_detector("ideal")
PANEL = load_detector("mobile_flat_panel")
FULL_CSI = replace(IDEAL, scintillator=Scintillator("CsI", 600.0))
STATED_ERROR = 2e-4  # against all bins of the spectrum


def slab(material, cm, spectrum, detector=IDEAL):
    """Transmission of the signal and of its variance through one slab at its nominal density."""
    sums = detected(np.full((1, 1, 1), density(material) * cm), [material], spectrum, detector)
    return [float(image[0, 0]) / total for image, total in zip(sums, open_detected(spectrum, detector), strict=True)]


def direct(area_density, materials, spectrum, detector):
    """(mean, variance) (...) by the sum over all bins in double precision, for area densities (..., m)."""
    energy = spectrum.energies
    taken_in = energy * detector.efficiency(energy) * spectrum.fluence
    passing = np.exp(-(area_density @ np.array([mass_attenuation(material, energy) for material in materials])))
    return passing @ taken_in, passing @ (energy * taken_in / detector.swank_factor(energy))


@pytest.mark.parametrize(
    ("cm", "published"), [(1, 0.76034), (5, 0.26372), (10, 0.073980), (15, 0.021504), (20, 0.0064016)]
)
def test_pmma_slabs(cm, published):
    """spekpy casim, 80 kV, 3 mm Al, energy-integrating."""
    assert slab("PMMA", cm, tube_spectrum(80, {"Al": 3.0}))[0] == pytest.approx(published, rel=4e-3)


@pytest.mark.parametrize("kvp", [50, 80, 120])
@pytest.mark.parametrize("detector", [IDEAL, PANEL], ids=["ideal", "panel"])
@pytest.mark.parametrize(
    ("material", "thicknesses_cm"),
    [("water", (1, 10, 30)), ("PMMA", (1, 10, 30)), ("aluminium", (0.1, 1, 5)), ("bone", (0.5, 2, 8)),
     ("titanium", (0.05, 0.3, 1)), ("iodine", (0.001, 0.01, 0.1))],
)  # fmt: skip
def test_against_a_direct_spectral_sum(kvp, detector, material, thicknesses_cm):
    """Photon energy by photon energy, the panel from its numbers."""
    spectrum = tube_spectrum(kvp, {"Al": 3.0, "Cu": 0.1})
    for cm in thicknesses_cm:
        behind, without = [0.0, 0.0], [0.0, 0.0]
        for energy, photons in zip(spectrum.energies, spectrum.fluence, strict=True):
            taken_in, swank = energy * photons, 1.0
            if detector is PANEL:
                taken_in *= 1 - math.exp(-float(mass_attenuation("CsI", energy)) * 4.51 * 0.75 * 0.06)
                swank = np.interp(energy, PANEL.scintillator.swank.energies, PANEL.scintillator.swank.factors)
            passing = math.exp(-float(mass_attenuation(material, energy)) * density(material) * cm)
            for moment, part in enumerate((taken_in, taken_in * energy / swank)):
                without[moment] += part
                behind[moment] += part * passing
        expected = [b / w for b, w in zip(behind, without, strict=True)]
        assert slab(material, cm, spectrum, detector) == pytest.approx(expected, rel=STATED_ERROR)


@pytest.mark.parametrize(
    "materials",
    [
        ("adipose", "water", "bone", "titanium"),
        ("soft tissue", "bone", "iodine"),
        ("water", "bone", "gadolinium oxysulfide", "tantalum"),
        ("lung", "adipose", "soft tissue", "bone", "iohexol", "CoCrMo", "stainless steel 316L", "lead"),
    ],
)
@pytest.mark.parametrize("kvp", [40, 70, 125])
def test_mixtures_with_edges_and_metals(kvp, materials):
    """Random paths, down to a millionth of the open signal and, with the larger error stated there, further."""
    rng = np.random.default_rng(kvp)
    spectrum = tube_spectrum(kvp, {"Al": 3.0})
    coefficients = [mass_attenuation(material, spectrum.mean_energy) for material in materials]
    shares = rng.dirichlet(np.full(len(materials), 0.4), (60, 50)) / coefficients
    area_density = (shares * rng.random((60, 50, 1)) * 25.0).astype(np.float32)
    sums = detected(np.moveaxis(area_density, -1, 0), materials, spectrum, PANEL)
    expected = direct(area_density.astype(np.float64), materials, spectrum, PANEL)
    passed = expected[0] / open_detected(spectrum, PANEL)[0]
    assert (passed > 1e-6).sum() > 1000 and (passed < 1e-6).sum() > 100
    for ours, exact in zip(sums, expected, strict=True):
        error = np.abs(ours / exact - 1)
        assert error[passed > 1e-6].max() < STATED_ERROR
        assert error[passed > 1e-8].max() < 1e-2


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
    passed = detected(depths.reshape(1, 1, 3), [material], spectrum, IDEAL)[0][0] / open_detected(spectrum, IDEAL)[0]
    mean = -np.log(passed.astype(np.float64)) / depths
    assert mean[0] > mean[1] > mean[2]
    coefficients = mass_attenuation(material, spectrum.energies)
    assert coefficients.min() < mean[2] and mean[0] < coefficients.max()


@pytest.mark.parametrize(("water_cm", "kev"), [(0, 47.1), (20, 56.6)])
def test_variance_over_mean_is_m2_over_m1(water_cm, kev):
    """80 kV, 3 mm Al, full-density CsI, no spread of the response to one energy."""
    mean, variance = detected(np.full((1, 1, 1), water_cm), ["water"], tube_spectrum(80, {"Al": 3.0}), FULL_CSI)
    assert variance[0, 0] / mean[0, 0] == pytest.approx(kev, rel=2e-3)


def test_the_swank_factor_divides_the_variance_alone():
    spectrum = tube_spectrum(80, {"Al": 3.0})
    spread = replace(FULL_CSI, scintillator=replace(FULL_CSI.scintillator, swank=Swank((50.0,), (0.8,))))
    area_density = np.linspace(0, 20, 12).reshape(1, 3, 4)
    mean, variance = detected(area_density, ["water"], spectrum, FULL_CSI)
    same_mean, more_variance = detected(area_density, ["water"], spectrum, spread)
    np.testing.assert_allclose(same_mean, mean, rtol=STATED_ERROR)
    np.testing.assert_allclose(more_variance, variance / 0.8, rtol=STATED_ERROR)


def test_views_in_front_and_many_pixels_are_the_pixels_one_by_one():
    rng = np.random.default_rng(1)
    names = ["soft tissue", "bone", "titanium"]
    area_density = rng.random((2, 3, 61, 97)) * np.array([20.0, 4.0, 1.0]).reshape(3, 1, 1)
    spectrum = tube_spectrum(80, {"Al": 3.0})
    sums = detected(area_density, names, spectrum, PANEL)
    # Not contiguous, single precision: the same.
    mirrored = np.asfortranarray(area_density.astype(np.float32))[..., ::-1]
    expected = direct(np.moveaxis(area_density, 1, -1), names, spectrum, PANEL)
    for image, again, exact in zip(sums, detected(mirrored, names, spectrum, PANEL), expected, strict=True):
        assert image.shape == (2, 61, 97) and image.dtype == np.float32
        np.testing.assert_allclose(image, exact, rtol=STATED_ERROR)
        np.testing.assert_allclose(again, image[..., ::-1], rtol=2e-5)


def test_where_few_energies_do_not_do_all_are_summed(monkeypatch):
    monkeypatch.setattr(spectral_nodes, "_MOST_NODES", 3)
    spectral_nodes._nodes.cache_clear()
    spectrum = tube_spectrum(71, {"Al": 3.0})
    area_density = np.array([[0.0, 1.0], [8.0, 30.0]])
    mean, variance = detected(area_density[None], ["water"], spectrum, PANEL)
    spectral_nodes._nodes.cache_clear()
    expected = direct(area_density[..., None], ["water"], spectrum, PANEL)
    np.testing.assert_allclose(mean, expected[0], rtol=1e-5)
    np.testing.assert_allclose(variance, expected[1], rtol=1e-5)


def test_few_energies_for_the_default_materials():
    """What makes the spectral stage cheap: at most 64, about 15."""
    for kvp in range(40, 126, 5):
        spectrum = tube_spectrum(kvp, {"Al": 3.0})
        taken_in = spectrum.energies * PANEL.efficiency(spectrum.energies) * spectrum.fluence
        weights = np.stack([taken_in, spectrum.energies * taken_in / PANEL.swank_factor(spectrum.energies)])
        materials = ("adipose", "water", "bone", "titanium")
        bins, counts = spectral_nodes.spectral_nodes(materials, spectrum.energies, weights)
        assert len(bins) == len(counts) <= 24 and counts.min() > 0


def test_the_same_bytes_on_any_number_of_threads():
    program = """
import numpy as np, sys
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.physics.primary import detected
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum
area_density = np.random.default_rng(1).random((4, 300, 300)) * np.array([10, 20, 4, 0.5]).reshape(4, 1, 1)
names = ["adipose", "water", "bone", "titanium"]
images = detected(area_density, names, tube_spectrum(80, {"Al": 3.0}), load_detector("mobile_flat_panel"))
sys.stdout.buffer.write(b"".join(image.tobytes() for image in images))
"""
    digests = set()
    for threads in ("1", "2", "5"):
        names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **dict.fromkeys(names, threads)}
        found = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
        assert len(found.stdout) == 2 * 4 * 300 * 300
        digests.add(hashlib.sha256(found.stdout).hexdigest())
    assert len(digests) == 1


def test_nothing_in_the_beam_and_thick_metal():
    spectrum = tube_spectrum(125, {"Al": 3.0})
    area_density = np.array([0.0, 1e3, 1e6, 1e30]).reshape(1, 1, 4)
    for image, total in zip(detected(area_density, ["lead"], spectrum, IDEAL), open_detected(spectrum, IDEAL)):
        assert image[0, 0] / total == pytest.approx(1.0, abs=1e-6)
        np.testing.assert_array_equal(image[0, 1:], 0.0)


def test_no_material_at_all_is_an_open_field():
    spectrum = tube_spectrum(80, {"Al": 3.0})
    for image, total in zip(detected(np.zeros((0, 2, 3)), [], spectrum, PANEL), open_detected(spectrum, PANEL)):
        np.testing.assert_allclose(image, np.full((2, 3), total), rtol=1e-6)


def test_open_signal_is_energy_fluence():
    spectrum = tube_spectrum(80, {"Al": 3.0})
    mean, variance = open_detected(spectrum, IDEAL)
    # spekpy: 1.38e8 photons/(cm2 mAs) of 43.83 keV
    assert mean == pytest.approx(1.377e6 * 43.83, rel=6e-3)
    assert variance == pytest.approx(spectrum.fluence @ spectrum.energies**2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
@pytest.mark.parametrize("material", ["water", "tungsten"])
def test_bad_area_densities_are_refused(bad, material):
    area_density = np.ones((2, 4, 4))
    area_density[1, 1, 2] = bad
    with pytest.raises(InputError, match="finite and not negative"):
        detected(area_density, ["bone", material], tube_spectrum(80, {"Al": 3.0}), IDEAL)


def test_negative_rounding_counts_as_nothing():
    """Half a mg/cm2 anywhere, and 0.2 % of what is there of the same material."""
    spectrum = tube_spectrum(80, {"Al": 3.0})
    total = open_detected(spectrum, IDEAL)[0]
    mean, _ = detected(np.full((1, 1, 1), -5e-4), ["lead"], spectrum, IDEAL)
    assert mean[0, 0] / total == pytest.approx(1.0, abs=1e-6)
    beside_metal = np.array([[[-0.006, 8.0]], [[0.0, 0.0]]])
    mean, _ = detected(beside_metal, ["titanium", "lead"], spectrum, IDEAL)
    assert mean[0, 0] / total == pytest.approx(1.0, abs=1e-6)
    with pytest.raises(InputError, match="not negative"):
        detected(np.array([[[-0.006, 1.0]], [[8.0, 8.0]]]), ["titanium", "lead"], spectrum, IDEAL)


@pytest.mark.parametrize("kvp", [40, 80, 125])
@pytest.mark.parametrize("detector", [IDEAL, PANEL], ids=["ideal", "panel"])
def test_a_thinner_anode_is_negative_tungsten(kvp, detector):
    """The heel effect towards the cathode: more photons than on the central ray, the softest most."""
    rng = np.random.default_rng(2)
    spectrum = tube_spectrum(kvp, {"Al": 3.0})
    names = ["water", "bone", "tungsten"]
    for thinner in (0.0098, 0.03, 0.05):
        area_density = rng.random((20, 30, 3)) * [20.0, 2.0, -thinner]
        sums = detected(np.moveaxis(area_density, -1, 0), names, spectrum, detector)
        for image, exact in zip(sums, direct(area_density, names, spectrum, detector), strict=True):
            np.testing.assert_allclose(image, exact, rtol=STATED_ERROR)
    brighter, _ = detected(np.full((1, 1, 1), -0.0098), ["tungsten"], spectrum, detector)
    assert brighter[0, 0] > 1.01 * open_detected(spectrum, detector)[0]


def test_as_many_materials_as_area_densities():
    spectrum = tube_spectrum(80, {"Al": 3.0})
    with pytest.raises(InputError, match="2 materials"):
        detected(np.ones((3, 4, 4)), ["water", "bone"], spectrum, IDEAL)


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
