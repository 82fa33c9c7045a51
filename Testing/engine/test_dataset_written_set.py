"""The reader of written sets, as arrays and as tensors."""

import json
import pickle

import numpy as np
import pytest
from dataset_samples import POINTS, pinhole, sample_of, write_set

from DeepDRRSlicerLib.dataset.written_set import TensorSet, WrittenSet
from DeepDRRSlicerLib.errors import InputError

OUTPUTS = [{"writer": "webdataset", "shard_size": 3}, {"writer": "coco"}, {"writer": "dicom"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("written") / "set", OUTPUTS)


@pytest.mark.parametrize("writer", ["webdataset", "coco", "dicom", None])
def test_every_format_gives_the_same_sample(folder, writer):
    samples = WrittenSet(folder, writer)
    assert len(samples) == 5 and samples.manifest["written"] == 5 and samples.job["seed"] == 5
    for read, index in zip(samples, range(5)):
        sample = sample_of(index)
        assert read.record["index"] == index
        assert np.array_equal(read.arrays["picture"], sample.picture)
        assert np.array_equal(read.arrays["signal"], sample.radiograph.signal)
        assert np.array_equal(read.arrays["masks"], np.stack([s.mask for s in sample.segments]))
        places, visible = read.landmarks
        for name, place, seen, label in zip(POINTS, places, visible, sample.landmarks):
            assert seen == label.visible
            if seen:
                assert np.abs(place - pinhole(read.record["geometry"], POINTS[name])).max() < 0.01
        assert np.allclose(read.beam.P, sample.radiograph.beam.P)


def test_wrong_folders_and_formats_are_refused(folder, tmp_path):
    with pytest.raises(InputError, match="holds no hdf5; it holds webdataset, coco, dicom"):
        WrittenSet(folder, "hdf5")
    with pytest.raises(InputError, match="no set"):
        WrittenSet(tmp_path)
    running = write_set(tmp_path / "set", [{"writer": "coco"}], [0])
    manifest = json.loads((running / "dataset.json").read_text())
    (running / "dataset.json").write_text(json.dumps(manifest | {"state": "running"}))
    with pytest.raises(InputError, match="not complete"):
        WrittenSet(running)


def test_tensors_for_training(folder):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    samples = pickle.loads(pickle.dumps(TensorSet(folder)))
    batches = list(torch.utils.data.DataLoader(samples, batch_size=2, num_workers=1))
    assert [batch["index"].tolist() for batch in batches] == [[0, 1], [2, 3], [4]]
    first = batches[0]
    assert first["picture"].shape == (2, 1, 60, 72) and first["picture"].dtype == torch.float32
    assert 0 <= float(first["picture"].min()) and float(first["picture"].max()) <= 1
    assert first["masks"].shape == (2, 3, 60, 72) and first["landmarks"].shape == (2, 4, 2)
    assert first["P"].shape == (2, 3, 4)
