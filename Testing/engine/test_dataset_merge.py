"""Parts of a job, merged, are the set of a single run, byte for byte; parts that do not fit are refused."""

import json
import shutil

import pytest
from dataset_samples import write_set

from DeepDRRSlicerLib.commands import dataset as command
from DeepDRRSlicerLib.dataset.inspect import inspect_set
from DeepDRRSlicerLib.dataset.merge import merge_sets
from DeepDRRSlicerLib.errors import InputError

OUTPUTS = [{"writer": "coco"}, {"writer": "webdataset", "shard_size": 2}, {"writer": "dicom", "cine": True}]


def run_of(index):
    return "run" if index != 1 else None


def content(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def outputs():
    try:
        import h5py  # noqa: F401
    except ImportError:
        return OUTPUTS
    return [*OUTPUTS, {"writer": "hdf5"}]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, outputs):
    return write_set(tmp_path_factory.mktemp("whole") / "set", outputs, sequence=run_of)


def parts(folder, outputs, count):
    return [
        write_set(folder / f"part{k}", outputs, range(k, 5, count), run_of, shard=(k + 1, count)) for k in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_merged_parts_are_the_set_of_a_single_run(tmp_path, outputs, whole, count):
    folders = parts(tmp_path, outputs, count)
    assert all(inspect_set(folder).problems == () for folder in folders), "a part is a set by itself"
    done = []
    merged = merge_sets(folders[::-1], tmp_path / "merged", progress=done.append)
    assert merged["written"] == 5 and "shard" not in merged and done[-1] == 1.0
    made, expected = content(tmp_path / "merged"), content(whole)
    assert sorted(made) == sorted(expected)
    assert [path for path in made if made[path] != expected[path]] == []
    assert inspect_set(tmp_path / "merged").problems == ()


def test_skipped_samples_are_told_on(tmp_path, outputs):
    reason = {"index": 3, "reason": "CT of patient 1 cannot be read"}
    first = write_set(tmp_path / "a", outputs, [0, 1], run_of, shard=(1, 2))
    second = write_set(tmp_path / "b", outputs, [2, 4], run_of, shard=(2, 2), skipped=[reason])
    merged = merge_sets([first, second], tmp_path / "merged")
    assert merged["skipped"] == [reason] and merged["written"] == 4
    assert inspect_set(tmp_path / "merged").problems == ()
    assert "CT of patient 1 cannot be read" in (tmp_path / "merged" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("extra", [{"job_hash": "beef"}, {"backend": "cuda"}, {"versions": {"numpy": "1"}}])
def test_parts_of_different_origin_are_refused_unless_asked_for(tmp_path, extra):
    outputs = [{"writer": "coco"}]
    first = write_set(tmp_path / "a", outputs, [0, 2, 4], shard=(1, 2))
    second = write_set(tmp_path / "b", outputs, [1, 3], shard=(2, 2), **extra)
    with pytest.raises(InputError, match="are of different (jobs|backends|versions); .* --mix"):
        merge_sets([first, second], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
    merged = merge_sets([first, second], tmp_path / "merged", mix=True)
    (key,) = extra
    assert merged[f"mixed_{key}"][1] == extra[key] and len(merged[f"mixed_{key}"]) == 2
    assert inspect_set(tmp_path / "merged").problems == ()


def test_a_sample_in_two_parts_is_taken_once_if_it_is_the_same(tmp_path):
    outputs = [{"writer": "coco"}]
    first = write_set(tmp_path / "a", outputs, [0, 1, 2], shard=(1, 2))
    second = write_set(tmp_path / "b", outputs, [2, 3, 4], shard=(2, 2))
    assert merge_sets([first, second], tmp_path / "merged")["written"] == 5
    path = second / "records" / "000002.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"kvp":72', '"kvp":73'), encoding="utf-8")
    with pytest.raises(InputError, match="hold different samples 2"):
        merge_sets([first, second], tmp_path / "again")


def test_samples_that_no_part_holds_are_missed(tmp_path):
    first = write_set(tmp_path / "a", [{"writer": "coco"}], [0, 2, 4], shard=(1, 2))
    with pytest.raises(InputError, match=r"2 samples are in none of the parts \(1, 3\)"):
        merge_sets([first], tmp_path / "merged")


def test_a_damaged_part_is_named(tmp_path, whole):
    broken = shutil.copytree(whole, tmp_path / "set")
    path = broken / "coco" / "images" / "000002.png"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(InputError, match="000002.png is missing or damaged"):
        merge_sets([broken], tmp_path / "merged")


def test_wrong_folders_are_refused(tmp_path, whole):
    with pytest.raises(InputError, match="no set"):
        merge_sets([whole, tmp_path], tmp_path / "merged")
    with pytest.raises(InputError, match="is not empty"):
        merge_sets([whole], whole)
    other = write_set(tmp_path / "other", [{"writer": "coco"}])
    with pytest.raises(InputError, match="different outputs"):
        merge_sets([whole, other], tmp_path / "merged", mix=True)
    manifest = json.loads((other / "dataset.json").read_text())
    (other / "dataset.json").write_text(json.dumps(manifest | {"state": "running"}))
    with pytest.raises(InputError, match="is not complete"):
        merge_sets([other], tmp_path / "merged")


def test_the_command_merges(tmp_path, capsys):
    import argparse

    folders = parts(tmp_path, [{"writer": "coco"}], 2)
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    options = parser.parse_args(["dataset", "merge", *map(str, folders), "-o", str(tmp_path / "merged")])
    options.run(options)
    assert "5 samples in" in capsys.readouterr().out
