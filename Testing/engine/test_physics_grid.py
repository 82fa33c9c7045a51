"""Anti-scatter grids: files, and what they do to contrast and dose."""

import json

import pytest

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.physics.grid import Grid, grid_names, load_grid


def test_no_grid_changes_nothing():
    none = load_grid("none")
    assert (none.primary_transmission, none.scatter_transmission, none.ratio) == (1, 1, 0)
    for ratio in (0.0, 0.5, 4.0):
        assert none.bucky_factor(ratio) == none.contrast_improvement(ratio) == 1


@pytest.mark.parametrize("name", ["angiography_13_1", "mobile_8_1"])
def test_shipped_grids_do_what_grids_do(name):
    """IEC 60627: without scatter the Bucky factor is 1/Tp; with more scatter contrast gains up to the selectivity."""
    grid = load_grid(name)
    assert grid.source and f"{grid.ratio:g}:1" in grid.name and f"{grid.lines_per_cm:g} lines" in grid.name
    assert grid.bucky_factor(0) == pytest.approx(1 / grid.primary_transmission)
    assert grid.contrast_improvement(0) == pytest.approx(1)
    assert grid.contrast_improvement(1e9) == pytest.approx(grid.primary_transmission / grid.scatter_transmission)
    # Published for a thick body, S/P about 3: contrast gains a factor of 2 to 3.5 for 3 to 5 times the dose.
    assert 2 < grid.contrast_improvement(3) < 3.5 and 3 < grid.bucky_factor(3) < 5


def test_a_higher_ratio_is_more_selective():
    mobile, angiography = load_grid("mobile_8_1"), load_grid("angiography_13_1")
    assert mobile.ratio < angiography.ratio and mobile.contrast_improvement(3) < angiography.contrast_improvement(3)
    assert grid_names() == ["angiography_13_1", "mobile_8_1", "none"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"format": "DeepDRRSlicer grid 2"}, "format"),
        ({"colour": "grey"}, "unknown key colour"),
        ({"primary_transmission": 0}, "primary_transmission must lie"),
        ({"primary_transmission": 1.1}, "primary_transmission must lie"),
        ({"scatter_transmission": 0.8}, "scatter_transmission must lie"),
        ({"scatter_transmission": "low"}, "scatter_transmission must be a number"),
        ({"ratio": -1}, "ratio"),
        ({"name": None}, "name must be text"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, change, complaint):
    path = tmp_path / "grid.json"
    data = {"format": "DeepDRRSlicer grid 1", "name": "g", "primary_transmission": 0.7, "scatter_transmission": 0.1}
    path.write_text(json.dumps(data))
    assert load_grid(path) == Grid("g", 0.7, 0.1)
    path.write_text(json.dumps(data | change))
    with pytest.raises(InputError, match=complaint) as refusal:
        load_grid(path)
    assert "grid.json" in str(refusal.value) and str(refusal.value).count("\n") == 0
    with pytest.raises(InputError, match="angiography_13_1, mobile_8_1, none"):
        load_grid("no such grid")
