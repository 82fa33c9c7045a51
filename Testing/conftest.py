"""Shared by all suites: where the engine, the test host and the real CT are."""

import os
import sys
from importlib.util import find_spec
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


@pytest.fixture(scope="session", autouse=True)
def compiled_code_of_one(tmp_path_factory):
    """Processes that run tests side by side do not meet in numba's cache of compiled code.

    An entry is a file, and its number in an index. Each is replaced whole, but not both at once: two processes that
    compile a kernel for different arguments could give both the same number, and one would load the other's code.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ or find_spec("numba") is None:
        yield
        return
    import fcntl

    from numba.core import caching

    lock = tmp_path_factory.getbasetemp().parent / "compiled.lock"

    def alone(work):
        def locked(*arguments):
            with open(lock, "w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                return work(*arguments)

        return locked

    with pytest.MonkeyPatch.context() as patch:
        for name in ("load", "save"):
            patch.setattr(caching.IndexDataCacheFile, name, alone(getattr(caching.IndexDataCacheFile, name)))
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real CT beside the checkout; tests that need it skip, visibly, where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real CT at {folder}")
    return folder
