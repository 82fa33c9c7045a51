"""Labels that the project makes for CTs without any: shapes whose answer is known, and facts of the CTs themselves."""

import numpy as np
import pytest

from DeepDRRSlicerLib.training.decomposition import judged, real_cts, real_labels, voxels
from DeepDRRSlicerLib.training.decomposition.body.canvas import AIR, BONE, CONTRAST, LUNG, METAL, SOFT


def ball(shape, center, radius):
    """Voxels of 1.5 mm within `radius` mm."""
    away = sum((1.5 * (axis - c)) ** 2 for axis, c in zip(np.ogrid[tuple(slice(n) for n in shape)], center))
    return away <= radius**2


def test_opening_and_closing_mind_the_radius():
    mask = ball((40, 40, 40), (12, 20, 20), 12) | ball((40, 40, 40), (31, 20, 20), 3)
    assert np.array_equal(voxels.components(voxels.opened(mask, 5.0)) > 0, voxels.opened(mask, 5.0))
    assert voxels.opened(mask, 5.0)[12, 20, 20] and not voxels.opened(mask, 5.0)[31, 20, 20]
    hollow = ball((40, 40, 40), (20, 20, 20), 20) & ~ball((40, 40, 40), (20, 20, 20), 4)
    assert voxels.closed(hollow, 6.0)[20, 20, 20] and not voxels.closed(hollow, 2.5)[20, 20, 20]


def test_touching_pieces_are_cut_at_the_neck():
    left, right = ball((30, 30, 60), (15, 15, 18), 16), ball((30, 30, 60), (15, 15, 38), 16)
    alone = ball((30, 30, 60), (15, 15, 56), 3)
    seeds = np.zeros(left.shape, np.uint8)
    seeds[15, 15, 18], seeds[15, 15, 38] = 1, 2
    found = voxels.divided(left | right | alone, seeds)
    assert (found[15, 15, 8:26] == 1).all() and (found[15, 15, 31:48] == 2).all()
    assert (found[alone] == 0).all()


def test_small_holes_are_filled_and_large_ones_are_not():
    mask = np.zeros((3, 30, 30), bool)
    mask[1, 2:8, 2:8] = mask[1, 10:28, 10:28] = True
    mask[1, 4:6, 4:6] = mask[1, 12:26, 12:26] = False
    filled = voxels.filled_planes(mask, (0,), 20)
    assert filled[1, 5, 5] and not filled[1, 20, 20] and not filled[0].any()


@pytest.fixture(scope="module")
def angiography(shared_data):
    hu, _ = real_cts.read_turned(shared_data / "thorax_cta_stent" / "ct_thorax_1.5mm.nii.gz")
    return hu, *real_labels.angiography_labels(hu)


def turned(shared_data):
    cta = judged.angiography(shared_data)
    grid = real_cts.working_grid(cta.volume, 1.5)
    return [grid.turned(mask) for mask in (cta.aorta, cta.stent, cta.wires)]


@pytest.mark.long
def test_the_cta_agrees_with_what_is_known_of_it(angiography, shared_data):
    """Aorta by another's label, stent and wires by density; spine, heart and lungs by places read off the slices."""
    hu, labels, weight = angiography
    aorta, stent, wires = turned(shared_data)
    sure = weight > 0
    assert (labels[aorta & sure] == BONE).mean() < 0.002
    assert (labels[aorta & sure & (hu > 200)] == CONTRAST).mean() > 0.97
    assert (labels[stent] == METAL).mean() > 0.95 and (labels[wires & sure] == METAL).mean() > 0.95
    for place, label in {
        (60, 24, 72): BONE, (94, 24, 74): BONE, (125, 26, 76): BONE, (110, 112, 72): BONE, (160, 80, 50): BONE,
        (64, 90, 45): CONTRAST, (85, 60, 70): CONTRAST, (102, 80, 63): CONTRAST, (110, 72, 85): CONTRAST,
        (100, 60, 20): LUNG, (60, 12, 72): SOFT, (30, 70, 80): SOFT, (155, 118, 60): AIR,
    }.items():  # fmt: skip
        assert (labels[place], weight[place] > 0) == (label, True), place


@pytest.mark.long
def test_little_of_the_cta_is_left_out(angiography):
    *_, weight = angiography
    assert (weight == 0).mean() < 0.03


@pytest.mark.long
def test_the_head_is_bone_where_it_is_dense_and_the_headrest_is_not(shared_data):
    head = real_cts.head({"folder": str(shared_data), "spacing": 0.9})
    brain = (slice(45, 80), slice(90, 150), slice(100, 150))
    assert (head.labels[brain] == SOFT).mean() > 0.999
    inside = np.s_[:, 40:, 50:200]  # the headrest lies behind
    dense = head.hu[inside] > 500
    assert (head.labels[inside][dense] == BONE).mean() > 0.99
    beside = np.s_[:, :, :40]
    assert not (head.labels[beside] == BONE).any() and (head.hu[beside] > 100).any()
    assert head.labels[18, 225, 128] != AIR  # the face looks forward
