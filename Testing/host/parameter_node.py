"""slicer.parameterNodeWrapper of the test host: typed parameters stored in a vtkMRMLScriptedModuleNode.

Keys and string forms are Slicer's, so that a scene saved by either is read by the other: numbers by str(), booleans as
True or False, nodes as an empty parameter and a node reference of the same role. connectGui() binds as Slicer's does.
"""

import dataclasses
import typing

import slicer
import vtk

__all__ = ["parameterNodeWrapper", "WithinRange"]

_READ = {int: int, float: float, str: str, bool: "True".__eq__}


def __getattr__(name):
    if name.startswith("_"):
        raise AttributeError(name)
    raise NotImplementedError(f"the test host has no slicer.parameterNodeWrapper.{name}")


@dataclasses.dataclass
class WithinRange:
    minimum: float
    maximum: float

    def validate(self, value):
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], is {value}")


class _Parameter(property):
    """One annotated member: a property of the wrapper class."""

    def __init__(self, cls, name, hint):
        super().__init__(lambda owner: self.read(owner.parameterNode), self._set)
        self.name = name
        self.kind, *notes = typing.get_args(typing.Annotated[hint, None])[:-1]
        self.isNode = isinstance(self.kind, type) and issubclass(self.kind, slicer.vtkMRMLNode)
        if not (self.isNode or self.kind in _READ) or not all(isinstance(note, WithinRange) for note in notes):
            raise NotImplementedError(f"the test host has no parameters of type {hint}")
        self.range = notes[0] if notes else None
        self.default = vars(cls).get(name, None if self.isNode else self.kind())

    def _set(self, owner, value):
        self.write(owner.parameterNode, value)

    def read(self, node):
        if not node.HasParameter(self.name):
            self.write(node, self.default)
        return node.GetNodeReference(self.name) if self.isNode else _READ[self.kind](node.GetParameter(self.name))

    def write(self, node, value):
        if value is None and not self.isNode:
            raise ValueError("Value must not be None")
        if value is not None and not isinstance(value, (int, float) if self.kind is float else self.kind):
            raise TypeError(f"Value must be of type {self.kind.__name__}, is {value!r} of {type(value).__name__}")
        if self.range is not None:
            self.range.validate(value)
        node.SetParameter(self.name, "" if self.isNode else str(value))  # "" tells None from never written
        if self.isNode:
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)


def _connector(parameter, widget):
    """(read, write, signal) of a widget of exactly the class that goes with the type, as in Slicer's registry."""
    kind, name, limits = parameter.kind, type(widget).__name__, parameter.range
    if parameter.isNode and name == "qMRMLNodeComboBox":
        widget.nodeTypes = [kind().GetClassName()]
        return widget.currentNode, widget.setCurrentNode, widget.currentNodeChanged
    if kind is bool and name == "QCheckBox":
        return lambda: widget.checked, lambda value: setattr(widget, "checked", value), widget.toggled
    if kind is float and name in ("QDoubleSpinBox", "ctkSliderWidget"):
        if limits is None and name == "ctkSliderWidget":
            raise RuntimeError("Cannot have a connection to ctkSliderWidget where the float types is unbounded.")
        widget.minimum, widget.maximum = (limits.minimum, limits.maximum) if limits else (-float("inf"), float("inf"))
        return lambda: widget.value, lambda value: setattr(widget, "value", value), widget.valueChanged
    if kind is int and name == "QSpinBox":
        if limits is None:
            raise NotImplementedError("the test host wants WithinRange for a QSpinBox")
        widget.minimum, widget.maximum = limits.minimum, limits.maximum
        return lambda: widget.value, lambda value: setattr(widget, "value", value), widget.valueChanged
    if kind is str and name == "QLineEdit":
        return lambda: widget.text, lambda value: setattr(widget, "text", value), widget.textChanged
    raise RuntimeError(f"Unable to create GUI connector from datatype '{kind}' to widget type '{type(widget)}'.")


class _Binding:
    """The parameters and widgets of one connectGui() call."""

    def __init__(self, node, pairs):
        self.node, self.updating, self.bound = node, False, []
        for parameter, (read, write, signal) in [(p, _connector(p, widget)) for p, widget in pairs]:
            write(parameter.read(node))
            slot = self._slot(parameter, read)
            signal.connect(slot)
            self.bound.append((parameter, write, signal, slot))
        self.tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, self.updateWidgets)

    def _slot(self, parameter, read):
        def updateParameter():
            if not self.updating:
                with slicer.util.NodeModify(self.node):
                    parameter.write(self.node, read())

        return updateParameter

    def updateWidgets(self, caller, event):
        if self.updating:
            return
        self.updating = True
        try:
            for parameter, write, _, _ in self.bound:
                write(parameter.read(self.node))
        finally:
            self.updating = False

    def disconnect(self):
        self.node.RemoveObserver(self.tag)
        for _, _, signal, slot in self.bound:
            signal.disconnect(slot)


class _Members:
    """What a wrapper class gets beside its parameters."""

    def __init__(self, parameterNode):
        self.parameterNode, self._bindings = parameterNode, []
        for parameter in self.allParameters.values():
            parameter.read(parameterNode)  # writes the default of a missing one

    def connectGui(self, gui):
        widgets = {widget.property("SlicerParameterName"): widget for widget in vars(gui).values()}
        widgets.pop(None, None)
        if not widgets.keys() <= self.allParameters.keys():
            raise ValueError(f"Cannot find params with the names {widgets.keys() - self.allParameters.keys()}")
        pairs = [(self.allParameters[name], widget) for name, widget in widgets.items()]
        self._bindings.append(_Binding(self.parameterNode, pairs))
        return len(self._bindings) - 1

    def disconnectGui(self, tag):
        binding, self._bindings[tag] = self._bindings[tag], None
        if binding is not None:
            binding.disconnect()


def _forward(name):
    return lambda self, *arguments: getattr(self.parameterNode, name)(*arguments)


def parameterNodeWrapper(cls):
    """Class decorator: turns the annotated members of ``cls`` into typed parameters of a parameter node."""
    parameters = {n: _Parameter(cls, n, hint) for n, hint in typing.get_type_hints(cls, include_extras=True).items()}
    members = {n: member for n, member in vars(_Members).items() if n == "__init__" or not n.startswith("__")}
    members |= {n: _forward(n) for n in ("AddObserver", "RemoveObserver", "StartModify", "EndModify", "Modified")}
    for name in (*members, "getValue", "setValue", "default", "isCached", "dataType", "allParameters"):
        if name != "__init__" and (hasattr(cls, name) or name in parameters):
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
    for name, member in (members | parameters | {"allParameters": parameters}).items():
        setattr(cls, name, member)
    return cls
