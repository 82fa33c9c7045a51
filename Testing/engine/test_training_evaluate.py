"""Scores against closed forms, and the report on phantoms whose right numbers are known."""

import numpy as np
import pytest

from DeepDRRSlicerLib.anatomy.substances import ADIPOSE, AIR, BONE, CONTRAST, METAL, SOFT_TISSUE
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.training.decomposition import evaluate, figures, judged
from DeepDRRSlicerLib.training.decomposition.scores import bone_image_error, confusion, errors, overlap, share


def half_cubes():
    a, b = np.zeros((2, 10, 10, 10), bool)
    a[:6], b[2:] = True, True  # 600 and 800 voxels, 400 in common
    return a, b


def test_overlap_by_hand():
    a, b = half_cubes()
    found = overlap(a, b)
    assert found == pytest.approx({"dice": 800 / 1400, "precision": 400 / 600, "recall": 400 / 800})
    assert overlap(a & False, b & False)["dice"] == 1 and overlap(a, b & False)["dice"] == 0


def test_errors_per_class_by_hand():
    truth = np.repeat([AIR, BONE, METAL], (60, 30, 10)).astype(np.uint8)
    answer = truth.copy()
    answer[:6], answer[60:75] = BONE, CONTRAST
    table = confusion(answer, truth, np.ones(100, bool))
    assert table[BONE, CONTRAST] == 15 and table.sum() == 100
    found = errors(table)
    assert found["by_class"] == pytest.approx({"air": 0.1, "bone": 0.5, "metal": 0.0})
    assert found["mean"] == pytest.approx(0.2) and found["by_volume"] == pytest.approx(0.21)
    assert errors(confusion(answer, truth, truth == METAL))["by_class"] == {"metal": 0.0}


def test_share_by_hand():
    labels = np.array([BONE, BONE, CONTRAST, AIR], np.uint8)
    where = np.array([True, True, True, False])
    assert share(labels, where, "bone") == pytest.approx(2 / 3)
    assert share(labels, where, "bone", "contrast") == 1
    assert share(labels, where & False, "bone") is None


def slab_of_bone():
    hu = np.full((40, 40, 40), 40, np.int16)
    truth = np.zeros(hu.shape, bool)
    truth[10:30, 10:30, 10:30] = True
    hu[truth] = 1000
    return Volume(hu, np.diag([2.0, 2.0, 2.0, 1.0])), truth


def test_the_image_of_bone_errs_by_what_is_missing():
    volume, truth = slab_of_bone()
    assert bone_image_error(volume, truth, truth)["mineral"] == pytest.approx(0, abs=1e-6)
    lighter = volume.array.copy()
    half = truth.copy()
    half[10:30:2] = False  # every other slice: half the bone in every ray across the slices
    found = bone_image_error(volume, half, truth)
    assert found["mineral"] == pytest.approx(0.5, abs=0.06) and found["matter"] == pytest.approx(0.5, abs=0.06)
    assert (volume.array == lighter).all()
    none = bone_image_error(volume, truth & (np.arange(40) < 0), truth)
    assert none["mineral"] == pytest.approx(1)


def phantom_chest():
    """Bone at 100 and 600 HU, a vessel at 400 HU, in soft tissue."""
    hu = np.full((60, 40, 40), 40, np.int16)
    bone, vessels = np.zeros(hu.shape, bool), np.zeros(hu.shape, bool)
    bone[:, 5:15, 5:15], vessels[:, 25:30, 25:30] = True, True
    hu[bone], hu[:, 5:15, 5:10], hu[vessels] = 600, 100, 400
    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    matrix[2, 3] = -100
    left_out = np.zeros(hu.shape, bool)
    left_out[:, 18:20, 5:15] = True
    return judged.Chest(Volume(hu, matrix), bone, vessels, left_out)


def test_chest_numbers_of_a_right_answer_and_of_a_threshold():
    chest = phantom_chest()
    right = np.full(chest.bone.shape, SOFT_TISSUE, np.uint8)
    right[chest.bone], right[chest.vessels] = BONE, CONTRAST
    found = evaluate.chest_numbers(chest, right, (-60.0, 0.0))
    for part in ("slab", "whole"):
        assert found[part]["bone"]["dice"] == 1 and found[part]["vessels called bone"] == 0
        assert found[part]["vessels called contrast"] == 1 and found[part]["bone image"]["mineral"] < 1e-6
        # A threshold finds half the bone (50 of 100) and all of the vessel (25): 2 x 50 / (75 + 100).
        assert found[part]["thresholds"][200] == pytest.approx(100 / 175)
        assert found[part]["vessels called bone above 200 HU"] == 1
    wrong = right.copy()
    wrong[20:51][chest.vessels[20:51]] = BONE  # in the slab alone: 31 slices from S -60 to 0
    wrong[chest.left_out] = BONE
    found = evaluate.chest_numbers(chest, wrong, (-60.0, 0.0))
    assert found["slab"]["vessels called bone"] == 1
    assert found["whole"]["vessels called bone"] == pytest.approx(31 / 60)
    assert found["slab"]["bone"]["dice"] == pytest.approx(200 / (225 + 20))
    assert found["slab"]["bone where labels are sure"]["dice"] == pytest.approx(200 / 225)


def test_a_slab_is_where_its_heights_say():
    chest = phantom_chest()
    part = chest.slab(-60.0, 0.0)
    assert part.heights()[[0, -1]] == pytest.approx((-60, 0)) and len(part.bone) == 31


def test_strangers_are_scored_inside_the_body(monkeypatch):
    def stranger(seed, number):
        truth = np.full((8, 8, 8), ADIPOSE, np.uint8)
        truth[:, :, 4:] = BONE
        inside = np.ones(truth.shape, bool)
        inside[:, :2] = False
        return Volume(np.full(truth.shape, number + 1, np.int16), np.eye(4)), truth, inside

    def classify(volume):
        answer = np.full((8, 8, 8), ADIPOSE, np.uint8)
        answer[:, :, 5:] = BONE  # a fourth of the bone is lost
        answer[:, :2] = METAL  # outside the body: no matter
        return answer

    monkeypatch.setattr(judged, "stranger", stranger)
    pictures = []
    found = evaluate.stranger_numbers(classify, 3, pictures)
    assert found["by_class"] == pytest.approx({"adipose": 0, "bone": 0.25})
    assert found["mean"] == pytest.approx(0.125) and found["by_volume"] == pytest.approx(0.125)
    assert len(pictures) == 1


def test_strangers_are_the_same_each_time_and_of_no_training_seed():
    one, again = (judged.stranger(evaluate.STRANGERS_SEED, 1, 24, 5.0) for _ in range(2))
    assert np.array_equal(one[0].array, again[0].array) and np.array_equal(one[1], again[1])
    assert evaluate.STRANGERS_SEED > 1_000_000


def test_the_worst_slice_is_found_and_drawn(tmp_path):
    volume, truth = slab_of_bone()
    labels = np.where(truth, BONE, SOFT_TISSUE).astype(np.uint8)
    labels[17, 12:20, 12:20] = SOFT_TISSUE
    assert figures.worst_slice(volume, labels, truth) == 17
    figures.worst_slices(tmp_path / "worst.png", [("phantom", volume, labels, truth), ("other", volume, labels, None)])
    assert (tmp_path / "worst.png").stat().st_size > 5000
