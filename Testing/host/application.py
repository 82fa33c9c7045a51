"""The test host: loads a scripted module, shows its panel with the views, and judges what the module did.

    with HostApplication() as host:
        host.loadModule("DeepDRRSlicer/DeepDRRSlicer.py")
        widget = host.openModule()
        widget.ui.applyButton.click()
        host.processEvents(until=lambda: widget.logic.idle)

Exceptions in slots, timers, observers and threads are raised by the next processEvents(), check() or closeModule().
"""

import gc
import importlib.util
import os
import shutil
import sys
import threading
import time
import weakref
from pathlib import Path

import shiboken6
import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from . import (
    calls,
    core,
    ctk_module,
    layout,
    parameter_node,
    pythonqt,
    qmrml_module,
    qt_module,
    scripted_module,
    services,
)
from .pythonqt import invokable

FOUR_UP = 3  # vtkMRMLLayoutNode::SlicerLayoutFourUpView


class qSlicerApplication(QtCore.QObject):
    startupCompleted = QtCore.Signal()

    def __init__(self, running):
        super().__init__()
        self._core = running
        self.manager = layout.qSlicerLayoutManager(running)
        self.modules = qmrml_module.qSlicerModuleManager()

    @invokable
    def setOverrideCursor(self, cursor: QtGui.QCursor | QtCore.Qt.CursorShape):
        QtWidgets.QApplication.setOverrideCursor(cursor)

    layoutManager = invokable(lambda self: self.manager)
    moduleManager = invokable(lambda self: self.modules)
    applicationLogic = invokable(lambda self: self._core.applicationLogic)
    mrmlScene = invokable(lambda self: self._core.scene)
    processEvents = invokable(lambda self: QtWidgets.QApplication.processEvents())
    testingEnabled = invokable(lambda self: True)
    topLevelWidgets = invokable(lambda self: [])  # as with --no-main-window
    pauseRender = invokable(lambda self: self._core.applicationLogic.PauseRender())
    resumeRender = invokable(lambda self: self._core.applicationLogic.ResumeRender())
    restoreOverrideCursor = invokable(lambda self: QtWidgets.QApplication.restoreOverrideCursor())
    applicationName = QtCore.Property(str, lambda self: "Slicer")
    temporaryPath = QtCore.Property(str, lambda self: self._core.temporaryPath)


class HostApplication:
    """One at a time in a process: the slicer namespace holds one scene.

    answers: deque of what the user answers to the next modal dialogs (a path, or a button such as qt.QMessageBox.Yes).
    """

    def __enter__(self):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        self._qt = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["Slicer"])
        self._qt.setStyle("Fusion")
        QtCore.qInstallMessageHandler(_qtMessage)
        calls.errors.clear()
        self._restoreHooks = calls.installErrorHooks()
        self._threads, self._timers = set(threading.enumerate()), _activeTimers()
        self._name = self._module = None
        self.answers = qt_module.answers
        self._core = core.start(testing=True)
        qmrml_module.install()
        self._modules = {
            "qt": qt_module.makeModule(),
            "ctk": ctk_module.makeModule(),
            "slicer.parameterNodeWrapper": parameter_node,
            "slicer.ScriptedLoadableModule": scripted_module,
            **services.makeModules(),
        }
        sys.modules.update(self._modules)
        for name in (n for n in self._modules if n.startswith("slicer.")):
            setattr(slicer, name.partition(".")[2], sys.modules[name])
        slicer.app = pythonqt.wrap(qSlicerApplication(self._core))
        self._makeWindow()
        slicer.app.layoutManager().setLayout(FOUR_UP)
        return self

    def __exit__(self, kind, value, trace):
        try:
            if self._module is not None and self._module.widget is not None:
                self._removeWidget()
        finally:
            slicer.app._obj.manager.close()
            self._window.deleteLater()
            self._flush()
            for name in (*self._modules, self._name):
                sys.modules.pop(name, None)
            core.stop()
            qt_module.reset()
            self._restoreHooks()
            QtCore.qInstallMessageHandler(None)
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
        row.setContentsMargins(4, 4, 4, 4)
        row.addWidget(self._scroll)
        row.addWidget(slicer.app._obj.manager.panel, 1)
        self._window.resize(1440, 900)
        self._window.show()

    # The module

    def loadModule(self, path):
        """Load a module file as Slicer does at start-up; returns the Python module."""
        path = Path(path).resolve()
        self._name = path.stem
        if str(path.parent) not in sys.path:
            sys.path.insert(0, str(path.parent))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
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
        """Leave the module and unload its panel; returns what it left behind, see leftovers()."""
        reference = weakref.ref(self._module.widget.python)
        self._removeWidget()
        self.check()
        return self.leftovers(reference)

    def _removeWidget(self):
        widget, self._module.widget = self._module.widget, None
        widget.setEntered(False)
        widget.python.cleanup()
        widget.python = None
        delattr(slicer.modules, self._name + "Widget")
        self._scroll.takeWidget()
        widget.deleteLater()
        self._flush()

    def leftovers(self, reference=lambda: None):
        """Names of the running timers, threads and panel objects that outlive the panel.

        An observer or connection that was not removed keeps the panel's objects alive.
        """
        gc.collect()
        found = [f"thread {t.name}" for t in threading.enumerate() if t not in self._threads]
        found += [f"timer {t.objectName()}" for t in _activeTimers() if t not in self._timers]
        found += [f"single shot of {receiver.target}" for receiver in qt_module.pendingSingleShots]
        found += [
            f"observers of {o!r}"
            for o in gc.get_objects()
            if isinstance(o, slicer.util.VTKObservationMixin) and o.Observations
        ]
        if reference() is not None:
            found.append(f"panel {reference()!r}")
        return found

    # Events and errors

    def processEvents(self, until=None, timeout_s=10.0):
        """Run the event loop once, or until ``until()`` holds; raises TimeoutError, and what slots raised."""
        end = time.monotonic() + timeout_s
        self._flush()
        while until is not None and not until():
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
        self._qt.setPalette(_palette(dark))
        self._window.resize(*size)
        self._flush()
        for view in slicer.app._obj.manager.shownViews():
            view.forceRender()
        self._flush()
        picture = self._window.grab()
        self._qt.setPalette(_palette(False))
        temporary = os.path.join(self._core.temporaryPath, "screenshot.png")
        if not picture.save(temporary):
            raise OSError(f"The screenshot could not be written to {temporary}.")
        shutil.move(temporary, path)


def _activeTimers():
    return [
        t for t in gc.get_objects() if isinstance(t, QtCore.QTimer) and shiboken6.isValid(t) and t.isActive()
    ]


def _palette(dark):
    role, color = QtGui.QPalette.ColorRole, QtGui.QColor
    window, base, text, button = (
        ("#323232", "#1e1e1e", "#e6e6e6", "#454545") if dark else ("#efefef", "#ffffff", "#101010", "#e4e4e4")
    )
    palette = QtGui.QPalette(color(button), color(window))
    for group, shade in (
        (role.Window, window),
        (role.Base, base),
        (role.AlternateBase, window),
        (role.Button, button),
        (role.Text, text),
        (role.WindowText, text),
        (role.ButtonText, text),
        (role.ToolTipBase, base),
        (role.ToolTipText, text),
        (role.Highlight, "#308cc6"),
        (role.HighlightedText, "#ffffff"),
    ):
        palette.setColor(group, color(shade))
    for disabled in (role.Text, role.WindowText, role.ButtonText):
        palette.setColor(QtGui.QPalette.ColorGroup.Disabled, disabled, color("#808080"))
    return palette


def _qtMessage(kind, context, message):
    if "propagateSizeHints" not in message:
        sys.stderr.write(message + "\n")
