"""The commands and scripts that the documents show: those marked `quick` are run, the others' options are read."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from DeepDRRSlicerLib.__main__ import main, parser
from DeepDRRSlicerLib.anatomy.image_io import volume_to_sitk
from DeepDRRSlicerLib.anatomy.phantom import chest_phantom
from DeepDRRSlicerLib.anatomy.volume import Volume

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "Documentation").glob("*.md"))]
PARTS = {"DIR", "FILE", "JOB", "SET", "K", "N", "CT", "PATH"}  # what a reader puts in


def blocks(page, language):
    """(whether it is marked quick, text) of a page's fenced blocks in a language."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(rf"^```{language}( quick)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [(bool(quick), block) for quick, block in found]


def commands(block):
    """The command lines of a block as lists of words, comments left out, continued lines joined."""
    lines = block.replace("\\\n", " ").splitlines()
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def all_commands():
    return [words for page in PAGES for _, block in blocks(page, "sh") for words in commands(block)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the files that the documents name: a small chest, its labels, a mesh."""
    ct = chest_phantom(6.0).ct
    labels = np.where(ct.array > 120, 1, np.where((ct.array > -900) & (ct.array < -700), 2, 0)).astype(np.uint8)
    for name, array in (("chest", ct.array), ("labels", labels)):
        sitk.WriteImage(volume_to_sitk(Volume(array, ct.ijk_to_ras)), str(tmp_path / f"{name}.nii.gz"))
    (tmp_path / "labels.json").write_text(json.dumps({"1": "bone", "2": "lung"}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_quick_commands_run(page, folder, capsys):
    for quick, block in blocks(page, "sh"):
        for words in commands(block) if quick else []:
            assert words[0] == "deepdrr-slicer", f"only its own commands are quick: {words}"
            assert main(words[1:]) == 0, f"{shlex.join(words)}: {capsys.readouterr().err}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_quick_scripts_run(page, folder, capsys):
    for quick, block in blocks(page, "python"):
        compile(block, page.name, "exec")
        if quick:
            exec(block, {"__name__": "__main__"})
            assert capsys.readouterr().out.strip()


def test_something_is_quick():
    assert sum(quick for page in PAGES for kind in ("sh", "python") for quick, _ in blocks(page, kind)) >= 4


def test_options_of_all_commands_exist():
    """What `deepdrr-slicer --help` would refuse is not shown, whatever files it names."""
    program, seen = parser(), set()
    for words in all_commands():
        if words[0] == "deepdrr-slicer":
            filled = ["1" if word in PARTS and words[n - 1].startswith("--") else word for n, word in enumerate(words)]
            program.parse_args(filled[1:])
            seen.add(words[1])
    assert {"simulate", "montecarlo", "export", "dataset", "validate", "bench", "info"} <= seen


def test_make_targets_of_all_commands_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {words[1] for words in all_commands() if words[0] == "make" and len(words) > 1 and "=" not in words[1]}
    assert named and named <= targets


def test_links_between_the_documents_lead_somewhere():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_the_table_of_the_physics_page_is_what_validate_prints(capsys):
    """Its fastest group, line by line; all of it with the long tests below."""
    assert main(["validate", "--only", "hu"]) == 0
    _same_rows(capsys.readouterr().out)


@pytest.mark.long
def test_the_whole_table_of_the_physics_page_is_what_validate_prints(capsys):
    assert main(["validate"]) == 0
    _same_rows(capsys.readouterr().out)


def _same_rows(printed):
    """Every measured row stands in the page with the same reference and the same number within rounding."""
    page = (ROOT / "Documentation" / "physics.md").read_text(encoding="utf-8").splitlines()
    kept = {line[:60].strip(): line.split() for line in page if line.endswith(("  pass", "  fail"))}
    rows = [line for line in printed.splitlines() if line.endswith(("  pass", "  fail"))]
    assert rows
    for row in rows:
        name = row[:60].strip()
        assert name in kept, f"the page lacks '{name}'"
        assert kept[name][-1] == row.split()[-1]
