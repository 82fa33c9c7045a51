"""Reads a written set: its samples with arrays and labels, as numpy arrays or as torch tensors."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.dataset.finish import FORMAT, MANIFEST
from DeepDRRSlicerLib.dataset.optional import optional_package
from DeepDRRSlicerLib.dataset.outputs import WRITERS, read_outputs
from DeepDRRSlicerLib.dataset.records import RecordFiles, record_beam
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam


@dataclass(frozen=True, eq=False)
class WrittenSample:
    """record: as records.record makes it. arrays: as writers.arrays.sample_arrays names them."""

    record: dict
    arrays: dict[str, np.ndarray]

    @property
    def beam(self) -> ConeBeam:
        """The view."""
        return record_beam(self.record)

    @property
    def landmarks(self) -> tuple[np.ndarray, np.ndarray]:
        """(n, 2) float64 (column, row) in pixels, NaN where there is none, and (n,) bool, whether they are visible."""
        found = self.record["landmarks"]
        places = [[np.nan if label[key] is None else label[key] for key in ("column", "row")] for label in found]
        return np.array(places, np.float64).reshape(-1, 2), np.array([label["visible"] for label in found], bool)


class WrittenSet(Sequence):
    """The samples of a set in the order of their index.

    writer: which of the set's formats the arrays are read from; the first one if none is named. manifest: dataset.json.
    job: job.json. Raises InputError where the folder holds no set, or the set is not complete or lacks the format.
    """

    def __init__(self, folder: str | Path, writer: str | None = None):
        self.folder = Path(folder)
        self.manifest, self.job = read_manifest(self.folder), read_job(self.folder)
        if self.manifest["state"] != "complete":
            raise InputError(f"The set in {self.folder} is not complete; export its job again, which resumes it.")
        writers = list(read_outputs(self.job, self.manifest["job_hash"]))
        if writer is not None and writer not in writers:
            raise InputError(f"The set in {self.folder} holds no {writer}; it holds {', '.join(writers)}.")
        self.writer = writer or writers[0]
        self.records = RecordFiles(self.folder)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, position: int) -> WrittenSample:  # type: ignore[override]  # no slices
        record = self.records[position]
        try:
            return WrittenSample(record, WRITERS[self.writer].read(self.folder, record))
        except OSError as error:
            raise InputError(f"{error.filename} cannot be read; inspect the set with: dataset inspect.") from error


class TensorSet:
    """A written set as torch's DataLoader takes it, with any number of workers.

    Each sample is a dict of tensors: picture (1, rows, columns) float32 from 0 to 1; every other array under its name;
    landmarks (n, 2) float32 column and row, NaN where there is none; visible (n,) bool; K, R, t, P float64; index.
    transform: from such a dict to what the DataLoader shall have.
    """

    def __init__(
        self, folder: str | Path, writer: str | None = None, transform: Callable[[dict], object] | None = None
    ):
        optional_package("torch", "A set of tensors")
        self.samples, self.transform = WrittenSet(folder, writer), transform

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, position: int):
        torch = optional_package("torch", "A set of tensors")
        sample = self.samples[position]
        beam, (places, visible) = sample.beam, sample.landmarks
        arrays = dict(sample.arrays)
        tensors = {"picture": (arrays.pop("picture") / np.float32(65535))[None]} | arrays
        tensors |= {"landmarks": places.astype(np.float32), "visible": visible}
        tensors |= {"K": beam.K, "R": beam.R, "t": beam.t, "P": beam.P}
        found = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in tensors.items()}
        found["index"] = sample.record["index"]
        return found if self.transform is None else self.transform(found)


def read_manifest(folder: Path) -> dict:
    """dataset.json. Raises InputError where the folder holds no set, or one of an unknown format."""
    data = _read(folder, MANIFEST)
    needed = ("state", "name", "licence", "job_hash", "backend", "versions", "requested", "skipped")
    if data.get("format") != FORMAT or any(key not in data for key in needed):
        raise InputError(f"{folder / MANIFEST} is not the manifest of a set ({FORMAT}); check the folder.")
    return data


def read_job(folder: Path) -> dict:
    """job.json. Raises InputError where it is missing or damaged."""
    return _read(folder, "job.json")


def _read(folder: Path, name: str) -> dict:
    try:
        data = json.loads((folder / name).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{folder} holds no set: {name} is missing or damaged; check the folder.") from error
    if not isinstance(data, dict):
        raise InputError(f"{folder} holds no set: {name} is damaged; check the folder.")
    return data
