"""Segmentations: label maps, Slicer's files in both directions, overlaps, places, names."""

import json

import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from DeepDRRSlicerLib.anatomy.image_io import volume_to_sitk
from DeepDRRSlicerLib.anatomy.seg_nrrd import write_seg_nrrd
from DeepDRRSlicerLib.anatomy.segmentation import read_segmentation
from DeepDRRSlicerLib.anatomy.volume import Volume, transform_points
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose

OBLIQUE = np.array([[0, -1.6, 0.6, 5], [1.5, 0, 0, 6], [0, 1.2, 0.8, 7], [0, 0, 0, 1.0]])


def voxels(volume):
    """RAS of the voxels inside, sorted, to 1e-6 mm."""
    k, j, i = np.nonzero(volume.array)
    places = np.round(transform_points(volume.ijk_to_ras, np.column_stack([i, j, k])), 5) + 0.0
    return places[np.lexsort(places.T)]


def labels():
    array = np.zeros((5, 6, 7), np.uint8)
    array[1:3, 2:4, 3:6] = 7
    array[4, 5, 6] = 2
    array[3, :, :] = 250
    return array


@pytest.mark.parametrize("ending", ["nii.gz", "nrrd", "mha"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_label_maps(tmp_path, ending, dtype):
    volume = Volume(labels().astype(dtype), OBLIQUE)
    SimpleITK.WriteImage(volume_to_sitk(volume), str(tmp_path / f"seg.{ending}"))
    segments = read_segmentation(tmp_path / f"seg.{ending}", names={7: "liver"})
    assert [s.name for s in segments] == ["label 2", "liver", "label 250"]
    assert [s.mask.size for s in segments] == [(1, 1, 1), (3, 2, 2), (7, 6, 1)]
    assert len({s.color for s in segments}) == 3
    for segment, label in zip(segments, (2, 7, 250), strict=True):
        assert segment.mask.array.dtype == np.uint8 and segment.mask.array.all()
        np.testing.assert_allclose(voxels(segment.mask), voxels(Volume(labels() == label, OBLIQUE)), atol=1e-4)


def test_names_beside_the_image(tmp_path):
    image = volume_to_sitk(Volume(labels(), OBLIQUE))
    SimpleITK.WriteImage(image, str(tmp_path / "seg.nii.gz"))

    def names(**options):
        return [s.name for s in read_segmentation(tmp_path / "seg.nii.gz", **options)]

    assert names() == ["label 2", "label 7", "label 250"]
    (tmp_path / "structures.csv").write_text("group,original_idx,structure,id\norgans,1,aorta,7\norgans,2,rib,2\n")
    assert names() == ["rib", "aorta", "label 250"]
    (tmp_path / "seg.json").write_text(json.dumps({"7": "own"}))
    assert names() == ["label 2", "own", "label 250"]
    (tmp_path / "other.csv").write_text("\ufeffLabel,Name\n7,Leber\n250,Milz\n", encoding="utf-8")
    assert names(names=tmp_path / "other.csv") == ["label 2", "Leber", "Milz"]
    (tmp_path / "turned.json").write_text(json.dumps({"spleen": 2}))
    assert names(names=tmp_path / "turned.json") == ["spleen", "label 7", "label 250"]
    for content in ("a,b\n1,2\n", "", "label,name\nx,y\n", '"'):
        (tmp_path / "bad.csv").write_text(content)
        with pytest.raises(InputError, match="does not name labels"):
            names(names=tmp_path / "bad.csv")
    (tmp_path / "bad.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="does not name labels"):
        names(names=tmp_path / "bad.json")


@pytest.mark.parametrize(
    ("array", "cause"),
    [
        (np.full((3, 3, 3), -1, np.int16), "whole numbers"),
        (np.full((3, 3, 3), 70000, np.int32), "whole numbers"),
        (np.full((3, 3, 3), 0.5, np.float32), "whole numbers"),
        (np.full((3, 3, 3), np.nan, np.float32), "whole numbers"),
        (np.arange(4096, dtype=np.uint16).reshape(16, 16, 16), "4095 different values"),
    ],
)
def test_images_that_are_no_label_map(tmp_path, array, cause):
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(tmp_path / "x.nrrd"))
    with pytest.raises(InputError, match=cause):
        read_segmentation(tmp_path / "x.nrrd")


def test_files_that_are_no_segmentation(tmp_path):
    (tmp_path / "x.txt").write_text("hello")
    with pytest.raises(InputError, match="not a segmentation"):
        read_segmentation(tmp_path / "x.txt")
    with pytest.raises(InputError, match="does not exist"):
        read_segmentation(tmp_path / "x.seg.nrrd")
    colour = SimpleITK.GetImageFromArray(np.zeros((3, 3, 3, 3), np.uint8), isVector=True)
    SimpleITK.WriteImage(colour, str(tmp_path / "rgb.nrrd"))
    with pytest.raises(InputError, match="3 values per voxel"):
        read_segmentation(tmp_path / "rgb.nrrd")


def shadows(count, seed=0, rows=24, columns=31):
    """Overlapping rectangles, the last one empty."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, rows, columns), bool)
    for mask in masks[:-1]:
        r, c = rng.integers(0, rows - 4), rng.integers(0, columns - 4)
        mask[r : r + rng.integers(2, 12), c : c + rng.integers(2, 12)] = True
    return masks


BEAM = CArmPose(20, 10, (3, 4, 5), 1000.0, 600.0, (24, 31), (0.8, 0.9)).beam()


@pytest.mark.parametrize("count", [1, 2, 3, 12, 300])
def test_masks_of_an_image_come_back(tmp_path, count):
    masks = shadows(count)
    names = [f"Rippe {n}: ü\\n\n:=#" for n in range(count)]
    write_seg_nrrd(tmp_path / "m.seg.nrrd", names, masks, BEAM.image_to_ras())
    segments = read_segmentation(tmp_path / "m.seg.nrrd")
    assert [s.name for s in segments] == names
    for segment, mask in zip(segments, masks, strict=True):
        row, column = np.nonzero(mask)
        expected = np.round(BEAM.pixel_to_ras(column, row), 5) + 0.0
        np.testing.assert_allclose(voxels(segment.mask), expected[np.lexsort(expected.T)], atol=2e-5)
    write_seg_nrrd(tmp_path / "again.seg.nrrd", names, masks, BEAM.image_to_ras())
    assert (tmp_path / "again.seg.nrrd").read_bytes() == (tmp_path / "m.seg.nrrd").read_bytes()


def test_segments_that_do_not_overlap_share_a_layer(tmp_path):
    masks = np.zeros((300, 20, 20), bool)
    masks.reshape(300, 400)[np.arange(300), np.arange(300)] = True
    write_seg_nrrd(tmp_path / "m.seg.nrrd", [str(n) for n in range(300)], masks, np.eye(4))
    image = SimpleITK.ReadImage(str(tmp_path / "m.seg.nrrd"))
    assert image.GetNumberOfComponentsPerPixel() == 1 and image.GetSize() == (20, 20, 1)
    assert [int(s.mask.array.sum()) for s in read_segmentation(tmp_path / "m.seg.nrrd")] == [1] * 300


def test_no_masks_and_numbers_that_differ(tmp_path):
    write_seg_nrrd(tmp_path / "none.seg.nrrd", [], np.zeros((0, 4, 5)), np.eye(4))
    assert read_segmentation(tmp_path / "none.seg.nrrd") == []
    for names, masks in ((["a"], np.zeros((2, 4, 5))), (["a"], np.zeros((4, 5)))):
        with pytest.raises(InputError, match="do not fit"):
            write_seg_nrrd(tmp_path / "x.seg.nrrd", names, masks, np.eye(4))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Segment1_Layer:=1", b"Segment1_Layer:=9"),
        (b"Segment0_Color:=", b"Segment0_Color:=x "),
        (b"_Layer:=0", b"_Layer:=-"),
    ],
)
def test_damaged_segment_entries(tmp_path, old, new):
    path = tmp_path / "m.seg.nrrd"
    write_seg_nrrd(path, ["a", "b"], np.ones((2, 4, 5)), np.eye(4))
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(InputError, match="damaged"):
        read_segmentation(path)


def test_fractional_label_maps_are_refused(tmp_path):
    path = tmp_path / "m.seg.nrrd"
    write_seg_nrrd(path, ["a"], np.ones((1, 4, 5)), np.eye(4))
    path.write_bytes(path.read_bytes().replace(b"Representation:=Binary", b"Representation:=Fractional"))
    with pytest.raises(InputError, match="fractional"):
        read_segmentation(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_give_segments_or_a_sentence(tmp_path, data):
    path = tmp_path / "m.seg.nrrd"
    write_seg_nrrd(path, ["a", "b", "c"], shadows(3), np.eye(4))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    try:
        read_segmentation(path)
    except InputError as error:
        assert "\n" not in str(error)


def test_real_labels(shared_data):
    folder = shared_data / "chest_ct"
    segments = read_segmentation(folder / "totalsegmentator_labels_fullres.nii.gz")
    by_name = {s.name: s for s in segments}
    assert len(by_name) == len(segments) > 80
    assert sum(s.mask.array.size for s in segments) < 3 * 512 * 512 * 133
    image = SimpleITK.ReadImage(str(folder / "totalsegmentator_labels_fullres.nii.gz"))
    statistics = SimpleITK.LabelShapeStatisticsImageFilter()
    statistics.Execute(image)
    assert len(segments) == statistics.GetNumberOfLabels()
    for segment, label in zip(segments, statistics.GetLabels(), strict=True):
        assert segment.mask.array.sum() == statistics.GetNumberOfPixels(label)
        np.testing.assert_allclose(
            transform_points(segment.mask.ijk_to_ras, np.argwhere(segment.mask.array)[:, ::-1]).mean(0),
            np.array(statistics.GetCentroid(label)) * (-1, -1, 1),
            atol=1e-2,
        )
    assert (
        by_name["liver"].mask.center_ras[0] > by_name["spleen"].mask.center_ras[0]
    )  # right of the spleen: RAS + is right
