"""Thin metal is found by density and shape, and nothing else as dense is taken for it."""

import numpy as np
import pytest

from DeepDRRSlicerLib.anatomy.substances import CLASSES, METAL
from DeepDRRSlicerLib.learning import thin_metal
from DeepDRRSlicerLib.learning.thin_metal import mark_thin_metal

CONTRAST, BONE = CLASSES.index("contrast"), CLASSES.index("bone")
SPACING = (1.5, 1.0, 0.8)  # k, j, i


def body(shape=(60, 70, 80)):
    """HU of muscle, and the mm of each voxel along k, j, i."""
    return np.full(shape, 50, np.int16), np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, SPACING)), indexing="ij")


def marked(hu, label=CONTRAST):
    labels = np.full(hu.shape, label, np.uint8)
    mark_thin_metal(hu, labels, SPACING)
    assert set(np.unique(labels)) <= {label, METAL}
    return labels == METAL


def test_a_wire_is_found_with_its_edge():
    hu, (z, y, x) = body()
    away = np.hypot(y - 35, x - 32)
    hu[away < 2.0] = 1500
    hu[away < 1.0] = 2600
    found = marked(hu, BONE)
    assert found[away < 2.0].all() and not found[away >= 2.0].any()


@pytest.mark.parametrize("radius", [5.0, 12.0])
def test_a_bolus_of_contrast_is_no_wire_nor_is_its_branch(radius):
    hu, (z, y, x) = body()
    hu[np.hypot(y - 35, x - 25) < radius] = 2600
    hu[(np.hypot(y - 35, z - 40) < 1.2) & (abs(x - 25) > radius) & (abs(x - 25) < radius + 8)] = 2300
    assert not marked(hu).any()


def test_a_wire_far_from_the_bolus_is_found_beside_one():
    hu, (z, y, x) = body()
    hu[np.hypot(y - 12, x - 12) < 6] = 2800
    wire = np.hypot(y - 50, x - 48) < 1.0
    hu[wire] = 2400
    assert np.array_equal(marked(hu), wire)


def test_dense_bone_is_no_metal():
    hu, (z, y, x) = body()
    hu[abs(y - 35) < 1.0] = 1900
    assert not marked(hu, BONE).any()


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(2)
    hu, (z, y, x) = body()
    hu[np.hypot(y - 12, x - 12) < 6] = 2800
    for _ in range(12):
        at = rng.uniform((0, 0, 0), (90, 70, 64))
        hu[(z - at[0]) ** 2 + (y - at[1]) ** 2 + (x - at[2]) ** 2 < 2.2**2] = rng.integers(1400, 2900)
    whole = marked(hu)
    monkeypatch.setattr(thin_metal, "_BLOCK", 17)
    assert whole.any() and np.array_equal(marked(hu), whole)
