"""How good a model is: every number of the model card, from any function that labels a CT.

`python -m DeepDRRSlicerLib.training.decomposition.evaluate --data DIR --weights FILE -o DIR` writes numbers.json and
worst_slices.png.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.anatomy.substances import BONE, CLASSES, METAL
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.training.decomposition import judged
from DeepDRRSlicerLib.training.decomposition.scores import bone_image_error, confusion, errors, overlap, share

Classify = Callable[[Volume], np.ndarray]
THRESHOLDS = (150, 200, 300)
# Far from any seed a training uses, so that no body is met twice.
STRANGERS_SEED = 20_000_003


def evaluate(classify: Classify, data, held_out, full_ct=None, strangers: int = 21) -> tuple[dict, list]:
    """All numbers, and (title, volume, labels, truth or None) of the CTs for `figures.worst_slices`.

    classify: a CT volume to labels uint8 (indices of CLASSES) of its shape. data: the folder of the CTs. held_out:
    lowest and highest S in mm of the chest's slab. full_ct: the chest CT at full resolution, left out if None.
    strangers: how many synthetic bodies. Raises InputError where a CT is missing or no CT.
    """
    numbers, pictures = {}, []
    for resolution in judged.CHEST if full_ct else judged.CHEST[:1]:
        whole = judged.chest(data, resolution, full_ct)
        labels = classify(whole.volume)
        numbers[f"chest, {resolution}"] = chest_numbers(whole, labels, held_out)
        pictures.append((f"chest, {resolution}", whole.volume, labels, whole.bone))
    cta = judged.angiography(data)
    labels = classify(cta.volume)
    numbers["CTA with stent"] = angiography_numbers(cta, labels)
    pictures.append(("CTA with stent", cta.volume, labels, None))
    head = judged.skull(data)
    labels = classify(head)
    numbers["head"] = head_numbers(head, labels)
    pictures.append(("head", head, labels, None))
    numbers["synthetic"] = stranger_numbers(classify, strangers, pictures)
    return numbers, pictures


def chest_numbers(whole: judged.Chest, labels, held_out) -> dict:
    """Bone and vessels on the slab and on the whole chest, with what thresholds do, and bone in the projected image."""
    first = np.flatnonzero(whole.heights() >= held_out[0])[0]
    slab = whole.slab(*held_out)
    of_slab = labels[first : first + len(slab.bone)]
    result = {}
    for name, part, answer in (("slab", slab, of_slab), ("whole", whole, labels)):
        result[name] = {
            "bone": overlap(answer == BONE, part.bone),
            "bone where labels are sure": overlap((answer == BONE) & ~part.left_out, part.bone),
            "thresholds": {t: overlap(part.volume.array > t, part.bone)["dice"] for t in THRESHOLDS},
            "vessels called bone": share(answer, part.vessels, "bone"),
            "vessels called contrast": share(answer, part.vessels, "contrast"),
            "vessels called bone above 200 HU": float((part.volume.array[part.vessels] > 200).mean()),
            "bone image": bone_image_error(part.volume, answer == BONE, part.bone),
            "bone image where labels are sure": bone_image_error(
                part.volume, (answer == BONE) & ~part.left_out, part.bone
            ),
        }
    return result


def angiography_numbers(cta: judged.Angiography, labels) -> dict:
    """Shares of struts and wires found, and of the aorta called bone."""
    return {
        "stent called metal": share(labels, cta.stent, "metal"),
        "wires called metal": share(labels, cta.wires, "metal"),
        "stent called bone": share(labels, cta.stent, "bone"),
        "wires called bone": share(labels, cta.wires, "bone"),
        "aorta called bone": share(labels, cta.aorta, "bone"),
        "aorta called contrast": share(labels, cta.aorta, "contrast"),
        "metal voxels": int((labels == METAL).sum()),
        "judged voxels": {"stent": int(cta.stent.sum()), "wires": int(cta.wires.sum())},
    }


def head_numbers(head: Volume, labels) -> dict:
    """What must be so without labels: dense voxels are bone, brain is not, nothing is contrast."""
    inner = labels[:, labels.shape[1] // 4 : -labels.shape[1] // 4, labels.shape[2] // 4 : -labels.shape[2] // 4]
    return {
        "above 500 HU called bone": share(labels, head.array > 500, "bone"),
        "0 to 80 HU called bone": share(labels, (head.array > 0) & (head.array < 80), "bone"),
        "contrast in the middle": float((inner == CLASSES.index("contrast")).mean()),
        "bone voxels": int((labels == BONE).sum()),
    }


def stranger_numbers(classify: Classify, n: int, pictures: list) -> dict:
    """Errors per class inside synthetic bodies never trained on."""
    table, worst = np.zeros((len(CLASSES),) * 2, np.int64), (-1.0, None)
    bone = [0, 0, 0]
    for number in range(n):
        volume, truth, inside = judged.stranger(STRANGERS_SEED, number)
        labels = classify(volume)
        table += confusion(labels, truth, inside)
        wrong = float((labels != truth)[inside].mean()) if inside.any() else 0.0
        if wrong > worst[0]:
            worst = (wrong, (f"synthetic body {number}", volume, labels, truth == BONE))
        both = ((labels == BONE) & (truth == BONE)).sum()
        bone = [a + int(b) for a, b in zip(bone, (both, (labels == BONE).sum(), (truth == BONE).sum()))]
    if worst[1] is not None:
        pictures.append(worst[1])
    return errors(table) | {"bone dice": 2 * bone[0] / max(1, bone[1] + bone[2]), "confusion": table.tolist()}


def main(arguments=None) -> None:
    """Reads the options, writes the numbers and the picture."""
    from DeepDRRSlicerLib.learning.decomposition import classify
    from DeepDRRSlicerLib.training.decomposition.figures import worst_slices

    parser = argparse.ArgumentParser(description="Judges the network of the material decomposition.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the CTs")
    parser.add_argument("--full-ct", type=Path, help="the chest CT at full resolution (cxr.nii.gz)")
    parser.add_argument("--weights", type=Path, help="weights to judge instead of the shipped ones")
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("configuration.json"))
    parser.add_argument("--strangers", type=int, default=21, help="number of synthetic bodies")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for numbers.json, worst_slices.png")
    options = parser.parse_args(arguments)
    held_out = json.loads(options.config.read_text(encoding="utf-8"))["data"]["held_out"]
    numbers, pictures = evaluate(
        lambda volume: classify(volume, weights=options.weights),
        options.data,
        held_out,
        options.full_ct,
        options.strangers,
    )
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "numbers.json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    worst_slices(options.output / "worst_slices.png", pictures)
    print(json.dumps({k: v for k, v in numbers.items() if k != "synthetic"}, indent=1))
    print(json.dumps({k: v for k, v in numbers["synthetic"].items() if k != "confusion"}, indent=1))


if __name__ == "__main__":
    main()
