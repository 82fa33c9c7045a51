"""The same run on a Ray cluster: actors hold the patient's simulator, this process reads the files and writes the set.

Everybody who reaches a Ray cluster's ports can run programs on it: it has to be trusted. Without an address a cluster
of this machine alone is started, bound to 127.0.0.1, without dashboard and usage statistics, and ended with the run.
Ray's own token authentication is left as it is; a cluster that asks for a token needs Ray's variables for it to be set.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import DeepDRRSlicerLib
from DeepDRRSlicerLib.dataset.job import Job
from DeepDRRSlicerLib.dataset.optional import optional_package
from DeepDRRSlicerLib.dataset.patient import PatientData, read_patient
from DeepDRRSlicerLib.dataset.runner import Made, render
from DeepDRRSlicerLib.dataset.sample import ReadyPatient, make_ready
from DeepDRRSlicerLib.errors import InputError

TRIES = 3  # workers that may die over one sample
# Whether nodes are to be reached from other machines; 0 makes them use 127.0.0.1. Older versions listened on all
# addresses all the same: https://github.com/ray-project/ray/pull/59852
_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
_LEAST_VERSION = (2, 55)
_SECONDS_TO_ANSWER = 10
_THIS_MACHINE = ("127.", "localhost")


class SampleMaker:
    """What an actor is: it holds one patient ready and makes samples of it."""

    def __init__(self, job: Job, backend: str, threads: int):
        self._job, self._backend, self._threads = job, backend, threads
        self._number: int | None = None
        self._patient: ReadyPatient | None = None

    def process(self) -> int:
        """The process that it lives in."""
        return os.getpid()

    def make(self, number: int, data: PatientData, index: int) -> Made:
        """Sample `index`, which shows the patient of that number and data."""
        if self._number != number:
            self._patient = None  # lets go of the last patient before the next one takes its memory
            self._patient = make_ready(self._job, data, self._backend, self._threads)
            self._number = number
        assert self._patient is not None
        return render(self._job, self._patient, index, lambda: False, self._threads)


@contextmanager
def ray_cluster(address: str | None, workers: int):
    """Ray, connected to a cluster, or to one of this machine for so many workers that ends with the context.

    Raises InputError where the package or the cluster is missing.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # the coming behaviour; silences a warning
    if address is None or address.startswith(_THIS_MACHINE):
        os.environ[_LOOPBACK] = "0"  # read when ray is imported
    ray = optional_package("ray", "Running on a cluster")
    options = {"logging_level": "error", "log_to_driver": False}
    if address is None:
        _check_loopback(ray)
    try:
        if address is None:
            place = {"env_vars": {"PYTHONPATH": str(Path(DeepDRRSlicerLib.__file__).parents[1])}}
            ray.init(address="local", num_cpus=workers, include_dashboard=False, runtime_env=place, **options)
        else:  # the workers get this very program, so that the bytes are the same
            _check_answers(address)
            ray.init(address=address, runtime_env={"py_modules": [DeepDRRSlicerLib]}, **options)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        where = "on this machine" if address is None else f"at {address}"
        raise InputError(
            f"The Ray cluster {where} cannot be used ({_first_line(error)}); check that it runs."
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """OSError where nothing listens at host:port; Ray itself goes on trying for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdigit() and not host.startswith("ray:"):
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_ANSWER).close()


def _check_loopback(ray) -> None:
    """InputError unless a cluster that is started now is reached from this machine alone."""
    version = tuple(int(part) for part in ray.__version__.split(".")[:2])
    if version < _LEAST_VERSION:
        least = ".".join(map(str, _LEAST_VERSION))
        raise InputError(
            f"Ray {ray.__version__} opens ports to other machines; install ray {least} or later, or run without --ray."
        )
    from ray._private import ray_constants, services

    ray_constants.ENABLE_RAY_CLUSTER = False  # where ray was imported before the variable was set
    if not services.get_node_ip_address().startswith("127."):
        raise InputError("Ray would open ports to other machines; end the cluster that this program has joined.")


class RayCrew:
    """Actors of a cluster, each with `threads` cores. A worker that dies is replaced, and its sample made again.

    started: told of each actor's process, for whoever watches them.
    """

    def __init__(
        self,
        ray,
        job: Job,
        workers: int,
        backend: str = "auto",
        threads: int = 1,
        started: Callable[[int], None] = lambda process: None,
    ):
        self.capacity = 2 * workers  # one sample under way and one waiting for each actor: no more is held in memory
        self._ray, self._job, self._backend, self._threads, self._started = ray, job, backend, threads, started
        self._job_ref = ray.put(job)
        self._actors = [self._actor() for _ in range(workers)]
        self._load = [0] * workers
        self._under_way: dict = {}  # reference: (index, actor's place, tries before)
        self._number: int | None = None
        self._data = None

    def open(self, number: int) -> str:
        data = read_patient(self._job, number)
        self._data = None  # the store lets go of the last patient
        self._number, self._data = number, self._ray.put(data)
        return data.fingerprint

    def submit(self, index: int, tries: int = 0) -> None:
        place = min(range(len(self._actors)), key=self._load.__getitem__)
        reference = self._actors[place].make.remote(self._number, self._data, index)
        self._under_way[reference] = (index, place, tries)
        self._load[place] += 1

    def collect(self, seconds: float) -> list[tuple[int, Made | Exception]]:
        if not self._under_way:
            time.sleep(seconds)
            return []
        ended, _ = self._ray.wait(list(self._under_way), num_returns=1, timeout=seconds)
        outcomes = []
        for reference in ended:
            index, place, tries = self._under_way.pop(reference)
            self._load[place] -= 1
            try:
                outcomes.append((index, self._ray.get(reference)))
            except self._ray.exceptions.RayTaskError as error:
                outcomes.append((index, error.cause if isinstance(error.cause, Exception) else error))
            except self._ray.exceptions.RayError as error:  # the worker, or its machine, is gone
                if self._ray.is_initialized() and tries + 1 < TRIES:
                    self._replace(place)
                    self.submit(index, tries + 1)
                else:
                    outcomes.append((index, InputError(f"its worker died {tries + 1} times ({_first_line(error)}).")))
        return outcomes

    def close(self) -> None:
        for actor in self._actors:
            self._ray.kill(actor)
        self._under_way.clear()

    def _actor(self):
        maker = self._ray.remote(SampleMaker)
        actor = maker.options(num_cpus=self._threads, max_restarts=0).remote(
            self._job_ref, self._backend, self._threads
        )
        self._started(actor)
        return actor

    def _replace(self, place: int) -> None:
        """A new actor, unless the sample that died before in the same place has brought one already."""
        actor = self._actors[place]
        try:
            self._ray.get(actor.process.remote(), timeout=10)
        except self._ray.exceptions.RayError:
            self._ray.kill(actor)
            self._actors[place] = self._actor()


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return " ".join(lines[0].split())[:200] if lines else type(error).__name__
