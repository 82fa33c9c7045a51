"""Training samples: pure functions of seed and number, no voxel of the held-out slab, labels corrected by physics."""

import json
from pathlib import Path

import numpy as np
import pytest

from DeepDRRSlicerLib.training.decomposition import real_cts
from DeepDRRSlicerLib.training.decomposition.body.canvas import ADIPOSE, AIR, BONE, CONTRAST, LUNG, SOFT
from DeepDRRSlicerLib.training.decomposition.samples import sample

CONFIGURATION = Path(real_cts.__file__).with_name("configuration.json")
SYNTHETIC = {"patch": 24, "spacing": 4.0, "mix": {"synthetic": 1.0}}


def test_a_sample_depends_on_seed_and_number_alone():
    first = sample(SYNTHETIC, 3, 7)
    sample(SYNTHETIC, 3, 8)
    again = sample(SYNTHETIC, 3, 7)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    for other in (sample(SYNTHETIC, 4, 7), sample(SYNTHETIC, 3, 8)):
        assert not np.array_equal(other[0], first[0])
    hu, labels, weight = first
    assert hu.shape == labels.shape == weight.shape == (24, 24, 24)
    assert (hu.dtype, labels.dtype, weight.dtype) == (np.float32, np.uint8, np.float32)
    assert hu.min() >= -1024 and hu.max() <= 3071 and 0 < weight.max() <= 1


def chest_configuration(source="chest"):
    data = json.loads(CONFIGURATION.read_text())["data"]
    return data | {"patch": 24, "spacing": 4.0, "folder": "nowhere", "mix": {source: 1.0}}


def test_the_split_leaves_a_slab_of_80_mm_and_20_mm_beside_it():
    config = chest_configuration()
    low, high = config["held_out"]
    for first, step in ((-340.0, 1.5), (-340.0, 2.5)):
        heights = first + step * np.arange(round(331.5 / step) + 1)
        used = heights[real_cts.training_slices(heights, (low, high), config["gap"])]
        held = heights[(heights >= low) & (heights <= high)]
        assert held[-1] - held[0] + step >= 80
        assert min(held[0] - used[used < low].max(), used[used > high].min() - held[-1]) - step / 2 >= 20 - 0.25


def _left_as_it_is(hu, metal, labels, *rest, **more):
    return hu, labels, np.ones(hu.shape, np.float32)


def test_no_voxel_of_the_slab_or_the_gap_enters_a_sample(monkeypatch):
    """Held-out slices and gap are marked by an impossible HU; nothing of it may be seen, not even by interpolation."""
    config = chest_configuration()
    heights = -340 + 1.5 * np.arange(222)
    forbidden = ~real_cts.training_slices(heights, config["held_out"], config["gap"])
    hu = np.full((222, 60, 60), 40, np.float32)
    hu[forbidden] = 3000
    monkeypatch.setattr(real_cts, "read_chest", lambda data: (hu, np.full(hu.shape, 5, np.uint8), heights))
    monkeypatch.setattr(
        real_cts, "corrected", lambda h, i: (np.full(h.shape, SOFT, np.uint8), np.ones(h.shape, np.float32))
    )
    monkeypatch.setattr(real_cts, "scanned", _left_as_it_is)
    monkeypatch.setattr(real_cts, "random_implants", lambda *a: None)
    real_cts._chest.cache_clear()
    used = 0
    try:
        for number in range(40):
            seen, _, weight = sample(config, 1, number)
            known = np.isfinite(seen)
            assert (weight[~known] == 0).all() and (seen[known] < 100).all()
            used += (weight > 0).sum()
    finally:
        real_cts._chest.cache_clear()
    assert used > 0


def test_linear_interpolation_is_that_of_a_ramp_and_keeps_unknown_voxels_unknown():
    k, j, i = np.meshgrid(np.arange(6.0), np.arange(7.0), np.arange(8.0), indexing="ij")
    ramp = (100 * k + 10 * j + i).astype(np.float32)
    points = np.array([[1.25], [3.5], [2.75]], np.float32)  # i, j, k
    assert real_cts._linear(ramp, points) == pytest.approx(275 + 35 + 1.25)
    ramp[3] = np.nan
    assert np.isnan(real_cts._linear(ramp, points)).all()


def labelled(parts):
    """HU and ids: fat everywhere, and (id, HU) in cubes of 10 voxels side by side."""
    hu, ids = np.full((20, 20, 20 * len(parts)), -90, np.float32), np.zeros((20, 20, 20 * len(parts)), np.uint8)
    for number, (one, value) in enumerate(parts):
        cube = (slice(5, 15), slice(5, 15), slice(20 * number + 5, 20 * number + 15))
        hu[cube], ids[cube] = value, one
    labels, weight = real_cts.corrected(hu, ids)
    middles = [(10, 10, 20 * number + 10) for number in range(len(parts))]
    return [int(labels[m]) for m in middles], [float(weight[m]) for m in middles]


def test_labels_are_corrected_by_physics():
    parts = {
        "spongy bone": (30, 80, BONE, 1),
        "fatty marrow": (75, -80, BONE, 1),
        "injected vein called rib": (104, 3071, CONTRAST, 1),
        "aorta": (52, 400, CONTRAST, 1),
        "aorta without contrast": (52, 45, SOFT, 1),
        "kidney": (2, 250, CONTRAST, 1),
        "cartilage": (118, 100, SOFT, 1),
        "calcified cartilage": (118, 500, BONE, 1),
        "lung": (10, -850, LUNG, 1),
        "bowel gas": (20, -1000, AIR, 1),
        "fat": (0, -100, ADIPOSE, 1),
        "muscle": (86, 55, SOFT, 1),
    }
    labels, weight = labelled([(one, hu) for one, hu, _, _ in parts.values()])
    for number, (name, (_, _, label, sure)) in enumerate(parts.items()):
        assert (labels[number], weight[number]) == (label, sure), name


def test_dense_voxels_that_are_neither_bone_nor_vessel_are_not_learnt():
    _, weight = labelled([(0, 400), (30, 300)])
    assert weight == [0, 1]


@pytest.mark.parametrize(
    "source", ["chest", pytest.param("cta", marks=pytest.mark.long), pytest.param("head", marks=pytest.mark.long)]
)
def test_real_windows_hold_bone_and_all_soft_tissues(shared_data, source):
    config = chest_configuration(source) | {"folder": str(shared_data)}
    found = [sample(config, 2, number) for number in range(6)]
    labels = np.concatenate([labels[weight > 0] for _, labels, weight in found])
    assert all((weight > 0).mean() > 0.05 for *_, weight in found)
    assert {AIR, ADIPOSE, SOFT, BONE} <= set(np.unique(labels))
