"""What a job asks of a writer."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Real

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.positioning import DEFAULT_POSITION, POSITIONS

_OF_THE_JOB = ("job_hash", "date", "licence")


@dataclass(frozen=True)
class WriterOptions:
    """job_hash: names the job, and all UIDs derive from it. date: YYYYMMDD of the job. licence: of the images.

    image: file format of COCO's pictures, "png" or "tiff", 16 bits either way. signal, open_field: float32 keV per
    pixel beside the picture. thickness: mm of each segment and tool along the rays. heatmap_sigma: pixels, of a heat
    map for each landmark, or None. shard_size: samples in a WebDataset shard. cine: samples that share
    settings["sequence"] become one multi-frame DICOM file. frame_rate: of such a run, frames per second.
    patient_position: how the patient lies on the table, as DICOM's Patient Position says it; the angles stay
    patient-based.

    Raises InputError for a value that is out of range.
    """

    job_hash: str = ""
    date: str = "20000101"
    licence: str = ""
    image: str = "png"
    signal: bool = True
    open_field: bool = True
    thickness: bool = False
    heatmap_sigma: float | None = None
    shard_size: int = 100
    cine: bool = False
    frame_rate: float = 15.0
    patient_position: str = DEFAULT_POSITION

    def __post_init__(self):
        if not re.fullmatch(r"\d{8}", self.date):
            raise InputError(f"The job's date must be written YYYYMMDD, not {self.date!r}.")
        if self.image not in ("png", "tiff"):
            raise InputError(f"The option image must be png or tiff, not {self.image!r}.")
        for name in ("signal", "open_field", "thickness", "cine"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"The option {name} must be true or false, not {getattr(self, name)!r}.")
        if self.heatmap_sigma is not None and not _positive(self.heatmap_sigma, 1000):
            raise InputError(f"The option heatmap_sigma must be pixels above 0, not {self.heatmap_sigma!r}.")
        if isinstance(self.shard_size, bool) or not isinstance(self.shard_size, int) or self.shard_size < 1:
            raise InputError(f"The option shard_size must be a whole number from 1, not {self.shard_size!r}.")
        if not _positive(self.frame_rate, 1000):
            raise InputError(f"The option frame_rate must be frames per second above 0, not {self.frame_rate!r}.")
        if self.patient_position not in list(POSITIONS):
            raise InputError(
                f"The option patient_position must be one of {', '.join(POSITIONS)}, not {self.patient_position!r}."
            )


def writer_options(given: Mapping, job_hash: str, date: str, licence: str) -> WriterOptions:
    """The options of one writer as a job names them. Raises InputError for an unknown option or an impossible value."""
    known = [f.name for f in fields(WriterOptions) if f.name not in _OF_THE_JOB]
    for name in given:
        if name not in known:
            raise InputError(f"There is no option {name!r} of a writer; the options are {', '.join(known)}.")
    return WriterOptions(job_hash=job_hash, date=date, licence=licence, **given)


def _positive(value, most: float) -> bool:
    number = isinstance(value, Real) and not isinstance(value, bool)
    return number and math.isfinite(value) and 0 < value <= most
