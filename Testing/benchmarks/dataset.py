"""How fast a dataset is made, and what the time goes into: a table for local workers and, where it is installed, Ray.

    python Testing/benchmarks/dataset.py CT SEGMENTATION [--count 200] [--size 512] [--workers 1 2]

Each line is a run in a process of its own: images of SIZE x SIZE pixels with the masks of the 12 largest segments and
10 landmarks at the middles of the largest, written as COCO pictures with signal and open field. CPU time and memory
(proportional set size) are those of all its processes; the shares are those of the workers' time in each stage. Time
that nothing of this has, as for reading the patient, is in images/s and in CPU time all the same.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "DeepDRRSlicer")]

SEGMENTS, LANDMARKS = 12, 10
STAGES = ("projection", "exposure", "labels", "picture", "encoding", "writing", "finishing")
_LOOK = 0.2  # s between two looks at the processes


def main() -> None:
    """Prints the table."""
    options = _options()
    if options.one:
        run, workers = options.one
        print(json.dumps(measure(Path(options.ct), run, int(workers))))
        return
    with tempfile.TemporaryDirectory() as folder:
        job = write_job(Path(folder), options)
        runs = [("local", n) for n in options.workers]
        runs += [("Ray", n) for n in options.workers] if find_spec("ray") else []
        head = ["run", "workers", "images/s", "CPU s/image", "peak GB", *STAGES]
        print("| " + " | ".join(head) + " |", "|" + "---|" * len(head), sep="\n", flush=True)
        for run, workers in runs:
            line = [sys.executable, __file__, str(job), "-", "--one", run, str(workers)]
            found = json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)
            total = sum(found["stages"].values())
            shares = [f"{found['stages'].get(stage, 0) / total:.0%}" if total else "" for stage in STAGES]
            numbers = [f"{found['rate']:.2f}", f"{found['cpu']:.3f}", f"{found['memory'] / 1e9:.2f}"]
            print("| " + " | ".join([run, str(workers), *numbers, *shares]) + " |", flush=True)
    if not find_spec("ray"):
        print("Ray is not installed: its lines are missing.")


def write_job(folder: Path, options) -> Path:
    """The job file, with views from all around the chest."""
    from DeepDRRSlicerLib.anatomy.segmentation import read_segmentation
    from DeepDRRSlicerLib.dataset.patient import points_of

    segments = sorted(read_segmentation(options.segmentation), key=lambda s: -int(s.mask.array.sum(dtype=int)))
    middles = {s.name: points_of(s.mask).mean(axis=0).tolist() for s in segments[:LANDMARKS]}
    (folder / "landmarks.json").write_text(json.dumps(middles))
    ct, segmentation = (str(Path(path).resolve()) for path in (options.ct, options.segmentation))
    pixels = options.size
    job = {
        "format": "DeepDRRSlicer job 1",
        "count": options.count,
        "seed": 1,
        "patients": [{"name": "patient", "ct": ct, "segmentation": segmentation, "landmarks": "landmarks.json"}],
        "labels": {"segments": [segment.name for segment in segments[:SEGMENTS]]},
        "image": {"size": [pixels, pixels], "pitch": 300.0 / pixels},
        "plan": {
            "kind": "box",
            "primary_angle": {"distribution": "uniform", "range": [-90, 90]},
            "secondary_angle": {"distribution": "uniform", "range": [-20, 20]},
        },
        "outputs": [{"writer": "coco"}],
    }
    (folder / "job.json").write_text(json.dumps(job))
    return folder / "job.json"


def measure(job_file: Path, run: str, workers: int) -> dict:
    """One run: images/s end to end, CPU s for each image, bytes at most, s of the workers in each stage."""
    stages: dict[str, float] = defaultdict(float)
    _time_stages(stages)
    watch = _Watch()
    start = time.monotonic()
    from DeepDRRSlicerLib.dataset.job import read_job
    from DeepDRRSlicerLib.dataset.ray_runner import RayCrew, ray_cluster
    from DeepDRRSlicerLib.dataset.runner import run_job

    job = read_job(job_file)
    with tempfile.TemporaryDirectory() as folder:
        if run == "local":
            count = run_job(job, Path(folder) / "set", workers).samples
        else:
            with ray_cluster(None, workers) as ray:
                count = run_job(job, Path(folder) / "set", workers, crew=lambda j: RayCrew(ray, j, workers)).samples
                watch.look()
            stages.clear()  # the workers are other processes
    seconds = time.monotonic() - start
    watch.end()
    return {"rate": count / seconds, "cpu": watch.cpu / count, "memory": watch.most, "stages": stages}


def _time_stages(stages: dict[str, float]) -> None:
    """Lets the functions that the stages are made of add their own time, what they call among themselves left out."""
    from DeepDRRSlicerLib.dataset import runner, sample
    from DeepDRRSlicerLib.projection.cpu import CpuProjector

    within = threading.local()
    lock = threading.Lock()

    def timed(holder, name: str, stage: str) -> None:
        function = getattr(holder, name)

        def call(*arguments, **options):
            outer, within.inner = getattr(within, "inner", 0.0), 0.0
            start = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                seconds = time.perf_counter() - start
                with lock:
                    stages[stage] += seconds - within.inner
                within.inner = outer + seconds

        call.__name__ = function.__name__
        setattr(holder, name, call)

    timed(CpuProjector, "project", "projection")
    timed(sample, "take_picture", "exposure")
    timed(sample, "label_segment", "labels")
    timed(sample, "label_landmarks", "labels")
    timed(sample, "draw_picture", "picture")
    timed(runner, "encode_sample", "encoding")
    timed(runner, "record", "encoding")
    timed(runner, "write_sample", "writing")
    timed(runner, "finish_set", "finishing")


class _Watch:
    """Looks at this process and all that it started. cpu: s of all of them. most: bytes of memory at once."""

    def __init__(self):
        self.most = 0
        self._cpu: dict[int, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def cpu(self) -> float:
        return sum(self._cpu.values())

    def look(self) -> None:
        """Once more now, before processes end."""
        memory = 0
        for pid in _family(os.getpid()):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                self._cpu[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                memory += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
            except OSError:  # it has ended
                continue
        self.most = max(self.most, memory)

    def end(self) -> None:
        self._ended.set()
        self._thread.join()
        self.look()

    def _run(self) -> None:
        while not self._ended.wait(_LOOK):
            self.look()


def _family(root: int) -> list[int]:
    """A process and its descendants."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def _options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ct", help="CT volume")
    parser.add_argument("segmentation", help="segmentation of it")
    parser.add_argument("--count", type=int, default=200, help="images (default: %(default)s)")
    parser.add_argument("--size", type=int, default=512, help="rows and columns (default: %(default)s)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of workers (default: 1 2)")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
