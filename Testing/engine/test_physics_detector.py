"""Detector files and the energy that a scintillator takes in."""

import json

import numpy as np
import pytest

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.physics.detector import detector_names, load_detector
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum


def panel(packing=1.0, **changes):
    """A detector file as a dict: 600 um CsI."""
    response = {"type": "scintillator", "material": "CsI", "thickness_um": 600, "packing": packing}
    return {
        "format": "DeepDRRSlicer detector 1",
        "name": "test panel",
        "pixels": [300, 400],
        "pixel_pitch": 0.2,
        "binning": {"modes": [1, 2], "default": 2},
        "response": response,
        **changes,
    }


@pytest.fixture
def load(tmp_path):
    def load(data):
        path = tmp_path / "detector.json"
        path.write_text(json.dumps(data))
        return load_detector(path)

    return load


@pytest.mark.parametrize(
    ("packing", "energy", "absorbed"),
    [(1.0, 30, 27.4), (1.0, 60, 53.0), (1.0, 100, 42.3), (0.75, 60, 48.0), (0.75, 100, 33.8)],
)
def test_energy_absorbed_in_600_um_csi(load, packing, energy, absorbed):
    """As published for gVirtualXray's panel, and for 75 % packing."""
    assert energy * load(panel(packing)).efficiency(energy) == pytest.approx(absorbed, abs=0.1)


def test_the_ideal_detector_takes_in_everything():
    np.testing.assert_array_equal(load_detector("ideal").efficiency(np.array([1.0, 60.0, 125.0])), 1.0)


@pytest.mark.parametrize(("water_mm", "kev", "swank"), [(0, 47.1, 0.917), (200, 56.6, 0.963)])
def test_moments_of_the_absorbed_spectrum(load, water_mm, kev, swank):
    """M2/M1 and the spectrum's own Swank factor, full-density CsI, 80 kV, 3 mm Al."""
    spectrum = tube_spectrum(80, {"Al": 3.0}).filtered({"water": water_mm})
    absorbed = spectrum.fluence * load(panel()).efficiency(spectrum.energies)
    m0, m1, m2 = (absorbed @ spectrum.energies**power for power in range(3))
    assert m2 / m1 == pytest.approx(kev, rel=2e-3)
    assert m1**2 / (m0 * m2) == pytest.approx(swank, abs=1e-3)


def test_photons_behind_a_patient():
    """30 nGy behind 20 cm of water at 80 kV: 21 photons in a pixel of 154 um."""
    spectrum = tube_spectrum(80, {"Al": 3.0}).filtered({"water": 200.0})
    assert spectrum.total_fluence / spectrum.air_kerma * 0.030 * 0.154**2 == pytest.approx(21, abs=0.5)


# Sides of the whole field as it is read out, mm.
@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("ideal", 298, 298),
        ("mobile_flat_panel", 298, 298),
        ("angiography_panel", 296, 382),
        ("image_intensifier", 230, 230),
    ],
)
def test_shipped_detectors(name, rows, columns):
    detector = load_detector(name)
    size, pitch = detector.pixel_grid()
    assert (size[0] * pitch, size[1] * pitch) == pytest.approx((rows, columns), abs=1) and detector.source


def test_every_shipped_detector_is_known():
    assert detector_names() == ["angiography_panel", "ideal", "image_intensifier", "mobile_flat_panel"]
    assert load_detector("ideal").pixel_grid() == load_detector("mobile_flat_panel").pixel_grid()


@pytest.mark.parametrize(
    ("name", "sides"),
    [
        ("angiography_panel", {"42 cm": 420, "32 cm": 320, "22 cm": 220, "16 cm": 160}),  # diagonals
        ("image_intensifier", {"17 cm": 170 * 2**0.5, "12 cm": 120 * 2**0.5}),  # circles, which fit in squares
    ],
)
def test_magnification_fields_have_the_size_of_their_name(name, sides):
    detector = load_detector(name)
    for field, diagonal in sides.items():
        (rows, cols), pitch = detector.pixel_grid(field)
        assert np.hypot(rows, cols) * pitch == pytest.approx(diagonal, abs=3)


def test_swank_factor_between_and_at_steps(load):
    """Linear between the energies, above a step at its own energy, constant outside; 1 where nothing is said."""
    response = panel()["response"]
    swank = {"energies": [30.0, 30.0, 50.0], "factors": [0.9, 0.8, 0.9]}
    detector = load(panel(response={**response, "swank": swank}))
    energies = np.array([[1.0, 29.999, 30.0], [35.0, 50.0, 125.0]])
    np.testing.assert_allclose(detector.swank_factor(energies), [[0.9, 0.9, 0.8], [0.825, 0.9, 0.9]])
    assert detector.swank_factor(40.0) == pytest.approx(0.85)
    np.testing.assert_array_equal(load(panel()).swank_factor(energies), np.ones((2, 3)))
    np.testing.assert_array_equal(load_detector("ideal").swank_factor(energies), np.ones((2, 3)))
    single = load(panel(response={**response, "swank": {"energies": [60], "factors": [0.7]}}))
    np.testing.assert_array_equal(single.swank_factor(energies), np.full((2, 3), 0.7))


@pytest.mark.parametrize("name", ["mobile_flat_panel", "angiography_panel", "image_intensifier"])
def test_dqe_at_rqa5(name):
    """Panels with 500 to 600 um of CsI, and image intensifiers, measure 0.65 to 0.75."""
    detector = load_detector(name)
    spectrum = tube_spectrum(70, {"Al": 24.8})
    energies, absorbed = spectrum.energies, spectrum.fluence * detector.efficiency(spectrum.energies)
    variance = absorbed @ (energies**2 / detector.swank_factor(energies))
    assert 0.65 < (absorbed @ energies) ** 2 / (spectrum.fluence.sum() * variance) < 0.75


def test_pixel_grids(load):
    zoom = [{"name": "zoom", "pixels": [101, 100], "pixel_pitch": 0.1, "binning": 1}]
    detector = load(panel(magnification_fields=zoom))
    assert detector.pixel_grid() == ((150, 200), 0.4)
    assert detector.pixel_grid(binning=1) == ((300, 400), 0.2)
    assert detector.pixel_grid("zoom") == ((101, 100), 0.1)
    assert detector.pixel_grid("zoom", 2) == ((50, 50), 0.2)
    with pytest.raises(InputError, match="no field 'wide'; choose full, zoom"):
        detector.pixel_grid("wide")
    with pytest.raises(InputError, match="does not bin by 3; choose 1, 2"):
        detector.pixel_grid(binning=3)


def test_every_key_of_the_format(load):
    """An image intensifier, which uses all of them."""
    data = panel(
        field_shape="circular",
        glare={"fraction": 0.1, "radius": 20.0},
        vignetting=0.25,
        distortion=0.05,
        electronic_noise=10.0,
        gain=2.0,
        dark_offset=100,
        bit_depth=12,
        saturation=4000,
        lag={"fractions": [0.1], "time_constants": [0.1]},
        source="made up",
    )
    data["response"]["swank"] = {"energies": [33.2, 33.2, 100], "factors": [0.9, 0.8, 0.9]}
    data["response"]["mtf"] = {"type": "gaussians", "weights": [0.7, 0.3], "sigmas": [0.1, 0.5]}
    detector = load(data)
    assert detector.scintillator.mtf.sigmas == (0.1, 0.5)
    assert detector.scintillator.swank.factors == (0.9, 0.8, 0.9)
    assert detector.lag.time_constants == (0.1,) and detector.glare.radius == 20.0
    assert (detector.bit_depth, detector.saturation, detector.dark_offset) == (12, 4000.0, 100.0)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"format": "DeepDRRSlicer detector 2"}, "format"),
        ({"colour": "grey"}, "unknown key colour"),
        ({"scintillator": None}, "unknown key scintillator"),
        ({"pixels": [300, 400.5]}, "pixels must be a whole number, not 400.5"),
        ({"pixels": [300]}, "pixels must be"),
        ({"pixel_pitch": "small"}, "pixel_pitch must be a number, not 'small'"),
        ({"pixel_pitch": 0}, "pixel_pitch must be greater"),
        ({"pixel_pitch": 1e-9}, "pixel_pitch must be greater"),
        ({"electronic_noise": 1e300}, "electronic_noise must lie"),
        ({"gain": 1e-300}, "gain must be greater"),
        ({"distortion": -0.4}, "distortion must lie"),
        ({"electronic_noise": True}, "electronic_noise must be a number"),
        ({"gain": None}, "gain must be a number"),
        ({"binning": {"modes": [1], "default": 2}}, "binning 2 of full"),
        ({"binning": {"modes": [1]}}, "binning lacks the key default"),
        ({"field_shape": "hexagonal"}, "field_shape"),
        ({"saturation": 70000, "bit_depth": 16}, "saturation"),
        ({"lag": {"fractions": [0.6, 0.5], "time_constants": [1, 2]}}, "fractions of the lag"),
        ({"glare": {"fraction": 0.1}}, "glare lacks the key radius"),
        ({"magnification_fields": [{"name": "full", "pixels": [9, 9], "pixel_pitch": 1, "binning": 1}]}, "same name"),
        ({"response": {"type": "film"}}, "type of response"),
        ({"response": {"type": "ideal", "packing": 1}}, "response has the unknown key packing"),
        ({"response": {"type": "scintillator", "material": "CsI"}}, "lacks the key thickness_um"),
        ({"response": {"type": "scintillator", "material": "CsJ", "thickness_um": 600}}, "CsI"),
        ({"response": {**panel()["response"], "mtf": {"type": "lorentzian", "h": 1}}}, "mtf has the unknown key h"),
        ({"response": {**panel()["response"], "mtf": {"type": "boxcar"}}}, "type of mtf"),
        ({"response": {**panel()["response"], "swank": {"energies": [1], "factors": [1.2]}}}, "factors of swank"),
    ],
)
def test_files_that_cannot_be_used(load, change, complaint):
    with pytest.raises(InputError, match=complaint) as refusal:
        load(panel(**change))
    assert "detector.json" in str(refusal.value) and str(refusal.value).count("\n") == 0


def test_a_detector_that_is_not_there():
    with pytest.raises(InputError, match="ideal, image_intensifier, mobile_flat_panel"):
        load_detector("no such panel")
