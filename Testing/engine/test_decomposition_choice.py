"""Threshold, network or segmentation: what is chosen, what is kept of it, and what the user hears."""

import json
import os
import threading

import numpy as np
import pytest
import SimpleITK as sitk
from dataset_jobs import job_data, write_job, write_patient

from DeepDRRSlicerLib import user_cache
from DeepDRRSlicerLib.__main__ import main
from DeepDRRSlicerLib.anatomy.label_names import label_color
from DeepDRRSlicerLib.anatomy.seg_nrrd import write_segments
from DeepDRRSlicerLib.anatomy.segmentation import Segment
from DeepDRRSlicerLib.anatomy.substances import CLASSES
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.dataset import materials as choices
from DeepDRRSlicerLib.dataset.job import parse_job
from DeepDRRSlicerLib.dataset.patient import read_patient
from DeepDRRSlicerLib.dataset.sample import make_ready, make_sample, materials_of_job
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.projection.projector import Stopped
from DeepDRRSlicerLib.simulation.decomposition import (
    THRESHOLD,
    Decomposition,
    network_labelling,
    never,
    threshold_labelling,
    unheard,
)
from DeepDRRSlicerLib.simulation.label_cache import cache_folder, cached_labels, keep_labels
from DeepDRRSlicerLib.simulation.simulator import Simulator

SPACING, SHAPE = 4.0, (40, 40, 40)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of its own for every test."""
    monkeypatch.setenv("DEEPDRRSLICER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "labels"


def block(couch=True):
    """A block of water of 1.7 l with a rod of 400 HU, above a thin plate."""
    hu = np.full(SHAPE, -1000, np.int16)
    hu[5:35, 5:35, 5:35] = 0
    hu[18:22, 18:22, 5:35] = 400
    if couch:
        hu[:, 37:39, :] = 300
    matrix = np.diag([-SPACING, -SPACING, SPACING, 1.0])
    matrix[:3, 3] = (78, 78, -78)
    return Volume(hu, matrix)


def files(folder, ct):
    """The CT and a label map of it as files: 1 is the rod."""
    for name, array in (("ct", ct.array), ("labels", (ct.array == 400).astype(np.uint8))):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((SPACING,) * 3)
        image.SetOrigin((-78, -78, -78))
        sitk.WriteImage(image, str(folder / f"{name}.nrrd"))


def masses(volume):
    """g of each traced material."""
    voxel = abs(np.linalg.det(volume.ijk_to_ras[:3, :3])) / 1000
    return {name: float(volume.density[m].sum() * volume.scale[m] * voxel) for m, name in enumerate(volume.materials)}


class Network:
    """Stands in for the network: all of a CT above -500 HU is soft tissue, the rod contrast agent."""

    def __init__(self):
        self.calls = 0

    def __call__(self, ct, should_stop, progress):
        self.calls += 1
        if should_stop():
            raise Stopped
        progress(0.5)
        labels = np.where(ct.array > -500, CLASSES.index("soft tissue"), 0).astype(np.uint8)
        labels[ct.array == 400] = CLASSES.index("contrast")
        return labels


def test_the_couch_is_left_out_unless_it_is_kept():
    ct = block()
    without = masses(THRESHOLD.decompose(ct, never, unheard))
    with_couch = masses(threshold_labelling(keep_couch=True).decomposition().decompose(ct, never, unheard))
    alone = masses(THRESHOLD.decompose(block(couch=False), never, unheard))
    assert without == pytest.approx(alone)
    assert with_couch["bone"] > without["bone"] + 10
    assert THRESHOLD.key != threshold_labelling(keep_couch=True).decomposition().key


def test_the_network_runs_once_per_patient_and_version(cache):
    network = Network()
    progress = []
    labelling = network_labelling(network, "a" * 64)
    first = labelling.label(block(), never, progress.append)
    again = labelling.label(block(), never, progress.append)
    assert network.calls == 1 and progress == [0.5, 1.0, 1.0]
    np.testing.assert_array_equal(first.labels, again.labels)
    assert not first.labels[:, 37:39].any()  # the plate, which the network called soft tissue
    network_labelling(network, "b" * 64).label(block(), never, unheard)
    other = block()
    other.array[20, 20, 20] += 1
    labelling.label(other, never, unheard)
    moved = Volume(block().array, block().ijk_to_ras + np.diag([0, 0, 0.1, 0]))
    labelling.label(moved, never, unheard)
    assert network.calls == 4
    kept = network_labelling(network, "a" * 64, keep_couch=True).label(block(), never, unheard)
    assert network.calls == 4 and kept.labels[:, 37:39].all()
    assert len(list(cache.iterdir())) == 4
    found = masses(labelling.decomposition().decompose(block(), never, unheard))
    assert found["iodine"] == pytest.approx(4 * 4 * 30 * 0.064 * (400 - 56) / 25.8e3, rel=0.01)


def test_a_stopped_network_leaves_nothing_behind(cache):
    with pytest.raises(Stopped):
        network_labelling(Network(), "a").label(block(), lambda: True, unheard)
    assert not cache.exists()


def test_the_cache_survives_damage_and_stays_within_its_limit(tmp_path):
    labels = np.random.default_rng(0).integers(0, 7, SHAPE).astype(np.uint8)
    for n in range(6):
        keep_labels(f"{n:064x}", labels + np.uint8(n), tmp_path, most_bytes=100_000)
        os.utime(tmp_path / f"{n:064x}.labels", (n, n))
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert sum(sizes) <= 100_000 and len(sizes) >= 2 and not [p for p in tmp_path.iterdir() if "part" in p.name]
    assert cached_labels(f"{0:064x}", SHAPE, tmp_path) is None
    np.testing.assert_array_equal(cached_labels(f"{5:064x}", SHAPE, tmp_path), labels + 5)
    path = tmp_path / f"{5:064x}.labels"
    content = path.read_bytes()
    for damaged in (b"", content[:-20], content[:-2], b"\0" + content[1:]):
        path.write_bytes(damaged)
        assert cached_labels(f"{5:064x}", SHAPE, tmp_path) is None and not path.exists()
    path.write_bytes(content)
    assert cached_labels(f"{5:064x}", (1, 2, 3), tmp_path) is None  # of another CT
    (tmp_path / "file").write_bytes(b"")
    keep_labels("a", labels, tmp_path / "file")  # no folder can be made there: the labels are merely not kept
    assert cached_labels("a", SHAPE, tmp_path / "file") is None


def test_many_writers_at_once(tmp_path):
    labels = np.ones(SHAPE, np.uint8)
    threads = [threading.Thread(target=keep_labels, args=("a", labels, tmp_path)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.name for path in tmp_path.iterdir()] == ["a.labels"]
    np.testing.assert_array_equal(cached_labels("a", SHAPE, tmp_path), labels)


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/DeepDRRSlicer/labels"),
        ("linux", {"HOME": "/h"}, "/h/.cache/DeepDRRSlicer/labels"),
        ("darwin", {"HOME": "/h"}, "/h/Library/Caches/DeepDRRSlicer/labels"),
        ("win32", {"LOCALAPPDATA": "/l"}, "/l/DeepDRRSlicer/labels"),
        ("linux", {"DEEPDRRSLICER_CACHE": "/c", "HOME": "/h"}, "/c/labels"),
    ],
)
def test_where_the_cache_is(platform, variables, expected, monkeypatch):
    for name in ("XDG_CACHE_HOME", "DEEPDRRSLICER_CACHE", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(user_cache.sys, "platform", platform)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder().as_posix() == expected


def test_the_automatic_choice_is_the_network_where_it_can_run(monkeypatch):
    monkeypatch.setattr(choices, "network_missing", lambda: "torch is missing; install torch.")
    assert choices.chosen_materials(None).name == "threshold"
    with pytest.raises(InputError, match="torch is missing"):
        choices.chosen_materials("network")
    monkeypatch.setattr(choices, "network_missing", lambda: None)
    assert choices.automatic() == "network"


def test_metadata_and_hash_tell_what_was_used():
    one = Simulator(block())
    assert one.decomposition.details == {"couch": "left out"}
    called = []

    def decompose(ct, should_stop, progress):
        called.append((should_stop, progress))
        return THRESHOLD.decompose(ct, should_stop, progress)

    Simulator(block(), Decomposition("x", decompose), should_stop=never, progress=unheard)
    assert called == [(never, unheard)]
    assert Decomposition("x", decompose).key != Decomposition("x", decompose, {"a": 1}).key


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_simulate_says_what_was_used(tmp_path, capsys):
    files(tmp_path, block())
    (tmp_path / "map.json").write_text(json.dumps({"label 1": "blood with 300 mgI/ml", "unsegmented": "threshold"}))
    view = ("--size", 24, 24, "--pitch", 10, "--no-noise")
    signal, used = {}, {}
    for name, options in (
        ("threshold", ("--materials", "threshold")),
        ("couch", ("--materials", "threshold", "--keep-couch")),
        ("file", ("--materials", tmp_path / "labels.nrrd", "--material-map", tmp_path / "map.json")),
    ):
        code, out, err = run(capsys, "simulate", tmp_path / "ct.nrrd", "-o", tmp_path / name, *view, *options)
        assert (code, err) == (0, ""), err
        signal[name] = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / name / "signal.nrrd")))[0]
        used[name] = json.loads((tmp_path / name / "view.json").read_text())["materials"], out
    assert used["threshold"][0]["model"] == "threshold" and used["threshold"][0]["couch"] == "left out"
    assert "Materials: threshold; couch left out." in used["threshold"][1]
    assert "Materials: threshold; couch kept." in used["couch"][1]
    assert (signal["couch"][2:-2, 2:-2] < signal["threshold"][2:-2, 2:-2]).mean() > 0.9
    assert used["file"][0]["segments"] == {"label 1": "blood with 300 mgI/ml"} and "iodine" in used["file"][0]["names"]
    assert "1 segments of labels.nrrd, the rest by threshold" in used["file"][1]
    assert signal["file"][12, 12] < 0.5 * signal["threshold"][12, 12]  # 12 cm of 300 mgI/ml, seen end on or across


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--materials", "treshold"), "neither threshold nor network nor a file"),
        (("--materials", "nothing.seg.nrrd"), "does not exist"),
        (("--materials", "ct.nrrd"), "is not|values|labels are whole numbers"),
        (("--materials", "empty.nrrd"), "no voxel of any segment"),
        (("--materials", "labels.nrrd"), "segment 'label 1'"),
        (("--materials", "far.seg.nrrd"), "No voxel of the segmentation lies in the CT"),
        (("--materials", "labels.nrrd", "--material-map", "wrong.json"), "choose titanium"),
        (("--materials", "labels.nrrd", "--material-map", "nothing.json"), "does not exist"),
        (("--materials", "threshold", "--material-map", "wrong.json"), "choose titanium|for a segmentation"),
        (("--materials", "wrong.json"), "not a segmentation file"),
    ],
)
def test_wrong_use_gets_one_sentence(tmp_path, capsys, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    files(tmp_path, block())
    empty = sitk.GetImageFromArray(np.zeros(SHAPE, np.uint8))
    sitk.WriteImage(empty, str(tmp_path / "empty.nrrd"))
    far = np.eye(4)
    far[:3, 3] = 5000
    one = Segment("femur", Volume(np.ones((2, 2, 2), np.uint8), far), label_color(1))
    write_segments(tmp_path / "far.seg.nrrd", [one])
    (tmp_path / "wrong.json").write_text(json.dumps({"label 1": "titan"}))
    code, _, err = run(capsys, "simulate", "ct.nrrd", "-o", "out", "--size", 8, 8, "--pitch", 30, *options)
    assert code == 2 and len(err.splitlines()) == 1
    assert any(part in err for part in message.split("|")), err


def test_a_job_names_materials_of_its_patients(tmp_path):
    patient = write_patient(tmp_path)
    changes = {"patients": [patient | {"materials": "patient_labels.nrrd"}], "tools": []}
    (tmp_path / "patient_labels.json").write_text(json.dumps({"1": "body", "2": "ball"}))
    job = write_job(tmp_path, material_map={"ball": "titanium"}, **changes)
    data = read_patient(job, 0)
    sample = make_sample(job, make_ready(job, data), 0)
    used = sample.radiograph.metadata["materials"]
    assert used["segments"] == {"ball": "titanium"} and used["unsegmented"] == "threshold"
    assert "titanium" in used["names"]
    plain = write_job(tmp_path, "plain.json", patients=[patient], tools=[], keep_couch=True)
    assert read_patient(plain, 0).fingerprint != data.fingerprint
    assert materials_of_job(plain, read_patient(plain, 0)).details == {"couch": "kept"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"materials": "magic"}, "materials"),
        ({"material_map": {"ball": "titanium"}}, "no patient has any"),
        ({"material_map": {"ball": "titan"}, "with_file": True}, "choose titanium"),
        ({"keep_couch": "yes"}, "keep_couch"),
    ],
)
def test_wrong_materials_of_a_job(changes, message):
    patient = {"name": "a", "ct": "a.nrrd"} | ({"materials": "b.nrrd"} if changes.pop("with_file", False) else {})
    with pytest.raises(InputError, match=message):
        parse_job(job_data([patient], **changes))


def test_simulate_by_the_network_says_so_once(tmp_path, capsys, monkeypatch):
    """The stand-in takes the place of the network itself; its answer is kept, so that it is said and run once."""
    network = Network()
    monkeypatch.setattr(choices, "network_missing", lambda: None)
    monkeypatch.setattr(choices, "network", lambda: (network, "a" * 64))
    files(tmp_path, block())
    view = ("--size", 24, 24, "--pitch", 10, "--no-noise")
    for said in (True, False):
        code, out, err = run(capsys, "simulate", tmp_path / "ct.nrrd", "-o", tmp_path / "out", *view)
        assert (code, err) == (0, "") and ("looks at the CT" in out) == said
        assert "Materials: network; couch left out." in out
    used = json.loads((tmp_path / "out" / "view.json").read_text())["materials"]
    assert used["model"] == "network" and used["network"] == "a" * 16 and "iodine" in used["names"]
    assert network.calls == 1
