"""The material library against NIST's published tables and against xraylib."""

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.physics import materials
from DeepDRRSlicerLib.physics.tables import physics_tables

ROOT = Path(__file__).resolve().parents[2]
NIST_CSV = ROOT.parent / "shared" / "reference" / "attenuation_nist.csv"
NAME_IN_CSV = {
    "pmma": "PMMA",
    "soft_icru44": "soft tissue",
    "muscle_icru44": "muscle",
    "lung_icru44": "lung",
    "blood_icru44": "blood",
    "adipose_icru44": "adipose",
    "cortical_icru44": "bone",
}

# mu_en/rho in cm2/g as published in NISTIR 5632; mu_tr is larger by the electrons' bremsstrahlung, < 0.2 % here.
NIST_MU_EN = {
    "air": {10: 4.742, 20: 0.5389, 30: 0.1537, 40: 0.06833, 60: 0.03041, 100: 0.02325, 150: 0.02496},
    "water": {20: 0.5503, 60: 0.03190, 100: 0.02546},
    "aluminium": {20: 3.094, 60: 0.1099, 100: 0.03794},
    "bone": {20: 3.602, 60: 0.1400},
    "iron": {20: 22.60, 30: 7.251, 40: 3.155, 60: 0.9555},
}


@pytest.fixture(scope="module")
def script():
    """Utilities/make_physics_tables.py as a module."""
    pytest.importorskip("xraylib")
    spec = importlib.util.spec_from_file_location("make_tables", ROOT / "Utilities" / "make_physics_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_row_of_the_nist_table():
    if not NIST_CSV.is_file():
        pytest.skip(f"no NIST table at {NIST_CSV}")
    with NIST_CSV.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 90
    for row in rows:
        ours = materials.mass_attenuation(NAME_IN_CSV.get(row["material"], row["material"]), float(row["energy_keV"]))
        assert ours == pytest.approx(float(row["mu_rho_cm2_g"]), rel=2e-3), row


@pytest.mark.parametrize("material", NIST_MU_EN)
def test_energy_transfer_is_that_of_nist(material):
    for energy, published in NIST_MU_EN[material].items():
        assert materials.mass_energy_transfer(material, energy) == pytest.approx(published, rel=6e-3), energy


def test_between_the_knots_the_tables_are_xraylib(script):
    energies = np.concatenate([np.arange(3.37, 149.0, 3.19), [33.1, 33.2, 69.4, 69.6, 87.9, 88.1]])
    for name, (_, definition, _) in script.MATERIALS.items():
        composition = [script.composition_by_mass(definition)]
        direct = script.mixed(script.mass_attenuation, composition, energies)[0]
        np.testing.assert_allclose(materials.mass_attenuation(name, energies), direct, rtol=2e-3, err_msg=name)
        direct = script.mixed(script.mass_energy_transfer, composition, energies)[0]
        np.testing.assert_allclose(materials.mass_energy_transfer(name, energies), direct, rtol=1e-2, err_msg=name)


def test_the_shipped_library_is_the_scripts(script):
    assert materials.material_names() == tuple(script.MATERIALS)
    for name, (density, definition, source) in script.MATERIALS.items():
        assert materials.density(name) == density
        assert materials.source(name) == source and source
        assert materials.composition(name) == script.symbols(script.composition_by_mass(definition))
    np.testing.assert_array_equal(physics_tables().bin_edges, script.spectral_bin_edges())


@pytest.mark.parametrize(
    ("material", "edge"),
    [("iodine", 33.169), ("CsI", 35.985), ("gadolinium oxysulfide", 50.239), ("tantalum", 67.416), ("W", 69.525),
     ("lead", 88.004)],
)  # fmt: skip
def test_no_value_is_interpolated_across_a_k_edge(material, edge):
    assert edge in physics_tables().bin_edges
    energies = edge + np.linspace(-0.5, 0.5, 2001)
    steps = np.diff(np.log(materials.mass_attenuation(material, energies)))
    assert steps.max() > np.log(1.5)  # the whole jump within 0.5 eV ...
    assert np.delete(steps, steps.argmax()).max() < 0  # ... and a smooth fall everywhere else
    assert abs(energies[steps.argmax()] - edge) < 5e-3


def test_at_an_edge_itself_the_value_is_the_one_above():
    tables = physics_tables()
    upper = np.flatnonzero(np.diff(tables.energies) == 0) + 1
    assert len(upper) > 30
    for row, name in enumerate(tables.names):
        at_edges = materials.mass_attenuation(name, tables.energies[upper])
        np.testing.assert_allclose(at_edges, tables.mass_attenuation[row, upper], rtol=1e-12)


def test_energy_transfer_is_part_of_the_attenuation():
    tables = physics_tables()
    assert (tables.mass_energy_transfer > 0).all() and (tables.mass_energy_transfer < tables.mass_attenuation).all()


def test_names_are_found_by_symbol_and_in_any_case():
    assert materials.material_name("Al") == "aluminium"
    assert materials.material_name("pmma") == "PMMA"
    assert materials.material_name("Soft Tissue") == "soft tissue"


def test_an_unknown_material_names_close_ones():
    with pytest.raises(InputError, match="soft tissue"):
        materials.mass_attenuation("soft_tissue", 60.0)


@pytest.mark.parametrize("energy", [0.5, 151.0, np.nan])
def test_energies_outside_the_tables_are_refused(energy):
    with pytest.raises(InputError, match="between 1 and 150 keV"):
        materials.mass_attenuation("water", [60.0, energy])


def test_the_file_stays_small():
    assert (ROOT / "DeepDRRSlicer/DeepDRRSlicerLib/data/physics_tables.npz").stat().st_size <= 300_000
