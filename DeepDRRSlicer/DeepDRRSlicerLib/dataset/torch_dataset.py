"""Samples straight into training: a map-style dataset for torch.utils.data that makes them on the fly from a job.

It has __len__ and __getitem__, which is all that DataLoader asks of a dataset; torch is loaded when one is made.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from DeepDRRSlicerLib.dataset.job import Job, read_job
from DeepDRRSlicerLib.dataset.optional import optional_package
from DeepDRRSlicerLib.dataset.patient import read_patient
from DeepDRRSlicerLib.dataset.sample import ReadyPatient, Sample, make_ready, make_sample


class JobDataset:
    """Item i of epoch e is sample e * len + i of the job: epoch 0 is the set that an export writes, later ones go on.

    job: a job or its file. patients: how many are kept ready at once in each process (the last ones used); a sampler
    that keeps to one patient for a while saves loading them. threads: of one projection. item: what becomes of a
    sample, a dictionary of tensors by default (see tensors). Works with any number and kind of DataLoader workers:
    each makes its own simulators, and an epoch that is set reaches workers that persist.
    """

    def __init__(
        self,
        job: Job | str | Path,
        backend: str = "auto",
        threads: int = 1,
        patients: int = 1,
        item: Callable[[Sample], object] | None = None,
    ):
        torch = optional_package("torch", "A training data set")
        self.job = job if isinstance(job, Job) else read_job(job)
        self._backend, self._threads, self._most, self._item = backend, threads, patients, item or tensors
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._ready: dict[int, ReadyPatient] = {}
        self._process = os.getpid()

    def __len__(self) -> int:
        return self.job.count

    def set_epoch(self, epoch: int) -> None:
        """Which samples the items are from now on, in all workers."""
        self._epoch.fill_(int(epoch))

    def sample(self, position: int) -> Sample:
        """The sample of an item, before it becomes tensors. Raises InputError, IndexError."""
        if not 0 <= position < len(self):
            raise IndexError(f"There are {len(self)} samples, so none at {position}.")
        index = int(self._epoch) * len(self) + int(position)
        return make_sample(self.job, self._patient(self.job.patient_of(index)), index, threads=self._threads)

    def __getitem__(self, position: int):
        return self._item(self.sample(position))

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_ready": {}}

    def _patient(self, number: int) -> ReadyPatient:
        if self._process != os.getpid():  # forked: what a CUDA context holds is not this process's
            self._ready, self._process = {}, os.getpid()
        found = self._ready.pop(number, None)
        if found is None:
            while len(self._ready) >= self._most:
                self._ready.pop(next(iter(self._ready)))
            found = make_ready(self.job, read_patient(self.job, number), self._backend, self._threads)
        self._ready[number] = found  # last in the order, last to go
        return found


def tensors(sample: Sample) -> dict:
    """A sample as tensors that a DataLoader can collate, sharing memory with its arrays.

    image (1, rows, columns) float32, the picture from 0 to 1; signal, open_field (1, rows, columns) float32 keV per
    pixel; masks (segments, rows, columns) uint8; thickness float32 mm; landmarks (landmarks, 2) float32 (column, row)
    in pixels, NaN where there is none; visible (landmarks,) bool; tool_masks, tool_poses (tools, 4, 4) float64; P
    (3, 4) float64; index; patient. With tools of less than certain presence, batches have to be collated by hand.
    """
    import torch

    size = sample.radiograph.signal.shape

    def stacked(arrays, dtype, shape=size):
        return torch.from_numpy(np.stack(arrays).astype(dtype) if arrays else np.zeros((0, *shape), dtype))

    nowhere = np.full(2, np.nan)
    points = [nowhere if one.column is None else np.array([one.column, one.row]) for one in sample.landmarks]
    return {
        "image": torch.from_numpy(sample.picture[None] / np.float32(np.iinfo(np.uint16).max)),
        "signal": torch.from_numpy(np.asarray(sample.radiograph.signal, dtype=np.float32)[None]),
        "open_field": torch.from_numpy(np.asarray(sample.radiograph.open_field, dtype=np.float32)[None]),
        "masks": stacked([label.mask for label in sample.segments], np.uint8),
        "thickness": stacked([label.thickness for label in sample.segments], np.float32),
        "landmarks": stacked(points, np.float32, (2,)),
        "visible": torch.tensor([label.visible for label in sample.landmarks], dtype=torch.bool),
        "tool_masks": stacked([label.mask for label in sample.tools], np.uint8),
        "tool_poses": stacked([label.pose for label in sample.tools], np.float64, (4, 4)),
        "P": torch.from_numpy(sample.radiograph.beam.P),
        "index": sample.index,
        "patient": sample.patient,
    }
