"""The page on the architecture names what is there: every package, and nothing that has gone."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "DeepDRRSlicer" / "DeepDRRSlicerLib"
PAGE = (ROOT / "Documentation" / "architecture.md").read_text(encoding="utf-8")
DRAWING = (ROOT / "Documentation" / "architecture.svg").read_text(encoding="utf-8")


def packages():
    return {path.parent.name for path in ENGINE.glob("*/__init__.py")}


def test_the_drawing_shows_every_package_and_no_other():
    boxes = set(re.findall(r'font-weight="bold"[^>]*>([\w ]+)<', DRAWING))
    assert boxes - {"MRML scene", "data"} == packages()
    assert {path.name for path in ENGINE.iterdir() if path.is_dir()} - {"__pycache__"} == packages() | {"data"}


def test_the_order_of_imports_is_the_one_that_is_tested():
    text = (ROOT / "Testing" / "engine" / "test_package.py").read_text(encoding="utf-8")
    order = re.findall(r'"(\w+)"', re.search(r"ORDER = \[(.*?)\]", text, re.S).group(1))
    shown = DRAWING[DRAWING.index("imports only what stands before it") :]
    places = [shown.index(name) for name in order]
    assert places == sorted(places)


def test_files_and_names_of_the_page_exist():
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "Documentation" / link).resolve().exists(), link
    for path in re.findall(r"`((?:[\w]+/)+[\w]+\.(?:py|txt))`", PAGE):
        places = (ROOT / path, ENGINE / path, ROOT / "DeepDRRSlicer" / path)
        assert any(place.exists() for place in places), path
    sources = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("DeepDRRSlicer/**/*.py"))
    sources += (ROOT / "Utilities" / "make_physics_tables.py").read_text(encoding="utf-8")
    for name in re.findall(r"`([A-Z][A-Za-z]{3,})`", PAGE):
        assert re.search(rf"\b{name}\b", sources), name


def test_writers_have_the_functions_that_the_page_names():
    from DeepDRRSlicerLib.dataset.outputs import WRITERS

    named = re.findall(r"^def (\w+)\(", PAGE, re.M)
    assert named == ["encode", "assemble", "read"]
    assert all(hasattr(writer, name) for writer in WRITERS.values() for name in named)
