"""Shared by all suites: where the engine, the test host and the real CT are."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "DeepDRRSlicer"), str(ROOT / "Testing")]


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """What is kept from run to run stays out of the tester's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPDRRSLICER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real CT beside the checkout; tests that need it skip, visibly, where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real CT at {folder}")
    return folder
