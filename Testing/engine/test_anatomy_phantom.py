"""The made-up chest: sizes and HU are those that were drawn."""

import numpy as np
import pytest

from DeepDRRSlicerLib.anatomy.phantom import CORTEX, LUNG, MARROW, VERTEBRAE, chest_phantom
from DeepDRRSlicerLib.anatomy.volume import transform_points
from DeepDRRSlicerLib.errors import InputError


@pytest.fixture(scope="module")
def phantom():
    return chest_phantom(4.0)


def hu_at(phantom, ras):
    i, j, k = np.rint(transform_points(np.linalg.inv(phantom.ct.ijk_to_ras), np.array(ras))).astype(int)
    return phantom.ct.array[k, j, i]


def test_it_lies_at_the_origin_head_up(phantom):
    assert phantom.ct.array.dtype == np.int16
    np.testing.assert_allclose(phantom.ct.center_ras, 0, atol=1e-9)
    assert hu_at(phantom, (-60, 28, -8)) == 40 and hu_at(phantom, (60, 28, -8)) == round(LUNG)  # the heart is left
    assert hu_at(phantom, (110, 5, -130)) == 60  # the liver on the right and below
    assert hu_at(phantom, (75, 0, 60)) == round(LUNG) == hu_at(phantom, (-75, 0, 60))
    assert hu_at(phantom, (0, -70, 130)) == round(MARROW) and hu_at(phantom, (188, 0, 0)) == -1000


def test_parts_have_the_volumes_of_their_ellipsoids(phantom):
    """Of the body (elliptic cylinder) and of the liver (ellipsoid cut by the volume's lower end), in closed form."""
    voxel = 4.0**3
    body = np.clip((phantom.ct.array.astype(float) + 1000) / 905, 0, 1)  # partial at the skin alone
    lungs = sum(s.mask.array.sum() for s in phantom.segments if s.name == "lung")
    trunk = ((body > 0.5).sum() + lungs) * voxel
    whole = np.pi * 172 * 112 * 320
    # Air in the trachea counts as none; 8 mm wide from S 45 to the top.
    assert trunk == pytest.approx(whole - np.pi * 64 * (160 - 45), rel=0.02)
    liver = next(s for s in phantom.segments if s.name == "liver").mask.array.sum() * voxel
    t = (160 - 112) / 82  # the half that reaches below the middle is cut at t half axes
    cut = np.pi * 98 * 82 * 82 * ((2 / 3) + t - t**3 / 3)
    assert 0.6 * cut < liver <= 1.02 * cut  # the body's wall, heart and bones take the rest
    heart = next(s for s in phantom.segments if s.name == "heart").mask.array.sum() * voxel
    assert heart == pytest.approx(4 / 3 * np.pi * 52 * 44 * 58, rel=0.03)


def test_every_part_is_a_segment_and_no_two_overlap(phantom):
    names = [segment.name for segment in phantom.segments]
    assert set(VERTEBRAE) | {"lung", "heart", "aorta", "liver", "ribs", "sternum"} == set(names)
    total = np.zeros(phantom.ct.array.shape, np.uint8)
    for segment in phantom.segments:
        low = np.rint(transform_points(np.linalg.inv(phantom.ct.ijk_to_ras), segment.mask.ijk_to_ras[:3, 3])).astype(
            int
        )
        i, j, k = low
        c, b, a = segment.mask.array.shape
        total[k : k + c, j : j + b, i : i + a] += segment.mask.array
    assert total.max() == 1


def test_landmarks_lie_in_their_vertebrae(phantom):
    for landmark in phantom.landmarks:
        mask = next(s for s in phantom.segments if s.name == landmark.name).mask
        i, j, k = np.rint(transform_points(np.linalg.inv(mask.ijk_to_ras), np.array(landmark.position_ras))).astype(int)
        assert mask.array[k, j, i] == 1, landmark.name


def test_bone_is_the_densest(phantom):
    assert phantom.ct.array.max() <= CORTEX
    assert hu_at(phantom, (-132, 0, 110)) > 100  # a rib, half-way down its slope, on the side of the chest


@pytest.mark.parametrize("voxel_mm", [0.0, -1.0, 100.0, float("nan")])
def test_other_voxels_are_refused(voxel_mm):
    with pytest.raises(InputError, match="choose 0.5 to 10 mm"):
        chest_phantom(voxel_mm)
