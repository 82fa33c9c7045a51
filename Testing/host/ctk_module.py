"""The ``ctk`` module of the test host: stand-ins for the CTK widgets that the panel uses.

As PythonQt sees CTK: properties, slots and signals only, no plain setters such as setMinimum().
"""

import functools
import os

from PySide6 import QtCore, QtGui, QtWidgets

from . import pythonqt, qt_module
from .pythonqt import invokable, stored

_EXPLICIT = QtCore.Qt.WidgetAttribute.WA_WState_ExplicitShowHide


class _ChildHider(QtCore.QObject):
    """Hides the children of a collapsed container; those that the panel hid itself stay hidden when it opens."""

    def __init__(self, container):
        super().__init__(container)
        self.collapsed = False
        self._busy = False
        self._hidden = []
        container.installEventFilter(self)

    def setCollapsed(self, collapsed):
        self.collapsed = collapsed
        if collapsed:
            for child in self.parent().children():
                if isinstance(child, QtWidgets.QWidget) and not child.isHidden():
                    self._setVisible(child, False)
        else:
            for child in list(self._hidden):
                self._setVisible(child, True)

    def _setVisible(self, child, visible):
        self._busy = True
        child.setVisible(visible)
        child.setAttribute(_EXPLICIT, False)  # not the panel's wish: its own hide() and show() must still count
        self._busy = False
        if not visible and child not in self._hidden:
            self._hidden.append(child)
            child.installEventFilter(self)
        elif visible:
            self._hidden.remove(child)

    def eventFilter(self, watched, event):
        if event.type() == QtCore.QEvent.Type.ChildPolished and isinstance(event.child(), QtWidgets.QWidget):
            event.child().installEventFilter(self)
        elif self.collapsed and not self._busy and watched is not self.parent():
            if event.type() == QtCore.QEvent.Type.ShowToParent:
                self._setVisible(watched, False)
            elif event.type() == QtCore.QEvent.Type.HideToParent and watched in self._hidden:
                self._hidden.remove(watched)
        return False


class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A section of a panel; checked means open."""

    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, parent: QtWidgets.QWidget = None):
        super().__init__(parent)
        self._hider = _ChildHider(self)
        self.setCheckable(True)
        self.setChecked(True)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Minimum, QtWidgets.QSizePolicy.Policy.Preferred)
        self.setContentsMargins(0, self._headerHeight(), 0, 0)
        self.toggled.connect(lambda checked: self._collapse(not checked))

    def _headerHeight(self):
        return self.fontMetrics().height() + 8

    def _collapse(self, collapsed):
        self._hider.setCollapsed(collapsed)
        self.setMaximumHeight(self._headerHeight() if collapsed else 16777215)
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    collapsed = QtCore.Property(
        bool, lambda self: self._hider.collapsed, lambda self, value: self.setChecked(not value)
    )

    def sizeHint(self):
        header = QtCore.QSize(self.fontMetrics().horizontalAdvance(self.text()) + 40, self._headerHeight())
        return header.expandedTo(self.layout().totalSizeHint()) if self.layout() and not self.collapsed else header

    def minimumSizeHint(self):
        return self.sizeHint()

    def hitButton(self, position):
        return position.y() < self._headerHeight()

    def paintEvent(self, event):
        painter = QtWidgets.QStylePainter(self)
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.rect.setHeight(self._headerHeight())
        painter.drawControl(QtWidgets.QStyle.ControlElement.CE_PushButtonBevel, option)
        arrow = QtWidgets.QStyleOption()
        arrow.initFrom(self)
        arrow.rect = QtCore.QRect(8, self._headerHeight() // 2 - 5, 10, 10)
        primitive = QtWidgets.QStyle.PrimitiveElement
        painter.drawPrimitive(
            primitive.PE_IndicatorArrowRight if self._hider.collapsed else primitive.PE_IndicatorArrowDown, arrow
        )
        painter.drawItemText(
            option.rect.adjusted(26, 0, 0, 0),
            QtCore.Qt.AlignmentFlag.AlignVCenter,
            self.palette(),
            self.isEnabled(),
            self.text(),
            QtGui.QPalette.ColorRole.ButtonText,
        )


class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):
    """A group box that closes when it is unchecked."""

    def __init__(self, parent: QtWidgets.QWidget = None):
        super().__init__(parent)
        self._hider = _ChildHider(self)
        self.setCheckable(True)
        self.toggled.connect(lambda checked: self._hider.setCollapsed(not checked))

    collapsed = QtCore.Property(bool, lambda self: not self.isChecked(), lambda self, value: self.setChecked(not value))


class ctkSliderWidget(QtWidgets.QWidget):
    """A slider with a spin box; the value is rounded to ``decimals`` as the spin box does.

    Without tracking, valueChanged comes when the slider is let go.
    """

    valueChanged = QtCore.Signal(float)
    valueIsChanging = QtCore.Signal(float)
    _STEPS = 10000

    def __init__(self, parent: QtWidgets.QWidget = None):
        super().__init__(parent)
        self._before = None  # the value while the slider is held without tracking
        self.slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal)
        self.slider.setRange(0, self._STEPS)
        self.spinBox = QtWidgets.QDoubleSpinBox()
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.slider, 1)
        layout.addWidget(self.spinBox)
        self.spinBox.valueChanged.connect(self._onSpinBox)
        self.slider.valueChanged.connect(self._onSlider)
        self.slider.sliderPressed.connect(self._onPressed)
        self.slider.sliderReleased.connect(self._onReleased)

    def _showValue(self, value):
        low, high = self.spinBox.minimum(), self.spinBox.maximum()
        self.slider.blockSignals(True)
        self.slider.setValue(round((value - low) / (high - low) * self._STEPS) if high > low else 0)
        self.slider.blockSignals(False)

    def _onSpinBox(self, value):
        self._showValue(value)
        if not self.tracking:
            self.valueIsChanging.emit(value)
        if self._before is None:
            self.valueChanged.emit(value)

    def _onSlider(self, position):
        low, high = self.spinBox.minimum(), self.spinBox.maximum()
        self.spinBox.setValue(low + (high - low) * position / self._STEPS)

    def _onPressed(self):
        self._before = None if self.tracking else self.spinBox.value()

    def _onReleased(self):
        before, self._before = self._before, None
        if before not in (None, self.spinBox.value()):
            self.valueChanged.emit(self.spinBox.value())

    @invokable
    def setValue(self, value: float):
        self.spinBox.setValue(value)

    def _setMinimum(self, value):
        self.spinBox.setMinimum(value)  # clamps the value, and says so
        self._showValue(self.spinBox.value())

    def _setMaximum(self, value):
        self.spinBox.setMaximum(value)
        self._showValue(self.spinBox.value())

    tracking = stored(bool, "tracking", True)
    pageStep = stored(float, "pageStep", 10.0)
    value = QtCore.Property(
        float, lambda self: self.spinBox.value() if self._before is None else self._before, setValue
    )
    minimum = QtCore.Property(float, lambda self: self.spinBox.minimum(), _setMinimum)
    maximum = QtCore.Property(float, lambda self: self.spinBox.maximum(), _setMaximum)
    singleStep = QtCore.Property(
        float, lambda self: self.spinBox.singleStep(), lambda self, value: self.spinBox.setSingleStep(value)
    )
    decimals = QtCore.Property(
        int, lambda self: self.spinBox.decimals(), lambda self, value: self.spinBox.setDecimals(value)
    )
    suffix = QtCore.Property(str, lambda self: self.spinBox.suffix(), lambda self, value: self.spinBox.setSuffix(value))


class ctkDirectoryButton(QtWidgets.QWidget):
    """A button that shows a folder and asks for another; the path is absolute."""

    directoryChanged = QtCore.Signal(str)
    directorySelected = QtCore.Signal(str)

    def __init__(self, parent: QtWidgets.QWidget = None):
        super().__init__(parent)
        self._directory, self._caption = os.getcwd(), ""
        self._button = QtWidgets.QPushButton(self._directory)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._button)
        self._button.clicked.connect(lambda: self.browse())

    def _setDirectory(self, path):
        path = os.path.abspath(path)
        changed, self._directory = path != self._directory, path
        self._button.setText(path)
        self.directorySelected.emit(path)
        if changed:
            self.directoryChanged.emit(path)

    @invokable
    def browse(self):
        chosen = qt_module.QFileDialog.getExistingDirectory(self, self._caption, self._directory)
        if chosen:
            self._setDirectory(chosen)

    directory = QtCore.Property(str, lambda self: self._directory, _setDirectory)
    caption = stored(str, "caption", "")


class ctkComboBox(QtWidgets.QComboBox):
    """Differs from QComboBox in its class only."""


CLASSES = [ctkCollapsibleButton, ctkCollapsibleGroupBox, ctkSliderWidget, ctkDirectoryButton, ctkComboBox]


@functools.cache
def makeModule():
    qt_module.QUiLoader.widgetClasses |= {c.__name__: c for c in CLASSES}
    return pythonqt.FlatModule("ctk", CLASSES, lambda name: name.startswith("ctk"))
