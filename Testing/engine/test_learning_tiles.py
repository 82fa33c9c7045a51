"""Tiles: they cover everything, blend without a seam, and stay within the memory."""

import numpy as np
import pytest

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.learning import memory
from DeepDRRSlicerLib.learning.tiles import OVERLAP, Cut, cut_axis, make_tiling

GB = 1 << 30


@pytest.mark.parametrize("n", [1, 3, 63, 64, 65, 100, 180, 333, 512])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_shares_of_all_tiles_sum_to_one_everywhere(n, count):
    cut = cut_axis(n, count if n > 60 * count else 1, 8)
    total = np.zeros(n + cut.size)
    for first, weights in zip(cut.firsts, cut.weights()):
        total[first : first + cut.size] += weights
    assert total[:n] == pytest.approx(np.ones(n), abs=1e-6)
    assert cut.size % 8 == 0 and cut.firsts[0] == 0 and cut.firsts[-1] + cut.size >= n
    assert all(b - a <= cut.size - OVERLAP + 1 for a, b in zip(cut.firsts, cut.firsts[1:]))


def test_a_share_goes_over_smoothly():
    """No step at the border of a tile: its share begins and ends near zero, and never changes by much at once."""
    for weights in Cut(200, 72, (0, 64, 128)).weights():
        assert np.abs(np.diff(weights)).max() < 0.4  # over the 8 voxels that these share
    for weights in cut_axis(300, 4, 8).weights():
        assert np.abs(np.diff(weights)).max() < 0.06


@pytest.mark.parametrize("shape", [(166, 180, 180), (512, 512, 512), (2, 180, 180), (1, 1, 1), (40, 900, 30)])
@pytest.mark.parametrize("budget", [GB // 2, GB, 8 * GB])
def test_a_tiling_stays_within_its_memory(shape, budget):
    tiling = make_tiling(shape, 8, 600, 100, budget)
    if tiling is None:
        assert (2 * OVERLAP) ** 3 * 600 + 2 * OVERLAP * shape[1] * shape[2] * 100 > budget
        return
    assert tiling.tile_voxels * 600 + tiling.band_voxels * 100 <= budget
    assert [cut.n for cut in tiling.cuts] == list(shape)


def test_tiles_are_small_however_much_memory_there_is_and_none_where_it_is_too_little():
    for budget in (GB // 4, GB, 64 * GB):
        tiling = make_tiling((166, 180, 180), 8, 600, 20, budget)
        assert max(cut.size for cut in tiling.cuts) <= 80
        assert tiling.tile_voxels * 600 + tiling.band_voxels * 20 <= budget
    assert make_tiling((166, 180, 180), 8, 600, 20, GB // 11) is None


def test_any_length_has_tiles():
    for n in range(1, 300):
        assert make_tiling((n, 1, 1), 8, 1, 1, GB) is not None, n


def test_free_memory_is_plausible():
    assert 50 << 20 < memory.free_memory() < 1 << 50


def test_free_memory_keeps_to_a_containers_limit(tmp_path, monkeypatch):
    (tmp_path / "max").write_text("3000000000\n")
    (tmp_path / "used").write_text("2900000000\n")
    monkeypatch.setattr(memory, "_CGROUP", ((tmp_path / "max", tmp_path / "used"),))
    assert memory.free_memory() == 100_000_000
    (tmp_path / "max").write_text("max\n")
    assert memory.free_memory() > 100_000_000


def test_too_little_memory_is_one_sentence():
    memory.require_memory(10, 10, "This")
    with pytest.raises(InputError, match=r"^The network needs 3\.00 GB of memory but 1\.00 GB are free; crop"):
        memory.require_memory(3 * 10**9, 10**9, "The network")
