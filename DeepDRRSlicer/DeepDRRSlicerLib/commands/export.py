"""`deepdrr-slicer export`: a dataset from a job file, from the start or from where a run ended."""

from __future__ import annotations

import argparse
import re
import signal
import sys
import time
from pathlib import Path

from DeepDRRSlicerLib.commands.view_options import add_backend, backend_of
from DeepDRRSlicerLib.errors import InputError

_SECONDS_BETWEEN_LINES = 10.0  # where the terminal cannot overwrite its last line


def add_parser(commands) -> None:
    """Registers the command and its options."""
    command = commands.add_parser(
        "export",
        help="make a labelled dataset from a job file",
        description="Makes the dataset that a job file describes. A run that was ended, however, goes on where it was "
        "when the same command is given again.",
    )
    add = command.add_argument
    add("job", metavar="JOB", help="job file (JSON)")
    add("-o", "--output", metavar="DIR", help="folder of the set (default: beside the job file, named after it)")
    add("--workers", type=int, metavar="N", help="samples made at once (default: one for each core)")
    add("--shard", metavar="K/N", help="make the K-th of N parts, K from 1, in a folder of its own")
    add("--ray", nargs="?", const="", metavar="ADDRESS",
        help="run on a Ray cluster, which must be trusted (without an address: one of this machine alone)")  # fmt: skip
    add("--mix", action="store_true", help="go on in a set that another version, backend or processor began")
    add("--preview", type=int, metavar="N", help="make N samples chosen at random, as pictures, and no set")
    add_backend(command)
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Makes the set and says what it made and what it left out. Raises InputError."""
    from DeepDRRSlicerLib.dataset.job import read_job

    for name in ("workers", "preview"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            raise InputError(f"--{name} must be at least 1, not {getattr(options, name)}.")
    shard = _shard(options.shard)
    job = read_job(options.job)
    if options.preview:
        _preview(options, job)
    else:
        _export(options, job, shard)


def _export(options, job, shard) -> None:
    from DeepDRRSlicerLib.dataset.written_set import read_manifest
    from DeepDRRSlicerLib.projection.projector import Stopped

    folder = Path(options.output or _default_folder(options.job, shard, "set"))
    terminal = _Terminal()
    before = signal.signal(signal.SIGTERM, _interrupt)  # as cluster schedulers ask a job to end
    try:
        summary = _run(options, job, folder, shard, terminal.show)
    except (KeyboardInterrupt, Stopped):
        terminal.end()
        raise InputError(f"Stopped; run the same command again to go on with {folder}.") from None
    finally:
        terminal.end()
        signal.signal(signal.SIGTERM, before)
    backends = read_manifest(summary.folder).get("mixed_backend")
    if backends:
        print(f"Note: The samples were made by different backends: {', '.join(map(str, backends))}.")
    for why, indices in _by_reason(summary.skipped).items():
        print(f"Left out {_listed(indices)}: {why}")
    left_out = f"; {len(summary.skipped)} were left out" if summary.skipped else ""
    print(
        f"{summary.folder}: {summary.samples} samples, {summary.new} of them new, in {summary.seconds:.1f} s{left_out}."
    )


def _run(options, job, folder, shard, progress):
    from DeepDRRSlicerLib.dataset.runner import run_job
    from DeepDRRSlicerLib.projection.parallel import available_cores

    arguments = {"shard": shard, "progress": progress, "mix": options.mix, "backend": backend_of(options)}
    if options.ray is None:
        return run_job(job, folder, options.workers, **arguments)
    from DeepDRRSlicerLib.dataset.ray_runner import RayCrew, ray_cluster

    workers = options.workers or available_cores()
    with ray_cluster(options.ray or None, workers) as ray:
        backend = backend_of(options)
        return run_job(job, folder, workers, crew=lambda job: RayCrew(ray, job, workers, backend), **arguments)


def _preview(options, job) -> None:
    from DeepDRRSlicerLib.dataset.atomic import write_whole
    from DeepDRRSlicerLib.dataset.image_bytes import png_bytes
    from DeepDRRSlicerLib.dataset.records import annotation, json_bytes, sample_key
    from DeepDRRSlicerLib.dataset.sample import preview
    from DeepDRRSlicerLib.dataset.set_folder import unwritable

    folder = Path(options.output or _default_folder(options.job, (1, 1), "preview"))

    def write(sample):
        try:
            name = sample_key(sample.index)
            print(write_whole(folder / f"{name}.png", [png_bytes(sample.picture)]))
            write_whole(folder / f"{name}.json", [json_bytes(annotation(sample))])
        except OSError as error:
            raise unwritable(folder, error) from error

    preview(job, options.preview, backend_of(options), made=write)


def _default_folder(job: str, shard: tuple[int, int], ending: str) -> Path:
    path = Path(job)
    part = "" if shard == (1, 1) else f"-{shard[0]}-of-{shard[1]}"
    return path.with_name(f"{path.stem}-{ending}{part}")


def _shard(text: str | None) -> tuple[int, int]:
    if text is None:
        return 1, 1
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise InputError(f"--shard must be K/N, as 1/4 to 4/4, not {text!r}.")
    return int(found[1]), int(found[2])


def _by_reason(skipped: dict[int, str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for index, why in sorted(skipped.items()):
        found.setdefault(why, []).append(index)
    return found


def _listed(indices: list[int]) -> str:
    if len(indices) == 1:
        return f"sample {indices[0]}"
    return f"{len(indices)} samples ({', '.join(map(str, indices[:5]))}{', ...' if len(indices) > 5 else ''})"


def _interrupt(number, frame):
    raise KeyboardInterrupt


class _Terminal:
    """Progress on the error stream: one line that changes, or a line now and then where it is a file."""

    def __init__(self):
        self._changing = sys.stderr.isatty()
        self._last = -_SECONDS_BETWEEN_LINES
        self._open = False

    def show(self, progress) -> None:
        """One state of the run."""
        now = time.monotonic()
        if not self._changing and now - self._last < _SECONDS_BETWEEN_LINES and progress.done < progress.total:
            return
        self._last = now
        text = f"{progress.done} of {progress.total} samples"
        if progress.remaining is not None:
            text += f", {progress.rate:.2f} per second, {_duration(progress.remaining)} left"
        if progress.skipped:
            text += f", {progress.skipped} left out"
        print(
            f"\r\x1b[K{text}" if self._changing else text,
            end="" if self._changing else "\n",
            file=sys.stderr,
            flush=True,
        )
        self._open = self._changing

    def end(self) -> None:
        """Leaves the changing line as it is."""
        if self._open:
            print(file=sys.stderr)
            self._open = False


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
