"""What is counted when labels are judged: overlap, errors per class, and the projected image."""

import numpy as np

from DeepDRRSlicerLib.anatomy.substances import CLASSES, Substance, decompose_labelled, substance
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.projection.projector import make_projector

VIEWS = ((0, 0), (90, 0), (45, 0), (-30, 20))  # primary and secondary angle
PIXELS = (192, 192)
# Where the labels' bone is thinner than this in g/cm2, it casts no shadow.
SHADOW = 0.1


def overlap(answer, truth) -> dict:
    """Dice, precision (share of the answer that is right) and recall (share of the truth that is found) of two masks.

    Two empty masks agree: 1.
    """
    both, a, t = (int(np.count_nonzero(m)) for m in (answer & truth, answer, truth))
    return {
        "dice": 2 * both / (a + t) if a + t else 1.0,
        "precision": both / a if a else 1.0,
        "recall": both / t if t else 1.0,
    }


def share(labels, where, *classes: str) -> float | None:
    """Share of the voxels `where` (bool) whose label is one of `classes`; None where there are none."""
    n = int(np.count_nonzero(where))
    wanted = [CLASSES.index(name) for name in classes]
    return float(np.count_nonzero(np.isin(labels[where], wanted)) / n) if n else None


def confusion(answer, truth, where) -> np.ndarray:
    """int64 [truth, answer]: voxels by class among those `where` is True."""
    n = len(CLASSES)
    return np.bincount(truth[where].astype(np.intp) * n + answer[where], minlength=n * n).reshape(n, n)


def errors(table: np.ndarray) -> dict:
    """From a confusion table: the share of each class that is called something else, their mean, and that by volume."""
    n = table.sum(1)
    each = {name: float(1 - table[c, c] / n[c]) for c, name in enumerate(CLASSES) if n[c]}
    return {
        "by_class": each,
        "mean": float(np.mean(list(each.values()))),
        "by_volume": float(1 - np.trace(table) / max(1, table.sum())),
    }


def bone_image_error(volume: Volume, answer, truth) -> dict:
    """How far the area density of bone made from one labelling is from that of another, inside the other's shadow.

    answer, truth: bone masks on the voxels of `volume`. Returns the mean absolute error over the mean, of bone mineral
    (what bone holds beyond marrow) and of all matter in bone, over `VIEWS`.
    """
    images = [_bone_images(volume, mask) for mask in (answer, truth)]
    mineral, matter = [], []
    for ours, theirs in zip(*images, strict=True):
        shadow = theirs[1] > SHADOW
        for errors_, part in ((mineral, 0), (matter, 1)):
            errors_.append(float(np.abs(ours[part] - theirs[part])[shadow].mean() / theirs[part][shadow].mean()))
    return {"mineral": float(np.mean(mineral)), "matter": float(np.mean(matter)), "mineral_by_view": mineral}


def _bone_images(volume: Volume, bone) -> list[tuple[np.ndarray, np.ndarray]]:
    """(mineral, all matter) in g/cm2 for each view."""
    if not bone.any():
        return [(np.zeros(PIXELS), np.zeros(PIXELS))] * len(VIEWS)
    matter = decompose_labelled(volume, bone.astype(np.uint8), [Substance("nothing"), substance("bone")])
    extent = np.asarray(volume.corners_ras())
    reach = float(np.linalg.norm(extent.max(0) - extent.min(0)))
    beams = [
        CArmPose(a, b, volume.center_ras, 3 * reach, 2 * reach, PIXELS, (1.6 * reach / PIXELS[0],) * 2).beam()
        for a, b in VIEWS
    ]
    found = make_projector(matter).project(beams)
    mineral = matter.materials.index("bone")
    return [(view[mineral], view.sum(0)) for view in found]
