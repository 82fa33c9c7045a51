"""A set in order is said to be so, and whatever is broken in it is named."""

import hashlib
import json
import re
import shutil

import numpy as np
import pytest
from dataset_samples import write_set

from DeepDRRSlicerLib.commands import dataset as command
from DeepDRRSlicerLib.dataset.check_sample import sample_problems
from DeepDRRSlicerLib.dataset.finish import CHECKSUMS, file_hash, set_files
from DeepDRRSlicerLib.dataset.inspect import inspect_set
from DeepDRRSlicerLib.dataset.records import RecordFiles, json_bytes, record_path
from DeepDRRSlicerLib.dataset.rle import mask_to_rle
from DeepDRRSlicerLib.errors import InputError

OUTPUTS = [{"writer": "coco"}, {"writer": "webdataset", "shard_size": 2}, {"writer": "dicom", "cine": True}]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("inspect") / "set", OUTPUTS, sequence=lambda n: "run" if n > 2 else None)


@pytest.fixture
def folder(good, tmp_path):
    return shutil.copytree(good, tmp_path / "set")


def rehash(folder):
    """Makes the checksums fit whatever was changed, so that only the labels can show it."""
    listed = "".join(f"{file_hash(folder / path)}  {path}\n" for path in set_files(folder))
    (folder / CHECKSUMS).write_text(listed, encoding="utf-8")


def change_record(folder, change, index=1):
    path = folder / record_path(index)
    data = json.loads(path.read_bytes())
    change(data)
    path.write_bytes(json_bytes(data))
    rehash(folder)


def change_coco(folder, change):
    path = folder / "coco" / "annotations.json"
    data = json.loads(path.read_bytes())
    change(data)
    path.write_bytes(json_bytes(data))
    rehash(folder)


def run(folder):
    """What the command says and does: its output lines, and the sentence it ends with."""
    import argparse

    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    options = parser.parse_args(["dataset", "inspect", str(folder)])
    options.run(options)


def test_a_set_in_order(good, capsys):
    result = inspect_set(good)
    assert result.problems == () and result.statistics.count == 5
    run(good)
    said = capsys.readouterr().out
    assert "Counts, checksums and labels agree." in said and "5 of 2 patients" in said
    assert "heart (5)" in said and "not in the picture (0)" in said


def test_checksums_are_those_of_sha256sum(good):
    lines = (good / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    listed = {line[66:]: line[:64] for line in lines}
    there = {p.relative_to(good).as_posix() for p in good.rglob("*") if p.is_file()} - {CHECKSUMS, "overview.html"}
    assert set(listed) == there and [line[66:] for line in lines] == sorted(listed)
    for path, digest in listed.items():
        assert hashlib.sha256((good / path).read_bytes()).hexdigest() == digest, path


def test_the_overview_needs_no_network(good):
    inspect_set(good)
    page = (good / "overview.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 5 and page.count("<svg") == 6
    assert not re.search(r"https?:|<script|<link|@import|url\(", page)
    inspect_set(good)
    assert (good / "overview.html").read_text(encoding="utf-8") == page
    assert inspect_set(good).problems == (), "the overview itself is no foreign file"


def test_the_datasheet_counts(good):
    text = (good / "README.md").read_text(encoding="utf-8")
    parts = ("# tiny set", "samples.png", "CC0-1.0", "| patient 0 | 3 |", "| segment | heart | 5 | 5 | 373 |",
             "| segment | not in the picture | 5 | 0 | 0 |", "tube voltage, kV", "| 72 | 1 |", "made up")  # fmt: skip
    for part in parts:
        assert part in text, part
    assert (good / "samples.png").read_bytes().startswith(b"\x89PNG")


def byte_flipped(path):
    def change(folder):
        content = bytearray((folder / path).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / path).write_bytes(content)

    return change


@pytest.mark.parametrize(
    "path", ["coco/images/000002.png", "coco/signal/000000.tiff", "webdataset/shard-000000.tar", "dicom/000003.dcm",
             "records/000001.json", "job.json", "README.md", "coco/annotations.json"],
)  # fmt: skip
def test_a_flipped_bit_is_found(folder, path):
    byte_flipped(path)(folder)
    try:
        problems = inspect_set(folder).problems
    except InputError as error:  # a job.json that is no JSON any more
        problems = (str(error),)
    assert any(problem.startswith(path) or path in problem for problem in problems), problems


@pytest.mark.parametrize(
    "path", ["coco/images/000002.png", "webdataset/shard-000001.tar", "dicom/000000.dcm", "records/000003.json",
             "coco/annotations.json", "samples.png"],
)  # fmt: skip
def test_a_missing_file_is_found(folder, path):
    (folder / path).unlink()
    assert f"{path}: it is missing" in inspect_set(folder).problems


def test_a_foreign_file_is_found(folder):
    (folder / "coco" / "notes.txt").write_text("mine")
    assert inspect_set(folder).problems == ("coco/notes.txt: it does not belong to the set",)


def test_the_whole_shard_of_a_sample_is_verified_against_its_record(folder):
    """The checksum of the shard is made to fit, so that only the record knows what was in it."""
    byte_flipped("webdataset/shard-000000.tar")(folder)
    rehash(folder)
    assert any("webdataset" in p and "records/00000" in p for p in inspect_set(folder).problems)


def set_in(key, number, **values):
    return lambda data: data[key][number].update(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_in("segments", 0, box=[16, 11, 44, 38]), "the box of left lung is not that of its mask"),
        (set_in("segments", 1, area=1), "the area of heart is not that of its mask"),
        (set_in("segments", 1, mask=mask_to_rle(np.eye(72, dtype=bool))), "mask of heart has another size"),
        (set_in("segments", 2, box=[0, 0, 3, 3]), "the box of not in the picture is not that of its mask"),
        (set_in("tools", 0, area=3), "the area of wire is not that of its mask"),
        (lambda data: data["landmarks"][1].update(column=data["landmarks"][1]["column"] + 0.02),
         "the position of hilum contradicts the geometry"),
        (set_in("landmarks", 1, visible=False), "hilum is said to be invisible against the geometry"),
        (set_in("landmarks", 1, depth=3.0), "the depth of hilum contradicts the geometry"),
        (lambda data: data["geometry"]["K"][0].__setitem__(2, 0.0), "K, R, t and the source with the detector's axes"),
        (lambda data: data["geometry"]["P"][0].__setitem__(3, 0.0), "P and the source with the detector's axes"),
        (lambda data: data.update(size=[61, 72]), "the size of the image differs from that of the geometry"),
        (lambda data: data["technique"].update(kvp=7), "the annotation in webdataset differs from the record"),
        (lambda data: data["technique"].update(kvp=7), "the annotation in dicom differs from the record"),
        (lambda data: data["files"].update({"coco/x.png": {"size": 1, "sha256": ""}}), "coco/x.png is missing"),
        (lambda data: data["files"]["coco/images/000001.png"].update(sha256="0" * 64),
         "coco/images/000001.png differs from its checksum in the record"),
        (lambda data: data.pop("landmarks"), "it is damaged (no 'landmarks')"),
    ],
)  # fmt: skip
def test_a_record_that_contradicts_itself_or_the_files_is_found(folder, change, message):
    change_record(folder, change)
    problems = inspect_set(folder).problems
    assert any(p.startswith("records/000001.json: ") and message in p for p in problems), problems


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["annotations"][0].update(bbox=[1, 2, 3, 4]), "image 0: the box of left lung is not that of its"),
        (lambda d: d["annotations"][0].update(area=2), "image 0: the area of left lung is not that of its mask"),
        (lambda d: d["annotations"][0].update(segmentation=d["annotations"][1]["segmentation"]),
         "image 0: the mask of left lung differs from the record"),
        (lambda d: d["annotations"].pop(0), "image 0: its segments and tools are not those of the record"),
        (lambda d: d["annotations"][3]["keypoints"].__setitem__(4, 9.0), "image 0: the keypoint of hilum contradicts"),
        (lambda d: d["annotations"][3]["keypoints"].__setitem__(5, 0), "image 0: hilum is visible in one of record"),
        (lambda d: d["annotations"][3].update(num_keypoints=9), "image 0: num_keypoints is not the number"),
        (lambda d: d["images"].pop(0), "does not name the images of the records"),
        (lambda d: d["annotations"][1].update(id=1), "gives two annotations the same id"),
        (lambda d: d.pop("categories"), "coco: it cannot be compared with the records (no 'categories')"),
    ],
)  # fmt: skip
def test_coco_annotations_that_contradict_the_records_are_found(folder, change, message):
    change_coco(folder, change)
    problems = inspect_set(folder).problems
    assert any(message in problem for problem in problems), problems


def test_arrays_that_differ_between_formats_are_found(good):
    record = RecordFiles(good)[0]
    picture = np.zeros(record["size"], np.uint16)
    other = picture.copy()
    other[3, 4] = 1
    found = list(sample_problems(good, record, {}, {"coco": {"picture": picture}, "dicom": {"picture": other}}))
    assert "picture differs between coco and dicom" in found


def test_dicom_geometry_that_differs_is_found(folder):
    import pydicom

    from DeepDRRSlicerLib.dataset.dicom_geometry import CREATOR, GROUP, ROLL

    path = folder / "dicom" / "000001.dcm"
    data = pydicom.dcmread(path)
    data.private_block(GROUP, CREATOR)[ROLL].value = 2.0
    data.save_as(path)
    rehash(folder)
    problems = inspect_set(folder).problems
    assert "records/000001.json: the geometry in the DICOM header differs from the record" in problems


def test_a_lost_sample_is_missed(folder):
    (folder / "records" / "000004.json").unlink()
    rehash(folder)
    problems = inspect_set(folder).problems
    assert "dataset.json: 5 samples were written, but there are 4 records" in problems
    assert any("5 samples were asked for, but 4 are there" in problem for problem in problems)


def test_the_command_lists_all_problems_and_ends_with_one_sentence(folder, capsys):
    (folder / "samples.png").unlink()
    (folder / "extra").write_text("")
    with pytest.raises(InputError, match=r"has 2 problem\(s\), listed above"):
        run(folder)
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["extra: it does not belong to the set", "samples.png: it is missing"]
    assert 'class="bad"' in (folder / "overview.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("make", ["nothing", "empty", "other"])
def test_a_folder_without_a_set_is_refused(tmp_path, make):
    if make == "empty":
        tmp_path = tmp_path / "absent"
    elif make == "other":
        (tmp_path / "dataset.json").write_text('{"format": "something else"}')
    with pytest.raises(InputError, match="no set|not the manifest"):
        inspect_set(tmp_path)
