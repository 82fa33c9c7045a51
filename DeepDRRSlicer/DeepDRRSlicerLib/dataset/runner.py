"""Runs a job into a folder: workers make samples, one thread writes them, and whatever ends a run, the next goes on.

A crew makes the samples: threads of this process here (they share the patient's volume; projection, compression and
checksums release the interpreter lock), actors of a cluster in ray_runner.py. Patients come one after the other, so
that memory is bounded by one patient and two samples for each worker.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from DeepDRRSlicerLib.dataset.finish import finish_set
from DeepDRRSlicerLib.dataset.job import Job
from DeepDRRSlicerLib.dataset.outputs import encode_sample, read_outputs
from DeepDRRSlicerLib.dataset.patient import read_patient
from DeepDRRSlicerLib.dataset.records import record
from DeepDRRSlicerLib.dataset.sample import ReadyPatient, backend_in_use, make_ready, make_sample
from DeepDRRSlicerLib.dataset.set_folder import (
    complete_samples,
    identity,
    sole_writer,
    start_set,
    unwritable,
    with_backend,
    write_sample,
)
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.projection.parallel import available_cores
from DeepDRRSlicerLib.projection.projector import Stopped

_LOOK = 0.1  # s between two looks at stop and pause


@dataclass(frozen=True)
class Made:
    """What a worker hands over: the files of a sample, and its record."""

    files: dict[str, bytes]
    record: dict


@dataclass(frozen=True)
class Progress:
    """done of total samples are there, of which `new` were made in `seconds` by this run."""

    done: int
    total: int
    new: int
    seconds: float
    skipped: int = 0

    @property
    def rate(self) -> float:
        """Samples per second of this run."""
        return self.new / self.seconds if self.seconds > 0 else 0.0

    @property
    def remaining(self) -> float | None:
        """Seconds until the end; None before that can be told."""
        return (self.total - self.done - self.skipped) / self.rate if self.new and self.seconds > 0 else None


@dataclass(frozen=True)
class Summary:
    """What became of a run. samples: in the set, of which `new` were made by it. skipped: why a sample was left out."""

    folder: Path
    samples: int
    new: int
    seconds: float
    skipped: dict[int, str]


class Crew(Protocol):
    """Makes samples. capacity: samples that may be under way at once."""

    capacity: int

    def open(self, number: int) -> str:
        """Makes a patient ready, in place of the last; returns its fingerprint. Raises InputError."""
        ...

    def submit(self, index: int) -> None:
        """Begins a sample of that patient."""
        ...

    def collect(self, seconds: float) -> list[tuple[int, Made | Exception]]:
        """Samples that ended, as soon as there is one, or none after that time."""
        ...

    def close(self) -> None:
        """Asks everything under way to stop, and waits for it."""
        ...


class ThreadCrew:
    """Workers of this process. threads: that take part in one projection; by default the cores are shared out."""

    def __init__(self, job: Job, workers: int, backend: str = "auto", threads: int | None = None):
        self.capacity = 2 * workers  # the next samples wait while the last are written
        self._job, self._backend = job, backend
        self._threads = threads or max(1, available_cores() // workers)
        self._patient: ReadyPatient | None = None
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="sample")
        self._under_way: dict[Future, int] = {}

    def open(self, number: int) -> str:
        self._patient = None  # lets go of the last patient before the next one takes its memory
        ready = make_ready(self._job, read_patient(self._job, number), self._backend, self._threads)
        self._patient = ready
        return ready.data.fingerprint

    def submit(self, index: int) -> None:
        future = self._pool.submit(render, self._job, self._patient, index, self._stop.is_set, self._threads)
        self._under_way[future] = index

    def collect(self, seconds: float) -> list[tuple[int, Made | Exception]]:
        ended, _ = wait(self._under_way, timeout=seconds, return_when=FIRST_COMPLETED)
        outcomes: list[tuple[int, Made | Exception]] = []
        for future in ended:
            error = future.exception()
            if error is not None and not isinstance(error, Exception):
                raise error
            outcomes.append((self._under_way.pop(future), error or future.result()))
        return outcomes

    def close(self) -> None:
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)


def run_job(
    job: Job,
    folder: str | Path,
    workers: int | None = None,
    shard: tuple[int, int] = (1, 1),
    progress: Callable[[Progress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    pause: Callable[[], bool] = lambda: False,
    mix: bool = False,
    backend: str = "auto",
    crew: Callable[[Job], Crew] | None = None,
) -> Summary:
    """Makes the samples of a job, or of shard (k, n) of it, that are not yet in the folder, and puts the set together.

    workers: threads, one for each core by default; the bytes do not depend on them. progress is told of every sample;
    while pause answers True no further sample is begun. mix: goes on in a folder that another backend, version or
    processor began. crew: makes the samples, ThreadCrew by default.
    Raises InputError for a job or a folder that cannot be used, or a full disk; Stopped on request; KeyboardInterrupt.
    The same call then goes on where this one ended.
    """
    folder = Path(folder)
    indices = shard_samples(job, *shard)
    wanted = identity(job, backend_in_use(backend), shard)
    with sole_writer(folder):
        manifest = start_set(folder, job, wanted, mix)
        run = _Run(job, folder, manifest, indices, progress)
        workers = available_cores() if workers is None else workers
        team = crew(job) if crew else ThreadCrew(job, workers, backend)
        try:
            run.make(team, should_stop, pause)
        except OSError as error:
            raise unwritable(folder, error) from error
        finally:
            team.close()
        try:
            return run.finish(should_stop)
        except OSError as error:
            raise unwritable(folder, error) from error


def shard_samples(job: Job, k: int = 1, n: int = 1) -> list[int]:
    """The samples of the k-th of n shards (k from 1), patient by patient: a shard needs few of them.

    Raises InputError for a shard that there is not.
    """
    if not 1 <= k <= n <= job.count:
        raise InputError(f"There is no shard {k}/{n} of {job.count} samples; give k/n with 1 <= k <= n <= {job.count}.")
    first, end = ((job.count * part) // n for part in (k - 1, k))
    order: list[int] = []
    before = 0
    for patient in range(min(len(job.patients), job.count)):
        own = range(patient, job.count, len(job.patients))
        order += own[max(0, first - before) : max(0, end - before)]
        before += len(own)
    return order


def render(job: Job, patient, index: int, should_stop: Callable[[], bool], threads: int | None = None) -> Made:
    """One sample as files and record, by the writers of the job."""
    sample = make_sample(job, patient, index, should_stop, threads)
    files = encode_sample(sample, read_outputs(job.data, job.hash))
    return Made(files, record(sample, files))


class _Run:
    """One run of a job: what is there, what is to be done, what was left out and why."""

    def __init__(self, job: Job, folder: Path, manifest: dict, indices: Sequence[int], progress):
        self.job, self.folder, self.manifest, self._progress = job, folder, manifest, progress
        there = complete_samples(folder)
        self._fingerprints = {job.patient_of(index): fingerprint for index, fingerprint in there.items()}
        self._total, self._done = len(indices), len(there.keys() & set(indices))
        self._new = 0
        self._skipped: dict[int, str] = {}
        self._start = time.monotonic()
        self._waiting: dict[int, deque[int]] = {}
        for index in indices:
            if index not in there:
                self._waiting.setdefault(job.patient_of(index), deque()).append(index)

    def make(self, crew: Crew, should_stop, pause) -> None:
        """Makes what is missing. Raises InputError, OSError of the disk, Stopped."""
        self._tell()
        for number, waiting in self._waiting.items():
            try:
                fingerprint = crew.open(number)
            except Exception as error:  # a file reader, an allocation or a device may raise anything
                self._leave_out(list(waiting), error)
                continue
            if self._fingerprints.setdefault(number, fingerprint) != fingerprint:
                name = self.job.patients[number].name
                raise InputError(f"The files of the patient {name} changed after the set was begun; restore them.")
            self._make_patient(crew, waiting, should_stop, pause)

    def finish(self, should_stop) -> Summary:
        """Puts the set together. Raises InputError, OSError, Stopped."""
        if should_stop():
            raise Stopped
        if not self._done:
            raise InputError(f"No sample of the job could be made: {next(iter(self._skipped.values()))}")
        skipped = [{"index": index, "reason": self._skipped[index]} for index in sorted(self._skipped)]
        outputs = read_outputs(self.job.data, self.job.hash)
        finish_set(self.folder, self.job.data, outputs, self.manifest | {"skipped": skipped}, should_stop)
        seconds = time.monotonic() - self._start
        return Summary(self.folder, self._done, self._new, seconds, self._skipped)

    def _make_patient(self, crew: Crew, waiting: deque[int], should_stop, pause) -> None:
        under_way = 0
        while waiting or under_way:
            if should_stop():
                raise Stopped
            while waiting and under_way < crew.capacity and not pause():
                crew.submit(waiting.popleft())
                under_way += 1
            if not under_way:
                time.sleep(_LOOK)
                continue
            for index, outcome in crew.collect(_LOOK):
                under_way -= 1
                if isinstance(outcome, Exception):
                    self._leave_out([index], outcome)
                    continue
                # A card that failed has had the CPU take over.
                self.manifest = with_backend(self.folder, self.manifest, outcome.record["backend"])
                write_sample(self.folder, index, outcome.files, outcome.record)
                self._done += 1
                self._new += 1
                self._tell()

    def _leave_out(self, indices: Sequence[int], error: Exception) -> None:
        """Stops or skips, as the job says; never silently."""
        if isinstance(error, Stopped):
            raise error
        why = _sentence(error)
        if self.job.errors == "stop":
            raise InputError(f"Sample {indices[0]} could not be made: {why}") from error
        self._skipped |= {index: why for index in indices}
        self._tell()

    def _tell(self) -> None:
        seconds = time.monotonic() - self._start
        self._progress(Progress(self._done, self._total, self._new, seconds, len(self._skipped)))


def _sentence(error: Exception) -> str:
    """Why something failed, in one line that does not depend on the machine."""
    if isinstance(error, InputError):
        return " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return "there was not enough memory; use fewer workers, a smaller CT or a smaller image."
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}."
