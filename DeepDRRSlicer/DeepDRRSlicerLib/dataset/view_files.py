"""The files of one view. A folder with a view.json holds all files of that view and none of an older one."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.anatomy.image_io import place_image
from DeepDRRSlicerLib.anatomy.seg_nrrd import write_seg_nrrd
from DeepDRRSlicerLib.dataset.labels import LandmarkLabel, SegmentLabel
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.simulation.display import Display, display_image
from DeepDRRSlicerLib.simulation.radiograph import Radiograph

DISPLAY = Display()
BORDER_SEGMENT = "outside the CT"
_COMPLETE = "view.json"  # goes first and comes last
_OPTIONAL = ("counts.nrrd", "masks.seg.nrrd", "thickness.nrrd", "landmarks.json")


@dataclass(frozen=True, eq=False)
class ViewLabels:
    """What is known of one view beside its image."""

    segments: Sequence[SegmentLabel] = ()
    landmarks: Sequence[LandmarkLabel] = ()


def write_view(
    folder: str | Path, radiograph: Radiograph, labels: ViewLabels | None = None, display: Display = DISPLAY
) -> list[Path]:
    """Writes signal, open_field, area_density, counts (.nrrd), display.png and view.json; labels add their files.

    Counts are there where the detector has a bit depth.

    An image of several components has them as its last axis; with one component it is scalar. Files of an older view
    in the folder are replaced, its labels taken away. Returns the files. Raises InputError where the folder cannot be
    written or the disk is full, before the older view is touched.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".view-", dir=folder) as part:
            _write_into(Path(part), radiograph, labels, display)
            names = sorted(os.listdir(part), key=lambda name: (name == _COMPLETE, name))
            for name in (_COMPLETE, *_OPTIONAL):
                (folder / name).unlink(missing_ok=True)
            for name in names:
                os.replace(Path(part) / name, folder / name)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"Cannot write to {folder}: {reason}; choose another folder or make space.") from error
    return [folder / name for name in names]


def _write_into(folder: Path, radiograph: Radiograph, labels: ViewLabels | None, display: Display) -> None:
    placed = radiograph.beam.image_to_ras()
    materials = {"materials": json.dumps(radiograph.materials), "unit": "g/cm2"}
    write_nrrd(folder / "signal.nrrd", radiograph.signal, placed, {"unit": "keV per pixel"})
    write_nrrd(folder / "open_field.nrrd", radiograph.open_field, placed, {"unit": "keV per pixel"})
    write_nrrd(folder / "area_density.nrrd", np.moveaxis(radiograph.area_density, 0, -1), placed, materials)
    if radiograph.counts is not None:
        write_nrrd(folder / "counts.nrrd", radiograph.counts, placed, {"unit": "counts"}, radiograph.counts.dtype)
    _write_image(folder / "display.png", _sitk().GetImageFromArray(display_image(radiograph, display)))
    metadata = radiograph.metadata | {
        "settings_hash": radiograph.settings_hash,
        "warning": radiograph.warning,
        "display": {"quantity": "-ln(signal / open_field)"} | display.to_dict(),
    }
    if labels is not None:
        metadata["segments"] = _write_segments(folder, radiograph, labels.segments, placed)
        _write_json(folder / "landmarks.json", {"frame": "RAS, mm", "landmarks": [asdict(x) for x in labels.landmarks]})
    _write_json(folder / _COMPLETE, metadata)


def _write_segments(folder: Path, radiograph: Radiograph, segments: Sequence[SegmentLabel], placed) -> list[dict]:
    names = [*(segment.name for segment in segments), BORDER_SEGMENT]
    masks = np.stack([*(segment.mask for segment in segments), radiograph.border])
    colors = [*(segment.color for segment in segments), (0.9, 0.1, 0.1)]
    write_seg_nrrd(folder / "masks.seg.nrrd", names, masks, placed, colors)
    if segments:
        thickness = np.stack([segment.thickness for segment in segments], axis=-1)
        header = {"segments": json.dumps(names[:-1]), "unit": "mm"}
        write_nrrd(folder / "thickness.nrrd", thickness, placed, header)
    return [
        {
            "name": segment.name,
            "box": segment.box,
            "pixels": int(segment.mask.sum()),
            "largest_thickness_mm": float(segment.thickness.max()),
        }
        for segment in segments
    ]


def write_nrrd(
    path: Path, image: np.ndarray, image_to_ras: np.ndarray, header: dict[str, str], kind=np.float32
) -> None:
    """(rows, columns) or (rows, columns, components) as one slice in space."""
    array = np.ascontiguousarray(image[None], dtype=kind)
    result = _sitk().GetImageFromArray(array, isVector=image.ndim == 3)
    place_image(result, image_to_ras)
    for key, value in header.items():
        result.SetMetaData(key, value)
    _write_image(path, result)


def _write_image(path: Path, image) -> None:
    """Writes an image and reads it again: on a full disk ITK may say nothing and leave the file without its end."""
    sitk = _sitk()
    try:
        sitk.WriteImage(image, str(path), useCompression=True)
        sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise OSError(f"{path.name} is not complete") from error


def _sitk():
    import SimpleITK

    return SimpleITK


def _write_json(path: Path, data: dict) -> None:
    path.write_text(json.dumps(data, indent=1, default=_plain, allow_nan=False), encoding="utf-8")


def _plain(value):
    """numpy numbers and arrays, which json does not know."""
    return value.tolist()
