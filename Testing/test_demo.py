"""`make demo`, as a person runs it, on a real DICOM series, on the sample CT, and on what is no CT."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

ROOT = Path(__file__).resolve().parents[1]
VIEWS = {"AP": (0, 0), "LAO_30": (30, 0), "Cranial_25": (0, 25)}


def demo(*arguments):
    command = [sys.executable, ROOT / "Testing" / "demo.py", *arguments]
    return subprocess.run([str(c) for c in command], capture_output=True, text=True)


def check(output):
    """Every promised file is there and says what it should."""
    for name, angles in VIEWS.items():
        folder = output / name
        view = json.loads((folder / "view.json").read_text())
        assert (view["c_arm"]["primary_angle"], view["c_arm"]["secondary_angle"]) == angles
        signal = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "signal.nrrd")))[0]
        assert list(signal.shape) == view["geometry"]["size"] and np.isfinite(signal).all() and signal.min() >= 0
        picture = sitk.GetArrayFromImage(sitk.ReadImage(str(output / f"{name}.png")))
        assert picture.std() > 10, "a picture of one colour"
        assert {"masks.seg.nrrd", "landmarks.json", "display.png"} <= {p.name for p in folder.iterdir()}
    scene = sitk.GetArrayFromImage(sitk.ReadImage(str(output / "scene.png")))
    assert scene.std() > 10
    assert (output / "scene.mrb").stat().st_size > 100_000


def test_demo_on_a_dicom_folder(shared_data, tmp_path):
    done = demo("--ct", shared_data / "dicom_20slices" / "dicom", "--output", tmp_path / "demo")
    assert done.returncode == 0, done.stderr
    check(tmp_path / "demo")
    assert "Wrote" in done.stdout and "Total" in done.stdout


def test_demo_says_in_a_sentence_what_is_no_ct(tmp_path):
    done = demo("--ct", tmp_path / "absent.nrrd", "--output", tmp_path / "demo")
    assert done.returncode == 2
    assert "absent.nrrd" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.long
def test_demo_on_the_sample_ct(tmp_path):
    done = demo("--output", tmp_path / "demo")
    assert done.returncode == 0, done.stderr
    check(tmp_path / "demo")
    view = json.loads((tmp_path / "demo" / "AP" / "view.json").read_text())
    assert len(view["segments"]) > 80 and {"heart", "aorta"} <= {segment["name"] for segment in view["segments"]}
