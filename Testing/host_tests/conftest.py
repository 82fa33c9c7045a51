"""The test host, tested on a sample module."""

from pathlib import Path

import pytest

from host.pytest_fixtures import slicer_host  # noqa: F401


@pytest.fixture
def sample() -> Path:
    """File of the sample module."""
    return Path(__file__).parent / "SamplePanel" / "SamplePanel.py"


@pytest.fixture
def panel(slicer_host, sample):  # noqa: F811
    """Widget of the sample module, opened in a scene that holds one volume, which is selected."""
    import slicer

    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    slicer_host.loadModule(sample)
    widget = slicer_host.openModule()
    widget.ui.inputSelector.setCurrentNode(volume)
    return widget
