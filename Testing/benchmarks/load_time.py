"""What the module costs whoever starts Slicer, and what opening it costs: a table.

    QT_QPA_PLATFORM=offscreen python Testing/benchmarks/load_time.py [--runs 5]

Slicer loads every module when it starts. Each run is a process of its own, on the test host; processor time of the main
thread, the least of the runs. With bytecode: as every time but the first.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GOAL_MS = 50.0
CODE = """
import sys, time
from host.application import HostApplication
with HostApplication() as host:
    before, begin = set(sys.modules), time.thread_time()
    host.loadModule(sys.argv[1])
    loaded, modules = time.thread_time(), len(set(sys.modules) - before)
    host.openModule()
    print("RESULT", loaded - begin, time.thread_time() - loaded, modules)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    print(f"{'':<34} {'loaded, ms':>12} {'opened, ms':>12} {'files':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for title, environment in (
            ("without bytecode", {"PYTHONDONTWRITEBYTECODE": "1"}),
            ("with bytecode", {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": folder}),
        ):
            rows = [_run(environment) for _ in range(runs)]
            loaded, opened, files = (min(column) for column in zip(*rows, strict=True))
            verdict = "" if loaded * 1000 < GOAL_MS else f"   above the goal of {GOAL_MS:g} ms"
            print(f"{title:<34} {loaded * 1000:>12.1f} {opened * 1000:>12.1f} {files:>7.0f}{verdict}", flush=True)


def _run(environment) -> tuple[float, ...]:
    """(s to load, s to open, files loaded) in a new process."""
    paths = os.pathsep.join(str(ROOT / name) for name in ("DeepDRRSlicer", "Testing"))
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(ROOT / "DeepDRRSlicer" / "DeepDRRSlicer.py")],
        capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": paths, "QT_QPA_PLATFORM": "offscreen"} | environment,
    )  # fmt: skip
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    return tuple(map(float, line.split()[1:]))


if __name__ == "__main__":
    main()
