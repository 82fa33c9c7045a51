"""Binding of parameters to widgets, as connectGui() of slicer.parameterNodeWrapper does it, and its annotations."""

import dataclasses
import enum
import math
import pathlib
import typing

import slicer
import vtk


@dataclasses.dataclass
class Default:
    value: object


@dataclasses.dataclass
class Decimals:
    value: int


@dataclasses.dataclass
class SingleStep:
    value: float


@dataclasses.dataclass
class Choice:
    choices: list

    def validate(self, value):
        if value not in self.choices:
            raise ValueError(f"Value is {value}, but must be in one of the following: {self.choices}")


@dataclasses.dataclass
class WithinRange:
    minimum: float
    maximum: float

    def validate(self, value):
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], is {value}")


class Minimum(WithinRange):
    def __init__(self, minimum):
        super().__init__(minimum, math.inf)


class Maximum(WithinRange):
    def __init__(self, maximum):
        super().__init__(-math.inf, maximum)


@dataclasses.dataclass
class _Connector:
    read: typing.Callable
    write: typing.Callable
    signal: object = None


def _numberConnector(widget, parameter):
    ranges = [note for note in parameter.notes if isinstance(note, WithinRange)]
    low = max((note.minimum for note in ranges), default=-math.inf)
    high = min((note.maximum for note in ranges), default=math.inf)
    if type(widget).__name__ == "ctkSliderWidget" and not math.isfinite(high - low):
        raise RuntimeError("Cannot have a connection to ctkSliderWidget where the float types is unbounded.")
    if type(widget).__name__ in ("QSlider", "QSpinBox"):
        low, high = -(2**31) if low == -math.inf else low, 2**31 - 1 if high == math.inf else high
    elif parameter.kind is int or parameter.note(Decimals):
        widget.decimals = 0 if parameter.kind is int else parameter.note(Decimals).value
    if parameter.note(SingleStep):
        widget.singleStep = parameter.note(SingleStep).value
    widget.minimum, widget.maximum = low, high
    return _attributeConnector(widget, parameter, "value", "valueChanged", parameter.kind)


def _choiceConnector(widget, values, labels):
    widget.clear()
    for label in labels:
        widget.addItem(label)
    return _Connector(
        lambda: values[widget.currentIndex],
        lambda value: setattr(widget, "currentIndex", values.index(value)),
        widget.currentIndexChanged,
    )


def _attributeConnector(widget, parameter, name, signal, toWidget):
    return _Connector(
        lambda: parameter.kind(getattr(widget, name)),
        lambda value: setattr(widget, name, toWidget(value)),
        signal and getattr(widget, signal),
    )


# Widget class and type -> property, signal, conversion
_ATTRIBUTES = {
    ("QCheckBox", bool): ("checked", "toggled", bool),
    ("QPushButton", bool): ("checked", "toggled", bool),
    ("QLineEdit", str): ("text", "textChanged", str),
    ("QLabel", str): ("text", None, str),
    ("ctkDirectoryButton", pathlib.Path): ("directory", "directoryChanged", str),
}


def _connector(widget, parameter):
    """The connector of exactly this widget class and type, as Slicer's registry matches them."""
    kind, name = parameter.kind, type(widget).__name__
    if (name, kind) in _ATTRIBUTES:
        if name == "QPushButton":
            widget.checkable = True
        return _attributeConnector(widget, parameter, *_ATTRIBUTES[name, kind])
    if (
        kind is int
        and name in ("QSlider", "QSpinBox")
        or kind in (int, float)
        and name in ("QDoubleSpinBox", "ctkSliderWidget")
    ):
        return _numberConnector(widget, parameter)
    if name in ("QComboBox", "ctkComboBox") and kind in (int, float, str, bool):
        choice = parameter.note(Choice)
        if choice is None:
            raise RuntimeError("ComboBoxToStringableConnector requires the Choice annotation to be used.")
        return _choiceConnector(widget, list(choice.choices), [str(c) for c in choice.choices])
    if name in ("QComboBox", "ctkComboBox") and isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _choiceConnector(widget, list(kind), [getattr(kind, "label", lambda e: e.name)(e) for e in kind])
    nodes = [k for k in parameter.kinds if issubclass(k, slicer.vtkMRMLNode)]
    if name == "qMRMLNodeComboBox" and nodes:
        widget.nodeTypes = [k().GetClassName() for k in nodes]
        return _Connector(widget.currentNode, widget.setCurrentNode, widget.currentNodeChanged)
    raise RuntimeError(f"Unable to create GUI connector from datatype '{kind}' to widget type '{type(widget)}'.")


class Binding:
    """The parameters and widgets of one connectGui() call."""

    def __init__(self, wrapper, parameters, widgets):
        self.wrapper, self.updating = wrapper, False
        self.connectors = {name: _connector(widgets[name], parameter) for name, parameter in parameters.items()}
        self.slots = {name: self._slot(name) for name, c in self.connectors.items() if c.signal}
        for name, connector in self.connectors.items():
            connector.write(wrapper.getValue(name))
            if connector.signal:
                connector.signal.connect(self.slots[name])
        self.tag = wrapper.AddObserver(vtk.vtkCommand.ModifiedEvent, self.updateWidgets)

    def _slot(self, name):
        def updateParameter():
            if not self.updating:
                with slicer.util.NodeModify(self.wrapper):
                    self.wrapper.setValue(name, self.connectors[name].read())

        return updateParameter

    def updateWidgets(self, caller=None, event=None):
        if self.updating:
            return
        self.updating = True
        try:
            for name, connector in self.connectors.items():
                value = self.wrapper.getValue(name)
                if not isinstance(value, str) or connector.read() != value:  # keeps the cursor of a line edit
                    connector.write(value)
        finally:
            self.updating = False

    def disconnect(self):
        self.wrapper.RemoveObserver(self.tag)
        for name, slot in self.slots.items():
            self.connectors[name].signal.disconnect(slot)
