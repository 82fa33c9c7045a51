"""Flags of rays that pass the border of the CT inside the body, against closed forms."""

import numpy as np
import pytest

from DeepDRRSlicerLib.anatomy.border import border_mask
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from phantoms import centered, ras_grid, restored, storage_orders

# Source 600 mm behind the origin, detector 400 mm before it: an AP view.
AP = ConeBeam((0, -600, 0), (-150, 400, 150), (1, 0, 0), (0, 0, -1), (5, 5), (61, 61))


def cylinder(radius=50.0, shape=(40, 60, 60), matrix=None):
    """A body of tissue along k, through the first and the last slice, in air."""
    matrix = centered(shape, (2.0, 2.0, 2.0)) if matrix is None else matrix
    place = ras_grid(shape, centered(shape, (2.0, 2.0, 2.0)))
    return Volume(np.where(np.hypot(place[..., 0], place[..., 1]) < radius, 40, -1000).astype(np.int16), matrix)


def test_rays_through_the_top_and_bottom_slice():
    """z = 40 mm is the upper border: the ray to (x, 400, z) passes it at 40/z of its way."""
    flagged = border_mask(cylinder(), AP)
    x, z = AP.pixel_centers()[..., 0], AP.pixel_centers()[..., 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        part = 40 / np.abs(z)
        across = np.hypot(part * x, -600 + part * 1000)
    np.testing.assert_array_equal(flagged[across < 48], True)
    np.testing.assert_array_equal(flagged[across > 52], False)
    assert flagged.any() and not flagged[25:36].any()


def test_a_body_inside_the_ct_is_not_flagged():
    volume = cylinder()
    volume.array[[0, -1]] = -1000
    assert not border_mask(volume, AP).any()


def test_a_truncated_side_and_the_threshold():
    volume = cylinder(radius=80)  # wider than the box of 120 mm
    volume.array[[0, -1]] = -1000
    flagged = border_mask(volume, AP)
    assert flagged[30, 30] and not border_mask(volume, AP, threshold_hu=100).any()
    entering = border_mask(volume, ConeBeam(AP.source, AP.pixel00 - (0, 400, 0), AP.e_c, AP.e_r, AP.pitch, AP.size))
    assert entering[30, 30]  # the detector stands in the middle of the body
    padded = Volume(np.where(volume.array > 0, -1024, volume.array), volume.ijk_to_ras)
    assert not border_mask(padded, AP).any()


def test_a_plane_of_padding_left_by_resampling_hides_nothing():
    expected = border_mask(cylinder(), AP)
    taller = np.full((44, 62, 60), -1024, np.int16)
    taller[2:-2, 1:-1] = cylinder().array
    for changed in (taller, np.ascontiguousarray(taller.transpose(1, 2, 0)).transpose(2, 0, 1)):
        result = border_mask(Volume(changed, centered(changed.shape, (2.0, 2.0, 2.0))), AP)
        assert (result != expected).mean() < 0.002
    far = np.full((48, 60, 60), -1024, np.int16)  # air all around, as in a phantom
    far[4:-4] = cylinder().array
    assert not border_mask(Volume(far, centered(far.shape, (2.0, 2.0, 2.0))), AP).any()


def test_only_what_lies_between_source_and_detector_counts():
    full = Volume(np.zeros((200, 500, 200), np.int16), centered((200, 500, 200), (1.0, 4.0, 1.0)))
    assert not border_mask(full, AP)[30, 30]  # source and detector lie inside
    before = Volume(np.zeros((10, 10, 10), np.int16), centered((10, 10, 10), (1.0, 1.0, 1.0), center=(0, -700, 0)))
    assert not border_mask(before, AP).any()
    behind = Volume(np.zeros((10, 10, 10), np.int16), centered((10, 10, 10), (1.0, 1.0, 1.0), center=(0, 500, 0)))
    assert not border_mask(behind, AP).any()


def test_rays_in_the_plane_of_a_face_give_no_warning():
    volume = Volume(np.zeros((10, 10, 10), np.int16), centered((10, 10, 10), (2.0, 2.0, 2.0), center=(9.0, 0, 9.0)))
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, 3] = (1, -9, 1)  # the lower borders of i and k are planes through the source
    assert border_mask(Volume(volume.array, matrix), AP).any()


@pytest.mark.filterwarnings("error")
def test_storage_order_and_common_motion_do_not_matter():
    volume = cylinder()
    volume.array[:, :10, :] = 40  # not symmetric
    expected = border_mask(volume, AP)
    assert 0 < expected.mean() < 1
    for permutation, flips in storage_orders():
        result = border_mask(Volume(*restored(volume.array, volume.ijk_to_ras, permutation, flips)), AP)
        assert (result != expected).mean() < 0.002  # rays through the very edge of a voxel
    c, s = np.cos(0.7), np.sin(0.7)
    motion = np.array([[c, -s, 0, 10], [s, c, 0, 20], [0, 0, 1, 30], [0, 0, 0, 1]]) @ np.array(
        [[1, 0, 0, 0], [0, s, -c, 0], [0, c, s, 0], [0, 0, 0, 1]]
    )
    moved = border_mask(Volume(volume.array, motion @ volume.ijk_to_ras), AP.transformed(motion))
    assert (moved != expected).mean() < 0.002


def test_a_sheared_volume():
    """Every slice is shifted by 0.5 mm per mm: the upper face moves by 20 mm, and its body with it."""
    matrix = centered((40, 60, 60), (2.0, 2.0, 2.0))
    lean = np.eye(4)
    lean[1, 2] = 0.5
    flagged = border_mask(cylinder(matrix=lean @ matrix), AP)
    x, z = AP.pixel_centers()[..., 0], AP.pixel_centers()[..., 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        part = 40 / np.abs(z)
        across = np.hypot(part * x, -600 + part * 1000 - 20 * np.sign(z))
    np.testing.assert_array_equal(flagged[across < 48], True)
    np.testing.assert_array_equal(flagged[across > 52], False)


def test_real_chest(shared_data):
    """AP: the field lies within the chest. A field that reaches beyond the upper and lower slice is flagged there."""
    from DeepDRRSlicerLib.anatomy.ct import read_ct

    volume = read_ct(shared_data / "chest_ct" / "ct_1.5mm.nii.gz")
    center = volume.center_ras
    corner = center + (240, 400, 320)
    beam = ConeBeam(center - (0, 600, 0), corner, (-1, 0, 0), (0, 0, -1), (4, 4), (161, 121))
    flagged = border_mask(volume, beam)
    assert flagged[:24, 40:80].mean() > 0.3 and flagged[-24:, 40:80].mean() > 0.3
    assert not flagged[60:100, 40:80].any()
