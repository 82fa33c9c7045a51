"""COCO sets as pycocotools reads them."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from dataset_samples import POINTS, pinhole, sample_of, write_set

from DeepDRRSlicerLib.dataset.written_set import WrittenSet


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    outputs = [{"writer": "coco", "thickness": True, "heatmap_sigma": 2.0}]
    return write_set(tmp_path_factory.mktemp("coco") / "set", outputs)


@pytest.fixture(scope="module")
def coco(folder):
    tools = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    return tools.COCO(str(folder / "coco" / "annotations.json"))


def test_masks_boxes_and_areas_are_those_of_the_sample(coco):
    assert len(coco.imgs) == 5
    for index in coco.getImgIds():
        sample = sample_of(index)
        expected = {s.name: s.mask for s in (*sample.segments, *sample.tools) if s.mask.any()}
        seen = {}
        for entry in coco.loadAnns(coco.getAnnIds(imgIds=[index])):
            category = coco.cats[entry["category_id"]]
            if category["supercategory"] == "landmarks":
                assert not coco.annToMask(entry).any()
                continue
            seen[category["name"]] = coco.annToMask(entry).astype(bool)
            rows, columns = np.nonzero(seen[category["name"]])
            low, size = (columns.min(), rows.min()), (np.ptp(columns) + 1, np.ptp(rows) + 1)
            assert entry["bbox"] == [*low, *size] and entry["area"] == len(rows)
        assert {name: mask.tolist() for name, mask in seen.items()} == {n: m.tolist() for n, m in expected.items()}
        assert (seen["heart"] & seen["left lung"]).any(), "overlaps must be kept"


def test_the_segment_that_is_nowhere_is_a_category_all_the_same(coco):
    (number,) = coco.getCatIds(catNms=["not in the picture"])
    assert coco.getAnnIds(catIds=[number]) == []
    assert {c["supercategory"] for c in coco.cats.values()} == {"segment", "tool", "landmarks"}
    assert min(coco.anns) == 1, "an annotation 0 is not matched by COCO's evaluation"


def test_keypoints_agree_with_a_pinhole_projection(coco):
    (category,) = (c for c in coco.cats.values() if c["supercategory"] == "landmarks")
    assert category["keypoints"] == list(POINTS)
    visible = 0
    for index, image in coco.imgs.items():
        (entry,) = coco.loadAnns(coco.getAnnIds(imgIds=[index], catIds=[category["id"]]))
        points = np.array(entry["keypoints"]).reshape(-1, 3)
        for name, (column, row, flag) in zip(category["keypoints"], points):
            expected = pinhole(image["geometry"], POINTS[name])
            inside = name != "far away" and (expected >= -0.5).all() and (expected < (71.5, 59.5)).all()
            assert flag == (2 if inside else 0)
            if inside:
                assert np.abs(expected - (column, row)).max() < 0.01
        assert entry["num_keypoints"] == (points[:, 2] > 0).sum()
        visible += entry["num_keypoints"]
    assert visible > 8


def test_pictures_are_16_bit_and_the_signal_stays_float(folder, coco):
    for index, image in coco.imgs.items():
        sample = sample_of(index)
        picture = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "coco" / image["file_name"])))
        assert picture.dtype == np.uint16 and np.array_equal(picture, sample.picture)
        signal = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "coco" / "signal" / f"{index:06d}.tiff")))
        assert signal.dtype == np.float32 and np.array_equal(signal, sample.radiograph.signal)
        assert signal[0, 0] == -3.25


def test_an_image_says_view_technique_and_dose(coco):
    for key in ("geometry", "direction", "technique", "dose", "settings", "patient", "landmarks", "tools", "picture"):
        assert key in coco.imgs[0]
    assert {"K", "R", "t", "P", "source", "pixel00", "e_c", "e_r", "pitch"} <= set(coco.imgs[0]["geometry"])
    assert len(coco.imgs[0]["tools"][0]["pose"]) == 4


@pytest.mark.parametrize("image", ["png", "tiff"])
def test_our_own_reader_gives_all_arrays_back(tmp_path, folder, image):
    if image == "tiff":
        outputs = [{"writer": "coco", "image": "tiff", "thickness": True, "heatmap_sigma": 2.0}]
        folder = write_set(tmp_path / "set", outputs)
    sample, read = sample_of(3), WrittenSet(folder)[3]
    expected = {
        "picture": sample.picture,
        "signal": sample.radiograph.signal,
        "open_field": sample.radiograph.open_field,
        "masks": np.stack([s.mask for s in sample.segments]),
        "tool_masks": np.stack([s.mask for s in sample.tools]),
        "thickness": np.stack([s.thickness for s in sample.segments]),
        "tool_thickness": np.stack([s.thickness for s in sample.tools]),
    }
    assert set(read.arrays) == {*expected, "heatmaps"} and read.arrays["heatmaps"].shape == (4, 60, 72)
    for name, array in expected.items():
        assert np.array_equal(read.arrays[name], array), name


def test_annotations_are_plain_json_without_pycocotools(folder):
    data = json.loads((folder / "coco" / "annotations.json").read_text(encoding="utf-8"))
    assert list(data) == ["info", "licenses", "categories", "images", "annotations"]
    assert data["info"]["date_created"] == "2024-02-29" and data["licenses"][0]["name"] == "CC0-1.0"
    assert [entry["id"] for entry in data["annotations"]] == list(range(1, len(data["annotations"]) + 1))
