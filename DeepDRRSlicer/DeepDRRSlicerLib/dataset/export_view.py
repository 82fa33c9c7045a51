"""One view with all its labels, from a request to files: what the panel's export and the demo do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from DeepDRRSlicerLib.anatomy.landmarks import Landmark
from DeepDRRSlicerLib.anatomy.segmentation import Segment
from DeepDRRSlicerLib.dataset.labels import label_landmarks, label_segment
from DeepDRRSlicerLib.dataset.view_files import ViewLabels, write_view
from DeepDRRSlicerLib.projection.projector import Stopped
from DeepDRRSlicerLib.simulation.radiograph import Radiograph


def export_view(
    folder: str | Path,
    radiograph: Radiograph,
    segments: Sequence[Segment] = (),
    landmarks: Sequence[Landmark] = (),
    should_stop: Callable[[], bool] = lambda: False,
    progress: Callable[[float], None] = lambda fraction: None,
) -> list[Path]:
    """Labels the view and writes it; returns the files.

    progress is told the fraction done. Raises Stopped on request, before anything is written, and InputError where
    the folder cannot be written.
    """
    labels = []
    for number, segment in enumerate(segments):
        if should_stop():
            raise Stopped
        progress(number / (len(segments) + 1))
        labels.append(label_segment(segment, radiograph.beam))
    if should_stop():
        raise Stopped
    progress(len(segments) / (len(segments) + 1))
    files = write_view(folder, radiograph, ViewLabels(labels, label_landmarks(landmarks, radiograph.beam)))
    progress(1.0)
    return files
