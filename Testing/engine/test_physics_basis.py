"""Materials as mixtures of channels: the transmission they give against that of the materials themselves."""

import numpy as np
import pytest

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.physics.basis import basis_of
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.physics.materials import mass_attenuation, material_names
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum

THORAX = ("lung", "adipose", "water", "soft tissue", "bone", "titanium")
# Largest relative error of the transmission, as the module states it.
STATED = {"lung": 1e-4, "soft tissue": 1e-4, "muscle": 1e-4, "blood": 5e-4, "spongiosa": 5e-4, "PMMA": 1.2e-3}


def transmission(paths, spectrum, detector):
    """Part of the detected energy that passes paths {material: g/cm2}."""
    energy = spectrum.energies * spectrum.fluence * detector.efficiency(spectrum.energies)
    exponent = sum(mass_attenuation(material, spectrum.energies) * path for material, path in paths.items())
    return float(energy @ np.exp(-exponent) / energy.sum())


def as_channels(basis, materials, paths):
    """{channel: g/cm2} in place of {material: g/cm2}."""
    return dict(zip(basis.channels, [paths.get(m, 0.0) for m in materials] @ basis.matrix, strict=True))


@pytest.mark.parametrize("detector", ["ideal", "mobile_flat_panel"])
@pytest.mark.parametrize("material", STATED)
def test_stated_error_of_each_mixture(material, detector):
    """Other voltages, filters and patients than those that the fit was made with; a panel as well as an ideal one."""
    materials = (material, *(other for other in (*THORAX[:5], "muscle") if other != material))
    basis = basis_of(materials)
    assert material not in basis.channels
    panel = load_detector(detector)
    largest = 0.0
    for kvp, filtration in [(45, {"Al": 3.0}), (70, {"Al": 2.5}), (90, {"Al": 3.0, "Cu": 0.2}), (120, {"Al": 4.0})]:
        spectrum = tube_spectrum(kvp, filtration)
        for path in (0.5, 3.0, 12.0, 35.0):
            for water in (0.0, 8.0, 25.0):
                for bone in (0.0, 2.0):
                    others = {"water": water, "bone": bone}
                    exact = transmission({material: path, **others}, spectrum, panel)
                    if exact < 1e-6:
                        continue
                    ours = transmission(as_channels(basis, materials, {material: path, **others}), spectrum, panel)
                    largest = max(largest, abs(ours / exact - 1))
    assert 0 < largest <= STATED[material]


def test_whole_patients():
    """Random paths of all tissues at once, down to a millionth of the beam: 0.05 %, a tenth of what is allowed."""
    rng = np.random.default_rng(5)
    basis = basis_of(THORAX)
    panel = load_detector("mobile_flat_panel")
    largest, seen = 0.0, 0
    for _ in range(300):
        spectrum = tube_spectrum(int(rng.integers(40, 126)), {"Al": 3.0})
        paths = dict(zip(THORAX, rng.random(6) * [8.0, 10.0, 8.0, 25.0, 4.0, 0.5] * rng.integers(0, 2, 6)))
        exact = transmission(paths, spectrum, panel)
        if exact > 1e-6:
            seen += 1
            ours = transmission(as_channels(basis, THORAX, paths), spectrum, panel)
            largest = max(largest, abs(ours / exact - 1))
    assert seen > 200 and largest < 5e-4


def test_the_default_model_in_a_fixed_order():
    for materials in (THORAX, THORAX[::-1]):
        basis = basis_of(materials)
        assert basis.channels == ("adipose", "water", "bone", "titanium")
        for channel in basis.channels:  # a material that is a channel is that channel and nothing else
            row = basis.matrix[materials.index(channel)]
            np.testing.assert_array_equal(row, np.arange(4) == basis.channels.index(channel))


def test_amounts_are_not_negative_for_the_whole_library():
    names = material_names()
    basis = basis_of(names)
    assert basis.matrix.shape == (len(names), len(basis.channels)) and basis.matrix.min() == 0
    # Metals, contrast media, and what carries far more calcium or carbon than a mixture of tissues.
    own = {"titanium", "stainless steel 316L", "iodine", "iohexol", "aluminium", "hydroxyapatite", "PEEK", "lead"}
    assert own <= set(basis.channels)
    assert not set(STATED) & set(basis.channels)


@pytest.mark.parametrize(
    "materials",
    [("soft tissue",), ("soft tissue", "bone"), ("lung", "soft tissue", "titanium"), ("iodine", "iron"), ()],
)
def test_materials_stay_where_mixing_saves_nothing(materials):
    basis = basis_of(materials)
    assert basis.channels == materials
    np.testing.assert_array_equal(basis.matrix, np.eye(len(materials)))


def test_only_the_channels_that_are_needed():
    assert basis_of(("adipose", "spongiosa", "bone")).channels == ("adipose", "bone")


def test_names_are_the_librarys():
    assert basis_of(("Ti", "WATER")).channels == ("titanium", "water")
    with pytest.raises(InputError, match="named twice"):
        basis_of(("Ti", "titanium"))
    with pytest.raises(InputError, match="no material 'granite'"):
        basis_of(("granite",))
