"""Samples on the fly: those of the written set, the same for any number of workers, others in another epoch."""

import multiprocessing
import sys

import numpy as np
import pytest
from dataset_jobs import write_job, write_patient

from DeepDRRSlicerLib.dataset.sample import preview
from DeepDRRSlicerLib.dataset.torch_dataset import JobDataset
from DeepDRRSlicerLib.errors import InputError


def test_without_torch_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match="pip install torch"):
        JobDataset(write_job(tmp_path))


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    folder = tmp_path_factory.mktemp("job")
    return write_job(
        folder, patients=[write_patient(folder, "first"), write_patient(folder, "second", seed=1)], count=6
    )


def everything(loader):
    return {int(index): item for item in loader for index in item["index"]}


def same(torch, a, b):
    return a.keys() == b.keys() and all(
        torch.equal(a[key].nan_to_num(-1), b[key].nan_to_num(-1))
        if isinstance(a[key], torch.Tensor)
        else a[key] == b[key]
        for key in a
    )


def test_items_are_the_samples_of_the_job(torch, job):
    data = JobDataset(job)
    assert len(data) == 6
    for sample in preview(job, 6):
        item = data[sample.index]
        assert item["image"].numpy() * 65535 == pytest.approx(sample.picture[None].astype(np.float64), abs=0.01)
        assert (item["signal"].numpy() == sample.radiograph.signal).all()
        assert item["signal"].dtype == torch.float32 and item["masks"].shape == (2, 40, 48)
        assert (item["masks"].numpy() == np.stack([label.mask for label in sample.segments])).all()
        for n, landmark in enumerate(sample.landmarks):
            assert item["landmarks"][n].numpy() == pytest.approx([landmark.column, landmark.row], abs=1e-4)
            column = item["P"].numpy() @ (*landmark.position_ras, 1)
            assert column[:2] / column[2] == pytest.approx(item["landmarks"][n].numpy(), abs=1e-3)
            assert bool(item["visible"][n]) == landmark.visible
        assert item["patient"] == sample.patient
    for wrong in (6, -1):
        with pytest.raises(IndexError):
            data[wrong]


def test_large_arrays_are_not_copied(torch, job):
    kept = []
    data = JobDataset(job, item=lambda sample: kept.append(sample) or __import__(
        "DeepDRRSlicerLib.dataset.torch_dataset", fromlist=["tensors"]).tensors(sample))  # fmt: skip
    item = data[0]
    assert item["signal"].data_ptr() == kept[0].radiograph.signal.ctypes.data


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_any_number_and_kind_of_workers_gives_the_same(torch, job, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    data = JobDataset(job)
    alone = everything(torch.utils.data.DataLoader(data, batch_size=1))
    assert sorted(alone) == list(range(6))
    loader = torch.utils.data.DataLoader(
        data, batch_size=1, num_workers=2, multiprocessing_context=method, shuffle=True
    )
    shared = everything(loader)
    assert all(same(torch, alone[index], shared[index]) for index in range(6))


def test_epochs_go_on_where_the_set_ends(torch, job, tmp_path):
    """Item i of epoch e is sample e * len + i of the longer job; workers that persist hear of the epoch."""
    data = JobDataset(job)
    loader = torch.utils.data.DataLoader(data, batch_size=1, num_workers=2, persistent_workers=True)
    first, again = everything(loader), everything(loader)
    assert all(same(torch, first[index], again[index]) for index in range(6))
    data.set_epoch(2)
    third = everything(loader)
    assert sorted(third) == list(range(12, 18))
    longer = JobDataset(write_job(job.folder, "longer.json", patients=job.data["patients"], count=18))
    for index in (12, 17):
        expected = torch.utils.data.default_collate([longer[index]])
        assert same(torch, third[index], expected)


def test_patients_are_kept_up_to_a_number(torch, job, monkeypatch):
    from DeepDRRSlicerLib.dataset import torch_dataset

    loads = []
    real = torch_dataset.read_patient
    monkeypatch.setattr(torch_dataset, "read_patient", lambda job, number: loads.append(number) or real(job, number))
    for most, expected in ((1, [0, 1, 0, 1]), (2, [0, 1])):
        loads.clear()
        data = JobDataset(job, patients=most)
        for position in (0, 1, 2, 3):
            data[position]
        assert loads == expected
