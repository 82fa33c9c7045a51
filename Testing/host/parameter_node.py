"""slicer.parameterNodeWrapper of the test host: typed parameters stored in a vtkMRMLScriptedModuleNode.

Keys and string forms are Slicer's, so that a scene saved by either is read by the other: numbers by str(), booleans as
True or False, enums by name, nodes as an empty parameter and a node reference of the same role, ``A | None`` under
"<name>.<position in the union>".
"""

import enum
import pathlib
import types
import typing

import slicer

from .gui_binding import Binding, Choice, Decimals, Default, Maximum, Minimum, SingleStep, WithinRange

__all__ = ["parameterNodeWrapper", "Choice", "Decimals", "Default", "Maximum", "Minimum", "SingleStep", "WithinRange"]

_NONE = type(None)
_READ = {int: int, float: float, str: str, bool: "True".__eq__, pathlib.Path: pathlib.Path, _NONE: lambda text: None}


def __getattr__(name):
    if name.startswith("_"):
        raise AttributeError(name)
    raise NotImplementedError(f"the test host has no slicer.parameterNodeWrapper.{name}")


def _is(kind, base):
    return isinstance(kind, type) and issubclass(kind, base)


class _Single:
    """Storage of a parameter of one type."""

    def __init__(self, kind):
        if kind not in _READ and not _is(kind, (enum.Enum, slicer.vtkMRMLNode)):
            raise NotImplementedError(f"the test host has no parameters of type {kind}")
        self.kind, self.isNode = kind, _is(kind, slicer.vtkMRMLNode)
        self.nullable = self.isNode or kind is _NONE

    def default(self):
        return None if self.nullable else next(iter(self.kind)) if _is(self.kind, enum.Enum) else self.kind()

    def validate(self, value):
        if value is None:
            if not self.nullable:
                raise ValueError("Value must not be None")
        elif not isinstance(value, (int, float) if self.kind is float else self.kind):
            raise TypeError(f"Value must be of type {self.kind.__name__}, is {value!r} of {type(value).__name__}")

    def isIn(self, node, key):
        return node.HasParameter(key)

    def write(self, node, key, value):
        if self.isNode:
            node.SetParameter(key, "")  # tells None from never written
            node.SetNodeReferenceID(key, value.GetID() if value is not None else None)
        else:
            text = value.name if isinstance(value, enum.Enum) else "True" if value is None else str(value)
            node.SetParameter(key, text)

    def read(self, node, key):
        if self.isNode:
            return node.GetNodeReference(key)
        text = node.GetParameter(key)
        if self.kind in _READ:
            return _READ[self.kind](text)
        if text not in self.kind.__members__:
            raise ValueError(f"Found {text!r} in parameter node but it is not a name in {self.kind!r}")
        return self.kind[text]

    def remove(self, node, key):
        node.UnsetParameter(key)
        if self.isNode:
            node.RemoveNodeReferenceIDs(key)


class _Union:
    """Storage of a parameter of several types, each under its own key."""

    def __init__(self, kinds):
        self.options = [_Single(kind) for kind in kinds]

    def default(self):
        return None if len(self.options) == 2 and self.options[1].kind is _NONE else self.options[0].default()

    def _index(self, value):
        for index, option in enumerate(self.options):
            if type(value) is option.kind or (option.isNode and isinstance(value, option.kind)):
                return index
        raise TypeError(f"Unable to write value {value!r} of type {type(value).__name__}")

    validate = _index

    def isIn(self, node, key):
        return any(option.isIn(node, f"{key}.{index}") for index, option in enumerate(self.options))

    def write(self, node, key, value):
        with slicer.util.NodeModify(node):
            for index, option in enumerate(self.options):
                option.remove(node, f"{key}.{index}")
            self.options[self._index(value)].write(node, f"{key}.{self._index(value)}", value)

    def read(self, node, key):
        found = (i for i, option in enumerate(self.options) if option.isIn(node, f"{key}.{i}"))
        index = next(found)
        return self.options[index].read(node, f"{key}.{index}")


class _Parameter:
    def __init__(self, cls, name, hint):
        self.name = name
        self.kind, *self.notes = typing.get_args(typing.Annotated[hint, None])[:-1]
        union = typing.get_origin(self.kind) in (typing.Union, types.UnionType)
        self.kinds = typing.get_args(self.kind) if union else (self.kind,)
        self.storage = _Union(self.kinds) if union else _Single(self.kind)
        annotated = self.note(Default)
        self.default = annotated.value if annotated else self.storage.default()
        self.default = vars(cls).get(name, self.default)

    def note(self, kind):
        return next((note for note in self.notes if isinstance(note, kind)), None)

    def read(self, node):
        if not self.storage.isIn(node, self.name):
            self.write(node, self.default)
        return self.storage.read(node, self.name)

    def write(self, node, value):
        for validator in (self.storage, *self.notes):
            if hasattr(validator, "validate"):
                validator.validate(value)
        self.storage.write(node, self.name, value)

    def property(self):
        return property(
            lambda wrapper: self.read(wrapper.parameterNode),
            lambda wrapper, value: self.write(wrapper.parameterNode, value),
        )


class _Members:
    """What a wrapper class gets beside its parameters."""

    def __init__(self, parameterNode):
        self.parameterNode = parameterNode
        self._bindings = []
        for parameter in self.allParameters.values():
            parameter.read(parameterNode)  # writes the default of a missing one

    def _parameter(self, name):
        if name not in self.allParameters:
            raise ValueError(f"Cannot find a param with the given name: {name}; there are {list(self.allParameters)}")
        return self.allParameters[name]

    def getValue(self, name):
        return self._parameter(name).read(self.parameterNode)

    def setValue(self, name, value):
        self._parameter(name).write(self.parameterNode, value)

    def connectParametersToGui(self, mapping):
        parameters = {name: self._parameter(name) for name in mapping}  # all names are checked before any is connected
        self._bindings.append(Binding(self, parameters, mapping))
        return len(self._bindings) - 1

    def connectGui(self, gui):
        isWidget = getattr(gui, "isWidgetType", lambda: False)()
        widgets = slicer.util.findChildren(gui) if isWidget else vars(gui).values()
        named = {widget.property("SlicerParameterName"): widget for widget in widgets}
        return self.connectParametersToGui({name: widget for name, widget in named.items() if name})

    def disconnectGui(self, tag):
        if tag is not None and self._bindings[tag] is not None:
            self._bindings[tag].disconnect()
            self._bindings[tag] = None

    def AddObserver(self, event, callback, priority=0.0):
        return self.parameterNode.AddObserver(event, callback, priority)


def _forward(name):
    return lambda self, *arguments: getattr(self.parameterNode, name)(*arguments)


_FORWARDED = ("StartModify", "EndModify", "RemoveObserver", "Modified")
_OTHER_RESERVED = ("default", "isCached", "dataType", "allParameters")


def parameterNodeWrapper(cls):
    """Class decorator: turns the annotated members of ``cls`` into typed parameters of a parameter node."""
    parameters = {n: _Parameter(cls, n, hint) for n, hint in typing.get_type_hints(cls, include_extras=True).items()}
    members = {n: member for n, member in vars(_Members).items() if n == "__init__" or not n.startswith("__")}
    members |= {name: _forward(name) for name in _FORWARDED}
    for name in (*members, *_OTHER_RESERVED):
        if name != "__init__" and (hasattr(cls, name) or name in parameters):
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
    members |= {name: parameter.property() for name, parameter in parameters.items()}
    for name, member in members.items():
        setattr(cls, name, member)
    cls.allParameters = parameters
    return cls
