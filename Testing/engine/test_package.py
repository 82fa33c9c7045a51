"""The rules that keep the house simple: what imports what, what ships, and that a wheel works anywhere."""

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "DeepDRRSlicer"
ENGINE = SHIPPED / "DeepDRRSlicerLib"
ORDER = ["errors", "descriptions", "geometry", "physics", "anatomy", "projection", "transport", "simulation",
         "validation", "rehearsal", "learning", "dataset", "training", "commands", "__main__"]  # fmt: skip
ABOVE = ["scene", "ui"]
SLICER_ONLY = {"slicer", "vtk", "qt", "ctk"}
# Compiled by numba, or made of torch; they are imported when one projects, classifies or trains.
LAZY = tuple(
    f"projection.{name}"
    for name in ("slab_numba", "vectors", "compiled", "mesh_crossings", "mesh_displacement", "thickness")
) + tuple(f"transport.{name}" for name in ("random", "interactions", "tracking", "histories")) + (
    "learning.network", "learning.inference", "learning.refinement", "learning.refining",
    "training.decomposition.loss", "training.decomposition.muon", "training.decomposition.trainer",
    "training.decomposition.refiner_samples",
    "training.scatter.model",
)  # fmt: skip
HEAVY = {"torch", "numba", "SimpleITK", "pycuda", "ray", "trimesh", "scipy"}


def imports(path, file_scope=False):
    """Names imported anywhere in a file, or at its file scope alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if file_scope else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def python_files():
    return sorted(ENGINE.rglob("*.py"))


@pytest.mark.parametrize("path", python_files(), ids=lambda p: str(p.relative_to(ENGINE)))
def test_imports_point_one_way(path):
    package = path.relative_to(ENGINE).parts[0].removesuffix(".py")
    rank = {name: i for i, name in enumerate([*ORDER[:-2], *ABOVE])} | {"commands": 20, "__main__": 21, "__init__": -1}
    for name in imports(path):
        top, _, rest = name.partition(".")
        part = rest.split(".")[0]
        if top == "DeepDRRSlicerLib" and part in rank:
            assert rank[part] <= rank[package], f"{path} imports {name}"
            assert part not in ABOVE or package in ABOVE, f"{path} imports {name}, which needs Slicer"
        if top in SLICER_ONLY:
            assert package in ABOVE, f"{path} imports {name}: the engine runs without Slicer"


@pytest.mark.parametrize("path", [*python_files(), SHIPPED / "DeepDRRSlicer.py"], ids=lambda p: p.name)
def test_nothing_heavy_is_imported_at_file_scope(path):
    if ".".join(path.relative_to(ENGINE.parent).with_suffix("").parts).endswith(LAZY):
        return
    assert not HEAVY & {name.split(".")[0] for name in imports(path, file_scope=True)}


def test_the_engine_loads_without_any_heavy_package():
    """Slicer loads every module at start-up, with or without numba and torch."""
    names = [".".join(path.relative_to(SHIPPED).with_suffix("").parts) for path in python_files()]
    names = [n for n in names if not n.endswith(LAZY) and n.split(".")[1] not in ABOVE]
    code = f"""
import importlib, sys
sys.path.insert(0, {str(SHIPPED)!r})
for name in {names!r}:
    importlib.import_module(name)
print(*sorted({HEAVY | SLICER_ONLY!r} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stdout + done.stderr


def test_cmake_lists_every_file_that_ships():
    text = (SHIPPED / "CMakeLists.txt").read_text()
    listed = set(re.findall(r"^\s+([\w./-]+\.\w+)\s*$", text, re.M))
    tree = {
        str(p.relative_to(SHIPPED)).replace("\\", "/")
        for p in SHIPPED.rglob("*")
        if p.is_file() and p.name != "CMakeLists.txt" and not {"__pycache__", "build"} & set(p.parts)
        and ".egg-info" not in str(p)
    }  # fmt: skip
    assert listed == tree


def needed_by(distribution):
    """Names of all packages that an installed one needs, and that those need, without what is optional."""
    found, waiting = set(), [distribution]
    while waiting:
        for text in waiting.pop().requires or ():
            requirement = Requirement(text)
            if requirement.name not in found and (not requirement.marker or requirement.marker.evaluate({"extra": ""})):
                found.add(requirement.name)
                waiting.append(importlib.metadata.distribution(requirement.name))
    return found


def lend(name, site):
    """Puts a package that is installed here into another environment, as links: no network, and no time to copy."""
    distribution = importlib.metadata.distribution(name)
    for part in {path.parts[0] for path in distribution.files} - {"..", "__pycache__"}:
        (site / part).symlink_to(distribution.locate_file(part))


def test_wheel_runs_in_a_bare_environment_from_another_directory(tmp_path):
    """Built from the checkout, installed with nothing but its own dependencies, run where the checkout is not."""
    import numpy as np
    import SimpleITK as sitk

    def call(*command, cwd=tmp_path):
        done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    checkout = tmp_path / "checkout"  # building in place would leave a folder that the next build packs again
    shutil.copytree(SHIPPED, checkout / "DeepDRRSlicer", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path / "dist", checkout)
    wheel = next((tmp_path / "dist").glob("*.whl"))
    packed = {n for n in zipfile.ZipFile(wheel).namelist() if n.startswith("DeepDRRSlicerLib/")}
    tree = {str(p.relative_to(SHIPPED)) for p in ENGINE.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    assert packed == tree
    venv.create(tmp_path / "bare", symlinks=True)
    python = tmp_path / "bare" / "bin" / "python"
    call(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel)
    site = Path(call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    for name in needed_by(importlib.metadata.PathDistribution(next(site.glob("deepdrr_slicer-*.dist-info")))):
        lend(name, site)
    hu = np.full((20, 20, 20), -1000, np.int16)
    hu[5:15, 5:15, 5:15] = 40
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing((8, 8, 8))
    (tmp_path / "elsewhere").mkdir()
    sitk.WriteImage(image, str(tmp_path / "elsewhere" / "ct.nrrd"))
    program = tmp_path / "bare" / "bin" / "deepdrr-slicer"
    call(program, "simulate", "ct.nrrd", "-o", "out", "--size", 64, 64, "--pitch", 4, cwd=tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "out" / "signal.nrrd").is_file()
    assert "mobile_carm" in call(program, "info", cwd=tmp_path / "elsewhere")
