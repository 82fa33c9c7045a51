"""One scene for each test module: the real MRML libraries, started once and cleared between tests."""

import pytest

from host import core as slicer_core


@pytest.fixture(scope="module")
def core():
    running = slicer_core.start(testing=True)
    yield running
    slicer_core.stop()


@pytest.fixture
def scene(core):
    core.scene.Clear(0)
    yield core.scene
    core.scene.Clear(0)
