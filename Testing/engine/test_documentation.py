"""What the documentation shows works: its training script with a few steps, its job files as they stand."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
from dataset_jobs import write_job

from DeepDRRSlicerLib.dataset.job import parse_job
from DeepDRRSlicerLib.dataset.records import RecordFiles
from DeepDRRSlicerLib.dataset.runner import run_job

DOCUMENTATION = Path(__file__).resolve().parents[2] / "Documentation"


@pytest.fixture(scope="module")
def script():
    for package in ("torch", "webdataset"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # its threads wait for each other where other programs have the cores
    spec = importlib.util.spec_from_file_location("train_landmarks", DOCUMENTATION / "train_landmarks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("set")
    job = write_job(place, count=12, outputs=[{"writer": "webdataset", "shard_size": 4}])
    return run_job(job, place / "set", 2).folder


@pytest.fixture(scope="module")
def shards(folder):
    return sorted(str(path) for path in (folder / "webdataset").glob("shard-*.tar"))


def test_the_training_script_runs_and_says_how_well_it_does(script, folder, shards, capsys):
    """A few steps; the error of the mean position is the one that the records give."""
    guess, network = script.main([*shards, "--held-out", "1", "--steps", "3"])
    said = capsys.readouterr().out
    assert (
        "8 views to train on, 4 held out, 3 landmarks" in said and f"network: mean error {network:.2f} pixels" in said
    )
    places = np.array([[(one["column"], one["row"]) for one in record["landmarks"]] for record in RecordFiles(folder)])
    seen = np.array([[one["visible"] for one in record["landmarks"]] for record in RecordFiles(folder)])
    means = [places[:8, n][seen[:8, n]].mean(axis=0) for n in range(3)]
    expected = np.linalg.norm(places[8:] - means, axis=2)[seen[8:]].mean()
    assert guess == pytest.approx(expected, rel=1e-4) and np.isfinite(network)


def test_the_network_learns(script, shards):
    """What it is shown it comes to know: after some steps the error is a part of what it was."""
    *seen, size = script.read_shards(shards)
    errors = []
    for steps in (1, 40):
        network = script.train(*seen, 0, steps, seed=0)  # as in training: the running means of so few steps are rough
        errors.append(script.distances(network(seen[0]), *seen[1:], size).mean().item())
    assert errors[1] < 0.6 * errors[0]


def test_the_network_can_say_any_position(script):
    """All heat in one place is a position there, from 0 at the first pixel's border to 1 at the last one's."""
    import torch

    heat = torch.full((1, 2, 8, 16), -1e4)
    heat[0, 0, 2, 5] = heat[0, 1, 7, 15] = 1e4
    assert script.centre_of_mass(heat)[0].numpy() == pytest.approx(
        np.array([[5.5 / 16, 2.5 / 8], [15.5 / 16, 7.5 / 8]])
    )


def test_one_shard_cannot_be_held_out_from_itself(script, shards):
    with pytest.raises(SystemExit, match="more shards"):
        script.main([shards[0]])


def test_job_files_of_the_documentation_are_valid():
    found = re.findall(r"```json\n(.*?)```", (DOCUMENTATION / "datasets.md").read_text(encoding="utf-8"), re.DOTALL)
    jobs = [json.loads(text) for text in found if '"format": "DeepDRRSlicer job' in text]
    parts = [json.loads("{" + text + "}") for text in found if '"format": "DeepDRRSlicer job' not in text]
    assert jobs and parts
    for job in jobs:
        parse_job(job)
        for part in parts:
            parse_job(job | part)
