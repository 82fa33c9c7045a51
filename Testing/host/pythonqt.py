"""PythonQt's view of Qt objects, on PySide6: what a script in 3D Slicer can do with a widget, and nothing more.

A ``Wrapper`` stands before each PySide object and finds attributes in PythonQt's order: property, slot, signal, dynamic
property, child. Where PythonQt fails, prints to stderr or silently does nothing, the wrapper raises, so that a test
finds it. Rules: sections 5 and 9 of the notes on Slicer; PythonQt's PythonQtInstanceWrapper.cpp, PythonQtConversion.cpp
and PythonQtSignalReceiver.cpp.
"""

import enum
import functools
import inspect
import types

import shiboken6
from PySide6 import QtCore, QtGui

from .calls import Receiver, Wrapped, call, checkThread, convert, to_python, unwrap

_NUMBER_TYPES = {"bool": bool, "int": int, "uint": int, "double": float, "float": float, "QString": str}


def invokable(function):
    """Mark a method of a stand-in as a slot or Q_INVOKABLE: other methods of C++ classes are not seen from Python."""
    (function.__func__ if isinstance(function, staticmethod) else function).invokable = True
    return function


def stored(kind, name, default, then=None):
    """A property of a stand-in that remembers its value, in the attribute _<name>, and then calls method ``then``."""

    def write(self, value):
        setattr(self, "_" + name, value)
        if then:
            getattr(self, then)()

    return QtCore.Property(kind, lambda self: getattr(self, "_" + name, default), write)


class EnumNamespace:
    """A C++ enum, or a namespace of enums such as Qt, whose values are plain ints."""

    def __init__(self, source):
        self._source = source

    def __getattr__(self, name):
        value = getattr(self._source, name)
        if isinstance(value, enum.EnumMeta):
            return EnumNamespace(value)
        if not isinstance(value, enum.Enum):
            raise AttributeError(name)
        return int(value.value)


def _member(qtType, name):
    """The attribute of a Qt class that a script can call, or None; ``exec_`` stands for ``exec``."""
    for candidate in (name.removesuffix("_"), name):
        for cls in qtType.__mro__:
            value = vars(cls).get(candidate)
            if value is None or cls is object:
                continue
            if cls.__module__.startswith("PySide6") or hasattr(getattr(value, "__func__", value), "invokable"):
                value = getattr(qtType, candidate)
                return (candidate, value) if callable(value) and not isinstance(value, type) else None
    return None


class WrapperMeta(type):
    """Attributes of the classes themselves: enum values, static methods and unbound methods."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        value = getattr(cls._qt, name.removesuffix("_"), None)
        if isinstance(value, enum.EnumMeta):
            return EnumNamespace(value)
        if isinstance(value, enum.Enum):
            return int(value.value)
        found = _member(cls._qt, name)
        if found is None or isinstance(value, QtCore.Signal):
            raise AttributeError(f"type object '{cls.__name__}' has no attribute '{name}'")
        if isinstance(inspect.getattr_static(cls._qt, found[0]), (staticmethod, types.BuiltinFunctionType)):
            return lambda *args, **kwargs: call(f"{cls.__name__}.{name}", value, value, args, kwargs)
        return lambda self, *args, **kwargs: getattr(self, name)(*args, **kwargs)


class Wrapper(Wrapped, metaclass=WrapperMeta):
    """The Python object that PythonQt makes for a Qt object; each Qt class has its own, without common Qt bases.

    Hence isinstance() is true for the exact class only, as observed in Slicer.
    """

    _qt = QtCore.QObject

    def __init_subclass__(cls, qt=None):
        if qt is not None:
            cls._qt = qt
            return
        virtuals = [n for n in vars(cls) if not n.startswith("__") and hasattr(cls._qt, n)]
        if virtuals:
            raise NotImplementedError(f"the test host does not call Python overrides of {cls._qt.__name__}: {virtuals}")

    def __init__(self, *arguments, **keywords):
        qtType, name = type(self)._qt, type(self).__name__
        base = next(c for c in qtType.__mro__ if "__init__" in vars(c) or c.__module__.startswith("PySide6"))
        described = vars(base)["__init__"] if inspect.isfunction(vars(base).get("__init__")) else base
        checkThread(name)
        made = []
        call(name, lambda *a: made.append(qtType(*a)), described, arguments, keywords)
        self._bind(made[0])

    def _bind(self, obj):
        object.__setattr__(self, "_obj", obj)
        object.__setattr__(self, "_connections", [])
        if isinstance(obj, QtCore.QObject):
            obj._pythonqt = self  # the same wrapper comes back for as long as PySide knows the object

    def _alive(self, name):
        checkThread(f"{type(self).__name__}.{name}")
        obj = vars(self).get("_obj")
        if obj is None:
            raise RuntimeError(f"__init__() of the Qt base of {type(self).__name__} was not called")
        if not shiboken6.isValid(obj):
            raise ValueError(f"Trying to use '{name}' of a destroyed {type(self).__name__} object")
        return obj

    def _property(self, name):
        if not isinstance(self._obj, QtCore.QObject):
            return None
        meta = self._obj.metaObject()
        index = meta.indexOfProperty(name)
        return meta.property(index) if index >= 0 else None

    def _readProperty(self, prop):
        obj, name = self._obj, prop.name()
        if isinstance(inspect.getattr_static(type(obj), name, None), QtCore.Property):
            value = getattr(obj, name)
        elif prop.isEnumType():  # PySide has no converter for these in QMetaProperty
            value = getattr(obj, name)()
        else:
            value = prop.read(obj)
        if prop.typeName() == "QStringList":
            return tuple(value)
        if name == "toolTip" and value and not QtGui.Qt.mightBeRichText(value):
            return f"<p>{value}</p>"  # CTK's tool tip filter rewrites plain text for word wrapping
        return to_python(value)

    def _writeProperty(self, prop, value):
        name, typeName, obj = prop.name(), prop.typeName(), self._obj
        if not prop.isWritable():
            raise AttributeError(f"Property '{name}' of {type(self).__name__} object is not writable")
        try:
            if prop.isEnumType():
                wanted = int
            elif typeName == "QStringList":
                wanted = list[str]
            else:
                wanted = _NUMBER_TYPES.get(typeName) or type(prop.read(obj))
            converted = convert(value, wanted)
        except TypeError as error:
            raise AttributeError(
                f"Property '{name}' of type '{typeName}' does not accept an object of type "
                f"{type(value).__name__} ({value!r})"
            ) from error
        if isinstance(inspect.getattr_static(type(obj), name, None), QtCore.Property):
            setattr(obj, name, converted)
        elif not prop.write(obj, converted):
            raise AttributeError(f"Property '{name}' of type '{typeName}' refuses {value!r}")

    def _signals(self):
        """C++ signature -> PySide signature; stand-ins name pointer types that PySide cannot spell."""
        if not isinstance(self._obj, QtCore.QObject):
            return {}
        meta = self._obj.metaObject()
        native = [
            bytes(meta.method(i).methodSignature().data()).decode()
            for i in range(meta.methodCount())
            if meta.method(i).methodType() is QtCore.QMetaMethod.MethodType.Signal
        ]
        spelled = getattr(type(self._obj), "cppSignals", {})
        return spelled | {n: n for n in native if n not in spelled.values()}

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        obj = self._alive(name)
        if (prop := self._property(name)) is not None:
            return self._readProperty(prop)
        if name == "name" and isinstance(obj, QtCore.QObject):
            return obj.objectName()
        signatures = [s for s in self._signals() if s.partition("(")[0] == name]
        if signatures:
            return BoundSignal(self, signatures[0])
        if _member(type(obj), name) is not None:
            return Method(self, name)
        if isinstance(obj, QtCore.QObject):
            if (value := obj.property(name)) is not None:
                return to_python(value)
            for child in obj.children():
                if child.objectName() == name:
                    return wrap(child)
        raise AttributeError(f"{type(self).__name__} has no attribute named '{name}'")

    def __setattr__(self, name, value):
        obj, cls = self._alive(name), type(self).__name__
        if (prop := self._property(name)) is not None:
            self._writeProperty(prop, value)
        elif name == "name" and isinstance(obj, QtCore.QObject):
            obj.setObjectName(convert(value, str))
        elif any(s.partition("(")[0] == name for s in self._signals()):
            raise AttributeError(f"Signal '{name}' can not be overwritten on {cls} object")
        elif _member(type(obj), name) is not None:
            raise AttributeError(f"Slot '{name}' can not be overwritten on {cls} object")
        elif isinstance(obj, QtCore.QObject) and obj.property(name) is not None:
            obj.setProperty(name, unwrap(value))
        elif type(self).__base__ is not Wrapper:
            object.__setattr__(self, name, value)  # instances of Python subclasses may carry attributes
        else:
            raise AttributeError(
                f"'{name}' does not exist on {cls} and creating new attributes on C++ objects is not allowed"
            )

    def __bool__(self):
        return shiboken6.isValid(self._obj)

    def __eq__(self, other):
        return isinstance(other, Wrapper) and (self._obj is other._obj or self._obj == other._obj)

    def __hash__(self):
        return hash(self._obj) if isinstance(self._obj, QtCore.QObject) else id(self)

    def __repr__(self):
        return f"{type(self).__name__} (PythonQt at {id(self):#x})"

    # What every PythonQt object has beside the members of its class

    def className(self):
        obj = self._alive("className")
        return obj.metaObject().className() if isinstance(obj, QtCore.QObject) else type(obj).__name__

    def inherits(self, className):
        return self._alive("inherits").inherits(className)

    def delete(self):
        shiboken6.delete(self._alive("delete"))

    def findChildren(self, *_):
        raise NotImplementedError("findChildren is unreliable in PythonQt: use slicer.util.findChildren")

    findChild = findChildren

    def connect(self, signature, target, *rest):
        """Connect by the normalised C++ signature; PythonQt only prints and returns False for an unknown one."""
        self._alive("connect")
        if rest:
            raise NotImplementedError("the test host connects signals to Python callables only")
        native = self._nativeSignal(signature)
        receiver = Receiver(target)
        slot = lambda *args: receiver(*args)  # noqa: E731  PySide keeps only weak references to bound methods
        QtCore.QObject.connect(self._obj, QtCore.SIGNAL(native), slot)
        self._connections.append((native, target, slot))
        return True

    def disconnect(self, signature, target):
        self._alive("disconnect")
        native = self._nativeSignal(signature)
        for entry in self._connections:
            if entry[0] == native and entry[1] == target:
                QtCore.QObject.disconnect(self._obj, QtCore.SIGNAL(native), entry[2])
                self._connections.remove(entry)
                return True
        raise RuntimeError(f"{signature} of {self!r} is not connected to {target!r}: another object or a new lambda?")

    def _nativeSignal(self, signature):
        normalized = bytes(QtCore.QMetaObject.normalizedSignature(signature).data()).decode()
        signals = self._signals()
        if normalized not in signals:
            known = sorted(s for s in signals if s.startswith(normalized.partition("(")[0] + "("))
            raise ValueError(f"{type(self).__name__} has no signal {signature}; signals of that name: {known}")
        return signals[normalized]


class Method:
    """A slot or wrapped method bound to its object."""

    def __init__(self, owner, name):
        self._owner, self._name = owner, name

    def __call__(self, *arguments, **keywords):
        obj = self._owner._alive(self._name)
        name, described = _member(type(obj), self._name)
        return call(f"{type(self._owner).__name__}.{self._name}", getattr(obj, name), described, arguments, keywords)

    def __eq__(self, other):
        return isinstance(other, Method) and (self._owner, self._name) == (other._owner, other._name)

    def __hash__(self):
        return hash((self._owner, self._name))

    def __repr__(self):
        return f"<built-in slot {self._name} of {self._owner!r}>"


class BoundSignal:
    """``widget.clicked``: the first overload; emitted by a call or emit()."""

    def __init__(self, owner, signature):
        self._owner, self._signature = owner, signature

    def connect(self, target):
        return self._owner.connect(self._signature, target)

    def disconnect(self, target):
        return self._owner.disconnect(self._signature, target)

    def emit(self, *arguments):
        native = self._owner._signals()[self._signature]
        self._owner._alive("emit").emit(QtCore.SIGNAL(native), *[unwrap(a) for a in arguments])

    __call__ = emit


@functools.cache
def wrapperClass(qtType):
    return WrapperMeta(qtType.__name__, (Wrapper,), {"__doc__": qtType.__doc__}, qt=qtType)


def wrap(obj):
    """The wrapper of a PySide object, the same one for as long as the object lives."""
    if obj is None:
        return None
    known = getattr(obj, "_pythonqt", None) if isinstance(obj, QtCore.QObject) else None
    if known is not None:
        return known
    cls = wrapperClass(type(obj))
    wrapper = cls.__new__(cls)
    wrapper._bind(obj)
    return wrapper


class FlatModule(types.ModuleType):
    """``qt`` or ``ctk``: the classes of the test host; NotImplementedError for others that the real module has."""

    def __init__(self, name, classes, exists):
        super().__init__(name, f"The test host's {name} module.")
        self._exists = exists
        for qtType in classes:
            setattr(self, qtType.__name__, wrapperClass(qtType))

    def __getattr__(self, name):
        if not name.startswith("_") and self._exists(name):
            raise NotImplementedError(f"the test host has no {self.__name__}.{name}")
        raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
