"""CT files: what is read, and the sentence for what is not."""

import gzip

import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from DeepDRRSlicerLib.anatomy.ct import as_ct, read_ct
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.errors import InputError

ENDINGS = ("nii", "nii.gz", "nrrd", "nhdr", "mha", "mhd")


def body(dtype=np.int16):
    """Air with a block of tissue and one bone voxel [k, j, i]."""
    array = np.full((6, 5, 4), -1000, dtype)
    array[1:5, 1:4, 1:3] = 40
    array[2, 2, 2] = 1200
    return array


def write(path, array, spacing=(0.7, 0.8, 2.5), **meta):
    image = SimpleITK.GetImageFromArray(array, isVector=array.ndim == 4 and meta.pop("vector", False))
    image.SetSpacing((*spacing, 1.0)[: image.GetDimension()])
    SimpleITK.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
def test_formats_and_types(tmp_path, ending, dtype):
    array = body(dtype)
    array[0, 0, 0] = -2048
    array[0, 0, 1] = -1000.6 if np.dtype(dtype).kind == "f" else -1000
    volume = read_ct(write(tmp_path / f"ct.{ending}", array))
    assert volume.array.dtype == np.int16
    np.testing.assert_array_equal(volume.array, np.rint(np.maximum(array, -1024)))
    np.testing.assert_allclose(volume.spacing, (0.7, 0.8, 2.5), rtol=1e-6)
    np.testing.assert_allclose(volume.ijk_to_ras[:3, :3], np.diag([-0.7, -0.8, 2.5]), rtol=1e-6)


def test_paths_with_spaces_and_letters(tmp_path):
    folder = tmp_path / "Ärzte 医院 x"
    folder.mkdir()
    assert read_ct(str(write(folder / "ct ü.nrrd", body()))).size == (4, 5, 6)


def test_one_frame_of_four_dimensions_is_a_volume(tmp_path):
    image = SimpleITK.JoinSeries([SimpleITK.GetImageFromArray(body())])
    SimpleITK.WriteImage(image, str(tmp_path / "one.nrrd"))
    assert read_ct(tmp_path / "one.nrrd").size == (4, 5, 6)


def with_values(**at):
    array = body(np.float32)
    for n, value in enumerate(at.values()):
        array[0, 0, n] = value
    return array


def mostly(value):
    array = body(np.int32)
    array[array == -1000] = value
    return array


@pytest.mark.parametrize(
    ("array", "cause"),
    [
        (with_values(a=np.nan), "NaN or infinite"),
        (with_values(a=np.inf), "NaN or infinite"),
        (with_values(a=-np.inf), "NaN or infinite"),
        (with_values(a=1e30), "not in HU"),
        (np.full((3, 3, 3), -1000, np.int16), "same value"),
        (body() + 1024, "rescale intercept"),
        ((body() + 1024).astype(np.uint16), "rescale intercept"),
        (body().astype(np.uint16), "16-bit"),  # air wraps to 64536
        (mostly(30000), "16-bit"),
        (np.random.default_rng(0).normal(0, 1, (4, 4, 4)).astype(np.float32), "normalised"),
        (np.random.default_rng(0).integers(-1020, -900, (4, 4, 4)).astype(np.int16), "nothing but air"),
        (body()[:1], "two slices"),
        (body()[:, :, :1], "two slices"),
        (body()[0], "dimensions"),
    ],
)
def test_voxels_that_are_no_ct(tmp_path, array, cause):
    with pytest.raises(InputError, match=cause):
        read_ct(write(tmp_path / "ct.nrrd", array))


def test_padding_does_not_hide_a_missing_intercept(tmp_path):
    array = body() + 1024
    array[0] = -2000
    with pytest.raises(InputError, match="rescale intercept"):
        read_ct(write(tmp_path / "ct.nrrd", array))


def test_images_that_are_no_volume(tmp_path):
    colour = np.zeros((4, 4, 4, 3), np.uint8)
    with pytest.raises(InputError, match="3 values per voxel"):
        read_ct(write(tmp_path / "rgb.nrrd", colour, vector=True))
    frames = SimpleITK.JoinSeries([SimpleITK.GetImageFromArray(body())] * 3)
    SimpleITK.WriteImage(frames, str(tmp_path / "frames.nrrd"))
    with pytest.raises(InputError, match="3 frames"):
        read_ct(tmp_path / "frames.nrrd")


def test_paths_that_are_no_ct(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "note.txt").write_text("hello")
    (tmp_path / "broken.nrrd").write_text("hello")
    for name, cause in (
        ("absent.nrrd", "does not exist"),
        ("a\0b", "does not exist"),
        ("x" * 5000, "does not exist"),
        ("empty", "no DICOM"),
        ("note.txt", "not a known CT file"),
        ("broken.nrrd", "cannot be read"),
    ):
        with pytest.raises(InputError, match=cause) as caught:
            read_ct(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="path is empty"):
        read_ct("")
    with pytest.raises(InputError, match="single image"):
        read_ct(write(tmp_path / "ct.nrrd", body()), series=3)


def replaced(path, old, new):
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    return path


def test_headers_that_cannot_place_a_volume(tmp_path):
    nrrd = write(tmp_path / "ct.nhdr", body(), (1, 2, 3))
    content = nrrd.read_text()
    for vectors in ("(1,0,0) (1,0,0) (0,0,1)", "(0,0,0) (0,1,0) (0,0,1)", "(1,0,0) (0,nan,0) (0,0,1)"):
        nrrd.write_text(content.replace("(1,0,0) (0,2,0) (0,0,3)", vectors))
        with pytest.raises(InputError, match="singular|cannot be read|spacing|affine"):
            read_ct(nrrd)
    meta = write(tmp_path / "ct.mhd", body(), (1, 2, 3))
    replaced(meta, b"TransformMatrix = 1 0 0 0 1 0 0 0 1", b"TransformMatrix = 1 0 0 1 0 0 0 0 1")
    with pytest.raises(InputError, match="singular|cannot be read"):
        read_ct(meta)


@pytest.mark.parametrize("count", [b"677", b"-633", b"0683", b"0", b"3x", b""])
def test_numbers_of_dimensions_that_crash_itk(tmp_path, count):
    with pytest.raises(InputError, match="NDims"):
        read_ct(replaced(write(tmp_path / "ct.mhd", body()), b"NDims = 3", b"NDims = " + count))


def test_a_header_larger_than_memory_is_refused_before_reading(tmp_path):
    header = write(tmp_path / "ct.nhdr", body())
    with pytest.raises(InputError, match="GB"):
        read_ct(replaced(header, b"sizes: 4 5 6", b"sizes: 40000 50000 60000"))


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("ending", ["nii", "nrrd", "mha", "nii.gz"])
def test_truncated_files(tmp_path, ending, compress):
    array = np.random.default_rng(1).integers(-1000, 1000, (20, 20, 20)).astype(np.int16)
    path = tmp_path / f"ct.{ending}"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(path), compress)
    np.testing.assert_array_equal(read_ct(path).array, array)
    path.write_bytes(path.read_bytes()[:6000])
    with pytest.raises(InputError, match="cannot be read|truncated"):
        read_ct(path)


def test_gzip_in_several_members_is_complete(tmp_path):
    path = write(tmp_path / "ct.nii", body())
    content = path.read_bytes()
    packed = tmp_path / "ct.nii.gz"
    packed.write_bytes(gzip.compress(content[:400]) + gzip.compress(content[400:]) + gzip.compress(b""))
    np.testing.assert_array_equal(read_ct(packed).array, body())


@pytest.mark.parametrize("ending", ["nii", "nrrd", "mha"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_headers_give_a_volume_or_a_sentence(tmp_path, ending, data):
    path = write(tmp_path / f"ct.{ending}", body())
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, 347))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    try:
        volume = read_ct(path)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert volume.array.dtype == np.int16 and volume.array.min() >= -1024


def test_scene_volumes_are_not_changed():
    array = body()
    array[0, 0, 0] = -3024
    before = array.copy()
    volume = as_ct(Volume(array, np.eye(4)))
    np.testing.assert_array_equal(array, before)
    assert volume.array[0, 0, 0] == -1024
    flipped = as_ct(Volume(array[::-1, :, ::-1], np.eye(4)))
    np.testing.assert_array_equal(flipped.array, np.maximum(before, -1024)[::-1, :, ::-1])


def test_real_chest(shared_data):
    volume = read_ct(shared_data / "chest_ct" / "ct_1.5mm.nii.gz")
    assert volume.size == (240, 240, 222) and volume.array.dtype == np.int16
    np.testing.assert_allclose(volume.spacing, 1.5, rtol=1e-3)
