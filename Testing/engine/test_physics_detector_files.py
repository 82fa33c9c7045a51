"""Damaged detector files: each gives a detector or one sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from json_fuzz import files_like

from DeepDRRSlicerLib.errors import InputError
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
        assume("[[[[" not in text and "0" * 300 not in text)  # nesting and numbers beyond what Python itself can hold
        path.write_text(text, encoding="utf-8")
        try:
            found = load_detector(path)
        except InputError as error:
            assert str(error).endswith(".") and "detector.json" in str(error)
        else:
            (rows, columns), pitch = found.pixel_grid()
            absorbed = found.efficiency([30.0, 60.0, 100.0])
            assert rows >= 1 and columns >= 1 and pitch > 0 and ((absorbed >= 0) & (absorbed <= 1)).all()
            assert np.isfinite(absorbed).all()

    run()
