"""Where the card cannot go on the CPU does, in the same call, and says why; and the thread that owns the card."""

import gc
import json
import threading
import time

import numpy as np
import pytest
from dataset_jobs import write_job, write_patient

from DeepDRRSlicerLib.__main__ import main
from DeepDRRSlicerLib.commands import info
from DeepDRRSlicerLib.dataset.finish import MANIFEST
from DeepDRRSlicerLib.dataset.records import record_path
from DeepDRRSlicerLib.dataset.runner import run_job
from DeepDRRSlicerLib.dataset.set_folder import with_backend
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import CArmPose
from DeepDRRSlicerLib.projection.cuda import device_thread, drivers, on_device
from DeepDRRSlicerLib.projection.cuda.device_thread import DeviceThread
from DeepDRRSlicerLib.projection.cuda.driver import DeviceError
from DeepDRRSlicerLib.projection.cuda.on_device import DeviceProjector
from DeepDRRSlicerLib.projection.projector import Stopped, backend_in_use, make_projector
from DeepDRRSlicerLib.simulation.simulator import Simulator
from phantoms import material_volume

PROJECTOR = "DeepDRRSlicerLib.projection.cuda.projector.CudaProjector"
SHORT = DeviceError("the card has not enough free memory", out_of_memory=True)
GONE = DeviceError("the card stopped working (test); restart the program to use it again", lost=True)


class FakeDriver:
    name, device, capability = "cuda-core", "Stand-in 9000", (9, 0)

    def __init__(self):
        self.thread, self.closed = threading.current_thread(), False

    def close(self):
        assert threading.current_thread() is self.thread
        self.closed = True


class FakeCard:
    """A CudaProjector whose pictures are ones; raises what `fail` holds, the next first."""

    def __init__(self, volume, driver, fail):
        self.materials, self.memory_bytes, self.freed = volume.materials, 7, False
        self._driver, self._fail, self.calls = driver, fail, 0
        self._raise()

    def _raise(self):
        assert threading.current_thread() is self._driver.thread and not self.freed
        error = self._fail.pop(0) if self._fail else None
        if error is not None:
            raise error

    def project(self, beams, tools=(), should_stop=lambda: False):
        self.calls += 1
        self._raise()
        return np.ones((len(beams), len(self.materials), *beams[0].size), np.float32)

    preview = project

    def free(self):
        assert threading.current_thread() is self._driver.thread
        self.freed = True


class FakeCpu:
    name, note, memory_bytes, details = "cpu", "", 5, {"backend": "cpu"}

    def project(self, beams, tools=(), should_stop=lambda: False):
        return np.full((len(beams), 1, *beams[0].size), 2, np.float32)

    preview = project


@pytest.fixture
def device():
    """A thread with a stand-in for a card; nothing is remembered of it."""
    thread = DeviceThread(FakeDriver)
    yield thread
    thread.close()
    drivers._lost.clear()


@pytest.fixture
def there_is_one(device, monkeypatch):
    """As if the computer had it."""
    monkeypatch.setattr(device_thread, "shared_device", lambda choice="auto": device)
    return device


def volume():
    return material_volume(np.ones((4, 4, 4)), np.eye(4))


def beams(count=4):
    return [CArmPose(10 * n, 0, (0, 0, 0), 1000, 600, (3, 5), (2, 2)).beam() for n in range(count)]


def projector(device, *fail):
    cards = []

    def make(volume, driver):
        cards.append(FakeCard(volume, driver, list(fail)))
        return cards[-1]

    return DeviceProjector(volume(), device, FakeCpu, make), cards


def test_on_the_card(device):
    made, cards = projector(device)
    assert (made.project(beams()) == 1).all() and (made.preview(beams(1)) == 1).all()
    assert (made.name, made.note) == ("cuda", "cuda-core, Stand-in 9000") and made.memory_bytes == 7
    assert made.details == {"backend": "cuda (cuda-core, Stand-in 9000)"}
    assert made.compute(lambda card, driver, stop: (card, driver.name), lambda: False) == (cards[0], "cuda-core")


@pytest.mark.parametrize("error", [SHORT, GONE], ids=["memory", "lost"])
@pytest.mark.parametrize("when", [0, 1, 2], ids=["volume", "first", "second"])
@pytest.mark.parametrize("method", ["project", "preview"])
def test_the_picture_arrives_whatever_the_card_does(device, error, when, method):
    made, cards = projector(device, *[None] * when, error)
    pictures = [getattr(made, method)(beams()) for _ in range(3)]
    expected = [1 if n + 1 < when else 2 for n in range(3)]
    assert [float(picture.max()) for picture in pictures] == expected
    assert all(picture.shape == (4, 1, 3, 5) for picture in pictures)
    assert (made.name, made.note, made.memory_bytes) == ("cpu", str(error), 5)
    assert made.details == {"backend": "cpu", "backend_note": str(error)}
    device.call(lambda *_: None)  # after what was posted
    assert when == 0 or cards[0].freed, "what the card holds is given back"
    with pytest.raises(DeviceError):
        made.compute(lambda *_: None, lambda: False)


def test_errors_that_are_not_the_cards_reach_the_caller(device):
    for error in (InputError("source inside"), Stopped(), ValueError("bug")):
        made, _ = projector(device, None, error)
        with pytest.raises(type(error)):
            made.project(beams())
        assert made.name == "cuda" and (made.project(beams()) == 1).all()


def test_torch_gives_back_what_it_keeps_before_the_cpu_takes_over(device, monkeypatch):
    class Torch:
        class cuda:
            emptied, initialised = 0, True

            @classmethod
            def is_initialized(cls):
                return cls.initialised

            @classmethod
            def empty_cache(cls):
                cls.emptied += 1

    monkeypatch.setitem(on_device.sys.modules, "torch", Torch)
    made, _ = projector(device, SHORT, SHORT)  # the volume at the second try, then the first picture likewise
    assert made.name == "cpu" and Torch.cuda.emptied == 1
    made, cards = projector(device, None, SHORT)
    assert (made.project(beams()) == 1).all() and made.name == "cuda" and Torch.cuda.emptied == 2
    Torch.cuda.initialised = False
    made, _ = projector(device, None, SHORT)
    assert (made.project(beams()) == 2).all() and Torch.cuda.emptied == 2
    made, _ = projector(device, None, GONE)
    assert (made.project(beams()) == 2).all() and Torch.cuda.emptied == 2


def test_many_callers_and_one_failure(device):
    made, cards = projector(device, *[None] * 6, GONE)
    maxima = []
    threads = [threading.Thread(target=lambda: maxima.append(float(made.project(beams()).max()))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(maxima)[:5] == [1.0] * 5 and max(maxima) == 2.0 and len(maxima) == 12
    assert made.name == "cpu" and (made.project(beams()) == 2).all()
    device.call(lambda *_: None)
    assert cards[0].freed  # which refuses whatever comes after


def test_what_the_card_holds_goes_with_the_projector(device):
    made, cards = projector(device)
    del made
    gc.collect()
    device.call(lambda *_: None)
    assert cards[0].freed


def test_a_card_that_is_lost_is_not_opened_again(device):
    made, _ = projector(device, None, GONE)
    made.project(beams())
    with pytest.raises(DeviceError, match="stopped working"):
        drivers.open_driver()
    assert all("stopped working" in why for why in drivers.why_not().values())


# The thread


def test_the_thread_opens_works_and_closes():
    device = DeviceThread(FakeDriver)
    assert (device.name, device.device) == ("cuda-core", "Stand-in 9000")
    driver = device.call(lambda driver, stop: driver)
    assert device.call(lambda driver, stop: device.call(lambda driver, stop: 3)) == 3, "work may itself call"
    device.close()
    device.close()
    assert driver.closed and not driver.thread.is_alive()
    for ask in (lambda: device.call(lambda *_: None),):
        with pytest.raises(DeviceError, match="let go of"):
            ask()
    device.post(lambda driver: None)  # nobody's error


def test_a_thread_that_cannot_open_says_why():
    def refuse():
        raise DeviceError("no such card")

    before = threading.active_count()
    with pytest.raises(DeviceError, match="no such card"):
        DeviceThread(refuse)
    time.sleep(0.05)
    assert threading.active_count() == before


def test_stopping_answers_at_once_and_leaves_the_thread_usable(device):
    begun, go_on, heard = threading.Event(), threading.Event(), []

    def long_work(driver, should_stop):
        begun.set()
        go_on.wait(10)
        heard.append(should_stop())
        return "late"

    flag = threading.Event()
    threading.Thread(target=lambda: (begun.wait(), flag.set())).start()
    here = threading.current_thread()
    with pytest.raises(Stopped):  # the work itself does not listen
        device.call(long_work, lambda: flag.is_set() and threading.current_thread() is here)
    assert not go_on.is_set()
    waits = time.monotonic()
    with pytest.raises(Stopped):  # and this never begins
        device.call(lambda *_: heard.append("begun"), lambda: time.monotonic() > waits + 0.01)
    go_on.set()
    assert device.call(lambda *_: "next") == "next"
    assert heard == [True], "the work given up hears of it, and what waited behind it was left out"


def test_posted_work_may_fail_and_holds_nothing_up(device):
    done = []
    device.post(lambda driver: 1 / 0)
    device.post(done.append)
    device.call(lambda *_: None)
    assert len(done) == 1


# The choice


def test_a_card_that_is_asked_for_and_is_not_there_is_said_at_once(monkeypatch, capsys, tmp_path):
    def none(choice="auto"):
        raise DeviceError(f"{choice} finds nothing")

    monkeypatch.setattr(device_thread, "shared_device", none)
    for command in ("simulate", "montecarlo"):
        asked = [command, "nowhere.nrrd", "-o", str(tmp_path), "--backend", "cuda", "--cuda-driver", "pycuda"]
        assert main(asked) == 2
        said = "deepdrr-slicer: CUDA cannot be used: pycuda finds nothing; use --backend cpu or auto.\n"
        assert capsys.readouterr().err == said


def test_the_choice_of_a_backend(there_is_one, monkeypatch):
    monkeypatch.setattr(PROJECTOR, lambda volume, driver: FakeCard(volume, driver, []))
    for backend in ("auto", "cuda", "cuda/pycuda"):
        assert make_projector(volume(), backend).name == "cuda"
        assert backend_in_use(backend) == ("cuda", "cuda-core, Stand-in 9000")
    assert make_projector(volume(), "cpu").name.startswith("cpu") and backend_in_use("cpu") == ("cpu", "")
    assert "cuda-core, Stand-in 9000; not pycuda" in info._cuda()


def test_without_a_card_auto_is_the_cpu_and_cuda_is_refused(monkeypatch):
    def none(choice="auto"):
        raise DeviceError("there is no NVIDIA driver on this computer")

    monkeypatch.setattr(device_thread, "shared_device", none)
    made = make_projector(volume())
    assert made.note == "there is no NVIDIA driver on this computer"
    assert made.details == {"backend": made.name}, "the same on every machine"
    assert backend_in_use() == ("cpu", made.note) and info._cuda() == f"not used: {made.note}"
    for ask in (lambda: make_projector(volume(), "cuda"), lambda: backend_in_use("cuda/pycuda")):
        with pytest.raises(InputError, match="^CUDA cannot be used: there is no NVIDIA driver .*; use --backend cpu"):
            ask()
    for wrong in ("gpu", "cuda/opencl"):
        monkeypatch.undo()
        with pytest.raises(InputError, match="There is no"):
            make_projector(volume(), wrong)


def test_metadata_say_which_card_and_why_the_cpu_took_over(there_is_one, monkeypatch):
    from DeepDRRSlicerLib.commands.benchmark.body import thorax
    from DeepDRRSlicerLib.commands.benchmark.projection import oblique_view
    from DeepDRRSlicerLib.geometry.device import load_device
    from DeepDRRSlicerLib.physics.detector import load_detector
    from DeepDRRSlicerLib.simulation.acquisition import Acquisition, Automatic

    fail = [None, None, SHORT]
    monkeypatch.setattr(PROJECTOR, lambda volume, driver: FakeCard(volume, driver, fail))
    simulator = Simulator(thorax((8, 16, 16)))
    # Of this detector the stand-in for a card is asked for projections alone.
    way = Acquisition(load_device("mobile_carm"), load_detector("image_intensifier"), Automatic("fluoro"), seed=1)
    first, second = (simulator.simulate(oblique_view(simulator.ct, 16, turned), way) for turned in (0, 1))
    assert first.metadata["backend"] == "cuda (cuda-core, Stand-in 9000)" and "backend_note" not in first.metadata
    assert second.metadata["backend"].startswith("cpu")
    assert second.metadata["backend_note"] == "the card has not enough free memory"


def test_a_set_notes_samples_by_another_backend(tmp_path):
    begun = {"backend": "cuda", "state": "running"}
    assert with_backend(tmp_path, begun, "cuda (cuda-core, NVIDIA H200)") is begun
    assert not (tmp_path / MANIFEST).exists()
    mixed = with_backend(tmp_path, begun, "cpu")
    assert mixed == begun | {"mixed_backend": ["cuda", "cpu"]} and (tmp_path / MANIFEST).exists()
    assert with_backend(tmp_path, mixed, "cpu") is mixed
    assert with_backend(tmp_path, mixed, "cpu (numpy)") is mixed


def test_a_run_goes_on_by_the_cpu_and_the_set_says_so(there_is_one, tmp_path, monkeypatch):
    """Two patients; the card has no memory from the second picture of the first one on, and then for the second."""
    fail, pictures = [None, None], []

    class Card(FakeCard):
        """Pictures of the CPU; memory is short once `fail` is used up."""

        def __init__(self, volume, driver, _):
            self._cpu = make_projector(volume, "cpu")
            super().__init__(volume, driver, fail)

        def _raise(self):
            if not fail:
                raise SHORT
            super()._raise()

        def project(self, beams, tools=(), should_stop=lambda: False):
            super().project(beams, tools)
            pictures.append(len(beams))
            return self._cpu.project(beams, tools, should_stop)

    monkeypatch.setattr(PROJECTOR, lambda volume, driver: Card(volume, driver, fail))
    patients = [write_patient(tmp_path, "first"), write_patient(tmp_path, "second", seed=1)]
    # Of this detector the stand-in for a card is asked for projections alone.
    of = {"outputs": [{"writer": "coco"}], "detector": "image_intensifier"}
    job = write_job(tmp_path, patients=patients, count=4, **of)
    summary = run_job(job, tmp_path / "set", workers=1)
    assert (summary.samples, summary.skipped, pictures) == (4, {}, [1])
    records = [json.loads((tmp_path / "set" / record_path(n)).read_bytes()) for n in range(4)]
    by = [record["backend"].partition(" ")[0] for record in records]
    assert sorted(by) == ["cpu", "cpu", "cpu", "cuda"]
    assert all(("backend_note" in record) == (name == "cpu") for record, name in zip(records, by))
    manifest = json.loads((tmp_path / "set" / MANIFEST).read_bytes())
    assert manifest["backend"] == "cuda" and manifest["mixed_backend"] == ["cuda", "cpu"]
    again = run_job(job, tmp_path / "set", workers=1)
    assert (again.samples, again.new) == (4, 0)  # goes on where a card works, without --mix
