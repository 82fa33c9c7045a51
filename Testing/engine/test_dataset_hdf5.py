"""HDF5 sets as h5py reads them."""

import json
import time
import zlib

import numpy as np
import pytest
from dataset_samples import POINTS, pinhole, sample_of, write_samples, write_set

from DeepDRRSlicerLib.dataset.outputs import stored_bytes
from DeepDRRSlicerLib.dataset.records import RecordFiles
from DeepDRRSlicerLib.dataset.writers import hdf5 as writer
from DeepDRRSlicerLib.dataset.written_set import WrittenSet

h5py = pytest.importorskip("h5py", reason="h5py is not installed")
OUTPUTS = [{"writer": "hdf5", "thickness": True}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("hdf5") / "set", OUTPUTS)


def test_arrays_and_labels_are_those_of_the_sample(folder):
    with h5py.File(folder / "hdf5" / "set.h5") as file:
        assert list(file["samples"]) == [f"{n:06d}" for n in range(5)]
        for index in range(5):
            group, sample = file["samples"][f"{index:06d}"], sample_of(index)
            assert group["picture"].dtype == np.uint16 and np.array_equal(group["picture"], sample.picture)
            assert group["signal"].dtype == np.float32 and group["signal"].attrs["unit"] == "keV per pixel"
            assert np.array_equal(group["signal"], sample.radiograph.signal)
            assert np.array_equal(group["masks"], np.stack([s.mask for s in sample.segments]))
            assert np.array_equal(group["thickness"], np.stack([s.thickness for s in sample.segments]))
            data = json.loads(group["annotation"].asstr()[()])
            for label in data["landmarks"][:3]:
                expected = pinhole(data["geometry"], POINTS[label["name"]])
                assert np.abs(expected - (label["column"], label["row"])).max() < 0.01


def test_the_file_does_not_know_the_time(folder, tmp_path):
    made = (folder / "hdf5" / "set.h5").stat().st_mtime
    time.sleep(max(0.0, made + 1.1 - time.time()))  # HDF5 counts whole seconds, in a library that no patch reaches
    again = write_set(tmp_path / "set", OUTPUTS)
    assert (again / "hdf5" / "set.h5").read_bytes() == (folder / "hdf5" / "set.h5").read_bytes()


def test_a_sample_comes_out_as_the_fragment_that_went_in(tmp_path, folder):
    write_samples(tmp_path, OUTPUTS, range(5))
    for record in RecordFiles(folder):
        path = writer.fragment_path(record["index"])
        assert not (folder / path).exists()
        assert stored_bytes(folder, path, record["index"]) == (tmp_path / path).read_bytes()


def test_samples_are_read_before_there_is_a_file_too(tmp_path, folder):
    """A fragment says the same as the file."""
    write_samples(tmp_path, OUTPUTS, range(5))
    for record in RecordFiles(folder):
        expected, found = writer.read(folder, record), writer.read(tmp_path, record)
        assert list(found) == list(expected)
        for name, array in found.items():
            assert array.dtype == expected[name].dtype and np.array_equal(array, expected[name])
        assert writer.read_annotation(tmp_path, record) == writer.read_annotation(folder, record)


def test_chunks_are_packed_as_the_library_itself_packs_them(tmp_path, folder):
    """Shuffled bytes under the file's own filters: what h5py compresses anew has the same bytes but for zlib's."""
    with h5py.File(folder / "hdf5" / "set.h5") as file, h5py.File(tmp_path / "again.h5", "w") as other:
        data = file["samples/000001/signal"]
        assert (data.compression, data.shuffle, data.chunks) == ("gzip", True, data.shape)
        again = other.create_dataset("a", data=data[()], chunks=data.chunks, compression="gzip", shuffle=True)
        chunks = [zlib.decompress(one.id.read_direct_chunk((0, 0))[1]) for one in (data, again)]
        assert chunks[0] == chunks[1]


def test_a_kill_leaves_the_samples_here_or_there(tmp_path, folder, monkeypatch):
    job, options = write_samples(tmp_path, OUTPUTS, range(5))
    removed = writer.remove_fragments

    def dying(place, paths):
        removed(place, paths[:2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(writer, "remove_fragments", dying)
        with pytest.raises(KeyboardInterrupt):
            writer.assemble(tmp_path, RecordFiles(tmp_path), job, options["hdf5"])
    writer.assemble(tmp_path, RecordFiles(tmp_path), job, options["hdf5"])
    assert (tmp_path / "hdf5" / "set.h5").read_bytes() == (folder / "hdf5" / "set.h5").read_bytes()
    assert [path.name for path in (tmp_path / "hdf5").iterdir()] == ["set.h5"]


def test_a_sample_that_is_made_later_joins_the_file(tmp_path, folder):
    write_set(tmp_path / "set", OUTPUTS, [1, 2, 4])
    write_set(tmp_path / "set", OUTPUTS, [0, 3])
    assert (tmp_path / "set" / "hdf5" / "set.h5").read_bytes() == (folder / "hdf5" / "set.h5").read_bytes()


def test_our_own_reader_gives_the_arrays_back(folder):
    read = WrittenSet(folder)[4]
    assert set(read.arrays) == {"picture", "signal", "open_field", "masks", "tool_masks", "thickness", "tool_thickness"}
    assert np.array_equal(read.arrays["tool_masks"][0], sample_of(4).tools[0].mask)
