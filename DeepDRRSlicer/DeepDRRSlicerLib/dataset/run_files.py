"""A run of pulses as files: PNG pictures with a table of what is known of each, and one multi-frame DICOM file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.dataset.atomic import write_whole
from DeepDRRSlicerLib.dataset.image_bytes import png_bytes
from DeepDRRSlicerLib.dataset.optional import optional_package
from DeepDRRSlicerLib.dataset.records import json_bytes
from DeepDRRSlicerLib.dataset.writers.dicom_header import dicom_bytes
from DeepDRRSlicerLib.dataset.writers.options import WriterOptions
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.geometry.files import beam_to_dict
from DeepDRRSlicerLib.geometry.positioning import DEFAULT_POSITION
from DeepDRRSlicerLib.projection.projector import Stopped
from DeepDRRSlicerLib.simulation.display import Window

FORMAT = "DeepDRRSlicer run 1"
_WHITE = 65535


@dataclass(frozen=True, eq=False)
class RunFrame:
    """time: s from the first frame. image: (rows, columns) log attenuation, below 0 where the shutters were closed.

    said: technique, dose and C-arm, as in a radiograph's metadata.
    """

    time: float
    image: np.ndarray
    beam: ConeBeam
    said: dict


def write_run(
    folder: str | Path,
    frames: Sequence[RunFrame],
    rate: float,
    patient: str,
    window: Window,
    position: str = DEFAULT_POSITION,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[Path]:
    """Writes run.json, 0000.png and so on (16 bits, the window from black to white) and run.dcm; returns the files.

    rate: frames per second. position: how the patient lies, DICOM's Patient Position. run.dcm is left out where
    pydicom is missing, or where the frames differ in size.
    Raises Stopped on request, and InputError where the folder cannot be written.
    """
    folder = Path(folder)
    pictures = [_picture(frame.image, window) for frame in frames]
    annotations = [_annotation(number, frame, patient) for number, frame in enumerate(frames)]
    written = []
    try:
        for number, picture in enumerate(pictures):
            if should_stop():
                raise Stopped
            written.append(write_whole(folder / f"{number:04d}.png", [png_bytes(picture)]))
        table = {
            "format": FORMAT,
            "rate_hz": rate,
            "window": [window.low, window.high],
            "frames": [a | {"file": path.name} for a, path in zip(annotations, written, strict=True)],
        }
        written.append(write_whole(folder / "run.json", [json_bytes(table)]))
        if len({frame.beam.size for frame in frames}) == 1 and _has_pydicom():
            pixels = b"".join(picture.astype("<u2").tobytes() for picture in pictures)
            name = hashlib.sha256(pixels).hexdigest()[:16]
            today = date.today().strftime("%Y%m%d")
            options = WriterOptions(job_hash=name, date=today, frame_rate=rate, patient_position=position)
            written.append(write_whole(folder / "run.dcm", [dicom_bytes(annotations, pixels, options)]))
    except OSError as error:
        raise InputError(f"Cannot write to '{folder}' ({error.strerror}); choose another folder.") from error
    return written


def _picture(image: np.ndarray, window: Window) -> np.ndarray:
    grey = np.clip((image - window.low) / (window.high - window.low), 0, 1)
    return np.rint(np.where(image < 0, 0, grey) * _WHITE).astype(np.uint16)


def _annotation(number: int, frame: RunFrame, patient: str) -> dict:
    return frame.said | {
        "index": number,
        "patient": patient,
        "time_s": frame.time,
        "size": list(frame.beam.size),
        "geometry": beam_to_dict(frame.beam),
        "settings": {},
    }


def _has_pydicom() -> bool:
    try:
        optional_package("pydicom", "The DICOM writer")
    except InputError:
        return False
    return True
