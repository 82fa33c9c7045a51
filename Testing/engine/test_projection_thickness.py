"""Lengths through masks, ray by ray, against an independent sum over all crossings of voxel faces."""

import numpy as np
import pytest

from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.projection.thickness import mask_thickness
from phantoms import centered


def exact_length(mask, ijk_to_ras, start, end):
    """mm of the way from start to end inside voxels that are not 0: cut at every face, ask each piece's middle."""
    to_index = np.linalg.inv(ijk_to_ras)
    a, b = (to_index[:3, :3] @ p + to_index[:3, 3] + 0.5 for p in (start, end))
    size = np.array(mask.shape[::-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        cuts = np.concatenate([(np.arange(n + 1) - a[x]) / (b[x] - a[x]) for x, n in enumerate(size)])
    cuts = np.unique(np.concatenate([[0, 1], cuts[np.isfinite(cuts) & (cuts > 0) & (cuts < 1)]]))
    voxels = np.floor(a + (cuts[:-1, None] + cuts[1:, None]) / 2 * (b - a)).astype(int)
    inside = ((voxels >= 0) & (voxels < size)).all(axis=1)
    i, j, k = np.where(inside[:, None], voxels, 0).T
    hit = inside & (mask[k, j, i] != 0)
    return np.diff(cuts)[hit].sum() * np.linalg.norm(np.asarray(end) - start)


def exact_image(volume, beam):
    pixels = beam.pixel_centers().reshape(-1, 3)
    lengths = [exact_length(volume.array, volume.ijk_to_ras, beam.source, pixel) for pixel in pixels]
    return np.reshape(lengths, beam.size)


def random_mask(shape=(9, 12, 10), spacing=(3.0, 2.5, 4.0), shear=0.0, mirrored=False, seed=0):
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    q *= np.linalg.det(q) * (-1 if mirrored else 1)
    matrix = centered(shape, spacing, q @ np.array([[1, shear, 0], [0, 1, -shear], [0, 0, 1]]))
    return Volume((rng.random(shape) < 0.5).astype(np.uint8), matrix)


def view(angles, **changes):
    """Off the middle of the voxels, so that no ray lies in a face."""
    numbers = {"isocenter": (0.31, -0.27, 0.43), "sid": 1000, "sod": 600, "size": (11, 13), "pitch": (5, 4)} | changes
    return CArmPose(*angles, **numbers)


@pytest.mark.parametrize("angles", [(0, 0), (90, 0), (45, 0), (-33, 21), (10, 90)])
@pytest.mark.parametrize("kind", [{}, {"shear": 0.2}, {"mirrored": True}, {"shape": (1, 12, 1)}])
def test_lengths_in_a_random_mask(angles, kind):
    volume = random_mask(**kind)
    beam = view(angles).beam()
    assert np.allclose(mask_thickness(volume, beam), exact_image(volume, beam), atol=2e-3)


@pytest.mark.parametrize("angles", [(0, 0), (90, 0), (0, 90), (30, 20)])
def test_source_or_detector_inside_the_mask(angles):
    volume = Volume(random_mask(shape=(30, 30, 30)).array, centered((30, 30, 30), (4, 4, 4)))
    for pose in (view(angles, sid=650, pitch=(9, 7)), view(angles, sod=30.3, sid=60.7), view(angles, sod=1.0, sid=900)):
        beam = pose.beam()
        assert np.allclose(mask_thickness(volume, beam), exact_image(volume, beam), atol=2e-3)


def test_rays_along_the_axes_and_in_the_faces_of_voxels():
    """Source and pixels at whole and half indices: rays run exactly along voxels, and exactly between two."""
    array = np.zeros((6, 6, 6), np.uint8)
    array[:, :, 2] = 1
    volume = Volume(array, np.eye(4))
    along = ConeBeam((2, -50, 3), (2, 50, 3), (1, 0, 0), (0, 0, 1), (1, 1), (1, 1))
    assert mask_thickness(volume, along)[0, 0] == pytest.approx(6)
    beside = ConeBeam((3, -50, 3), (3, 50, 3), (1, 0, 0), (0, 0, 1), (1, 1), (1, 1))
    assert mask_thickness(volume, beside)[0, 0] == 0
    between = ConeBeam((2.5, -50, 3), (2.5, 50, 3), (1, 0, 0), (0, 0, 1), (1, 1), (1, 1))
    assert mask_thickness(volume, between)[0, 0] in (0, pytest.approx(6))
    diagonal = ConeBeam((-10, -10, 3), (10, 10, 3), (1, 0, 0), (0, 0, 1), (1, 1), (1, 1))
    assert mask_thickness(volume, diagonal)[0, 0] == pytest.approx(np.sqrt(2))


def test_any_value_but_0_is_inside():
    shape = (20, 20, 20)
    array, matrix = np.zeros(shape, np.int16), centered(shape, (2, 2, 2))
    array[5:15, 5:15, 5:15] = 256
    beam = view((0, 0)).beam()
    expected = mask_thickness(Volume((array != 0).astype(np.uint8), matrix), beam)
    assert expected.max() == pytest.approx(20, abs=0.1)
    for mask in (array, array / 512, array != 0):
        assert np.array_equal(mask_thickness(Volume(mask, matrix), beam), expected)
