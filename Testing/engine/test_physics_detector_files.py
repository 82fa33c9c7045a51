"""Damaged detector files: each gives a detector or one sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from json_fuzz import files_like

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.physics import detector as detector_module
from DeepDRRSlicerLib.physics.detector import detector_names, load_detector

FOLDER = Path(detector_module.__file__).parents[1] / "data" / "detectors"


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.long)])
def test_any_file_gives_a_detector_or_a_sentence(tmp_path, count):
    path = tmp_path / "detector.json"
    valid = [json.loads((FOLDER / f"{name}.json").read_text()) for name in detector_names()]

    @settings(max_examples=count, deadline=None)
    @given(text=files_like(*valid))
    def run(text):
        path.write_text(text, encoding="utf-8")
        try:
            found = load_detector(path)
        except InputError as error:
            assert str(error).endswith(".") and "detector.json" in str(error)
            return
        absorbed = found.efficiency([30.0, 60.0, 100.0])
        assert ((absorbed >= 0) & (absorbed <= 1)).all()
        size, pitch = found.pixel_grid()
        try:
            beam = CArmPose(0, 0, (0, 0, 0), 1000, 600, size, (pitch, pitch)).beam()
        except InputError as error:  # pixels of a size that no view has
            assert "pitch" in str(error) or "columns" in str(error) or "pixel00" in str(error)
        else:
            assert np.isfinite(beam.P).all() and beam.size == size

    run()
