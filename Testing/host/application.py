"""The test host: loads a scripted module, shows its panel with the views, and judges what the module did.

    with HostApplication() as host:
        host.loadModule("DeepDRRSlicer/DeepDRRSlicer.py")
        widget = host.openModule()
        widget.ui.applyButton.click()
        host.processEvents(until=lambda: widget.logic.idle)

Exceptions in slots, timers, observers and threads are raised by the next processEvents(), check() or closeModule().
"""

import gc
import importlib
import os
import sys
import threading
import time
import weakref
from pathlib import Path
from types import SimpleNamespace

import shiboken6
import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from . import calls, core, ctk_module, parameter_node, pythonqt, qmrml_module, qt_module, scripted_module
from . import sample_data_module as sample_data

_MODULES = {
    "qt": qt_module.module,
    "ctk": ctk_module.module,
    "slicer.parameterNodeWrapper": parameter_node,
    "slicer.ScriptedLoadableModule": scripted_module,
    "SampleData": sample_data,
    "slicer.i18n": SimpleNamespace(tr=lambda text: text, translate=lambda context, text: text),
}
_NESTED = 8  # layouts within each other at most, from a row of a sub-section to the panel


class HostApplication:
    """One at a time in a process: the slicer namespace holds one scene."""

    def __enter__(self):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        self._qt = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["Slicer"])
        self._qt.setStyle("Fusion")
        QtCore.qInstallMessageHandler(_onQtMessage)
        calls.errors.clear()
        gc.collect()
        gc.freeze()  # what was there before is not the module's: looking through it at every end takes a second
        # What VTK observers, event handlers and threads raise ends in these hooks.
        self._hooks = sys.excepthook, threading.excepthook
        sys.excepthook = lambda kind, error, trace: calls.record(error)
        threading.excepthook = lambda arguments: calls.record(arguments.exc_value)
        self._threads, self._timers = threading.enumerate(), []
        self._timers = self._newTimers()
        self._name = self._module = None
        self._core = core.start(testing=True)
        sys.modules.update(_MODULES)
        slicer.app = pythonqt.wrap(qmrml_module.qSlicerApplication(self._core))
        self._views = slicer.app._obj.manager
        self._makeWindow()
        self._core.layoutLogic.GetLayoutNode().SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        return self

    def __exit__(self, kind, value, trace):
        try:
            if self._module is not None and self._module.widget is not None:
                self.closeModule()
        finally:
            for timer in self._newTimers():
                timer.stop()
            self._views.close()
            self._window.deleteLater()
            self._flush()
            for name in (*_MODULES, self._name):
                sys.modules.pop(name, None)
            core.stop()
            sys.excepthook, threading.excepthook = self._hooks
        if kind is None:
            self.check()

    def _makeWindow(self):
        """Slicer's main window without menus: the panel on the left, the views on the right."""
        self._window = QtWidgets.QWidget()
        self._scroll = QtWidgets.QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setFixedWidth(420)
        self._scroll.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        row = QtWidgets.QHBoxLayout(self._window)
        row.addWidget(self._scroll)
        row.addWidget(self._views.panel, 1)
        self._window.resize(1440, 900)
        self._window.show()
        self._window.activateWindow()

    # The module

    def loadModule(self, path):
        """Load a module file as Slicer does at start-up; returns the Python module."""
        path = Path(path).resolve()
        self._name = path.stem
        if str(path.parent) not in sys.path:
            sys.path.insert(0, str(path.parent))
        module = importlib.import_module(path.stem)
        self._module = qmrml_module.qSlicerScriptedLoadableModule(str(path))
        setattr(slicer.modules, path.stem.lower(), pythonqt.wrap(self._module))
        self._moduleObject = getattr(module, path.stem)(pythonqt.wrap(self._module))
        slicer.app.startupCompleted()
        self.check()
        return module

    def openModule(self):
        """Show the panel, making it the first time; returns the module's widget."""
        self._module.widgetRepresentation()
        if self._scroll.widget() is None:
            self._scroll.setWidget(self._module.widget)
        self._module.widget.setEntered(True)
        # Slicer's module panel is never narrower than what it shows.
        self._scroll.setFixedWidth(max(420, self._module.widget.minimumSizeHint().width() + 20))
        self.processEvents()
        return self._module.widget.python

    def leaveModule(self):
        """Switch to another module: the panel stays, but is not entered."""
        self._module.widget.setEntered(False)
        self.processEvents()

    def reloadModule(self):
        """Slicer's Reload button; returns the new widget, which Slicer does not enter again."""
        slicer.util.reloadScriptedModule(self._name)
        self.processEvents()
        return self._module.widget.python

    def closeModule(self):
        """Leave the module and unload its panel; returns the names of timers, threads and objects that outlive it.

        An observer or connection that was not removed keeps the panel's objects alive.
        """
        widget, self._module.widget = self._module.widget, None
        reference = weakref.ref(widget.python)
        widget.setEntered(False)
        widget.python.cleanup()
        widget.python = None
        delattr(slicer.modules, self._name + "Widget")
        self._scroll.takeWidget()
        widget.deleteLater()
        self._flush()
        self.check()
        gc.collect()
        observing = [o for o in _objects(slicer.util.VTKObservationMixin) if o.Observations]
        found = [f"thread {t.name}" for t in threading.enumerate() if t not in self._threads]
        found += [f"timer {t.objectName()}" for t in self._newTimers()] + [f"observers of {o!r}" for o in observing]
        found += [f"event filter {f!r}" for f in slicer.app._obj.filters]
        return found + [f"panel {o!r}" for o in [reference()] if o is not None]

    def _newTimers(self):
        timers = [t for t in _objects(QtCore.QTimer) if shiboken6.isValid(t) and t.isActive()]
        return [t for t in timers if t not in self._timers]

    # Events and errors

    def processEvents(self, until=lambda: True, timeout_s=60.0):
        """Run the event loop once, and on until ``until()`` holds; raises TimeoutError, and what slots raised."""
        end = time.monotonic() + timeout_s
        self._flush()
        while not until():
            self.check()
            if time.monotonic() > end:
                raise TimeoutError(f"nothing happened within {timeout_s} s")
            time.sleep(0.005)
            self._flush()
        self.check()

    def _flush(self):
        self._qt.processEvents()
        self._qt.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)

    def check(self):
        """Raise what was raised where nobody could catch it; with --testing, Slicer's exit code tells of it."""
        if calls.errors:
            first, count = calls.errors[0], len(calls.errors)
            calls.errors.clear()
            raise AssertionError(f"{count} errors in slots, observers or threads, first {first!r}") from first

    # Pictures

    def screenshot(self, path, size=(1440, 900), dark=False):
        """Write a PNG of the panel and the rendered views."""
        shades = ("#454545", "#323232") if dark else ("#e4e4e4", "#efefef")
        palette = QtGui.QPalette(*map(QtGui.QColor, shades))  # of buttons and window; Qt finds the others
        palette.setColor(QtGui.QPalette.ColorRole.Highlight, QtGui.QColor("#308cc6"))
        self._qt.setPalette(palette)
        self._window.resize(*size)
        for _ in range(_NESTED):  # each turn of the event loop hands a new size on to the next layout around it
            self._flush()
        for view in self._views.views.values():
            view.forceRender()
        if not self._window.grab().save(str(path), "PNG"):
            raise OSError(f"The screenshot could not be written to {path}.")


def _objects(kind):
    kinds, objects = set(_subclasses(kind)), gc.get_objects()
    return [o for o, of in zip(objects, map(type, objects)) if of in kinds]  # isinstance() fails on dead weak proxies


def _subclasses(kind):
    return [kind, *(one for below in kind.__subclasses__() for one in _subclasses(below))]


def _onQtMessage(kind, context, message):
    if "propagateSizeHints" not in message:  # the off-screen platform says so for every window
        print(message, file=sys.stderr)
