"""The course of a training: one JSON object a line, and a picture of it."""

from __future__ import annotations

import json
from pathlib import Path

LOG = "log.jsonl"


def append(folder: Path, entry: dict) -> None:
    """Adds a line. Raises OSError."""
    with open(folder / LOG, "a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def entries(folder: Path, last_step: int | None = None) -> list[dict]:
    """The lines so far. Those after `last_step`, which a resumed training repeats, are dropped from the file."""
    path = folder / LOG
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:  # cut off when the program was killed
            continue
    if last_step is not None:
        found = [entry for entry in found if entry["step"] <= last_step]
        path.write_text("".join(json.dumps(entry) + "\n" for entry in found), encoding="utf-8")
    return found


def plot(folder: Path, names: tuple[str, ...]) -> Path | None:
    """Writes training.png: the loss and what the checks found, by class. None where matplotlib is missing."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return None
    found = entries(folder)
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.plot([e["step"] for e in found if "loss" in e], [e["loss"] for e in found if "loss" in e], color="tab:blue")
    left.set(xlabel="step", ylabel="loss", title="training")
    checks = [e for e in found if "dice" in e]
    for number, name in enumerate(names):
        right.plot([e["step"] for e in checks], [e["dice"][number] for e in checks], label=name, marker=".")
    right.set(xlabel="step", ylabel="Dice", ylim=(0, 1), title="samples never trained on")
    if names:
        right.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")
    path = folder / "training.png"
    figure.savefig(path, dpi=110)
    return path
