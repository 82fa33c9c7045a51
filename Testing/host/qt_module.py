"""The ``qt`` module of the test host: the Qt classes that the panel uses, and what Slicer adds to them."""

import xml.etree.ElementTree as ElementTree

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

from . import pythonqt
from .calls import Receiver
from .pythonqt import invokable

_USED = """QFile QSize QColor QIcon QPixmap QSizePolicy QButtonGroup QVBoxLayout QHBoxLayout QGridLayout QFormLayout
QWidget QLabel QPushButton QCheckBox QComboBox QLineEdit QSpinBox QDoubleSpinBox QProgressBar
QShortcut QKeySequence QEvent
QTableWidget QTableWidgetItem QHeaderView QPlainTextEdit QBrush"""

widgetClasses = {}  # class name in a .ui file -> class; the modules of the stand-ins add theirs


def _inQt(name):
    return next((getattr(m, name) for m in (QtCore, QtGui, QtWidgets) if hasattr(m, name)), None)


class QTimer(QtCore.QTimer):
    """CTK adds the static singleShot with a Python callable."""

    @staticmethod
    @invokable
    def singleShot(msec: int, target: object):
        timer = QtCore.QTimer(QtWidgets.QApplication.instance(), singleShot=True, objectName=f"single shot of {target}")
        timer.timeout.connect(Receiver(target))
        timer.timeout.connect(timer.deleteLater)
        timer.start(msec)


class QApplication(QtCore.QObject):
    """Static functions of the application; beeps are counted, not heard."""

    beeps = 0

    @staticmethod
    @invokable
    def beep():
        QApplication.beeps += 1

    @staticmethod
    @invokable
    def focusWidget():
        return QtWidgets.QApplication.focusWidget()

    @staticmethod
    @invokable
    def setOverrideCursor(cursor: object):
        QtWidgets.QApplication.setOverrideCursor(QtCore.Qt.CursorShape(int(cursor)))

    @staticmethod
    @invokable
    def restoreOverrideCursor():
        QtWidgets.QApplication.restoreOverrideCursor()


class QFileDialog(QtCore.QObject):
    """The question for a file, which is cancelled; tests answer it by replacing the section's own function."""

    @staticmethod
    @invokable
    def getOpenFileName(parent: QtWidgets.QWidget, caption: str, folder: str, filters: str):
        return ""


class QSettings(QtCore.QObject):
    """The settings of a new user: nothing is there, and nothing is kept."""

    @invokable
    def value(self, key: str, default: object = None):
        return default


class _WidgetFactory(QtUiTools.QUiLoader):
    """Makes each widget in Python, so that stand-ins take the place of designer plugins."""

    def createWidget(self, className, parent=None, name=""):
        widget = widgetClasses[className](parent)
        widget.setObjectName(name)
        return widget


class QUiLoader(QtCore.QObject):
    """Loads a .ui file; raises for what Qt would skip: unknown classes, properties, and senders or slots."""

    @invokable
    def load(self, file: QtCore.QFile):
        tree = ElementTree.fromstring(bytes(file.readAll().data()))
        for element in tree.iter("widget"):
            if element.get("class") not in widgetClasses:
                raise NotImplementedError(f"{file.fileName()}: the test host has no {element.get('class')}")
        parts = ("sender", "signal", "receiver", "slot")
        connections = [[connection.findtext(part) for part in parts] for connection in tree.iter("connection")]
        for element in tree.findall("connections"):
            tree.remove(element)  # PySide does not know types such as vtkMRMLScene*
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(tree))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        widget = _WidgetFactory().load(buffer)
        objects = [widget, *widget.findChildren(QtCore.QObject)]
        named = {o.objectName(): pythonqt.wrap(o) for o in objects if o.objectName()}
        for element in tree.iter("widget"):
            for name in (p.get("name") for p in element.findall("property") if p.get("stdset") != "0"):
                if named[element.get("name")]._property(name) is None:
                    raise ValueError(f"{element.get('name')}: {element.get('class')} has no property {name}")
        for sender, signal, receiver, slot in connections:
            if sender not in named or receiver not in named:
                raise ValueError(f"{file.fileName()}: connection between unknown objects {sender} and {receiver}")
            named[sender].connect(signal, self._slot(named[receiver], slot))
        return widget

    @staticmethod
    def _slot(receiver, signature):
        """The slot with exactly as many arguments as its signature has."""
        name, _, parameters = signature.rstrip(")").partition("(")
        count = len(parameters.split(",")) if parameters else 0
        slot = getattr(receiver, name)
        if not isinstance(slot, pythonqt.Method):
            raise ValueError(f"{receiver!r} has no slot {signature}")
        return lambda *arguments: slot(*arguments[:count])


_classes = [_inQt(name) for name in _USED.split()]
widgetClasses |= {c.__name__: c for c in _classes if issubclass(c, QtWidgets.QWidget)}
# One module for all hosts: code that imported it keeps working with the next one.
module = pythonqt.FlatModule("qt", [*_classes, QTimer, QSettings, QUiLoader, QApplication, QFileDialog], _inQt)
module.QObject = pythonqt.Subclassed
module.Qt = pythonqt.EnumNamespace(QtCore.Qt)
module.QMessageBox = pythonqt.EnumNamespace(QtWidgets.QMessageBox)
module.QAbstractItemView = pythonqt.EnumNamespace(QtWidgets.QAbstractItemView)
