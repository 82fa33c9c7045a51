"""Damaged detector files: each gives a detector that makes finite images, or one sentence."""

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
from DeepDRRSlicerLib.physics.readout import frame_generator, read_out

FOLDER = Path(detector_module.__file__).parents[1] / "data" / "detectors"


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.long)])
def test_any_file_gives_a_detector_or_a_sentence(tmp_path, count):
    path = tmp_path / "detector.json"
    mean = np.array([[0.0, 1.0, 100.0, 1e4], [1e6, 1e9, 5.0, 0.0], [1e3, 1e3, 1e3, 1e3]], dtype=np.float32)
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
        factors = found.swank_factor([1.0, 33.169, 60.0, 150.0])
        assert ((factors > 0) & (factors <= 1)).all()
        frame = read_out(mean, 50 * mean, found, found.pixel_grid()[1], frame_generator(1), 0.4)
        assert np.isfinite(frame.signal).all() and frame.signal.shape == mean.shape
        size, pitch = found.pixel_grid()
        try:
            beam = CArmPose(0, 0, (0, 0, 0), 1000, 600, size, (pitch, pitch)).beam()
        except InputError as error:  # pixels of a size that no view has
            assert "pitch" in str(error) or "columns" in str(error) or "pixel00" in str(error)
        else:
            assert np.isfinite(beam.P).all() and beam.size == size

    run()
