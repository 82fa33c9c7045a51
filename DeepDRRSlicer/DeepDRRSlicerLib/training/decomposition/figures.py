"""Pictures of where a model does worst, for the model card."""

import numpy as np

from DeepDRRSlicerLib.anatomy.substances import BONE, CLASSES

COLOURS = ("black", "royalblue", "khaki", "indianred", "white", "limegreen", "magenta")
WINDOW = (-300, 900)  # HU


def worst_slice(volume, labels, truth) -> int:
    """Number of the slice with the most voxels of bone too many or too few; without truth, with the most bone."""
    wrong = (labels == BONE) if truth is None else (labels == BONE) != truth
    return int(wrong.sum((1, 2)).argmax())


def worst_slices(path, pictures) -> None:
    """Writes a PNG: of each (title, volume, labels, bone truth or None) the worst slice, its labels and its errors."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(figsize=(10, 3.4 * len(pictures) + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    for row, (title, volume, labels, truth) in zip(figure.subplots(len(pictures), 3, squeeze=False), pictures):
        k = worst_slice(volume, labels, truth)
        hu = np.clip((volume.array[k] - WINDOW[0]) / (WINDOW[1] - WINDOW[0]), 0, 1)
        first_axis_down = volume.ijk_to_ras[1, 1] < 0  # anterior comes first in storage: draw it on top
        origin = "upper" if first_axis_down else "lower"
        row[0].imshow(hu, cmap="gray", origin=origin)
        row[0].set_title(f"{title}: slice {k}", fontsize=9)
        row[1].imshow(labels[k], cmap=ListedColormap(COLOURS), vmin=0, vmax=6, origin=origin, interpolation="nearest")
        row[1].set_title("labels", fontsize=9)
        errors = np.stack([hu] * 3, -1) * 0.6
        bone = labels[k] == BONE
        right = bone if truth is None else bone & truth[k]
        errors[right] = (0.9, 0.9, 0.9)
        if truth is not None:
            errors[bone & ~truth[k]] = (0.95, 0.5, 0.1)
            errors[~bone & truth[k]] = (0.2, 0.5, 1.0)
        row[2].imshow(errors, origin=origin, interpolation="nearest")
        row[2].set_title("bone" if truth is None else "bone: orange too much, blue missed", fontsize=9)
        for axes in row:
            axes.axis("off")
    figure.legend(
        handles=[Patch(facecolor=c, edgecolor="gray", label=n) for c, n in zip(COLOURS, CLASSES)],
        loc="outside lower center",
        ncols=7,
        fontsize=8,
    )
    figure.savefig(path, dpi=90)
