"""Runs: the same bytes however many workers, shards, kills and resumes; and an end with a sentence whatever happens."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from dataset_jobs import job_data, tree, write_job, write_patient, write_tool

from DeepDRRSlicerLib.dataset import runner, set_folder
from DeepDRRSlicerLib.dataset.job import read_job
from DeepDRRSlicerLib.dataset.labels import label_landmarks, label_tool
from DeepDRRSlicerLib.dataset.patient import points_of, read_patient
from DeepDRRSlicerLib.dataset.records import json_bytes
from DeepDRRSlicerLib.dataset.runner import Progress, run_job, shard_samples
from DeepDRRSlicerLib.dataset.sample import make_ready, make_sample, preview
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.projection.projector import Stopped

ROOT = Path(__file__).resolve().parents[2]
OUTPUTS = [{"writer": "coco", "thickness": True, "heatmap_sigma": 3}, {"writer": "webdataset", "shard_size": 3}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture(scope="module")
def job(folder):
    """Two patients, so that runs go from one to the other."""
    return write_job(folder, patients=[write_patient(folder, "first"), write_patient(folder, "second", seed=1)],
                     outputs=OUTPUTS, count=10)  # fmt: skip


@pytest.fixture(scope="module")
def whole(job, folder):
    """The set of an uninterrupted run of one worker."""
    summary = run_job(job, folder / "whole", workers=1)
    assert (summary.samples, summary.new, summary.skipped) == (10, 10, {})
    return tree(folder / "whole")


def records(folder):
    return sorted(int(path.stem) for path in (folder / "records").glob("*.json"))


def change(job, folder, name, **changes):
    """The same job with changes, from a file beside it."""
    (folder / name).write_text(json.dumps(job.data | changes))
    return read_job(folder / name)


@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_workers_writes_the_same_bytes(job, whole, tmp_path, workers):
    run_job(job, tmp_path / "set", workers)
    assert tree(tmp_path / "set") == whole


def test_a_set_is_complete_and_says_what_it_is(whole, job):
    manifest = json.loads(whole["dataset.json"])
    assert manifest["state"] == "complete" and manifest["job_hash"] == job.hash and manifest["written"] == 10
    assert manifest["versions"]["numpy"] == np.__version__ and "shard" not in manifest
    assert manifest["versions"]["zlib"] == zlib.ZLIB_RUNTIME_VERSION and "h5py" not in manifest["versions"]
    assert json.loads(whole["job.json"]) == job.data
    record = json.loads(whole["records/000003.json"])
    assert record["index"] == 3 and record["patient"] == "second"
    everything = b"".join(content for path, content in whole.items())
    for secret in (os.uname().nodename, str(ROOT), time.strftime("%Y-%m-%d")):
        assert len(secret) < 4 or secret.encode() not in everything


def test_any_sample_alone_is_that_of_the_set(job, whole):
    """In another order, by another caller: what the panel shows is what the export writes."""
    for index in (7, 2):
        patient = make_ready(job, read_patient(job, job.patient_of(index)), threads=2)
        made = runner.render(job, patient, index, lambda: False, threads=3)
        assert json_bytes(made.record) == whole[f"records/{index:06}.json"]
        assert made.files[f"coco/images/{index:06}.png"] == whole[f"coco/images/{index:06}.png"]


def test_a_longer_job_begins_with_the_same_samples(job, folder, whole, tmp_path):
    longer = change(job, folder, "longer.json", count=13)
    run_job(longer, tmp_path / "set", 2)
    found = tree(tmp_path / "set")
    images = [path for path in whole if path.startswith("coco/images/")]
    assert len(images) == 10 and all(found[path] == whole[path] for path in images)


def test_shards_are_disjoint_complete_and_of_few_patients(job, folder, whole, tmp_path):
    parts = [shard_samples(job, k, 3) for k in (1, 2, 3)]
    assert sorted(sum(parts, [])) == list(range(10)) and max(map(len, parts)) - min(map(len, parts)) <= 1
    assert [len({job.patient_of(index) for index in part}) for part in parts] == [1, 2, 1]
    summary = run_job(job, tmp_path / "part", 2, shard=(2, 3))
    assert records(tmp_path / "part") == sorted(parts[1]) and summary.samples == len(parts[1])
    found = tree(tmp_path / "part")
    assert all(found[p] == whole[p] for p in found if p.startswith(("coco/images/", "records/")))
    assert json.loads(found["dataset.json"])["shard"] == [2, 3]
    with pytest.raises(InputError, match="another shard"):
        run_job(job, tmp_path / "part", 1, shard=(1, 3))
    with pytest.raises(InputError, match="no shard 4/3"):
        run_job(job, tmp_path / "other", 1, shard=(4, 3))


def test_shards_for_any_numbers():
    class Count:
        def __init__(self, count, patients):
            self.count, self.patients = count, range(patients)

    for count, patients, n in ((1, 1, 1), (7, 3, 7), (5, 9, 2), (100, 7, 6)):
        parts = [shard_samples(Count(count, patients), k, n) for k in range(1, n + 1)]
        assert sorted(sum(parts, [])) == list(range(count))


RUN = """
import os, signal, sys, threading
sys.path.insert(0, {engine!r})
from DeepDRRSlicerLib.dataset.job import read_job
from DeepDRRSlicerLib.dataset.runner import run_job

def progress(state):
    if state.done == {samples}:
        killer = threading.Timer({delay}, os.kill, (os.getpid(), signal.SIGKILL))
        killer.daemon = True
        killer.start()

run_job(read_job({job!r}), {folder!r}, 2, progress=progress)
"""


def kill_when(job_file, folder, samples, delay):
    """Runs the job in a process that is killed some ms after so many samples are there; whether it was still alive.

    It is that process which counts: from outside it could have ended before anybody looked.
    """
    engine = str(ROOT / "DeepDRRSlicer")
    code = RUN.format(engine=engine, job=str(job_file), folder=str(folder), samples=samples, delay=delay)
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode != 0


def check_kills(job, folder, whole, tmp_path, kills, seed):
    dice = random.Random(seed)
    interrupted = 0
    for number in range(kills):
        place = tmp_path / f"killed{number}"
        interrupted += kill_when(folder / "job.json", place, dice.randrange(0, 11), dice.uniform(0, 0.03))
        before = {
            path: (place / path).stat().st_mtime_ns
            for path in tree(place)
            if path.endswith(".json") and "records/" in path
        }
        summary = run_job(job, place, 2)
        assert summary.samples == 10
        after = {path: (place / path).stat().st_mtime_ns for path in before}
        assert after == before, "a sample that was complete was made again"
        assert tree(place) == whole
    assert interrupted >= kills // 3  # the others had ended before they were killed


def test_killed_at_random_moments_and_resumed(job, folder, whole, tmp_path):
    check_kills(job, folder, whole, tmp_path, 3, seed=1)


@pytest.mark.long
def test_killed_at_twenty_random_moments_and_resumed(job, folder, whole, tmp_path):
    check_kills(job, folder, whole, tmp_path, 20, seed=2)


@pytest.mark.parametrize("step", (0, 1, 17, 42, 47, 57))
def test_killed_between_any_two_files(job, folder, whole, tmp_path, monkeypatch, step):
    """The run ends, without any clean-up, before its n-th file is moved to its place."""
    place, count = tmp_path / "set", 0
    real = os.replace

    def replace(source, target):
        nonlocal count
        count += 1
        if count > step:
            raise SystemExit
        real(source, target)

    def unlink(*arguments, **options):  # what a killed run was writing stays
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", replace)
        patched.setattr(Path, "unlink", unlink)
        with pytest.raises(SystemExit):
            run_job(job, place, 1)
    run_job(job, place, 2)
    assert tree(place) == whole


def test_a_record_beside_a_torn_file_is_made_again(job, whole, folder, tmp_path):
    """As after the power was lost: what was moved into place may still be empty."""
    run_job(job, tmp_path / "set", 2)
    (tmp_path / "set" / "coco/images/000004.png").write_bytes(b"")
    (tmp_path / "set" / "records/000005.json").write_bytes(b"\0\0\0")
    assert run_job(job, tmp_path / "set", 2).new == 2
    assert tree(tmp_path / "set") == whole


def test_a_complete_set_is_left_as_it_is(job, whole, tmp_path):
    run_job(job, tmp_path / "set", 2)
    assert run_job(job, tmp_path / "set", 2).new == 0
    assert tree(tmp_path / "set") == whole


def test_stop_and_go_on(job, whole, tmp_path):
    seen = []
    with pytest.raises(Stopped):
        run_job(job, tmp_path / "set", 2, progress=seen.append, should_stop=lambda: bool(seen) and seen[-1].done >= 3)
    assert 3 <= len(records(tmp_path / "set")) < 10
    assert json.loads((tmp_path / "set" / "dataset.json").read_bytes())["state"] == "running"
    run_job(job, tmp_path / "set", 2)
    assert tree(tmp_path / "set") == whole


@pytest.mark.parametrize("looks", (1, 2, 9, 25, 60))
def test_stop_while_the_set_is_put_together(job, whole, tmp_path, looks):
    """All samples are there; the run ends at the n-th look at the stop button after that."""
    seen, left = [], looks

    def should_stop():
        nonlocal left
        left -= bool(seen) and seen[-1].done == 10
        return left <= 0

    with pytest.raises(Stopped):
        run_job(job, tmp_path / "set", 2, progress=seen.append, should_stop=should_stop)
    assert json.loads((tmp_path / "set" / "dataset.json").read_bytes())["state"] == "running"
    assert run_job(job, tmp_path / "set", 2).new == 0
    assert tree(tmp_path / "set") == whole


def test_interrupt_and_go_on(job, whole, tmp_path):
    def interrupt(progress):
        if progress.new == 2:
            raise KeyboardInterrupt

    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        run_job(job, tmp_path / "set", 3, progress=interrupt)
    assert threading.active_count() == threads
    run_job(job, tmp_path / "set", 1)
    assert tree(tmp_path / "set") == whole


def test_pause_begins_nothing_new(job, whole, tmp_path):
    seen, asked = [], 0

    def pause():
        nonlocal asked
        asked += bool(seen) and seen[-1].new >= 2
        return 0 < asked < 8

    run_job(job, tmp_path / "set", 1, progress=seen.append, pause=pause)
    assert asked >= 8 and tree(tmp_path / "set") == whole
    pauses = np.diff([progress.seconds for progress in seen])
    assert pauses.max() > 0.4


def test_progress_counts_and_tells_the_time(job, tmp_path):
    seen = []
    run_job(job, tmp_path / "set", 2, progress=seen.append)
    assert [progress.done for progress in seen] == list(range(11)) and seen[0].remaining is None
    assert all(progress.total == 10 for progress in seen) and seen[-1].remaining == 0
    halfway = Progress(done=60, total=100, new=20, seconds=5.0)
    assert (halfway.rate, halfway.remaining) == (4.0, 10.0)


def test_memory_is_bounded_by_few_samples(job, tmp_path, monkeypatch):
    """However many samples there are, no more than two for each worker are made and not yet written."""
    lock, under_way, most = threading.Lock(), 0, 0
    real_render, real_write = runner.render, runner.write_sample

    def render(*arguments):
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        return real_render(*arguments)

    def write(*arguments):
        nonlocal under_way
        time.sleep(0.02)
        real_write(*arguments)
        with lock:
            under_way -= 1

    monkeypatch.setattr(runner, "render", render)
    monkeypatch.setattr(runner, "write_sample", write)
    run_job(job, tmp_path / "set", 2)
    assert under_way == 0 and most <= 4


@pytest.mark.parametrize("code", [errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)])
@pytest.mark.parametrize("left", [0, 1, 9, 45])
def test_a_full_disk_stops_with_a_sentence_and_can_be_resumed(job, whole, tmp_path, monkeypatch, left, code):
    """Whether samples, records or the whole set's files find no room; errors: skip does not go on either."""
    count, real = 0, os.replace

    def replace(source, target):
        nonlocal count
        count += 1
        if count > left:
            raise OSError(code, "No space left on device")
        real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", replace)
        with pytest.raises(InputError, match="The disk of .* is full; make space") as caught:
            run_job(job, tmp_path / "set", 2)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "set").rglob("*.part"))
    run_job(job, tmp_path / "set", 2)
    assert tree(tmp_path / "set") == whole


@pytest.fixture
def with_bad_patient(tmp_path):
    """Three patients, whose second has a CT that cannot be read."""
    patients = [write_patient(tmp_path, name, seed=n) for n, name in enumerate("abc")]
    (tmp_path / "b_ct.nrrd").write_bytes(b"NRRD0004\nnothing\n")
    return patients


def test_an_unreadable_ct_stops_or_is_skipped_as_the_job_says(with_bad_patient, tmp_path):
    stop = write_job(tmp_path, "stop.json", patients=with_bad_patient)
    with pytest.raises(InputError, match="The patient b cannot be used"):
        run_job(stop, tmp_path / "stop", 2)
    skip = write_job(tmp_path, "skip.json", patients=with_bad_patient, errors="skip")
    summary = run_job(skip, tmp_path / "skip", 2)
    assert sorted(summary.skipped) == [1, 4, 7] and all("patient b" in why for why in summary.skipped.values())
    assert records(tmp_path / "skip") == [0, 2, 3, 5, 6]
    manifest = json.loads((tmp_path / "skip" / "dataset.json").read_bytes())
    assert [entry["index"] for entry in manifest["skipped"]] == [1, 4, 7]
    write_patient(tmp_path, "b", seed=1)  # the CT was repaired: the same command makes what was missing
    again = run_job(skip, tmp_path / "skip", 2)
    assert again.new == 3 and records(tmp_path / "skip") == list(range(8))


def test_when_nothing_can_be_made_it_says_why(with_bad_patient, tmp_path):
    job = write_job(tmp_path, patients=with_bad_patient[1:2], errors="skip")
    with pytest.raises(InputError, match="No sample .*patient b"):
        run_job(job, tmp_path / "set", 1)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA_ERROR_OUT_OF_MEMORY"), ValueError("a\nb")])
def test_whatever_befalls_a_sample_is_a_sentence(job, folder, tmp_path, monkeypatch, error):
    real = runner.render

    def render(job, patient, index, *more):
        if index == 5:
            raise error
        return real(job, patient, index, *more)

    monkeypatch.setattr(runner, "render", render)
    with pytest.raises(InputError, match="Sample 5 could not be made") as caught:
        run_job(job, tmp_path / "stop", 2)
    assert "\n" not in str(caught.value)
    skipping = change(job, folder, "skipping.json", errors="skip")
    assert list(run_job(skipping, tmp_path / "skip", 2).skipped) == [5]


def test_impossible_views_are_skipped_one_by_one(folder, job, tmp_path):
    """Samples whose demands cannot be met are left out; the others are what they are without them."""
    shift = {"offset": [0, 0, {"distribution": "uniform", "range": [-250, 250]}]}
    plan = job.data["plan"] | {"tries": 2, "visible": [{"landmark": "top"}], "centre": shift}
    strict = change(job, folder, "strict.json", plan=plan, errors="skip", count=20)
    summary = run_job(strict, tmp_path / "set", 2)
    assert 0 < len(summary.skipped) < 20 and summary.samples + len(summary.skipped) == 20
    assert all("None of the 2 views" in why for why in summary.skipped.values())


def test_a_set_is_not_mixed_unless_asked(job, folder, tmp_path, monkeypatch):
    place = tmp_path / "set"
    seen = []
    with pytest.raises(Stopped):
        run_job(job, place, 1, progress=seen.append, should_stop=lambda: bool(seen) and seen[-1].done >= 2)
    with pytest.raises(InputError, match="another job"):
        run_job(change(job, folder, "other.json", seed=6), place, 1, mix=True)
    real = set_folder._version
    monkeypatch.setattr(set_folder, "_version", lambda name: "0.0.1" if name == "numpy" else real(name))
    with pytest.raises(InputError, match="numpy 0.0.1.*--mix"):
        run_job(job, place, 1)
    assert run_job(job, place, 1, mix=True).samples == 10
    manifest = json.loads((place / "dataset.json").read_bytes())
    assert [versions["numpy"] for versions in manifest["mixed_versions"]] == [np.__version__, "0.0.1"]


def test_changed_patient_files_are_noticed(tmp_path):
    job = write_job(tmp_path)
    seen = []
    with pytest.raises(Stopped):
        run_job(job, tmp_path / "set", 1, progress=seen.append, should_stop=lambda: bool(seen) and seen[-1].done >= 2)
    write_patient(tmp_path, seed=9)
    with pytest.raises(InputError, match="files of the patient patient changed"):
        run_job(job, tmp_path / "set", 1)
    ct = tmp_path / "patient_ct.nrrd"
    checked = write_job(tmp_path, patients=job.data["patients"], checksums={ct.name: "0" * 64})
    with pytest.raises(InputError, match="patient_ct.nrrd.*checksum"):
        run_job(checked, tmp_path / "checked", 1)


def test_packages_that_write_the_files_are_versions_of_the_set(job, folder):
    """Their bytes may change with them, so a set is not to be continued with others unnoticed."""
    both = change(job, folder, "both.json", outputs=[{"writer": "dicom"}, {"writer": "hdf5"}])
    versions = set_folder.identity(both, "cpu", (1, 1))["versions"]
    assert {"pydicom", "h5py", "zlib"} < set(versions)


def test_folders_that_are_not_for_a_set(job, tmp_path):
    (tmp_path / "thesis.doc").write_text("")
    with pytest.raises(InputError, match="thesis.doc"):
        run_job(job, tmp_path, 1)
    with pytest.raises(InputError, match="Cannot write"):
        run_job(job, tmp_path / "thesis.doc" / "set", 1)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "dataset.json").write_text("{}")
    with pytest.raises(InputError, match="dataset.json"):
        run_job(job, tmp_path / "set", 1)
    assert (tmp_path / "thesis.doc").exists()


def test_two_runs_do_not_write_to_one_folder(job, tmp_path):
    with set_folder.sole_writer(tmp_path / "set"), pytest.raises(InputError, match="Another run"):
        run_job(job, tmp_path / "set", 1)
    run_job(job, tmp_path / "set", 2)


def test_previews_are_samples_of_the_run(job, whole):
    samples = preview(job, 4)
    assert len(samples) == 4 and len({sample.index for sample in samples}) == 4
    assert [sample.index for sample in preview(job, 4)] == [sample.index for sample in samples]
    assert len(preview(job, 99)) == 10
    from DeepDRRSlicerLib.dataset.image_bytes import png_array

    for sample in samples:
        assert (png_array(whole[f"coco/images/{sample.index:06}.png"]) == sample.picture).all()


def test_tools_stand_where_they_were_drawn(tmp_path):
    """A box moved to a landmark and turned: its mask around the landmark's pixel, its thickness that of the box."""
    pytest.importorskip("trimesh")
    tool = {"name": "rod", "mesh": write_tool(tmp_path), "material": "iron", "pivot": "left", "at_pivot": True,
            "rotation": [0, 0, {"distribution": "uniform", "range": [-90, 90]}], "probability": 0.7}  # fmt: skip
    job = write_job(tmp_path, tools=[tool], count=20)
    patient = make_ready(job, read_patient(job, 0))
    seen = 0
    for index in range(20):
        sample = make_sample(job, patient, index)
        there = sample.settings["tools"][0]["there"]
        assert there == bool(sample.tools)
        if not there:
            continue
        seen += 1
        label = sample.tools[0]
        assert label.pose @ (0, 0, 0, 1) == pytest.approx([-30, 0, 0, 1])
        angle = np.deg2rad(sample.settings["tools"][0]["rotation"][2])
        assert label.pose[:3, 0] == pytest.approx([np.cos(angle), np.sin(angle), 0])
        landmark = next(one for one in sample.landmarks if one.name == "left")
        rows, columns = np.nonzero(label.mask)
        assert np.median(columns) == pytest.approx(landmark.column, abs=1.5)
        assert np.median(rows) == pytest.approx(landmark.row, abs=1.5)
        assert 3 < label.thickness.max() < np.sqrt(30**2 + 6**2 + 6**2) + 1e-3
        assert "iron" in sample.radiograph.materials
    assert 8 <= seen <= 19


def test_tool_label_of_a_box_has_its_thickness():
    from DeepDRRSlicerLib.anatomy.landmarks import Landmark
    from DeepDRRSlicerLib.geometry.carm import CArmPose
    from DeepDRRSlicerLib.projection.tools import Tool

    corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * (10.0, 4.0, 10.0)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])
    beam = CArmPose(0, 0, (0, 0, 0), 1000, 600, (65, 65), (1, 1)).beam()
    label = label_tool(Tool("box", corners, faces, "iron"), np.eye(4), beam)
    assert label.thickness[32, 32] == pytest.approx(8, rel=1e-5)
    # the near face, at 596 mm, has the larger shadow: 2 x 10 mm x 1000/596
    assert label.mask[32].sum() == pytest.approx(2 * 10 * 1000 / 596, abs=1)
    assert label_landmarks([Landmark("o", (0, 0, 0))], beam)[0].visible


def test_points_stand_for_a_segment(job):
    mask = next(s.mask for s in read_patient(job, 0).segments if s.name == "label 2")
    everything, few = points_of(mask, 10**6), points_of(mask, 40)
    assert len(everything) == np.count_nonzero(mask.array) and len(few) == 40
    np.testing.assert_allclose(few.mean(axis=0), everything.mean(axis=0), atol=3)
    assert {tuple(p) for p in few} <= {tuple(p) for p in everything}


def test_names_that_are_not_the_patients(tmp_path):
    patients = [write_patient(tmp_path)]
    job = write_job(tmp_path, patients=patients, labels={"segments": ["label 2"], "landmarks": ["top", "left"]})
    data = read_patient(job, 0)
    assert [s.name for s in data.segments] == ["label 2"] and [one.name for one in data.landmarks] == ["top", "left"]
    wrong = write_job(tmp_path, patients=patients, labels={"segments": ["liver"]})
    with pytest.raises(InputError, match=r"labels.segments\[0\].*liver.*label 1, label 2"):
        read_patient(wrong, 0)


@pytest.fixture
def command(tmp_path, capsys):
    from DeepDRRSlicerLib import __main__ as program

    def call(*arguments):
        code = program.main([str(argument) for argument in arguments])
        return code, capsys.readouterr()

    return call


def test_command_writes_the_same_set(job, folder, whole, tmp_path, command):
    code, said = command("export", folder / "job.json", "-o", tmp_path / "set", "--workers", 2)
    assert code == 0 and "10 samples, 10 of them new" in said.out and "10 of 10" in said.err
    assert tree(tmp_path / "set") == whole
    for arguments, part in (
        (["--shard", "3/2"], "--shard"),
        (["--workers", "0"], "--workers"),
        (["--preview", "-1"], "--preview"),
    ):
        code, said = command("export", folder / "job.json", *arguments)
        assert code == 2 and part in said.err and said.err.count("\n") == 1
    assert command("export", folder / "none.json")[0] == 2


def test_command_previews(folder, whole, job, tmp_path, command):
    code, said = command("export", folder / "job.json", "--preview", 2, "-o", tmp_path / "preview")
    images = sorted((tmp_path / "preview").glob("*.png"))
    assert code == 0 and len(images) == 2
    assert all(image.read_bytes() == whole[f"coco/images/{image.name}"] for image in images)


# The command, where most samples take until the run is told to stop: it is under way whenever the signal comes.
SLOW = """
import signal, sys, time
from DeepDRRSlicerLib.__main__ import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs would ignore
from DeepDRRSlicerLib.dataset import runner

real = runner.render

end = time.monotonic() + 300

def render(job, patient, index, should_stop, *more):
    while index > 2 and not should_stop() and time.monotonic() < end:
        time.sleep(0.01)
    return real(job, patient, index, should_stop, *more)

runner.render = render
sys.exit(main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_stops_cleanly_and_goes_on(job, folder, whole, tmp_path, command, number):
    """Ctrl-C, and what cluster schedulers send before they kill."""
    env = os.environ | {"PYTHONPATH": str(ROOT / "DeepDRRSlicer")}
    line = [sys.executable, "-c", SLOW, "export", str(folder / "job.json"), "-o", str(tmp_path / "set")]
    process = subprocess.Popen(line, env=env, stderr=subprocess.PIPE)
    until = time.monotonic() + 300
    while not records(tmp_path / "set"):
        assert process.poll() is None and time.monotonic() < until, process.communicate()[1].decode()
        time.sleep(0.01)
    process.send_signal(number)
    error = process.communicate()[1].decode()
    assert process.returncode == 2 and "go on" in error and "Traceback" not in error, error
    assert json.loads((tmp_path / "set" / "dataset.json").read_bytes())["state"] == "running"
    assert command("export", folder / "job.json", "-o", tmp_path / "set")[0] == 0
    assert tree(tmp_path / "set") == whole


def test_job_data_is_not_changed_by_running(job):
    assert job.data == job_data(job.data["patients"], outputs=OUTPUTS, count=10)
