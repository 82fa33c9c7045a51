"""Scatter in the picture: its place among grid, shutters, noise and brightness control; cells and pixels."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from DeepDRRSlicerLib.__main__ import main
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.physics.collimation import Collimation
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.physics.grid import load_grid
from DeepDRRSlicerLib.simulation.acquisition import Acquisition, Automatic
from DeepDRRSlicerLib.simulation.cells import to_cells, to_pixels
from DeepDRRSlicerLib.simulation.scatter import Irradiated, Scatter
from DeepDRRSlicerLib.simulation.scatter_montecarlo import MonteCarloScatter
from DeepDRRSlicerLib.simulation.simulator import Simulator
from DeepDRRSlicerLib.simulation.technique import Technique
from phantoms import centered

DEVICE = replace(load_device("mobile_carm"), grid="none")
IDEAL = load_detector("ideal")
SIZE = (96, 96)
POSE = CArmPose(0, 0, (0, 0, 0), 1000, 600, SIZE, (3.0, 3.0))


@dataclass(frozen=True)
class Everywhere:
    """A model whose scatter is the same everywhere: keV and keV2 per mm2 and mAs."""

    mean: float = 2e5
    variance: float = 1e7
    name: str = "network"
    key: str = "everywhere"

    def scatter(self, view: Irradiated, should_stop=lambda: False) -> Scatter:
        assert view.transmission.shape == view.beam.size == view.share.shape
        assert view.volume is not None
        return Scatter(
            np.full(view.beam.size, self.mean, np.float32), np.full(view.beam.size, self.variance, np.float32)
        )


@pytest.fixture(scope="module")
def simulator():
    """20 cm of water."""
    hu = np.full((40, 52, 60), -1000, np.int16)
    hu[1:-1, 1:-1, 1:-1] = 0
    return Simulator(Volume(hu, centered(hu.shape, (5, 4, 5))))


def acquired(**changes):
    return Acquisition(DEVICE, IDEAL, changes.pop("technique", Technique(mas=2.0)), **changes)


def test_scatter_adds_to_the_primary_behind_the_grid(simulator):
    for grid in ("none", "mobile_8_1"):
        plain = acquired(grid=load_grid(grid))
        without = simulator.simulate(POSE.beam(), plain)
        with_scatter = simulator.simulate(POSE.beam(), replace(plain, scatter=Everywhere()))
        expected = 2e5 * 2.0 * 9.0 * plain.grid.scatter_transmission  # mAs, mm2 per pixel
        assert np.allclose(with_scatter.signal - without.signal, expected, rtol=1e-3)
        assert np.array_equal(with_scatter.open_field, without.open_field)
        assert with_scatter.metadata["effects"]["scatter"] == "network"
        assert with_scatter.settings_hash != without.settings_hash


def test_scatter_falls_on_what_the_shutters_cover(simulator):
    field = Collimation(60, 60, 60, 60)
    picture = simulator.simulate(POSE.beam(), acquired(collimation=field, scatter=Everywhere()))
    covered = np.zeros(SIZE, bool)
    covered[:20], covered[-20:] = True, True
    assert (picture.exposed[covered] == 0).all()
    assert np.allclose(picture.signal[covered], 2e5 * 2.0 * 9.0, rtol=1e-3)


def test_scatter_brings_its_own_noise(simulator):
    shielded = acquired(collimation=Collimation(20, 20, 20, 20), scatter=Everywhere(), seed=1)
    pixels = simulator.simulate(POSE.beam(), shielded)
    dark = pixels.exposed[5:25, 5:90] == 0
    assert dark.all()
    # The pixel's own aperture blurs the noise, and the ideal detector adds none.
    spread = pixels.signal[5:25, 5:90].std() ** 2
    assert 0.7 < spread / (1e7 * 2.0 * 9.0) < 1.1


def test_brightness_control_sees_scatter(simulator):
    primary = simulator.simulate(POSE.beam(), acquired(technique=Automatic("fluoro")))
    both = simulator.simulate(POSE.beam(), acquired(technique=Automatic("fluoro"), scatter=Everywhere()))

    def dose(picture):
        """Relative to the detector's signal in the measuring field."""
        return np.median(picture.signal[36:60, 36:60])

    assert both.metadata["technique"]["mas"] < 0.9 * primary.metadata["technique"]["mas"]
    assert both.metadata["exposure"]["detector_kerma_ngy"] == pytest.approx(30)
    assert dose(both) == pytest.approx(dose(primary), rel=0.1)  # the spectrum has changed a little


def test_monte_carlo_in_the_picture(simulator):
    model = MonteCarloScatter(histories=200_000)
    picture = simulator.simulate(POSE.beam(), acquired(scatter=model))
    primary = simulator.simulate(POSE.beam(), acquired())
    ratio = (picture.signal - primary.signal)[36:60, 36:60].sum() / primary.signal[36:60, 36:60].sum()
    assert 0.6 < ratio < 1.1  # a wide slab would give 1.6 with a gap of 20 cm, 0.74 with 40; this is 30, and smaller
    assert "follow more photons" in picture.remarks
    again = simulator.simulate(POSE.beam(), acquired(scatter=MonteCarloScatter(histories=200_000, threads=1)))
    assert np.array_equal(picture.signal, again.signal)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
def test_cells_are_means_of_pixels(rows, columns, cell_rows, cell_columns, seed):
    image = np.random.default_rng(seed).random((rows, columns)).astype(np.float32)
    cells = to_cells(image, (cell_rows, cell_columns))
    assert cells.shape == (cell_rows, cell_columns)
    assert cells.mean() == pytest.approx(image.mean(), abs=1e-5)
    assert np.allclose(to_cells(np.ones((rows, columns)), (cell_rows, cell_columns)), 1, atol=1e-5)


def test_cells_of_whole_pixels():
    image = np.arange(24.0).reshape(4, 6)
    assert np.allclose(to_cells(image, (2, 3)), image.reshape(2, 2, 3, 2).mean(axis=(1, 3)))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 50), st.integers(1, 50))
def test_pixels_of_a_plane_lie_on_it(rows, columns, pixel_rows, pixel_columns):
    assert np.allclose(to_pixels(np.full((rows, columns), 3.0), (pixel_rows, pixel_columns)), 3, atol=1e-5)
    assert (to_pixels(np.random.default_rng(0).random((rows, columns)), (pixel_rows, pixel_columns)) >= 0).all()
    slope = np.arange(12.0)[:, None] + 2 * np.arange(12.0)[None, :]
    fine = to_pixels(slope, (60, 60))
    place = (np.arange(60) + 0.5) / 5 - 0.5
    inner = slice(15, 45)
    assert np.allclose(fine[inner, inner], (place[:, None] + 2 * place[None, :])[inner, inner], atol=1e-4)


@pytest.fixture(scope="module")
def ct(tmp_path_factory):
    hu = np.full((30, 30, 30), -1000, np.int16)
    hu[3:-3, 3:-3, 3:-3] = 0
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing((6, 6, 6))
    image.SetOrigin((-87, -87, -87))
    path = tmp_path_factory.mktemp("ct") / "box.nii.gz"
    sitk.WriteImage(image, str(path))
    return path


def test_montecarlo_command(ct, tmp_path, capsys):
    common = ["--materials", "threshold", "--cells", "16", "--detector", "ideal", "--histories", "20000"]
    assert main(["montecarlo", str(ct), "-o", str(tmp_path / "a"), *common, "--dose", "--mas", "3"]) == 0
    out = capsys.readouterr().out
    assert "Scatter to primary in the middle" in out
    pictures = sitk.ReadImage(str(tmp_path / "a" / "pictures.nrrd"))
    assert json.loads(pictures.GetMetaData("pictures"))[0] == "primary"
    assert pictures.GetSize() == (16, 16, 1) and pictures.GetNumberOfComponentsPerPixel() == 4
    said = json.loads((tmp_path / "a" / "montecarlo.json").read_text())
    energies = said["energies_kev"]
    assert sum(energies.values()) == pytest.approx(2 * energies["emitted"])
    dose = sitk.ReadImage(str(tmp_path / "a" / "dose.nrrd"))
    assert 0 < sitk.GetArrayFromImage(dose).max() < 10  # mGy

    main(["montecarlo", str(ct), "-o", str(tmp_path / "b"), *common, "--mas", "6", "--threads", "1"])
    twice = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "b" / "pictures.nrrd")))
    assert np.allclose(twice, 2 * sitk.GetArrayFromImage(pictures), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--histories", "3"], "histories"),
        (["--cells", "0"], "--cells"),
        (["--seed", "-1"], "seed"),
        (["--mas", "0"], "tube load"),
        (["--isocenter", "0", "600", "0"], "source"),
    ],
)
def test_montecarlo_wrong_use(ct, tmp_path, capsys, arguments, sentence):
    code = main(["montecarlo", str(ct), "-o", str(tmp_path), "--materials", "threshold", *arguments])
    assert code == 2
    assert sentence in capsys.readouterr().err


def test_simulate_with_scatter(ct, tmp_path, capsys):
    arguments = ["simulate", str(ct), "-o", str(tmp_path), "--materials", "threshold", "--detector", "ideal", "--size",
                 "64", "64", "--pitch", "4", "--scatter", "montecarlo", "--histories", "20000"]  # fmt: skip
    assert main(arguments) == 0
    said = json.loads((tmp_path / "view.json").read_text())
    assert said["scatter"]["model"] == "montecarlo" and said["scatter"]["histories"] == 20000
    assert "noisy" in capsys.readouterr().err
