"""WebDataset shards as tar, webdataset and torch read them, and as a killed program leaves them."""

import json
import shutil
import tarfile

import numpy as np
import pytest
from dataset_samples import POINTS, pinhole, sample_of, write_samples, write_set

from DeepDRRSlicerLib.dataset.records import RecordFiles
from DeepDRRSlicerLib.dataset.writers import webdataset as writer
from DeepDRRSlicerLib.errors import InputError

OUTPUTS = [{"writer": "webdataset", "shard_size": 2, "thickness": True, "heatmap_sigma": 2.0}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("wds") / "set", OUTPUTS)


def shards(folder):
    return sorted(str(path) for path in (folder / "webdataset").glob("shard-*.tar"))


def test_shards_are_tar_files_without_time_and_owner(folder):
    assert [path[-10:-4] for path in shards(folder)] == ["000000", "000001", "000002"]
    names = []
    for path in shards(folder):
        with tarfile.open(path) as archive:
            for member in archive:
                assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
                names.append(member.name)
    keys = list(dict.fromkeys(name.split(".")[0] for name in names))
    assert keys == [f"{n:06d}" for n in range(5)]
    assert names[:4] == [f"000000.{x}" for x in ("picture.npy", "signal.npy", "open_field.npy", "masks.npz")]
    assert json.loads((folder / "webdataset" / "contents.json").read_text())["shards"]["shard-000002.tar"] == 1
    assert not (folder / "webdataset" / "fragments").exists()


def test_webdataset_decodes_every_member(folder):
    wds = pytest.importorskip("webdataset", reason="webdataset is not installed")
    samples = list(wds.WebDataset(shards(folder), shardshuffle=False).decode())
    assert [sample["__key__"] for sample in samples] == [f"{n:06d}" for n in range(5)]
    for index, read in enumerate(samples):
        sample = sample_of(index)
        assert read["picture.npy"].dtype == np.uint16 and np.array_equal(read["picture.npy"], sample.picture)
        assert read["signal.npy"].dtype == np.float32
        assert np.array_equal(read["signal.npy"], sample.radiograph.signal)
        assert np.array_equal(read["masks.npz"]["masks"], np.stack([s.mask for s in sample.segments]))
        assert np.array_equal(read["thickness.npz"]["thickness"], np.stack([s.thickness for s in sample.segments]))
        assert read["heatmaps.npz"]["heatmaps"].shape == (4, 60, 72)
        for label in read["json"]["landmarks"]:
            if label["column"] is None:
                assert not label["visible"]
                continue
            expected = pinhole(read["json"]["geometry"], POINTS[label["name"]])
            assert np.abs(expected - (label["column"], label["row"])).max() < 0.01


def test_torch_loads_batches_of_shards(folder):
    wds = pytest.importorskip("webdataset", reason="webdataset is not installed")
    torch = pytest.importorskip("torch", reason="torch is not installed")
    data = wds.WebDataset(shards(folder), shardshuffle=False).decode()
    data = data.map(lambda s: (s["signal.npy"], s["masks.npz"]["masks"], s["json"]["index"]))
    batches = list(torch.utils.data.DataLoader(data.batched(2), batch_size=None))
    assert sum(len(batch[0]) for batch in batches) == 5 and batches[0][0].shape == (2, 60, 72)
    assert batches[0][1].shape == (2, 3, 60, 72)


@pytest.mark.parametrize("killed_after", range(6))
def test_shards_are_the_same_after_a_kill_while_they_are_made(tmp_path, folder, killed_after, monkeypatch):
    job, options = write_samples(tmp_path / "set", OUTPUTS, range(5))
    calls = []

    def dying(function):
        def run(*arguments):
            calls.append(function)
            if len(calls) > killed_after:
                raise KeyboardInterrupt
            return function(*arguments)

        return run

    with monkeypatch.context() as patch:
        patch.setattr(writer, "write_whole", dying(writer.write_whole))
        patch.setattr(writer, "remove_fragments", dying(writer.remove_fragments))
        with pytest.raises(KeyboardInterrupt):
            writer.assemble(tmp_path / "set", RecordFiles(tmp_path / "set"), job, options["webdataset"])
    writer.assemble(tmp_path / "set", RecordFiles(tmp_path / "set"), job, options["webdataset"])
    compare(tmp_path / "set" / "webdataset", folder / "webdataset")


def compare(made, expected):
    names = sorted(path.name for path in expected.iterdir())
    assert sorted(path.name for path in made.iterdir()) == names
    for name in names:
        assert (made / name).read_bytes() == (expected / name).read_bytes(), name


def test_making_shards_again_changes_nothing(tmp_path, folder):
    shutil.copytree(folder, tmp_path / "set")
    job, options = json.loads((folder / "job.json").read_text()), writer.WriterOptions(shard_size=2)
    writer.assemble(tmp_path / "set", RecordFiles(tmp_path / "set"), job, options)
    compare(tmp_path / "set" / "webdataset", folder / "webdataset")


def test_a_sample_that_is_made_later_joins_its_shard(tmp_path, folder):
    write_set(tmp_path / "set", OUTPUTS, [0, 1, 2, 4])
    write_set(tmp_path / "set", OUTPUTS, [3])
    compare(tmp_path / "set" / "webdataset", folder / "webdataset")


@pytest.mark.parametrize(("damage", "message"), [("missing", "is missing"), ("changed", "is damaged")])
def test_a_lost_or_damaged_fragment_is_named(tmp_path, damage, message):
    job, options = write_samples(tmp_path, OUTPUTS, range(3))
    path = tmp_path / writer.fragment_path(1)
    content = path.read_bytes()
    path.unlink()
    if damage == "changed":
        path.write_bytes(content[:-1] + b"?")
    with pytest.raises(InputError, match=rf"000001.tar of sample 1 .*{message}"):
        writer.assemble(tmp_path, RecordFiles(tmp_path), job, options["webdataset"])
