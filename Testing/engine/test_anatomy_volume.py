"""Volumes in any orientation: places of voxels, crops and the way through SimpleITK."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from DeepDRRSlicerLib.anatomy.image_io import read_image, volume_from_sitk, volume_to_sitk
from DeepDRRSlicerLib.anatomy.volume import Volume, transform_points
from DeepDRRSlicerLib.errors import InputError


@st.composite
def affines(draw, shear=False):
    """Rotations (from a quaternion) times spacing, flips and permutation; with shear, a leaning third column."""
    q = draw(arrays(float, 4, elements=st.floats(-1, 1)).filter(lambda q: np.linalg.norm(q) > 0.1))
    w, x, y, z = q / np.linalg.norm(q)
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    signs = draw(arrays(float, 3, elements=st.sampled_from([-1.0, 1.0])))
    lengths = draw(arrays(float, 3, elements=st.floats(0.2, 5)))
    matrix = np.eye(4)
    matrix[:3, :3] = rotation[:, draw(st.permutations(range(3)))] * signs * lengths
    if shear:
        matrix[:3, 2] += draw(st.floats(-0.6, 0.6)) * matrix[:3, 1]
    matrix[:3, 3] = draw(arrays(float, 3, elements=st.floats(-500, 500)))
    return matrix


@given(affines(shear=True))
def test_spacing_center_and_corners(matrix):
    volume = Volume(np.zeros((4, 3, 2)), matrix)
    first, last = matrix[:3, 3], matrix[:3] @ [1, 2, 3, 1]
    for axis in range(3):
        assert volume.spacing[axis] == pytest.approx(np.sqrt((matrix[:3, axis] ** 2).sum()))
    np.testing.assert_allclose(volume.center_ras, (first + last) / 2, atol=1e-9)
    corners = volume.corners_ras()
    np.testing.assert_allclose(corners.mean(0), (first + last) / 2, atol=1e-9)
    np.testing.assert_allclose(corners[1] - corners[0], 2 * matrix[:3, 0], atol=1e-9)
    np.testing.assert_allclose(corners[2] - corners[0], 3 * matrix[:3, 1], atol=1e-9)
    np.testing.assert_allclose(corners[4] - corners[0], 4 * matrix[:3, 2], atol=1e-9)
    np.testing.assert_allclose(corners[0], first - matrix[:3, :3].sum(1) / 2, atol=1e-9)


@given(affines(shear=True), st.tuples(*[st.integers(0, 2)] * 3))
def test_a_crop_leaves_every_voxel_in_its_place(matrix, low):
    array = np.arange(60.0).reshape(5, 4, 3)
    crop = Volume(array, matrix).cropped(low, (3, 4, 5))
    for k, j, i in np.ndindex(crop.array.shape):
        place = transform_points(crop.ijk_to_ras, (i, j, k))
        index = np.rint(transform_points(np.linalg.inv(matrix), place)).astype(int)
        assert array[tuple(index[::-1])] == crop.array[k, j, i]


@given(affines(shear=True))
def test_simpleitk_agrees_on_the_place_of_every_voxel(matrix):
    array = np.arange(24, dtype=np.int16).reshape(4, 3, 2)
    image = volume_to_sitk(Volume(array, matrix))
    for index in ((0, 0, 0), (1, 2, 3), (1, 0, 2)):
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        np.testing.assert_allclose(lps * (-1, -1, 1), matrix[:3] @ [*index, 1], atol=1e-6)
        assert image[index] == array[index[::-1]]
    back = volume_from_sitk(image)
    np.testing.assert_allclose(back.ijk_to_ras, matrix, atol=1e-6)
    np.testing.assert_array_equal(back.array, array)


@given(matrix=affines())
def test_files_keep_orientation(matrix, tmp_path_factory):
    import SimpleITK

    folder = tmp_path_factory.mktemp("orientation")
    volume = Volume(np.arange(24, dtype=np.int16).reshape(4, 3, 2), matrix)
    for ending in ("nii.gz", "nii", "nrrd", "nhdr", "mha", "mhd"):
        path = folder / f"a.{ending}"
        SimpleITK.WriteImage(volume_to_sitk(volume), str(path))
        read = volume_from_sitk(read_image(path))
        np.testing.assert_allclose(read.ijk_to_ras, matrix, atol=2e-3 if "nii" in ending else 1e-5)  # NIfTI: float32
        np.testing.assert_array_equal(read.array, volume.array)


@pytest.mark.parametrize(
    ("matrix", "cause"),
    [
        (np.zeros((4, 4)), "affine"),
        (np.eye(3), "affine"),
        (np.diag([1, 1, np.nan, 1]), "affine"),
        (np.diag([1, 1, 0, 1.0]), "spacing"),
        (np.diag([7e-4, 7e-4, 2e-3, 1.0]), "spacing"),
        (np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "singular"),
    ],
)
def test_matrices_that_cannot_place_a_volume(matrix, cause):
    with pytest.raises(InputError, match=cause):
        Volume(np.zeros((2, 2, 2)), matrix)


@pytest.mark.parametrize("shape", [(2, 2), (2, 2, 2, 1), (0, 2, 2)])
def test_a_volume_has_three_dimensions(shape):
    with pytest.raises(InputError, match="three dimensions"):
        Volume(np.zeros(shape), np.eye(4))
