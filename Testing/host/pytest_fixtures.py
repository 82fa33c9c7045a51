"""The fixture for tests of the module: ``from host.pytest_fixtures import slicer_host`` in a conftest.py.

Each test gets a scene of its own; what slots, observers and threads raise during the test fails it.
"""

import pytest

from .application import HostApplication


@pytest.fixture
def slicer_host():
    with HostApplication() as host:
        yield host
