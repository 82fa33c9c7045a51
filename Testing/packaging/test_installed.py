"""The extension as it is installed: configured with CMake, with a stand-in of Slicer's macros, and run from there."""

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "DeepDRRSlicer"
STAND_IN = Path(__file__).parent / "slicer"
MODULES = Path("lib/Slicer-5.12/qt-scripted-modules")
# No compiler is needed to install Python files.
NO_COMPILER = [
    f"-DCMAKE_{language}_COMPILER{setting}"
    for language in ("C", "CXX")
    for setting in ("_FORCED=1", "_ID_RUN=1", f"={sys.executable}")
]


def cmake():
    """The program, of the package that the tests install or of the system."""
    beside = Path(sys.executable).with_name("cmake")
    program = str(beside) if beside.exists() else shutil.which("cmake")
    if program is None:
        pytest.skip("cmake is not installed")
    return program


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """The configured extension, in a folder whose name has spaces and letters of other languages."""
    folder = tmp_path_factory.mktemp("packaging") / "Größe und 大小"
    run(cmake(), "-S", ROOT, "-B", folder, f"-DSlicer_DIR={STAND_IN}", "-DBUILD_TESTING=ON", *NO_COMPILER)
    return folder


@pytest.fixture(scope="module")
def installed(build):
    """The folder of modules of an installed extension."""
    run(cmake(), "--install", build, "--prefix", build / "installed")
    return build / "installed" / MODULES


def tree(folder):
    """Relative path -> content, of everything that is no cache of Python's and no list of CMake's."""
    files = [p for p in folder.rglob("*") if p.is_file() and p.name != "CMakeLists.txt"]
    files = [p for p in files if not {"__pycache__", "build"} & set(p.relative_to(folder).parts)]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files if ".egg-info" not in str(p)}


def test_everything_that_ships_is_installed(installed):
    expected, found = tree(SHIPPED), tree(installed)
    assert sorted(found) == sorted(expected)
    assert found == expected


def test_self_test_and_generic_tests_are_registered(build):
    generic = [
        f"py_nomainwindow_qSlicerDeepDRRSlicer{kind}" for kind in ("ModuleGenericTest", "ModuleWidgetGenericTest")
    ]
    assert (build / "tests.txt").read_text().split() == [*generic, "py_DeepDRRSlicer"]


def test_the_module_opens_from_where_it_is_installed(installed, tmp_path):
    """In a process of its own, which the checkout's module path is not part of."""
    code = f"""
import sys
sys.path.insert(0, {str(ROOT / "Testing")!r})
from host.application import HostApplication

with HostApplication() as host:
    host.loadModule({str(installed / "DeepDRRSlicer.py")!r})
    widget = host.openModule()
    import DeepDRRSlicerLib
    print(DeepDRRSlicerLib.__file__)
    print(*sorted(widget.sections))
    del widget
    left = [name for name in host.closeModule() if "warm-up" not in name]  # compiles, for the first time there
    assert left == [], left
"""
    environment = {n: v for n, v in os.environ.items() if n != "PYTHONPATH"} | {"QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", cwd=tmp_path,
        env=environment | {"PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert Path(lines[-2]).parent == installed / "DeepDRRSlicerLib"
    assert {"Patient", "CArm", "XRay"} <= set(lines[-1].split())


# What the Extensions Index checks (scripts/check_description_files.py there), as far as it can be done offline

CATEGORIES = ROOT / "Testing" / "packaging" / "index_categories.txt"


def fields(text):
    """Keyword -> value of lines with a keyword and a value."""
    lines = [line.partition(" ") for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {keyword: value.strip() for keyword, _, value in lines}


@pytest.fixture
def s4ext():
    return fields((ROOT / "DeepDRRSlicer.s4ext").read_text(encoding="utf-8"))


@pytest.fixture
def entry():
    return json.loads((ROOT / "Resources" / "ExtensionsIndex" / "DeepDRRSlicer.json").read_text(encoding="utf-8"))


def test_the_entry_of_the_index_is_valid(entry):
    allowed = {"$schema", "category", "scm_url", "scm_revision", "scm_type", "build_dependencies", "dicom_support_rule",
               "build_subdirectory", "enabled", "tier"}  # fmt: skip
    assert {"$schema", "category", "scm_url"} <= set(entry) <= allowed
    assert re.search(r"/Schemas/slicer-extension-catalog-entry-schema-v1\.0\.\d\.json#$", entry["$schema"])
    assert entry["category"] in CATEGORIES.read_text(encoding="utf-8").splitlines()
    assert entry["tier"] in range(1, 6) and isinstance(entry["build_dependencies"], list)
    assert b"\r" not in (ROOT / "Resources" / "ExtensionsIndex" / "DeepDRRSlicer.json").read_bytes()


def test_names_follow_the_rules_of_the_index(entry):
    """The repository begins with "Slicer", the extension does not, and is the first project() in CMakeLists.txt."""
    repository = entry["scm_url"].rsplit("/", 1)[1].removesuffix(".git")
    assert entry["scm_url"].startswith("https://") and repository.startswith("Slicer")
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    name = re.search(r"^\s*project\s*\(\s*(\w+)", text, re.M).group(1)
    assert name == "DeepDRRSlicer" and not name.lower().startswith("slicer")
    assert any(path.name.startswith("LICENSE") for path in ROOT.iterdir())


def test_descriptions_agree(build, s4ext, entry):
    """CMake's fields, the .s4ext file and the index's entry say the same."""
    cmake_fields = fields((build / "extension.txt").read_text(encoding="utf-8"))
    names = {"homepage": "HOMEPAGE", "category": "CATEGORY", "contributors": "CONTRIBUTORS", "tier": "TIER",
             "description": "DESCRIPTION", "iconurl": "ICONURL", "screenshoturls": "SCREENSHOTURLS",
             "depends": "DEPENDS", "recommends": "RECOMMENDS", "status": "STATUS", "keywords": "KEYWORDS"}  # fmt: skip
    assert {n: s4ext[n] for n in names} == {n: cmake_fields[field] for n, field in names.items()}
    assert (s4ext["scm"], s4ext["scmurl"], s4ext["scmrevision"]) == ("git", entry["scm_url"], entry["scm_revision"])
    assert s4ext["depends"].split() == entry["build_dependencies"] and s4ext["category"] == entry["category"]
    assert (s4ext["build_subdirectory"], s4ext["tier"]) == (entry["build_subdirectory"], str(entry["tier"]))
    every = {"scm", "scmurl", "scmrevision", "depends", "recommends", "build_subdirectory", "homepage", "contributors",
             "category", "iconurl", "status", "tier", "description", "screenshoturls", "enabled", "dicom_support_rule",
             "keywords"}  # fmt: skip
    assert set(s4ext) == every


def test_pictures_are_in_the_repository(s4ext):
    """Icon of 128 x 128 pixels, and screenshots; the index takes PNG, JPEG and GIF, no SVG."""
    base = "https://raw.githubusercontent.com/DeepDRRSlicer/SlicerDeepDRR/main/"
    assert s4ext["iconurl"].startswith(base)
    header = (ROOT / s4ext["iconurl"].removeprefix(base)).read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", header[16:24]) == (128, 128)
    for url in s4ext["screenshoturls"].split():
        assert url.endswith(".png") and (ROOT / url.removeprefix(base)).is_file()


def test_repository_is_small():
    """The index refuses more than 100 MB."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if names.returncode != 0:
        pytest.skip("no git checkout")
    paths = [ROOT / name for name in names.stdout.split("\0") if name]
    assert sum(path.stat().st_size for path in paths if path.is_file()) < 50e6
