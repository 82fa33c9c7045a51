"""The life of the module: loaded with Slicer, opened, left, reloaded and closed, at whatever moment."""

import gc
import threading
import time

import pytest
from panel_actions import opened, run_python, settle

from host import qmrml_module
from host.pythonqt import invokable

HEAVY = {"torch", "numba", "llvmlite", "SimpleITK", "pycuda", "cuda", "ray", "trimesh", "scipy", "matplotlib", "h5py"}


def test_loading_the_module_loads_little_and_leaves_nothing():
    """Slicer loads every module when it starts, whether or not it is ever opened."""
    code = f"""
import sys, threading
import slicer
from host.application import HostApplication
with HostApplication() as host:
    before, nodes = set(sys.modules), slicer.mrmlScene.GetNumberOfNodes()
    host.loadModule(sys.path[1] + "/DeepDRRSlicer.py")
    new = {{name.partition(".")[0] for name in set(sys.modules) - before}}
    assert not {HEAVY!r} & new, new
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes and threading.active_count() == 1
    library = [name for name in sys.modules if name.startswith("DeepDRRSlicerLib")]
    assert len(library) < 12, library
    print("loaded")
"""
    assert run_python(code).split() == ["loaded"]


@pytest.fixture
def compiling(host, monkeypatch):
    """A first compilation that goes on until it is stopped, and is deaf to that while compiling.deaf."""
    from DeepDRRSlicerLib.projection.projector import Stopped
    from DeepDRRSlicerLib.scene import warm_up

    class Compiling:
        begun, ended, deaf = threading.Event(), threading.Event(), False
        bodyReady = None

    def compile_(should_stop, body_ready):
        Compiling.bodyReady = body_ready
        Compiling.begun.set()
        while Compiling.deaf or not should_stop():
            time.sleep(0.005)
        Compiling.ended.set()
        raise Stopped

    monkeypatch.setattr(warm_up, "warm_up", compile_)
    yield Compiling
    Compiling.deaf = False


def test_closing_at_the_first_compilation_leaves_no_thread(host, patient, compiling):
    host.openModule()
    host.processEvents(until=compiling.begun.is_set)
    host.processEvents(until=lambda: any(t.name == "DeepDRRSlicer live" for t in threading.enumerate()))
    assert host.closeModule() == [] and compiling.ended.is_set()


def test_reloading_at_the_first_compilation_begins_it_anew(host, patient, compiling):
    host.openModule()
    host.processEvents(until=compiling.begun.is_set)
    compiling.begun.clear()
    host.reloadModule()
    assert compiling.ended.is_set()
    host.processEvents(until=compiling.begun.is_set)
    assert host.closeModule() == []


def test_a_step_of_the_compiler_is_not_waited_for_long_and_ends_by_itself(host, patient, compiling, monkeypatch):
    monkeypatch.setattr("DeepDRRSlicerLib.scene.fluoroscopy._PATIENCE", 0.1)
    compiling.deaf = True
    host.openModule()
    host.processEvents(until=compiling.begun.is_set)
    begin = time.monotonic()
    thread = next(t for t in threading.enumerate() if "warm-up" in t.name)
    assert host.closeModule() == ["thread DeepDRRSlicer warm-up"], "no panel hangs on it"
    assert time.monotonic() - begin < 30 and thread.daemon
    compiling.deaf = False
    thread.join(20)
    assert not thread.is_alive()


def test_pictures_wait_for_the_projector_and_no_longer(host, patient, compiling):
    widget = host.openModule()
    parameters = widget.logic.getParameterNode()
    parameters.binning = 4
    host.processEvents(until=lambda: "Compiling" in widget.ui.statusLabel.text)
    assert parameters.xray is None
    compiling.bodyReady()  # tools may still be under way
    settle(host, widget)
    assert parameters.xray is not None


def test_compilation_stops_between_two_steps(tmp_path):
    """With nothing in numba's cache: the thread ends long before all is compiled, and the process in peace."""
    code = """
import sys, threading, time
from DeepDRRSlicerLib.projection import slab_numba
from DeepDRRSlicerLib.projection.projector import Stopped, warm_up
from numba.core import event

class Begun(event.Listener):
    steps = 0
    def on_start(self, event):
        Begun.steps += 1
    def on_end(self, event):
        pass

event.register("numba:run_pass", Begun())
stopped = []
def run():
    try:
        warm_up(lambda: Begun.steps >= 40)
    except Stopped:
        stopped.append(True)
thread = threading.Thread(target=run, daemon=True)
thread.start()
thread.join()
assert stopped and 40 <= Begun.steps < 60, Begun.steps
assert not slab_numba.look_up.signatures, "the last of the kernels"
from numba import njit
assert njit(lambda x: x + 1)(1) == 2, "others compile as before"
print("ended")
"""
    assert run_python(code, NUMBA_CACHE_DIR=str(tmp_path)).split() == ["ended"]


def test_without_a_main_window(host, patient, monkeypatch):
    """As with --no-main-window: there may be no layout manager, either."""
    import slicer

    monkeypatch.setattr(qmrml_module.qSlicerApplication, "layoutManager", invokable(lambda self: None))
    assert slicer.util.mainWindow() is None and slicer.app.layoutManager() is None
    widget, parameters = opened(host)
    widget.ui.applyButton.click()
    settle(host, widget)
    assert slicer.util.arrayFromVolume(parameters.xray).size
    host.leaveModule()
    host.reloadModule()
    del widget, parameters
    assert host.closeModule() == []


def test_a_panel_that_is_never_entered(host):
    """As Slicer's generic tests make it: the widget, and another scene set in it."""
    import slicer

    host._module.widgetRepresentation()
    panel = host._module.widget
    panel.setMRMLScene(slicer.vtkMRMLScene())
    panel.setMRMLScene(slicer.mrmlScene)
    slicer.mrmlScene.Clear()
    host.processEvents()
    assert host.closeModule() == []


def observers(*objects):
    """How many observers VTK objects have. Their tags are numbered, and those still in use have a command."""
    counts = []
    for each in objects:
        newest = each.AddObserver("AnyEvent", lambda caller, event: None)
        each.RemoveObserver(newest)
        counts.append(sum(each.GetCommand(tag) is not None for tag in range(1, newest)))
    return counts


def test_no_observer_is_added_by_coming_and_going(host, patient):
    import slicer

    scene = slicer.mrmlScene
    shared = [scene, patient]
    for className in ("vtkMRMLLayoutNode", "vtkMRMLCrosshairNode", "vtkMRMLSelectionNode", "vtkMRMLInteractionNode"):
        shared += slicer.util.getNodesByClass(className)
    widget, parameters = opened(host)
    host.leaveModule()
    left = observers(*shared)
    for _ in range(2):
        host.openModule()
        settle(host, widget)
        host.leaveModule()
    assert observers(*shared) == left
    host.openModule()
    host.reloadModule()
    host.leaveModule()
    assert observers(*shared) == left
    del widget, parameters
    assert host.closeModule() == []
    gc.collect()
    left = [o for o in gc.get_objects() if str(type(o).__module__).startswith("DeepDRRSlicerLib.ui.")]
    assert left == [], "an observer keeps what it calls alive"


def test_closing_the_scene_leaves_no_node_of_the_module(host, patient):
    import slicer

    widget, parameters = opened(host)
    del parameters
    host.leaveModule()
    slicer.mrmlScene.Clear()
    host.processEvents()
    nodes = [slicer.mrmlScene.GetNthNode(i) for i in range(slicer.mrmlScene.GetNumberOfNodes())]
    own = [node.GetName() for node in nodes if "DeepDRR" in " ".join(node.GetAttributeNames() or ())]
    assert own == []


def test_a_warm_up_that_outlives_its_library_ends_quietly(host, monkeypatch):
    """A Reload puts other classes of the same names in its place; what was asked to stop may then stop with those."""
    from DeepDRRSlicerLib.scene import warm_up

    class Stopped(Exception):
        pass

    begun, ended = threading.Event(), []

    def work(should_stop, ready):
        begun.set()
        while not should_stop():
            time.sleep(0.001)
        raise Stopped

    monkeypatch.setattr(warm_up, "warm_up", work)
    monkeypatch.setattr(threading, "excepthook", ended.append)
    one = warm_up.WarmUp()
    one.start()
    assert begun.wait(60)
    one.close(patience=60)
    assert not one.isRunning and ended == []
