"""The ``ctk`` module of the test host: stand-ins for the CTK widgets that the panel uses.

As PythonQt sees CTK: properties, slots and signals only, no plain setters such as setMinimum().
"""

import os

from PySide6 import QtCore, QtWidgets

from . import pythonqt, qt_module
from .pythonqt import invokable, stored


def _ofSpinBox(kind, name, setter):
    """A property that the spin box of a slider widget holds."""
    return QtCore.Property(
        kind, lambda self: getattr(self.spinBox, name)(), lambda self, value: getattr(self.spinBox, setter)(value)
    )


class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A section of a panel. A collapsed one shows its title alone."""

    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, parent: QtWidgets.QWidget = None):
        super().__init__(parent)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Minimum, QtWidgets.QSizePolicy.Policy.Preferred)
        self.setContentsMargins(0, self.fontMetrics().height() + 8, 0, 0)

    def _setCollapsed(self, collapsed):
        if collapsed != self._collapsed():
            self.setMaximumHeight(self.contentsMargins().top() if collapsed else 16777215)
            self.contentsCollapsed.emit(collapsed)

    def _collapsed(self):
        return self.maximumHeight() == self.contentsMargins().top()

    collapsed = QtCore.Property(bool, _collapsed, _setCollapsed)

    def paintEvent(self, event):
        painter, option = QtWidgets.QStylePainter(self), QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.text = self.text()
        option.rect.setHeight(self.contentsMargins().top())
        painter.drawControl(QtWidgets.QStyle.ControlElement.CE_PushButton, option)


class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):
    """A folded sub-section: its check box opens it. A collapsed one shows its title alone."""

    def __init__(self, parent: QtWidgets.QWidget = None):
        super().__init__(parent)
        self.setCheckable(True)
        self.toggled.connect(self._show)

    def _show(self, opened):
        self.setMaximumHeight(16777215 if opened else self.fontMetrics().height() + 8)

    collapsed = QtCore.Property(bool, lambda self: not self.isChecked(), lambda self, c: self.setChecked(not c))


class ctkSliderWidget(QtWidgets.QWidget):
    """A slider, which only shows the value, with a spin box, which rounds it to ``decimals`` and holds it."""

    valueChanged = QtCore.Signal(float)

    def __init__(self, parent: QtWidgets.QWidget = None):
        super().__init__(parent)
        self.slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal)
        self.spinBox = QtWidgets.QDoubleSpinBox()
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.slider, 1)
        layout.addWidget(self.spinBox)
        self.spinBox.valueChanged.connect(self.valueChanged)

    def paintEvent(self, event):
        low, high, steps = self.spinBox.minimum(), self.spinBox.maximum(), self.slider.maximum()
        self.slider.setValue(round((self.spinBox.value() - low) / max(high - low, 1e-9) * steps))

    @invokable
    def setValue(self, value: float):
        self.spinBox.setValue(value)

    value = _ofSpinBox(float, "value", "setValue")
    minimum = _ofSpinBox(float, "minimum", "setMinimum")  # clamps the value, and says so
    maximum = _ofSpinBox(float, "maximum", "setMaximum")
    singleStep = _ofSpinBox(float, "singleStep", "setSingleStep")
    decimals = _ofSpinBox(int, "decimals", "setDecimals")
    suffix = _ofSpinBox(str, "suffix", "setSuffix")
    pageStep = stored(float, "pageStep", 10.0)


class ctkDirectoryButton(QtWidgets.QWidget):
    """Shows a folder, whose path is absolute; the dialog that asks for another one is left out."""

    def __init__(self, parent: QtWidgets.QWidget = None):
        super().__init__(parent)
        self.button = QtWidgets.QPushButton(os.getcwd())
        QtWidgets.QVBoxLayout(self).addWidget(self.button)
        self.layout().setContentsMargins(0, 0, 0, 0)

    directoryChanged = QtCore.Signal(str)

    def _setDirectory(self, path):
        path = os.path.abspath(path)
        if path != self.button.text():
            self.button.setText(path)
            self.directoryChanged.emit(path)

    directory = QtCore.Property(str, lambda self: self.button.text(), _setDirectory)


class ctkPathLineEdit(QtWidgets.QWidget):
    """A line to type a path in; the dialog that asks for one is left out. The path is a name, which need not exist."""

    Files, Writable, Readable, Dirs, Executable = 0x0002, 0x0020, 0x0010, 0x0001, 0x0040  # of QDir.Filter

    currentPathChanged = QtCore.Signal(str)

    def __init__(self, parent: QtWidgets.QWidget = None):
        super().__init__(parent)
        self.edit = QtWidgets.QLineEdit()
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.edit, 1)
        layout.addWidget(QtWidgets.QToolButton(text="..."))
        self.edit.textChanged.connect(self.currentPathChanged)

    currentPath = QtCore.Property(str, lambda self: self.edit.text(), lambda self, path: self.edit.setText(path))
    nameFilters = stored("QStringList", "nameFilters", [])


_classes = [ctkCollapsibleButton, ctkPathLineEdit, ctkCollapsibleGroupBox, ctkSliderWidget, ctkDirectoryButton]
qt_module.widgetClasses |= {c.__name__: c for c in _classes}
module = pythonqt.FlatModule("ctk", _classes, lambda name: name.startswith("ctk"))
