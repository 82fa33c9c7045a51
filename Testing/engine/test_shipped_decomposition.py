"""The shipped weights of the material decomposition: small, and as good as their card says.

Every number of the card is in `decomposition.json` beside it; the long tests make them again.
"""

import json
from importlib import resources
from pathlib import Path

import pytest

from DeepDRRSlicerLib.anatomy.substances import BONE, CLASSES
from DeepDRRSlicerLib.learning.decomposition import classify
from DeepDRRSlicerLib.learning.weights import load_trained, shipped
from DeepDRRSlicerLib.training.decomposition import evaluate, judged
from DeepDRRSlicerLib.training.decomposition.scores import overlap, share
from DeepDRRSlicerLib.training.decomposition.settings import read_settings

torch = pytest.importorskip("torch")

CARD = resources.files("DeepDRRSlicerLib") / "data" / "networks"
SAME = 0.01  # other processors round otherwise


@pytest.fixture
def full_resolution_ct():
    path = Path(__file__).parents[2] / ".cache" / "sample_ct" / "cxr.nii.gz"
    if not path.is_file():
        pytest.skip("the chest CT at full resolution is not here; make demo brings it")
    return path


def kept():
    return json.loads((CARD / "decomposition.json").read_text(encoding="utf-8"))


def test_the_weights_are_small_and_know_the_classes():
    assert shipped().stat().st_size <= 20 << 20
    trained = load_trained(shipped())
    assert trained.classes == CLASSES and trained.spacing == read_settings().spacing


def test_the_card_names_its_data_and_its_numbers():
    card = (CARD / "decomposition.md").read_text(encoding="utf-8")
    numbers = kept()
    slab = numbers["chest, 1.5 mm"]["slab"]
    for value in (slab["bone"]["dice"], slab["bone image"]["mineral"], numbers["synthetic"]["mean"]):
        assert f"{value:.3f}" in card or f"{100 * value:.1f}" in card
    for word in ("TotalSegmentator", "licence", "train decomposition", "held out", "Limits"):
        assert word in card


def test_a_piece_of_the_slab_is_as_good_as_the_card_says(shared_data):
    """The heart and what lies around it: 60 mm of the slab that no training saw."""
    whole = judged.chest(shared_data, "1.5 mm")
    slab = whole.slab(-165, -105)
    labels = classify(slab.volume, device="cpu")
    numbers = kept()["chest, 1.5 mm"]["slab"]
    assert overlap(labels == BONE, slab.bone)["dice"] > numbers["bone"]["dice"] - 0.03
    assert share(labels, slab.vessels, "bone") < 0.02
    assert share(labels, slab.vessels, "contrast") > 0.95


def test_stent_and_wires_are_metal_and_the_aorta_is_no_bone(shared_data):
    cta = judged.angiography(shared_data)
    numbers = evaluate.angiography_numbers(cta, classify(cta.volume, device="cpu"))
    assert numbers["stent called metal"] > 0.95 and numbers["wires called metal"] > 0.95
    assert numbers["aorta called bone"] < 0.02


@pytest.mark.long
def test_all_numbers_are_those_of_the_card(shared_data, full_resolution_ct):
    found, _ = evaluate.evaluate(
        lambda volume: classify(volume, device="cpu"),
        shared_data,
        read_settings().data["held_out"],
        full_resolution_ct,
    )
    found = json.loads(json.dumps(found))  # as the card's: all keys are text
    for path, value in _leaves(kept()):
        again = found
        for part in path:
            again = again[part]
        assert again == pytest.approx(value, abs=SAME if abs(value) <= 1 else 0.05 * abs(value)), path


def _leaves(numbers, path=()):
    for key, value in numbers.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, key))
        elif isinstance(value, int | float):
            yield (*path, key), value
