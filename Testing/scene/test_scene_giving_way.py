"""Long work in the background leaves the computer to pictures."""

import os
import sys
import threading
import time

import pytest

from DeepDRRSlicerLib.scene.giving_way import giveWay, givingWay


def test_it_waits_while_a_picture_is_under_way():
    busy = [True]
    threading.Timer(0.1, busy.clear).start()
    begin = time.monotonic()
    assert givingWay(lambda: False, lambda: bool(busy))() is False
    assert 0.09 < time.monotonic() - begin < 0.45
    begin = time.monotonic()
    assert givingWay(lambda: False, lambda: False)() is False
    assert time.monotonic() - begin < 0.05


def test_it_goes_on_under_a_pedal_held_down_and_ends_at_once_on_request():
    begin = time.monotonic()
    assert givingWay(lambda: False, lambda: True, longest=0.05)() is False
    assert 0.04 < time.monotonic() - begin < 2
    assert givingWay(lambda: True, lambda: True, longest=60.0)() is True
    assert time.monotonic() - begin < 4


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="single threads have a niceness on Linux alone")
def test_its_thread_and_those_it_starts_come_after_others():
    found = []

    def niceness():
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    def work():
        giveWay()
        niceness()
        child = threading.Thread(target=niceness)
        child.start()
        child.join()

    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found[0] > before and found[1] == found[0]
    niceness()
    assert found[2] == before
