"""The thread behind the live picture: the newest job wins, and a running preview may end."""

import sys
import threading
import time

import pytest

from DeepDRRSlicerLib.projection.projector import Stopped
from DeepDRRSlicerLib.simulation.turns import short_turns
from DeepDRRSlicerLib.simulation.worker import LatestWorker

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")


def slow_worker():
    """A worker whose jobs take until they are let go, or are told to stop; and the list of jobs it began."""
    begun, go_on = [], threading.Event()

    def work(job, should_stop):
        begun.append(job)
        while not go_on.is_set():
            if should_stop():
                raise Stopped
            time.sleep(0.001)
        if job == "bad":
            raise ValueError("bad job")
        return job

    return LatestWorker(work), begun, go_on


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end
        time.sleep(0.002)
    return result


def test_the_last_of_several_requests_is_what_comes_out():
    worker, begun, go_on = slow_worker()
    worker.submit(1)
    wait_for(lambda: begun == [1])
    worker.submit(2)
    worker.submit(3)
    wait_for(lambda: begun[-1] == 3)
    assert worker.collect() is None
    go_on.set()
    assert wait_for(worker.collect).result == 3
    assert worker.collect() is None
    assert 2 not in begun or begun.index(2) < begun.index(3)
    worker.close()


def test_a_result_that_is_out_of_date_is_never_handed_out():
    worker, begun, go_on = slow_worker()
    go_on.set()
    worker.submit("old")
    wait_for(lambda: worker._outcome)  # it lies ready
    assert begun == ["old"]
    go_on.clear()
    worker.submit("new")
    assert worker.collect() is None
    go_on.set()
    assert wait_for(worker.collect).result == "new"
    worker.submit("gone")
    worker.cancel()
    time.sleep(0.05)
    assert worker.collect() is None
    go_on.clear()
    worker.submit("running")
    wait_for(lambda: begun[-1] == "running")
    worker.cancel()
    go_on.set()
    time.sleep(0.05)
    assert worker.collect() is None
    worker.close()


def test_a_job_that_does_not_listen_is_out_of_date_all_the_same():
    """It ends after a newer one was submitted, and before that one begins: its result must not be shown."""
    begun, go_on = [], threading.Event()

    def work(job, should_stop):
        begun.append(job)
        assert go_on.wait(60)
        return job

    worker = LatestWorker(work)
    worker.submit("old")
    wait_for(lambda: begun == ["old"])
    worker.submit("new")
    go_on.set()
    found = []
    wait_for(lambda: (outcome := worker.collect()) and found.append(outcome.result) or found)
    time.sleep(0.02)
    assert found == ["new"] and worker.collect() is None
    worker.close()
    worker.submit("late")
    time.sleep(0.02)
    assert begun == ["old", "new"] and worker.collect() is None


def test_a_cancelled_job_that_waits_never_begins():
    worker, begun, go_on = slow_worker()
    worker.submit(1)
    wait_for(lambda: begun == [1])
    with worker._changed:  # so that the thread cannot take the second job before it is cancelled
        worker.submit(2)
        worker.cancel()
    time.sleep(0.05)
    assert begun == [1] and worker.collect() is None
    go_on.set()
    worker.submit(3)
    assert wait_for(worker.collect).result == 3
    worker.close()


def test_closing_stops_the_job_that_runs():
    worker, begun, _ = slow_worker()
    worker.submit(1)
    wait_for(lambda: begun == [1])
    worker.close()
    assert worker.collect() is None


def test_closing_does_not_wait_long_for_a_job_that_does_not_listen():
    begun, go_on = threading.Event(), threading.Event()

    def compiling(job, should_stop):
        begun.set()
        go_on.wait(10)

    worker = LatestWorker(compiling, "compiling")
    worker.submit(1)
    assert begun.wait(60)
    start = time.monotonic()
    worker.close(patience=0.05)
    assert time.monotonic() - start < 5
    go_on.set()
    wait_for(lambda: not any(thread.name == "compiling" for thread in threading.enumerate()))
    assert worker.collect() is None


def test_a_failed_job_is_reported_and_the_next_one_runs():
    worker, _, go_on = slow_worker()
    go_on.set()
    worker.submit("bad")
    assert "bad job" in str(wait_for(worker.collect).error)
    worker.submit("good")
    assert wait_for(worker.collect).result == "good"
    worker.close()
    assert not any(thread.name == "DeepDRRSlicer" for thread in threading.enumerate())


def test_a_preview_ends_although_the_next_one_waits():
    worker, begun, go_on = slow_worker()
    worker.submit("first")
    wait_for(lambda: begun == ["first"])
    worker.submit("second", interrupt=False)
    last = worker.submit("third", interrupt=False)
    go_on.set()
    outcome = wait_for(worker.collect)
    if outcome.result == "first":  # else the third one ended before anyone looked
        assert not outcome.newest
        outcome = wait_for(worker.collect)
    assert (outcome.result, outcome.ticket, outcome.newest) == ("third", last, True)
    assert begun == ["first", "third"]
    worker.close()


def test_an_outcome_that_lies_ready_is_out_of_date_once_there_is_a_newer_job():
    worker, begun, go_on = slow_worker()
    go_on.set()
    worker.submit("preview")
    wait_for(lambda: worker._outcome)  # it lies ready
    go_on.clear()
    worker.submit("next", interrupt=False)
    outcome = wait_for(worker.collect)
    assert outcome.result == "preview" and not outcome.newest
    worker.submit("full", interrupt=True)
    go_on.set()
    outcome = wait_for(worker.collect)
    assert outcome.result == "full" and outcome.newest and worker.collect() is None
    worker.close()


def test_it_is_busy_from_the_request_to_the_outcome():
    worker, begun, go_on = slow_worker()
    assert not worker.is_busy
    worker.submit("good")
    assert worker.is_busy
    wait_for(lambda: begun)
    assert worker.is_busy
    go_on.set()
    wait_for(worker.collect)
    wait_for(lambda: not worker.is_busy)
    worker.submit("bad")
    wait_for(worker.collect)
    wait_for(lambda: not worker.is_busy)
    worker.close()


def test_threads_take_turns_more_often_while_somebody_works():
    usual, seen = sys.getswitchinterval(), []
    with short_turns():
        with short_turns():
            seen.append(sys.getswitchinterval())
        seen.append(sys.getswitchinterval())
    assert seen == [pytest.approx(0.0001)] * 2 and sys.getswitchinterval() == usual
    with pytest.raises(KeyError), short_turns():
        raise KeyError
    assert sys.getswitchinterval() == usual
