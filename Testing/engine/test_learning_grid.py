"""The grid on which the network works: the CT's own axes, turned to the body and resampled."""

import numpy as np
import pytest

from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.learning.grid import Axis, resampled, working_grid
from phantoms import centered, restored, storage_orders

_TURN = np.deg2rad(30)
OBLIQUE = np.array([[np.cos(_TURN), -np.sin(_TURN), 0], [np.sin(_TURN), np.cos(_TURN), 0], [0, 0, 1]])


@pytest.mark.parametrize("permutation, flips", storage_orders())
def test_the_48_ways_to_store_a_volume_are_one_to_the_network(permutation, flips):
    hu = np.random.default_rng(3).integers(-1000, 1000, (7, 12, 18)).astype(np.int16)
    plain = Volume(hu, centered(hu.shape, (1.0, 1.5, 4.0), OBLIQUE))
    other = Volume(*restored(hu, plain.ijk_to_ras, permutation, flips))
    grid = working_grid(other, 2.0)
    assert np.array_equal(grid.turned(other.array), hu)
    assert np.allclose(resampled(other, 2.0), resampled(plain, 2.0), atol=1e-3)


def test_turned_is_a_view_into_which_labels_can_be_written():
    plain = np.zeros((3, 4, 5), np.int16)
    volume = Volume(*restored(plain, np.eye(4), (2, 0, 1), (True, False, True)))
    labels = np.zeros(volume.array.shape, np.uint8)
    working_grid(volume, 2.0).turned(labels)[2, 0, 4] = 1
    (index,) = np.argwhere(labels)
    assert np.allclose((volume.ijk_to_ras @ [*index[::-1], 1])[:3], (4, 0, 2))


@pytest.mark.parametrize(
    "n, step, coarse_step", [(40, 0.7, 2.0), (31, 2.0, 2.0), (9, 5.0, 2.0), (1, 3.0, 2.0), (3, 0.4, 2.0)]
)
def test_means_keep_constants_and_straight_lines(n, step, coarse_step):
    coarse = max(1, int(np.ceil(n * step / coarse_step)))
    axis = Axis(n, step, coarse, coarse_step)
    weights = axis.means()
    assert weights.shape == (coarse, n)
    assert weights.sum(1) == pytest.approx(np.ones(coarse), abs=1e-6)
    mm = (np.arange(n) - (n - 1) / 2) * step
    coarse_mm = (np.arange(coarse) - (coarse - 1) / 2) * coarse_step
    inside = np.abs(coarse_mm) <= mm[-1] - 2 * max(step, coarse_step)
    assert (weights @ mm)[inside] == pytest.approx(coarse_mm[inside], abs=0.16 * step)


def test_means_do_not_alias():
    """A pattern finer than the working grid can show is gone; sampled by single voxels it would be a coarse one."""
    axis = Axis(300, 0.5, 75, 2.0)
    mm = np.arange(300) * 0.5
    assert np.ptp((axis.means() @ np.sin(2 * np.pi * mm / 1.9))[4:-4]) < 0.1


def test_neighbours_interpolate_where_the_voxels_are():
    axis = Axis(30, 0.7, 11, 2.0)
    lower, upper, share = axis.neighbours()
    coarse_mm = (np.arange(11) - 5) * 2.0
    mm = (np.arange(30) - 14.5) * 0.7
    assert coarse_mm[lower] * (1 - share) + coarse_mm[upper] * share == pytest.approx(np.clip(mm, -10, 10), abs=1e-5)


def test_an_oblique_volume_keeps_the_axes_that_lie_nearest():
    volume = Volume(np.zeros((5, 6, 7), np.int16), centered((5, 6, 7), (1.0, 1.0, 3.0), OBLIQUE))
    grid = working_grid(volume, 2.0)
    assert grid.order == (0, 1, 2) and grid.flips == (False,) * 3
    assert grid.shape == (8, 3, 4)
