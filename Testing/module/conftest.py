"""The module in the test host."""

from pathlib import Path

import numpy as np
import pytest

from host.pytest_fixtures import slicer_host  # noqa: F401

MODULE = Path(__file__).resolve().parents[2] / "DeepDRRSlicer" / "DeepDRRSlicer.py"


@pytest.fixture
def host(slicer_host, monkeypatch):  # noqa: F811
    """The test host with the module loaded; the network of the materials rests, whether or not it could run.

    The models of the C-arm follow at once; that they wait for the picture is a test of test_module_carm.py.
    """
    slicer_host.loadModule(MODULE)
    from DeepDRRSlicerLib.scene import materials_work
    from DeepDRRSlicerLib.ui.later import Later

    monkeypatch.setattr(materials_work, "network_missing", lambda: "The network rests.")
    monkeypatch.setattr(Later, "ask", Later.do)
    return slicer_host


@pytest.fixture
def patient(host):
    """A CT node: 20 cm of water with three beads of bone, 50 mm to the left, head and front; 4 mm voxels."""
    import slicer

    ras = (np.indices((50, 50, 50)).transpose(1, 2, 3, 0)[..., ::-1] - 24.5) * 4.0
    hu = np.where(np.abs(ras).max(axis=-1) < 90, 0, -1000).astype(np.int16)
    for bead in ((-50, 0, 0), (0, 0, 50), (0, 50, 0)):
        hu[np.linalg.norm(ras - bead, axis=-1) < 8] = 2500
    node = slicer.util.addVolumeFromArray(hu, name="Patient")
    node.SetSpacing(4, 4, 4)
    node.SetOrigin(-98, -98, -98)
    return node
