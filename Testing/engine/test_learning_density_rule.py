"""The rule that refines the network's answer by each voxel's own HU."""

import numpy as np
import pytest

from DeepDRRSlicerLib.anatomy.substances import ADIPOSE, AIR, BONE, CLASSES, CONTRAST, LUNG, METAL, SOFT_TISSUE
from DeepDRRSlicerLib.learning.density_rule import FITS, REST, fit_table, noise_of, refined_plane
from DeepDRRSlicerLib.learning.grid import Axis


def test_every_class_has_a_fit_that_rises_once_and_falls_once():
    assert len(FITS) == len(CLASSES)
    table = fit_table(10)
    assert table.shape == (7, 4096) and table.min() >= REST - 1e-6 and table.max() <= 1 + 1e-6
    for row in table:
        peak = row.argmax()
        assert (np.diff(row[: peak + 1]) >= -1e-6).all() and (np.diff(row[row.argmax() :]) <= 1e-4).all()


@pytest.mark.parametrize(
    "hu, fits, never",
    [
        (-1000, AIR, SOFT_TISSUE),
        (-800, LUNG, BONE),
        (-100, ADIPOSE, BONE),
        (50, SOFT_TISSUE, AIR),
        (1200, BONE, AIR),
        (700, CONTRAST, SOFT_TISSUE),
        (3071, METAL, SOFT_TISSUE),
    ],
)
def test_typical_hu_fit_their_class_and_not_another(hu, fits, never):
    table = fit_table(15)[:, hu + 1024]
    assert table[fits] > 0.95
    assert table[never] < 2 * REST


def test_air_is_never_denser_than_400_below_water():
    assert (fit_table(15)[AIR, 1024 - 400 :] < 0.05).all()


def test_noise_makes_a_fit_wider():
    """In a noisy CT a voxel of 250 HU inside muscle is likelier to be muscle."""
    quiet, loud = (fit_table(noise)[SOFT_TISSUE, 1024 + 320] for noise in (8, 100))
    assert loud > 3 * quiet


@pytest.mark.parametrize("noise", [8, 20, 60])
def test_noise_is_found_beside_edges(noise):
    rng = np.random.default_rng(2)
    hu = np.full((6, 120, 120), 40.0)
    hu[:, :, 40:80] = -90
    hu[:, 30:60] = 900
    hu[:, 100:] = -1000
    hu += rng.normal(0, noise, hu.shape)
    assert noise_of(hu) == pytest.approx(noise, rel=0.1)  # one difference in ten or so lies across an edge


def test_a_volume_without_soft_tissue_has_the_least_noise():
    assert noise_of(np.full((3, 5, 6), -1000)) == 5.0


def test_the_rule_finds_the_border_between_coarse_voxels():
    """A rod of bone, 7 mm thick in muscle; the coarse answer is the truth averaged over 2 mm voxels."""
    n, step = 90, 0.7
    x = (np.arange(n) - (n - 1) / 2) * step
    bone = np.hypot(x[:, None] - 1.1, x[None] + 0.4) < 3.5
    rng = np.random.default_rng(5)
    hu = np.where(bone, 600, 50) + rng.normal(0, 25, bone.shape)
    axis = Axis(n, step, 32, 2.0)
    mean = axis.means() @ bone @ axis.means().T
    coarse = np.zeros((7, 32, 32), np.float32)
    coarse[BONE], coarse[SOFT_TISSUE] = mean, 1 - mean

    def dice(found):
        return 2 * (found & bone).sum() / (found.sum() + bone.sum())

    labels = refined_plane(coarse, hu, fit_table(25), axis.neighbours(), axis.neighbours())
    alone = refined_plane(coarse, hu, np.ones((7, 4096), np.float32), axis.neighbours(), axis.neighbours())
    assert set(np.unique(labels)) == {SOFT_TISSUE, BONE}
    assert dice(labels == BONE) > 0.97
    assert dice(labels == BONE) > dice(alone == BONE) + 0.03


def test_noise_in_sure_muscle_stays_muscle_and_marrow_stays_bone():
    coarse = np.full((7, 4, 4), 1e-4, np.float32)
    coarse[SOFT_TISSUE, :, :2] = 0.99
    coarse[BONE, :, 2:] = 0.99
    axis = Axis(4, 2.0, 4, 2.0)
    hu = np.tile([400.0, 200.0, -20.0, 60.0], (4, 1))
    labels = refined_plane(coarse, hu, fit_table(40), axis.neighbours(), axis.neighbours())
    assert (labels == [SOFT_TISSUE, SOFT_TISSUE, BONE, BONE]).all()
