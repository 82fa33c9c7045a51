"""Runs some tests of the panel on older and newer versions of all that it stands on, and prints a table.

    python Testing/versions.py [NAME ...] [--folder build/versions]

Each row gets a virtual environment of its own (about 1 GB), which is kept for the next time. A row whose Python is not
on this computer is left out, and said to be. The wheel slicer-core has Slicer's MRML and logics. Qt is PySide6, because
no PySide for Qt 5.15 runs on Python 3.11 (and one before 6.8 keeps alive what deleted widgets were connected to). For
Qt 5 the checker of PythonQt rules knows what only one of the two has.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = (
    "Testing/module/test_module_self.py",
    "Testing/module/test_module_panel.py::test_choosing_a_ct_gives_a_picture_without_further_ado",
    "Testing/module/test_module_panel.py::test_a_saved_scene_opens_as_it_was",
    "Testing/module/test_module_panel.py::test_nothing_is_left_behind",
    "Testing/module/test_module_life.py::test_loading_the_module_loads_little_and_leaves_nothing",
    "Testing/module/test_module_life.py::test_compilation_stops_between_two_steps",
    "Testing/module/test_module_packages.py::test_the_panel_offers_what_is_missing_and_hides_the_rest",
)
COMMON = ("pytest", "hypothesis", "h5py")
SHOWN = ("slicer-core", "vtk", "numpy", "SimpleITK", "numba", "PySide6-Essentials", "pydicom")


@dataclass(frozen=True)
class Row:
    """name: of the row and its folder. python: its version. packages: what pip installs. like: what it stands for."""

    name: str
    python: str
    packages: tuple[str, ...]
    like: str


# Slicer 5.10 has Python 3.12, numpy 2.0 and pydicom 2.4; 5.12 and the preview 3.12, 2.4 and 3.0. The index has no
# slicer-core of 5.10: its oldest is from between 5.10 and 5.12.
ROWS = (
    Row(
        "oldest",
        "3.11",
        ("slicer-core==5.11.0.2", "numpy==1.26.4", "SimpleITK==2.3.1", "numba==0.60.0", "trimesh==4.6.0",
         "PySide6-Essentials==6.8.3", "pydicom==2.4.4"),
        "the oldest of everything",
    ),
    Row(
        "5.10",
        "3.12",
        ("slicer-core==5.11.0.2", "numpy==2.0.2", "SimpleITK==2.5.0", "numba==0.60.0", "trimesh==4.6.0",
         "PySide6-Essentials==6.8.3", "pydicom==2.4.4"),
        "Slicer 5.10",
    ),
    Row(
        "5.12",
        "3.12",
        ("slicer-core==5.12.4.0", "numpy==2.4.6", "SimpleITK", "numba", "trimesh", "PySide6-Essentials==6.11.2",
         "pydicom==3.0.2"),
        "Slicer 5.12",
    ),
    Row(
        "main",
        "3.13",
        ("slicer-core==5.13.31053.0", "numpy", "SimpleITK", "numba", "trimesh", "PySide6-Essentials==6.11.2",
         "pydicom"),
        "the newest of everything",
    ),
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"rows: {', '.join(row.name for row in ROWS)}")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "versions")
    options = parser.parse_args()
    unknown = set(options.names) - {row.name for row in ROWS}
    if unknown:
        parser.error(f"there is no row {', '.join(sorted(unknown))}")
    results = [run(row, options.folder / row.name) for row in ROWS if not options.names or row.name in options.names]
    print("\n" + line("like", "Python", SHOWN, "result"))
    for row, versions, result in results:
        print(line(row.like, row.python, [versions.get(_plain(name), "-") for name in SHOWN], result))
    return int(any(result.startswith("failed") for _, _, result in results))


def line(like, python, versions, result) -> str:
    return f"{like:<26} {python:<8} {' '.join(f'{version:<18}' for version in versions)} {result}"


def run(row: Row, folder: Path):
    """(row, versions of packages, result in words)."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        base = find_python(row.python)
        if base is None:
            return row, {}, f"left out: no Python {row.python} here"
        subprocess.run([base, "-m", "venv", folder], check=True)
    print(f"{row.name}: installing into {folder} ...", flush=True)
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-warn-script-location", *row.packages, *COMMON], check=True)
    frozen = [line.split("==") for line in output([*pip, "list", "--format", "freeze"]).splitlines()]
    versions = {_plain(pair[0]): pair[1] for pair in frozen if len(pair) == 2}
    print(f"{row.name}: testing ...", flush=True)
    begin = time.monotonic()
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder / "numba"), "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS],
        cwd=ROOT, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    (folder / "tests.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode:
        print("\n".join(done.stdout.splitlines()[-30:]))
        return row, versions, f"failed: see {folder / 'tests.txt'}"
    return row, versions, f"{len(TESTS)} passed in {time.monotonic() - begin:.0f} s"


def output(command) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _plain(name: str) -> str:
    """A package's name, of which pip knows several spellings, in one."""
    return name.lower().replace("_", "-")


def find_python(version: str) -> str | None:
    """A Python of this version: by its name, or by the launcher of Windows; one that starts, too."""
    for command in ([f"python{version}"], ["py", f"-{version}"], [sys.executable]):
        if shutil.which(command[0]) is None:
            continue
        code = "import sys; print(sys.executable, sys.version.split()[0], sep='|')"
        done = subprocess.run([*command, "-c", code], capture_output=True, text=True)
        path, _, found = done.stdout.strip().partition("|")
        if done.returncode == 0 and found.startswith(version + "."):
            return path
    return None


if __name__ == "__main__":
    sys.exit(main())
