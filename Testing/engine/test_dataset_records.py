"""Records, run lengths and image files of a dataset against independent readers and hand-made examples."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
from dataset_samples import POINTS, beam_of, pinhole, sample_of
from hypothesis import given, settings
from hypothesis import strategies as st

from DeepDRRSlicerLib.dataset.image_bytes import (
    npy_array,
    npy_bytes,
    npz_arrays,
    npz_bytes,
    png_array,
    png_bytes,
    tiff_array,
    tiff_bytes,
)
from DeepDRRSlicerLib.dataset.outputs import encode_sample, read_outputs
from DeepDRRSlicerLib.dataset.records import RecordFiles, annotation, json_bytes, record, record_beam
from DeepDRRSlicerLib.dataset.rle import compressed, expanded, mask_box, mask_from_rle, mask_to_rle, run_lengths
from DeepDRRSlicerLib.dataset.writers.arrays import heatmap
from DeepDRRSlicerLib.errors import InputError


def test_runs_go_down_the_columns_and_begin_outside():
    mask = np.array([[0, 1, 1], [0, 1, 0]], bool)  # down the columns: 0 0 1 1 1 0
    assert run_lengths(mask) == [2, 3, 1]
    assert run_lengths(~mask) == [0, 2, 3, 1]
    assert run_lengths(np.zeros((2, 3), bool)) == [6]
    # 2, 3, 1 in base 32: one character each from "0" on; the fourth run is written as the difference to the second.
    assert compressed([2, 3, 1]) == "231"
    assert compressed([0, 2, 3, 1]) == "023O"  # 1 - 2 = -1: all bits and the sign


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_masks_survive_their_run_lengths(rows, columns, part, seed):
    mask = np.random.default_rng(seed).random((rows, columns)) < part
    rle = json.loads(json.dumps(mask_to_rle(mask)))
    assert np.array_equal(mask_from_rle(rle), mask)
    assert np.array_equal(mask_from_rle(rle | {"counts": run_lengths(mask)}), mask)
    assert expanded(rle["counts"]) == run_lengths(mask)


def test_run_lengths_that_do_not_fit_are_refused():
    rle = mask_to_rle(np.eye(9, dtype=bool))
    with pytest.raises(InputError, match="do not fill its 9 x 10 pixels"):
        mask_from_rle(rle | {"size": [9, 10]})
    with pytest.raises(InputError, match="break off"):
        mask_from_rle(rle | {"counts": "o"})


def test_box_of_a_mask():
    mask = np.zeros((20, 30), bool)
    assert mask_box(mask) is None
    mask[4:7, 11] = mask[6, 25] = True
    assert mask_box(mask) == [11, 4, 25, 6]


@pytest.mark.parametrize(
    ("dtype", "shape"), [("uint8", (33, 47)), ("uint16", (33, 47)), ("uint8", (7, 5, 3)), ("uint16", (1, 1))]
)
def test_png_is_read_by_others_and_by_ourselves(tmp_path, dtype, shape):
    image = np.random.default_rng(3).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)
    (tmp_path / "a.png").write_bytes(png_bytes(image))
    read = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.png")))
    assert read.dtype == image.dtype and np.array_equal(read, image)
    assert np.array_equal(png_array(png_bytes(image)), image)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize("packed", [False, True])
def test_tiff_is_read_by_others_and_by_ourselves(tmp_path, dtype, packed):
    image = (np.random.default_rng(3).random((33, 47)) * 60000 - (100 if dtype == "float32" else 0)).astype(dtype)
    (tmp_path / "a.tiff").write_bytes(tiff_bytes(image, packed))
    read = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.tiff")))
    assert read.dtype == image.dtype and np.array_equal(read, image)
    assert np.array_equal(tiff_array(tiff_bytes(image, packed)), image)


def test_numpy_files_do_not_know_the_time(monkeypatch):
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.zeros((0, 4), np.uint8)}
    first = npz_bytes(arrays)
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert npz_bytes(arrays) == first
    found = npz_arrays(first)
    assert list(found) == ["a", "b"] and all(np.array_equal(found[k], arrays[k]) for k in arrays)
    assert np.array_equal(npy_array(npy_bytes(arrays["a"])), arrays["a"])


@pytest.mark.parametrize("read", [png_array, tiff_array, npy_array, npz_arrays])
@pytest.mark.parametrize("content", [b"", b"nonsense" * 40, None])
def test_damaged_images_are_refused_in_a_sentence(read, content):
    if content is None:
        image = np.arange(400, dtype=np.uint16).reshape(20, 20)
        make = {png_array: png_bytes, tiff_array: lambda i: tiff_bytes(i, True), npy_array: npy_bytes,
                npz_arrays: lambda i: npz_bytes({"a": i})}[read]  # fmt: skip
        content = make(image)[:-60]
    with pytest.raises(InputError, match="damaged"):
        read(content)


@pytest.mark.parametrize("index", range(6))
def test_landmarks_of_a_record_are_where_a_pinhole_puts_them(index):
    data = json.loads(json_bytes(annotation(sample_of(index))))
    assert [label["name"] for label in data["landmarks"]] == list(POINTS)
    for label in data["landmarks"]:
        if label["column"] is None:  # the far one, where it lies behind the source
            assert (np.subtract(POINTS[label["name"]], data["geometry"]["source"]) @ data["geometry"]["normal"]) < 0
            continue
        column, row = pinhole(data["geometry"], POINTS[label["name"]])
        camera = np.array(data["geometry"]["P"]) @ [*POINTS[label["name"]], 1]
        assert np.allclose([label["column"], label["row"]], [column, row], atol=1e-6)
        assert np.allclose(camera[:2] / camera[2], [column, row], atol=1e-6)
        assert label["visible"] == (-0.5 <= column < 71.5 and -0.5 <= row < 59.5)
    beam = record_beam(data)
    assert np.allclose(beam.source, beam_of(index)[0].source) and beam.size == (60, 72)


def test_a_record_tells_masks_boxes_poses_and_files():
    sample = sample_of(1)
    files = encode_sample(sample, read_outputs({"outputs": [{"writer": "coco"}]}, "x"))
    data = json.loads(json_bytes(record(sample, files)))
    for said, label in zip(data["segments"], sample.segments):
        assert np.array_equal(mask_from_rle(said["mask"]), label.mask)
        assert said["area"] == label.mask.sum() and said["box"] == (None if label.box is None else list(label.box))
    assert data["tools"][0]["pose"] == np.eye(4).tolist() and data["tools"][0]["material"] == "steel"
    assert {path: entry["size"] for path, entry in data["files"].items()} == {p: len(c) for p, c in files.items()}
    assert data["technique"]["kvp"] == 71 and data["dose"] and data["settings"]["kvp"] == 71


def test_labels_of_one_name_are_told_apart():
    sample = sample_of(1)
    twice = SimpleNamespace(**{**vars(sample), "landmarks": sample.landmarks * 2, "segments": sample.segments * 3})
    names = [label["name"] for label in annotation(twice)["landmarks"]]
    assert len(set(names)) == 8 and names[4:6] == ["apex (2)", "hilum (2)"]
    assert annotation(twice)["segments"][7]["name"] == "heart (3)"


def test_a_heat_map_is_a_gaussian_at_the_landmark():
    sample = sample_of(1)
    label = sample.landmarks[1]
    image = heatmap(label, (60, 72), 3.0).astype(float)
    rows, columns = np.mgrid[:60, :72]
    assert np.allclose(
        [(image * columns).sum(), (image * rows).sum()] / image.sum(), [label.column, label.row], atol=2e-2
    )
    assert image.sum() == pytest.approx(2 * np.pi * 9, rel=1e-3)
    assert not heatmap(sample.landmarks[3], (60, 72), 3.0).any()


def test_damaged_records_are_named(tmp_path):
    (tmp_path / "records").mkdir()
    begin = '{"format": "DeepDRRSlicer sample 1", "index": '
    texts = ["{", "[]", '{"format": "other", "index": 2}', begin + '7, "files": {}}',
             begin + '4, "files": {"../../x": {}}}', begin + '5, "files": {"/x": {}}}']  # fmt: skip
    for number, text in enumerate(texts):
        (tmp_path / "records" / f"00000{number}.json").write_text(text)
    records = RecordFiles(tmp_path)
    assert records.indices == [0, 1, 2, 3, 4, 5]
    for position in range(6):
        with pytest.raises(InputError, match=f"00000{position}.json is damaged"):
            records[position]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"writer": "jpeg"}, r"outputs\[0\].writer must be one of coco"),
        ({"writer": "coco", "quality": 3}, r"outputs\[0\]: There is no option 'quality'"),
        ({"writer": "coco", "image": "jpeg"}, "must be png or tiff"),
        ({"writer": "coco", "signal": 1}, "signal must be true or false"),
        ({"writer": "coco", "heatmap_sigma": 0}, "heatmap_sigma must be pixels above 0"),
        ({"writer": "webdataset", "shard_size": 2.5}, "shard_size must be a whole number"),
        ({"writer": "dicom", "frame_rate": float("nan")}, "frame_rate must be frames per second"),
    ],
)
def test_wrong_outputs_are_named_with_their_place(output, message):
    with pytest.raises(InputError, match=message):
        read_outputs({"outputs": [output]}, "x")
    with pytest.raises(InputError, match="a second time"):
        read_outputs({"outputs": [{"writer": "coco"}, {"writer": "coco"}]}, "x")
