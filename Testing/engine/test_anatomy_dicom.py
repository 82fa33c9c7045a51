"""DICOM series: order, geometry, choice among several, and the sentence for what cannot be used."""

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from DeepDRRSlicerLib.anatomy.ct import read_ct
from DeepDRRSlicerLib.errors import InputError

AXIAL = (1, 0, 0, 0, 1, 0)


def hu(n, rows=6, columns=5):
    """Air around tissue whose HU names the slice: 10 n."""
    array = np.full((rows, columns), -1000, np.int16)
    array[1:4, 1:4] = 10 * n
    return array


def write_slice(path, array, position, **changes):
    """One CT slice as scanners write it: 12 bits unsigned, intercept -1024."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    data.StudyInstanceUID, data.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    data.SeriesNumber, data.SeriesDescription, data.Modality = 3, "Thorax", "CT"
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.ImagePositionPatient, data.ImageOrientationPatient = list(np.round(position, 6)), list(AXIAL)
    data.PixelSpacing = [0.8, 0.7]
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    for name, value in changes.items():
        setattr(data, name, value)
    stored = (array.astype(float) - float(data.RescaleIntercept)) / float(data.RescaleSlope)
    data.Rows, data.Columns = array.shape[-2:]
    data.PixelData = np.rint(stored).astype(np.int16 if data.PixelRepresentation else np.uint16).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    return path


def write_series(folder, heights, normal=(0, 0, 1), start=(-10, -20, -30), shift=(0, 0, 0), **changes):
    """Slice n lies at start + heights[n] * normal (+ shift per mm); the file names run against the order."""
    for n, height in enumerate(heights):
        position = np.add(start, height * (np.array(normal) + shift))
        write_slice(folder / f"{len(heights) - n:04d}.dcm", hu(n), position, InstanceNumber=n + 1, **changes)
    return folder


def test_slices_are_sorted_by_position_and_placed(tmp_path):
    volume = read_ct(write_series(tmp_path, np.arange(7) * 2.5))
    np.testing.assert_array_equal(volume.array, [hu(n) for n in range(7)])
    assert volume.array.dtype == np.int16
    expected = [[-0.7, 0, 0, 10], [0, -0.8, 0, 20], [0, 0, 2.5, -30], [0, 0, 0, 1]]
    np.testing.assert_allclose(volume.ijk_to_ras, expected, atol=1e-9)


def test_decreasing_positions_give_the_same_volume(tmp_path):
    volume = read_ct(write_series(tmp_path, -np.arange(5) * 2.0))
    np.testing.assert_array_equal(volume.array, [hu(n) for n in range(5)][::-1])
    np.testing.assert_allclose(volume.ijk_to_ras[:3, 3], (10, 20, -38))


def test_oblique_and_left_handed_series(tmp_path):
    c, s = np.cos(0.4), np.sin(0.4)
    row, column, normal = np.array([0, c, s]), np.array([0, -s, c]), np.array([1.0, 0, 0])
    orientation = [f"{x:.6f}" for x in (*row, *column)]
    volume = read_ct(write_series(tmp_path, np.arange(4) * 3.0, normal, ImageOrientationPatient=orientation))
    lps = np.column_stack([row * 0.7, column * 0.8, normal * 3])
    np.testing.assert_allclose(volume.ijk_to_ras[:3, :3], np.diag([-1, -1, 1]) @ lps, atol=1e-5)


def test_gantry_tilt_shears_the_volume(tmp_path):
    lean = np.tan(np.radians(15))
    volume = read_ct(write_series(tmp_path, np.arange(6) * 2.0, shift=(0, lean, 0)))
    np.testing.assert_allclose(volume.ijk_to_ras[:3, 2], (0, -2 * lean, 2), atol=1e-5)
    np.testing.assert_array_equal(volume.array[5], hu(5))


def test_rounded_positions_are_no_uneven_spacing(tmp_path):
    volume = read_ct(write_series(tmp_path, np.round(np.arange(40) * 0.75, 1)))
    assert volume.spacing[2] == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize("slope", [1, 2, 0.5])
@pytest.mark.parametrize("signed", [0, 1])
def test_rescale(tmp_path, slope, signed):
    changes = {"RescaleSlope": slope, "RescaleIntercept": 0 if signed else -1024, "PixelRepresentation": signed}
    volume = read_ct(write_series(tmp_path, np.arange(4.0), BitsStored=16, HighBit=15, **changes))
    np.testing.assert_array_equal(volume.array, [hu(n) for n in range(4)])


def test_slope_that_differs_between_slices(tmp_path):
    for n in range(4):
        write_slice(
            tmp_path / f"{n}.dcm", hu(n), (0, 0, n), RescaleSlope=[1, 0.5, 2, 0.25][n], BitsStored=16, HighBit=15
        )
    np.testing.assert_array_equal(read_ct(tmp_path).array, [hu(n) for n in range(4)])


def test_files_without_ending_in_subfolders_and_other_files(tmp_path):
    folder = write_series(tmp_path / "PA0" / "SE 0", np.arange(3.0))
    for n, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / f"IM{n}")
    (tmp_path / "README.txt").write_text("no slice")
    (folder / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"x" * 100)
    contours = write_slice(tmp_path / "contours.dcm", hu(0), (0, 0, 0), Modality="RTSTRUCT", SeriesInstanceUID="1.2.8")
    data = pydicom.dcmread(contours)
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    data.ReferencedSOPClassUID = CTImageStorage
    del data.PixelData
    data.save_as(contours)
    assert read_ct(tmp_path).size == (5, 6, 3)


def test_one_file_names_its_series(tmp_path):
    write_series(tmp_path, np.arange(4.0))
    for n in range(3):
        write_slice(tmp_path / f"other{n}.dcm", hu(50), (0, 0, n), SeriesInstanceUID="1.2.9", SeriesNumber=9)
    assert read_ct(tmp_path / "0002.dcm").size == (5, 6, 4)
    assert read_ct(tmp_path / "other1.dcm").size == (5, 6, 3)
    with pytest.raises(InputError, match="leave the series out"):
        read_ct(tmp_path / "other1.dcm", series=9)


def test_several_series_are_listed_and_chosen(tmp_path):
    write_series(tmp_path / "a", np.arange(4.0))
    write_series(
        tmp_path / "b", np.arange(3.0), SeriesInstanceUID="1.2.5", SeriesNumber=11, SeriesDescription="Lung B70"
    )
    with pytest.raises(InputError, match=r"3 \(Thorax, 4 slices\), 11 \(Lung B70, 3 slices\); .*--series"):
        read_ct(tmp_path)
    assert read_ct(tmp_path, series=11).size[2] == 3
    assert read_ct(tmp_path, series="3").size[2] == 4
    assert read_ct(tmp_path, series="1.2.5").size[2] == 3
    with pytest.raises(InputError, match=r"no series 7, but 3 \(Thorax"):
        read_ct(tmp_path, series=7)


def test_series_of_one_number_are_counted(tmp_path):
    write_series(tmp_path / "a", np.arange(4.0))
    write_series(tmp_path / "b", np.arange(3.0), SeriesInstanceUID="1.2.5")
    with pytest.raises(InputError, match=r"1 \(Thorax, 4 slices\), 2 \(Thorax, 3 slices\)"):
        read_ct(tmp_path)
    assert read_ct(tmp_path, series=2).size[2] == 3


def test_scouts_and_other_modalities_leave_no_choice(tmp_path):
    write_series(tmp_path / "ct", np.arange(4.0))
    scout = {"SeriesInstanceUID": "1.2.6", "SeriesNumber": 1, "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
    write_slice(tmp_path / "scout.dcm", hu(1), (0, 0, 0), **scout)
    write_series(tmp_path / "pt", np.arange(4.0), SeriesInstanceUID="1.2.7", SeriesNumber=5, Modality="PT")
    assert read_ct(tmp_path).size[2] == 4


def refused(folder, cause, **choice):
    with pytest.raises(InputError, match=cause) as caught:
        read_ct(folder, **choice)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_slice_is_named(tmp_path):
    assert "between -22.00 and -18.00 mm" in refused(
        write_series(tmp_path, [0, 2, 4, 6, 8, 12, 14, 16]), "lacks slices"
    )


@pytest.mark.parametrize("count", [3, 5, 60, 300])
def test_missing_slice_is_found_in_long_and_short_series(tmp_path, count):
    heights = np.delete(np.arange(count + 1) * 1.5, count // 2)
    refused(write_series(tmp_path, heights), "lacks slices")


@pytest.mark.parametrize("heights", [[0, 2, 4, 6.5, 8, 10], [0, 1, 2, 3, 4.2, 5.4, 6.6, 7.8], [0, 2, 5]])
def test_uneven_spacing(tmp_path, heights):
    refused(write_series(tmp_path, heights), "unevenly spaced|lacks slices")


def test_duplicated_position(tmp_path):
    assert "at -26.00 mm" in refused(write_series(tmp_path, [0, 2, 4, 4, 6]), "several slices")
    refused(write_series(tmp_path / "all", [0, 0, 0]), "several slices", series="1.2.3.4")


def test_one_slice(tmp_path):
    refused(write_series(tmp_path, [0]), "only one slice")


def test_modality(tmp_path):
    refused(write_series(tmp_path, [0, 1, 2], Modality="MR"), "modality MR, not CT")


def test_several_series_without_ct(tmp_path):
    write_series(tmp_path / "a", [0, 1, 2], Modality="MR")
    write_series(tmp_path / "b", [0, 1, 2], Modality="PT", SeriesInstanceUID="1.2.5", SeriesNumber=4)
    refused(tmp_path, r"no CT volume, but 3 \(MR, Thorax, 3 slices\), 4 \(PT")
    refused(tmp_path, "modality MR", series=3)


def test_mixed_orientation_size_and_spacing(tmp_path):
    for name, change in (
        ("orientation", {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}),
        ("spacing", {"PixelSpacing": [0.9, 0.7]}),
    ):
        folder = write_series(tmp_path / name, np.arange(4.0))
        write_slice(folder / "x.dcm", hu(0), (-10, -20, -26), **change)
        refused(folder, name)
    folder = write_series(tmp_path / "size", np.arange(4.0))
    write_slice(folder / "x.dcm", hu(0, rows=8), (-10, -20, -26))
    refused(folder, "size")


def test_slices_shifted_against_each_other(tmp_path):
    write_series(tmp_path, np.arange(6.0))
    write_slice(tmp_path / "x.dcm", hu(0), (-5, -20, -24))
    refused(tmp_path, "shifted")


def test_slices_without_geometry(tmp_path):
    write_series(tmp_path, np.arange(3.0))
    path = tmp_path / "0002.dcm"
    data = pydicom.dcmread(path)
    del data.ImagePositionPatient
    data.save_as(path)
    refused(tmp_path, "without position")


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_hostile_geometry(tmp_path):
    for n, change in enumerate(
        (
            {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
            {"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]},
            {"PixelSpacing": [0, 0]},
            {"PixelSpacing": [-1, 1]},
            {"PixelSpacing": [1e9, 1]},
            {"PixelSpacing": ["1e300", "1"]},
            {"ImagePositionPatient": ["1e300", "0", "0"]},
            {"ImagePositionPatient": ["nan", "0", "0"]},
            {"ImageOrientationPatient": ["inf", "0", "0", "0", "1", "0"]},
        )
    ):
        refused(write_series(tmp_path / str(n), np.arange(3.0), **change), "orthogonal|spacing")


def test_multi_frame(tmp_path):
    enhanced = "1.2.840.10008.5.1.4.1.1.2.1"
    path = write_slice(tmp_path / "e.dcm", np.stack([hu(0)] * 4), (0, 0, 0), NumberOfFrames=4, SOPClassUID=enhanced)
    refused(tmp_path, "multi-frame")
    refused(path, "multi-frame")


def test_truncated_slice(tmp_path):
    write_series(tmp_path, np.arange(3.0))
    path = tmp_path / "0002.dcm"
    path.write_bytes(path.read_bytes()[:-20])
    refused(tmp_path, "0002.dcm.* truncated")


def test_series_without_hu(tmp_path):
    for n in range(3):
        write_slice(tmp_path / f"{n}.dcm", hu(n) + 1024, (0, 0, n))
    refused(tmp_path, "rescale intercept")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_slices_give_a_volume_or_a_sentence(tmp_path, data):
    write_series(tmp_path, np.arange(3.0))
    path = tmp_path / "0002.dcm"
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(132, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    try:
        assert read_ct(tmp_path).array.min() >= -1024
    except InputError as error:
        assert "\n" not in str(error)


def test_real_series(shared_data, tmp_path):
    folder = shared_data / "dicom_20slices" / "dicom"
    volume = read_ct(folder)
    assert volume.size == (512, 512, 20) and volume.array.dtype == np.int16
    np.testing.assert_allclose(volume.spacing, (0.9765625, 0.9765625, 2.0))
    for path in sorted(folder.iterdir())[::6]:
        data = pydicom.dcmread(path)
        x, y, z = (float(v) for v in data.ImagePositionPatient)
        k = round((z - volume.ijk_to_ras[2, 3]) / 2)
        np.testing.assert_allclose(volume.ijk_to_ras @ [0, 0, k, 1], (-x, -y, z, 1))
        assert data.SmallestImagePixelValue - 1024 >= -1024
        assert volume.array[k].max() == data.LargestImagePixelValue - 1024
    for n, path in enumerate(sorted(folder.iterdir())):
        if n != 7:
            (tmp_path / path.name).symlink_to(path)
    refused(tmp_path, "lacks slices")
