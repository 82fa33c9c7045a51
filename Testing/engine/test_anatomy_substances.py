"""What labelled voxels consist of: the HU they came from, published tissues, and what a label may never become."""

import numpy as np
import pytest

from DeepDRRSlicerLib.anatomy.hu_model import decompose
from DeepDRRSlicerLib.anatomy.substances import (
    BONE,
    CLASSES,
    CONTRAST,
    METAL,
    SOFT_TISSUE,
    class_substances,
    decompose_labelled,
    iodine_hu,
    substance,
)
from DeepDRRSlicerLib.anatomy.volume import Volume, transform_points
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.physics.materials import density, mass_attenuation
from DeepDRRSlicerLib.physics.spectrum import tube_spectrum

BY_HU = [name for name in CLASSES if name not in ("air", "metal")] + ["vessel"]


def hounsfield(densities):
    """HU at a 120 kVp CT beam behind 20 cm of water, summed here."""
    beam = tube_spectrum(120, {"Al": 6.0, "Cu": 0.2})
    water = mass_attenuation("water", beam.energies)
    weight = beam.fluence * beam.energies * np.exp(-20 * water)
    mu = sum(np.multiply.outer(d, mass_attenuation(name, beam.energies)) for name, d in densities.items())
    return 1000 * (mu @ weight / (water @ weight) - 1)


def parts(name, hu):
    """{material: g/cm3} of a substance."""
    one = substance(name)
    return dict(zip(one.materials, np.moveaxis(one.partial_densities(hu), -1, 0), strict=True))


@pytest.mark.parametrize("name", BY_HU)
def test_a_ct_of_the_substance_shows_the_hu_it_came_from(name):
    hu = np.arange(-1000.0, 3000.0)
    back = hounsfield(parts(name, hu))
    assert (np.abs(back - hu) <= np.maximum(15, 0.04 * np.abs(hu))).all()
    tissue = (hu > -745) & (hu < 60)
    assert np.abs(back - hu)[tissue].max() < 5


@pytest.mark.parametrize("name", BY_HU)
def test_straight_lines_without_jumps(name):
    """So that noise averages out: no step, and attenuation rises with HU at every energy of a fluoroscopy beam."""
    hu = np.arange(-1100.0, 4000.0, 0.5)
    found = parts(name, hu)
    for energy in (40.0, 60.0, 100.0):
        mu = sum(d * float(mass_attenuation(material, energy)) for material, d in found.items())
        below_metal = np.diff(mu)[hu[1:] < 3000]
        assert below_metal.min() >= 0 and below_metal.max() < 0.01
    assert all(d.min() >= 0 for d in found.values())


def test_ten_milligrams_of_iodine():
    """258 HU in water (physics.md, computed with spekpy and xraylib)."""
    assert iodine_hu() * 10 == pytest.approx(258, abs=1)
    assert hounsfield({"water": np.array(1.0), "iodine": np.array(0.01)}) == pytest.approx(258, abs=1)
    assert parts("contrast", 56 + 258.0)["iodine"] == pytest.approx(0.01, rel=5e-3)
    assert parts("contrast", 56.0)["iodine"] == 0 and parts("contrast", 56.0)["blood"] == pytest.approx(1.06)


def test_a_vessel_may_be_blood():
    for hu in (30.0, 56.0, 90.0):
        assert parts("vessel", hu)["iodine"] == 0
    assert parts("vessel", 348.0)["iodine"] == pytest.approx(0.01, rel=5e-3)
    assert sum(parts("vessel", 56.0).values()) == pytest.approx(1.06, rel=2e-3)


def test_soft_tissue_is_never_bone():
    for name in ("lung", "adipose", "soft tissue"):
        assert set(substance(name).materials) <= {"lung", "adipose", "water", "soft tissue", "titanium"}
        assert sum(parts(name, 400.0).values()) == pytest.approx(1.06 * 1400 / 1053, rel=1e-3)
    volume = Volume(np.full((3, 3, 3), 400, np.int16), np.eye(4))
    labels = np.full((3, 3, 3), SOFT_TISSUE, np.uint8)
    as_bone = decompose_labelled(volume, np.full_like(labels, BONE), class_substances())
    as_tissue = decompose_labelled(volume, labels, class_substances())
    share = {
        name: dict(zip(found.materials, found.density[:, 1, 1, 1] * found.scale, strict=True))["bone"]
        for name, found in (("bone", as_bone), ("tissue", as_tissue))
    }
    assert share["bone"] > 10 * share["tissue"]  # soft tissue is traced as adipose, water and a trace of bone


def test_trabecular_bone_bears_bone():
    """Below 150 HU, and as much as marrow and mineral must have for those HU; spongiosa of ICRU-44 at its own HU."""
    assert 0.05 < parts("bone", 100.0)["bone"] < 0.2
    assert parts("bone", -12.0)["bone"] == 0
    hu = float(hounsfield({"spongiosa": np.array(density("spongiosa"))}))
    found = parts("bone", hu)
    assert sum(found.values()) == pytest.approx(density("spongiosa"), rel=0.02)
    for energy in (40.0, 60.0, 80.0, 100.0):
        mu = sum(d * float(mass_attenuation(material, energy)) for material, d in found.items())
        true = density("spongiosa") * float(mass_attenuation("spongiosa", energy))
        assert mu == pytest.approx(true, rel=0.02), energy


def test_what_a_person_names_is_at_nominal_density():
    for words, expected in (
        ("titanium", {"titanium": 4.54}),
        ("Ti", {"titanium": 4.54}),
        ("PEEK", {"PEEK": 1.32}),
        ("metal", {"titanium": 4.54}),
        ("blood with 300 mgI/ml", {"blood": 1.06, "iodine": 0.3}),
        ("Water  with 10mgI/ml", {"water": 1.0, "iodine": 0.01}),
    ):
        one = substance(words)
        for hu in (-1000.0, 40.0, 3071.0):
            assert dict(zip(one.materials, one.partial_densities(hu), strict=True)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("titan", "choose titanium"),
        ("soft tisue", "soft tissue"),
        ("qqqq", "choose air, lung"),
        ("blood with 3000 mgI/ml", "up to 1000"),
        ("blood with -1 mgI/ml", "no mixture"),
        ("blod with 300 mgI/ml", "choose blood"),
        ("", "no material"),
    ],
)
def test_unknown_materials_are_refused_with_near_names(words, message):
    with pytest.raises(InputError, match=message):
        substance(words)


def test_the_table_gives_what_the_formulas_give():
    """Each voxel by its own label and HU, from the traced channels back to the attenuation of the mixture."""
    rng = np.random.default_rng(0)
    names = [*CLASSES, "vessel", "threshold", "blood with 300 mgI/ml", "CoCrMo"]
    substances = [substance(name) for name in names]
    hu = rng.integers(-1024, 3100, (6, 7, 8)).astype(np.int16)
    labels = rng.integers(0, len(names), hu.shape).astype(np.uint8)
    matrix = np.array([[0, 0, 2, 5], [0.5, 0, 0, 6], [0, -3, 0, 7], [0, 0, 0, 1.0]])
    found = decompose_labelled(Volume(hu, matrix), labels, substances)
    for k, j, i in np.ndindex(found.density.shape[1:]):
        place = transform_points(np.linalg.inv(matrix), transform_points(found.ijk_to_ras, (i, j, k)))
        at = tuple(np.rint(place).astype(int)[::-1])
        one = substances[labels[at]]
        amounts = one.partial_densities(float(hu[at]))
        for energy in (40.0, 60.0, 100.0):
            true = sum(
                a * float(mass_attenuation(name, energy))
                for name, a in zip(one.materials, amounts, strict=True)
                if name != "air"
            )
            traced = sum(
                found.density[m, k, j, i] * found.scale[m] * float(mass_attenuation(name, energy))
                for m, name in enumerate(found.materials)
            )
            assert traced == pytest.approx(true, rel=3e-3, abs=2e-3)


def test_the_threshold_substance_is_the_hu_model():
    array = np.random.default_rng(1).integers(-1024, 3100, (9, 8, 7)).astype(np.int16)
    volume = Volume(array, np.eye(4))
    expected = decompose(volume)
    found = decompose_labelled(volume, np.zeros(array.shape, np.uint8), [substance("threshold")])
    assert found.materials == expected.materials
    np.testing.assert_array_equal(found.density, expected.density)


def test_air_is_nothing_and_metal_is_whole():
    hu = np.full((4, 4, 4), 40, np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    with pytest.raises(InputError, match="nothing to image"):
        decompose_labelled(Volume(hu, np.eye(4)), labels, class_substances())
    labels[2, 2, 2] = METAL
    found = decompose_labelled(Volume(hu, np.eye(4)), labels, class_substances())
    assert found.materials == ("titanium",) and found.size == (3, 3, 3)
    assert found.density.sum() * found.scale[0] == pytest.approx(4.54)


def test_labels_that_do_not_fit():
    volume = Volume(np.zeros((3, 3, 3), np.int16), np.eye(4))
    with pytest.raises(InputError, match="do not fit"):
        decompose_labelled(volume, np.zeros((3, 3, 2), np.uint8), class_substances())
    with pytest.raises(InputError, match="do not fit"):
        decompose_labelled(volume, np.zeros((3, 3, 3), np.int16), class_substances())
    with pytest.raises(InputError, match="label 9"):
        decompose_labelled(volume, np.full((3, 3, 3), 9, np.uint8), class_substances())


def test_iodine_has_its_k_edge_in_the_traced_channels():
    """Contrast agent is no mixture of tissues: its attenuation jumps at 33.2 keV, where bone's does not."""
    volume = Volume(np.full((2, 2, 2), 400, np.int16), np.eye(4))
    jump = {}
    for label in (CONTRAST, BONE):
        found = decompose_labelled(volume, np.full((2, 2, 2), label, np.uint8), class_substances())
        amounts = found.density[:, 0, 0, 0] * found.scale
        mu = [amounts @ [float(mass_attenuation(name, e)) for name in found.materials] for e in (33.0, 33.4)]
        jump[label] = mu[1] / mu[0]
    assert jump[CONTRAST] > 1.5 and jump[BONE] < 1
