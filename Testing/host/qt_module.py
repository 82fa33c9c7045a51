"""The ``qt`` module of the test host: the classes that the panel uses, dialogs that a test answers, .ui files."""

import functools
import os
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import deque

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

from . import pythonqt
from .calls import Receiver
from .pythonqt import invokable

answers = deque()  # what the user will answer to the next modal dialogs
pendingSingleShots = []


def _answer(dialog):
    if not answers:
        raise RuntimeError(f"A modal {dialog} would wait for the user: put the answer into host.answers first.")
    return answers.popleft()


class QFileDialog(QtWidgets.QFileDialog):
    """Returns a str, never a tuple: PythonQt has no out-parameter for the selected filter."""

    @staticmethod
    @invokable
    def getOpenFileName(parent: QtWidgets.QWidget = None, caption: str = "", directory: str = "", filter: str = ""):
        return _answer("file dialog")

    @staticmethod
    @invokable
    def getSaveFileName(parent: QtWidgets.QWidget = None, caption: str = "", directory: str = "", filter: str = ""):
        return _answer("file dialog")

    @staticmethod
    @invokable
    def getExistingDirectory(parent: QtWidgets.QWidget = None, caption: str = "", directory: str = ""):
        return _answer("file dialog")


class QMessageBox(QtWidgets.QMessageBox):
    """A message box that a test answers with a button such as qt.QMessageBox.Yes."""

    @invokable
    def exec(self):
        return _answer("message box")


class QTimer(QtCore.QTimer):
    """CTK adds the static singleShot with a Python callable."""

    @staticmethod
    @invokable
    def singleShot(msec: int, target: object):
        receiver = Receiver(target)
        pendingSingleShots.append(receiver)

        def fire():
            if receiver in pendingSingleShots:  # else it outlived its host
                pendingSingleShots.remove(receiver)
                receiver()

        QtCore.QTimer.singleShot(msec, fire)


class QSettings(QtCore.QSettings):
    """Settings of this run alone, as with --testing; values come back as strings, as from an INI file."""

    _path = None

    def __init__(self):
        if QSettings._path is None:
            handle, QSettings._path = tempfile.mkstemp(suffix=".ini")
            os.close(handle)
        super().__init__(QSettings._path, QtCore.QSettings.Format.IniFormat)

    @invokable
    def value(self, key: str, default: object = None):
        value = super().value(key, default)
        return str(value).lower() if isinstance(value, (bool, int, float)) else value


CLASSES = [
    QFileDialog,
    QMessageBox,
    QTimer,
    QSettings,
    QtCore.QObject,
    QtCore.QSize,
    QtCore.QFile,
    QtGui.QColor,
    QtGui.QIcon,
    QtGui.QPixmap,
    QtGui.QCursor,
    QtWidgets.QApplication,
    QtWidgets.QWidget,
    QtWidgets.QFrame,
    QtWidgets.QGroupBox,
    QtWidgets.QLabel,
    QtWidgets.QPushButton,
    QtWidgets.QToolButton,
    QtWidgets.QCheckBox,
    QtWidgets.QRadioButton,
    QtWidgets.QComboBox,
    QtWidgets.QSpinBox,
    QtWidgets.QDoubleSpinBox,
    QtWidgets.QSlider,
    QtWidgets.QLineEdit,
    QtWidgets.QProgressBar,
    QtWidgets.QVBoxLayout,
    QtWidgets.QHBoxLayout,
    QtWidgets.QGridLayout,
    QtWidgets.QFormLayout,
    QtWidgets.QButtonGroup,
    QtWidgets.QSizePolicy,
]


class _WidgetFactory(QtUiTools.QUiLoader):
    """Makes each widget in Python, so that stand-ins take the place of designer plugins."""

    def __init__(self, classes):
        super().__init__()
        self._classes = classes

    def createWidget(self, className, parent=None, name=""):
        if className == "Line":
            return super().createWidget(className, parent, name)
        widget = self._classes[className](parent)
        widget.setObjectName(name)
        return widget


class QUiLoader(QtCore.QObject):
    """Loads a .ui file; raises for what Qt would skip: unknown classes, properties, and senders or slots."""

    widgetClasses = {c.__name__: c for c in CLASSES if issubclass(c, QtWidgets.QWidget)}

    @invokable
    def load(self, file: QtCore.QFile):
        tree = ElementTree.fromstring(bytes(file.readAll().data()))
        for element in tree.iter("widget"):
            if element.get("class") != "Line" and element.get("class") not in self.widgetClasses:
                raise NotImplementedError(f"{file.fileName()}: the test host has no {element.get('class')}")
        parts = ("sender", "signal", "receiver", "slot")
        connections = [[connection.findtext(part) for part in parts] for connection in tree.iter("connection")]
        for element in tree.findall("connections"):
            tree.remove(element)  # PySide does not know types such as vtkMRMLScene*
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(tree))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        widget = _WidgetFactory(self.widgetClasses).load(buffer)
        objects = [widget, *widget.findChildren(QtCore.QObject)]
        named = {o.objectName(): pythonqt.wrap(o) for o in objects if o.objectName()}
        self._checkProperties(tree, named)
        for sender, signal, receiver, slot in connections:
            if sender not in named or receiver not in named:
                raise ValueError(f"{file.fileName()}: connection between unknown objects {sender} and {receiver}")
            named[sender].connect(signal, self._slot(named[receiver], slot))
        return widget

    @staticmethod
    def _checkProperties(tree, named):
        for element in tree.iter("widget"):
            widget = named.get(element.get("name"))
            for prop in element.findall("property"):
                name = prop.get("name")
                if widget is None or element.get("class") == "Line" or prop.get("stdset") == "0":
                    continue
                if widget._property(name) is None:
                    raise ValueError(f"{element.get('name')}: {element.get('class')} has no property {name}")

    @staticmethod
    def _slot(receiver, signature):
        """The slot with exactly as many arguments as its signature has."""
        name, _, parameters = signature.rstrip(")").partition("(")
        slot = getattr(receiver, name)
        if not isinstance(slot, pythonqt.Method):
            raise ValueError(f"{receiver!r} has no slot {signature}")
        count = len([p for p in parameters.split(",") if p])
        return lambda *arguments: slot(*arguments[:count])


def _exists(name):
    return any(hasattr(module, name) for module in (QtCore, QtGui, QtWidgets))


def reset():
    """Forget what a host leaves for the next one."""
    answers.clear()
    pendingSingleShots.clear()
    QSettings().clear()


@functools.cache  # code that imported it keeps working with the next host
def makeModule():
    module = pythonqt.FlatModule("qt", [*CLASSES, QUiLoader], _exists)
    module.Qt = pythonqt.EnumNamespace(QtCore.Qt)
    return module
