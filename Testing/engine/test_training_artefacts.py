"""What a scanner adds: blur and slices keep the mean, noise has its strength, metal and streaks are told apart."""

import numpy as np
import pytest

from DeepDRRSlicerLib.training.decomposition import artefacts
from DeepDRRSlicerLib.training.decomposition.artefacts import (
    HIGHEST_HU,
    LOWEST_HU,
    gaussian_matrix,
    scanned,
    seen_labels,
    slice_matrices,
)
from DeepDRRSlicerLib.training.decomposition.body.canvas import ADIPOSE, AIR, BONE, CONTRAST, LUNG, METAL, SOFT
from DeepDRRSlicerLib.training.decomposition.body.noise import along_axes

N = 40


def body():
    hu = np.full((N, N, N), -1000, np.float32)
    hu[:, 5:35, 5:35] = 50
    labels = np.where(hu > -500, SOFT, AIR).astype(np.uint8)
    return hu, np.zeros_like(hu), labels


def test_the_blur_has_its_width_and_keeps_the_mean():
    matrix = gaussian_matrix(61, 3.0)
    assert matrix.sum(1) == pytest.approx(1, abs=1e-5)
    spread = matrix[30] @ (np.arange(61) - 30.0) ** 2
    assert spread == pytest.approx(9, rel=0.01)
    assert gaussian_matrix(5, 0.0) == pytest.approx(np.eye(5))


@pytest.mark.parametrize("thickness, distance", [(1.5, 1.5), (3, 2), (2, 3)])
def test_slices_average_over_their_thickness_and_keep_constants_and_ramps(thickness, distance):
    average, back = slice_matrices(60, thickness, distance, 0.3)
    assert back @ average @ np.ones(60) == pytest.approx(1, abs=1e-4)
    ramp = back @ average @ np.arange(60.0)
    assert ramp[8:-8] == pytest.approx(np.arange(60.0)[8:-8], abs=0.3)
    edge = back @ average @ (np.arange(60) >= 30).astype(float)
    rise = np.count_nonzero((edge > 0.02) & (edge < 0.98))
    assert distance - 1 <= rise <= thickness + 2 * distance + 1


def test_one_axis_after_the_other_is_the_same_as_all_at_once():
    rng = np.random.default_rng(0)
    array = rng.random((4, 5, 6))
    a, b, c = rng.random((3, 4)), rng.random((2, 5)), rng.random((7, 6))
    assert along_axes(array, (a, b, c)) == pytest.approx(np.einsum("xk,yj,zi,kji->xyz", a, b, c, array))
    assert np.array_equal(along_axes(array, (None, None, None)), array)


def test_what_comes_out_is_clipped_and_depends_on_the_generator_alone():
    hu, metal, labels = body()
    metal[15:25, 15:25, 15:25] = 20000
    one, again = (scanned(hu, metal, labels, 2.0, np.random.default_rng(5)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert one[0].min() >= LOWEST_HU and 2900 < one[0].max() <= HIGHEST_HU
    assert labels.max() == SOFT  # the input is left as it was


@pytest.mark.parametrize("seed", range(6))
def test_metal_is_labelled_where_it_is_seen_and_streaks_are_not(seed, monkeypatch):
    monkeypatch.setattr(artefacts, "_outside_field", lambda shape, rng: np.zeros(shape, bool))
    hu, metal, labels = body()
    metal[15:25, 15:25, 15:25] = 20000
    seen, found, weight = scanned(hu, metal, labels, 2.0, np.random.default_rng(seed))
    assert (found[17:23, 17:23, 17:23] == METAL).all()
    far = np.ones(found.shape, bool)
    far[9:31, 11:29, 11:29] = False
    assert not (found[far] == METAL).any()
    assert set(np.unique(weight)) <= {np.float32(0.3), np.float32(1.0)} and (weight[far] == 1).all()


def test_a_thin_wire_is_metal_if_it_is_bright_and_bloom_if_not():
    for strength, expected in ((0.02, False), (0.6, True)):
        hu, metal, labels = body()
        metal[20, 20, :] = strength * 20000
        _, found, _ = scanned(hu, metal, labels, 2.0, np.random.default_rng(2))
        assert (found == METAL).any() == expected


def test_streaks_stay_in_the_slices_of_what_is_dense():
    dense = np.zeros((N, N, N), np.float32)
    dense[20, 20, 20] = 20000
    streaks = artefacts._streaks(dense, 2.0, np.random.default_rng(1))
    assert np.abs(streaks[20]).max() > 1 and np.abs(streaks[5]).max() == 0  # in its own slice alone
    assert not artefacts._streaks(np.zeros_like(dense), 2.0, np.random.default_rng(1)).any()


def test_fat_and_muscle_are_told_apart_by_what_is_seen():
    """A layer of fat of half a voxel's weight is not labelled as if it could be seen."""
    hu, metal, labels = body()
    hu[:, 20, 5:35], labels[:, 20, 5:35] = 20, ADIPOSE  # a seam mostly of muscle
    hu[:, 25:30, 5:35] = -100
    _, found, _ = scanned(hu, metal, labels, 2.0, np.random.default_rng(0), perfused=np.zeros_like(hu))
    inside = (slice(10, 30), slice(None), slice(10, 30))
    assert (found[inside][:, 20] != ADIPOSE).all() and (found[inside][:, 27] == ADIPOSE).mean() > 0.8


def test_labels_are_of_what_is_seen():
    """Of each (true label, HU after blur), beside lung or not."""
    cases = [(SOFT, 40, SOFT), (SOFT, -70, ADIPOSE), (AIR, -700, AIR), (AIR, -200, ADIPOSE), (ADIPOSE, 0, SOFT),
             (BONE, -90, BONE), (BONE, -300, ADIPOSE), (CONTRAST, 130, CONTRAST), (CONTRAST, 60, SOFT),
             (SOFT, 300, SOFT), (CONTRAST, -600, AIR)]  # fmt: skip
    for truth, hu, expected in cases:
        found = seen_labels(np.full((9, 9, 9), truth, np.uint8), np.full((9, 9, 9), hu, np.float32))
        assert (found == expected).all(), (truth, hu)
    labels, hu = np.full((9, 9, 9), LUNG, np.uint8), np.full((9, 9, 9), -850, np.float32)
    labels[4, 4, 4], hu[4, 4, 4] = CONTRAST, -600  # a vessel too thin to be seen
    assert (seen_labels(labels, hu) == LUNG).all()


def test_contrast_agent_is_what_the_ct_shows_above_150_hu(monkeypatch):
    """Blood of 150 HU is one or the other by what shading, gain and offset make of it; cartilage is soft tissue."""
    monkeypatch.setattr(artefacts, "_outside_field", lambda shape, rng: np.zeros(shape, bool))
    monkeypatch.setattr(artefacts, "_streaks", lambda dense, spacing, rng: np.zeros(dense.shape, np.float32))
    monkeypatch.setattr(artefacts, "_grain", lambda shape, slices, rng: np.zeros(shape, np.float32))
    monkeypatch.setattr(artefacts, "_moved", lambda hu, rng: hu)
    hu, metal, labels = body()
    hu[:, 5:35, 5:35] = 150
    perfused = np.where((hu == 150) & (np.arange(N) < 20), hu, 0).astype(np.float32)
    shares = []
    for seed in range(8):
        seen, found, _ = scanned(hu, metal, labels, 2.0, np.random.default_rng(seed), perfused=perfused)
        blood, cartilage = (slice(None), slice(9, 31), slice(9, 17)), (slice(None), slice(9, 31), slice(24, 31))
        clear = abs(seen[blood] - 150) > 3
        assert np.array_equal((found[blood] == CONTRAST)[clear], (seen[blood] > 150)[clear])
        assert (found[cartilage] == SOFT).all()
        shares.append((found[blood] == CONTRAST).mean())
    assert min(shares) < 0.1 and max(shares) > 0.9


@pytest.mark.parametrize("slice_mm", [2.0, 6.0])
def test_slices_are_as_thick_as_they_are_told(slice_mm):
    hu, metal, labels = body()
    hu[:20, 5:35, 5:35] = 1050
    shown = [
        scanned(hu, metal, labels, 2.0, np.random.default_rng(seed), perfused=np.zeros_like(hu), slice_mm=slice_mm)[0]
        for seed in range(4)
    ]
    edge = np.median(np.mean(shown, axis=0)[:, 10:30, 10:30], axis=(1, 2))
    rise = np.count_nonzero((edge > 150) & (edge < 950))
    assert abs(rise - slice_mm / 2) <= 2


def test_outside_the_field_of_view_there_is_air():
    for seed in range(60):
        hu, metal, labels = body()
        seen, found, _ = scanned(
            np.full_like(hu, 50), metal, np.full_like(labels, SOFT), 2.0, np.random.default_rng(seed)
        )
        cut = seen == LOWEST_HU
        if cut.any():
            assert (found[cut] == AIR).all()
            return
    raise AssertionError("no field of view was cropped")
