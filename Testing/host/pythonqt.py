"""PythonQt's view of Qt objects, on PySide6: what a script in 3D Slicer can do with a widget, and nothing more.

A ``Wrapper`` stands before each PySide object and finds attributes in PythonQt's order: property, signal, slot. Where
PythonQt fails, prints to stderr or silently does nothing, the wrapper raises, so that a test finds it. Rules: sections
5 and 9 of the notes on Slicer; PythonQt's PythonQtInstanceWrapper.cpp, PythonQtConversion.cpp and
PythonQtSignalReceiver.cpp.
"""

import enum
import functools
import inspect
import types

import shiboken6
from PySide6 import QtCore, QtGui

from .calls import Receiver, Wrapped, call, checkThread, convert, record, toPython

_TYPES = {"bool": bool, "int": int, "double": float, "QString": str, "QStringList": list[str]}


def invokable(function):
    """Mark a method of a stand-in as a slot or Q_INVOKABLE: other methods of C++ classes are not seen from Python."""
    function.invokable = True
    return function


def stored(kind, name, default, then=None):
    """A property of a stand-in that remembers its value, in the attribute _<name>, and then calls method ``then``."""

    def write(self, value):
        setattr(self, "_" + name, value)
        if then:
            getattr(self, then)()

    return QtCore.Property(kind, lambda self: getattr(self, "_" + name, default), write)


class EnumNamespace:
    """A class or namespace of which scripts see the enum values only: plain ints."""

    def __init__(self, source):
        self._source = source

    def __getattr__(self, name):
        value = getattr(self._source, name)
        if isinstance(value, enum.EnumMeta):
            return EnumNamespace(value)
        if isinstance(value, enum.Enum):
            return int(value.value)
        raise NotImplementedError(f"the test host has no {self._source.__name__}.{name}")

    def __call__(self, *arguments):
        raise NotImplementedError(f"the test host makes no {self._source.__name__}")


_SIGNALS = {}  # by type


def _signalsOf(native):
    """C++ signature -> PySide's; stand-ins say in ``pointer`` which type PySide cannot spell.

    Asked of an object: PySide loses the staticMetaObject of a type now and then.
    """
    found = _SIGNALS.get(type(native))
    if found is None:
        found = _SIGNALS[type(native)] = _readSignals(native)
    return found


def _readSignals(native):
    meta, pointer = native.metaObject(), getattr(native, "pointer", "")
    methods = (meta.method(i) for i in range(meta.methodCount()))
    signals = (m for m in methods if m.methodType() is QtCore.QMetaMethod.MethodType.Signal)
    names = [bytes(m.methodSignature()).decode() for m in signals]
    return {name.replace("PyObject", pointer): name for name in names}


def _member(qtType, name):
    """The method of a Qt class that a script can call, or None; of stand-ins only what is marked as invokable."""
    value = getattr(qtType, name, None)
    hidden = isinstance(value, type) or inspect.isfunction(value) and not hasattr(value, "invokable")
    return value if callable(value) and not hidden else None


class WrapperMeta(type):
    """The classes themselves: constructors, enum values and static methods."""

    def __call__(cls, *arguments, **keywords):
        if issubclass(cls, Subclassed):
            return type.__call__(cls, *arguments, **keywords)
        return call(cls.__name__, cls._qt, arguments, keywords)

    def __getattr__(cls, name):
        if name.startswith("_"):
            raise AttributeError(name)
        if isinstance(inspect.getattr_static(cls._qt, name, None), staticmethod) and _member(cls._qt, name):
            described, method = f"{cls.__name__}.{name}", getattr(cls._qt, name)
            return lambda *arguments, **keywords: call(described, method, arguments, keywords)
        return getattr(EnumNamespace(cls._qt), name)


class Wrapper(Wrapped, metaclass=WrapperMeta):
    """The Python object that PythonQt makes for a Qt object; each Qt class has its own, without common Qt bases.

    Hence isinstance() is true for the exact class only, as observed in Slicer.
    """

    def __init_subclass__(cls, qt=None):
        if qt is None:
            raise NotImplementedError(f"the test host has no Python subclasses of Qt classes, such as {cls.__name__}")
        cls._qt = qt

    def __init__(self, *_):
        raise TypeError(f"{type(self).__name__}.__init__ is for Python subclasses, which only QObject has here")

    def _alive(self, name):
        checkThread(f"{type(self).__name__}.{name}")
        if not shiboken6.isValid(self._obj):
            raise ValueError(f"Trying to use '{name}' of a destroyed {type(self).__name__} object")
        return self._obj

    def _property(self, name):
        meta = self._obj.metaObject() if isinstance(self._obj, QtCore.QObject) else None
        index = meta.indexOfProperty(name) if meta else -1
        return meta.property(index) if index >= 0 else None

    def _readProperty(self, prop):
        name = prop.name()
        # PySide's QMetaProperty has no converter for enums.
        value = getattr(self._obj, name)() if prop.isEnumType() else prop.read(self._obj)
        if prop.typeName() == "QStringList":
            return tuple(value)
        if name == "toolTip" and value and not QtGui.Qt.mightBeRichText(value):
            return f"<p>{value}</p>"  # CTK's tool tip filter rewrites plain text for word wrapping
        return toPython(value)

    def _writeProperty(self, prop, value):
        name, typeName, obj = prop.name(), prop.typeName(), self._obj
        described = f"Property '{name}' of type '{typeName}' of {type(self).__name__} object"
        if not prop.isWritable():
            raise AttributeError(f"{described} is not writable")
        try:
            converted = convert(value, int if prop.isEnumType() else _TYPES.get(typeName) or type(prop.read(obj)))
        except TypeError as error:
            raise AttributeError(f"{described} does not accept an object of type {type(value).__name__}") from error
        if isinstance(inspect.getattr_static(type(obj), name, None), QtCore.Property):
            setattr(obj, name, converted)  # a setter of a stand-in may raise
        elif not prop.write(obj, converted):
            raise AttributeError(f"{described} refuses {value!r}")

    def _signals(self):
        return _signalsOf(self._obj) if isinstance(self._obj, QtCore.QObject) else {}

    def _firstSignal(self, name):
        return next((signature for signature in self._signals() if signature.startswith(name + "(")), None)

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        obj = self._alive(name)
        if (prop := self._property(name)) is not None:
            return self._readProperty(prop)
        if name == "name" and isinstance(obj, QtCore.QObject):
            return obj.objectName()
        if (signature := self._firstSignal(name)) is not None:
            return BoundSignal(self, signature)
        if _member(type(obj), name) is not None:
            return Method(self._call, name)
        raise AttributeError(f"{type(self).__name__} has no attribute named '{name}' in the test host")

    def _call(self, name, *arguments, **keywords):
        obj = self._alive(name)
        described = getattr(type(obj), name)
        return call(f"{type(self).__name__}.{name}", described, arguments, keywords, getattr(obj, name))

    def __setattr__(self, name, value):
        obj, cls = self._alive(name), type(self).__name__
        if (prop := self._property(name)) is not None:
            return self._writeProperty(prop, value)
        found = "Signal" if self._firstSignal(name) else "Slot" if _member(type(obj), name) else None
        if found:
            raise AttributeError(f"{found} '{name}' can not be overwritten on {cls} object")
        raise AttributeError(
            f"'{name}' does not exist on {cls} and creating new attributes on C++ objects is not allowed"
        )

    def __bool__(self):
        return shiboken6.isValid(self._obj)

    def __repr__(self):
        return f"{type(self).__name__} (PythonQt at {id(self):#x})"

    # What every PythonQt object has beside the members of its class

    def className(self):
        return self._alive("className").metaObject().className()

    def delete(self):
        shiboken6.delete(self._alive("delete"))

    def findChildren(self, *_):
        raise NotImplementedError("findChildren is unreliable in PythonQt: use slicer.util.findChildren")

    def connect(self, signature, target):
        """Connect by the normalised C++ signature; PythonQt only prints and returns False for an unknown one."""
        obj, native = self._alive("connect"), self._nativeSignal(signature)
        if (native, target) in self._connections:
            raise RuntimeError(f"{signature} of {self!r} is connected to {target!r} already")
        self._connections[native, target] = slot = Receiver(target)
        return bool(QtCore.QObject.connect(obj, native, slot))

    def disconnect(self, signature, target):
        obj, native = self._alive("disconnect"), self._nativeSignal(signature)
        if (native, target) not in self._connections:
            raise RuntimeError(f"{signature} of {self!r} is not connected to {target!r}: is it a new lambda?")
        return QtCore.QObject.disconnect(obj, native, self._connections.pop((native, target)))

    def _nativeSignal(self, signature):
        normalized, signals = bytes(QtCore.QMetaObject.normalizedSignature(signature)).decode(), self._signals()
        if normalized not in signals:
            raise ValueError(f"{type(self).__name__} has no signal {signature}, but {', '.join(signals)}")
        return QtCore.SIGNAL(signals[normalized])


class Method(functools.partial):
    """A slot or wrapped method bound to its object."""

    def __repr__(self):
        return f"<built-in slot {self.args[0]} of {self.func.__self__!r}>"


class BoundSignal:
    """``widget.clicked``: the first overload; emitted by a call or emit()."""

    def __init__(self, owner, signature):
        self.connect = functools.partial(owner.connect, signature)
        self.disconnect = functools.partial(owner.disconnect, signature)
        self._owner, self._native = owner, owner._nativeSignal(signature)

    def emit(self, *arguments):
        self._owner._alive("emit").emit(self._native, *[convert(a, object) for a in arguments])

    __call__ = emit


class _EventFilter(QtCore.QObject):
    """The Qt half of a Python subclass of QObject: its virtual eventFilter() calls the Python half."""

    def eventFilter(self, watched, event):
        try:
            answer = self._pythonqt.eventFilter(wrap(watched), wrap(event))
            if type(answer) is not bool:
                raise TypeError(f"eventFilter must return a bool, not {answer!r}")
            return answer
        except BaseException as error:  # C++ called
            record(error)
            return False


class Subclassed(Wrapper, qt=_EventFilter):
    """qt.QObject as the base of a Python class, which must call qt.QObject.__init__ and may have attributes of its own.

    Of the virtual methods, eventFilter alone is known.
    """

    def __init_subclass__(cls):
        methods = {name for name, value in vars(cls).items() if inspect.isfunction(value)}
        virtual = {"event", "timerEvent", "childEvent", "customEvent"} & methods
        if virtual:
            raise NotImplementedError(f"the test host does not call {', '.join(virtual)} of {cls.__name__}")

    def __init__(self, parent=None):
        native = _EventFilter(parent and parent._alive("a parent"))
        native._pythonqt = self
        vars(self).update(_obj=native, _connections={})

    def __getattr__(self, name):
        if "_obj" not in vars(self):
            raise RuntimeError(f"{type(self).__name__} did not call qt.QObject.__init__(self)")
        return super().__getattr__(name)

    def __setattr__(self, name, value):
        if "_obj" in vars(self) and (self._property(name) is not None or _member(QtCore.QObject, name)):
            raise AttributeError(f"'{name}' is a member of QObject: set it by its slot")
        vars(self)[name] = value


@functools.cache
def wrapperClass(qtType):
    return WrapperMeta(qtType.__name__, (Wrapper,), {"__doc__": qtType.__doc__}, qt=qtType)


def wrap(obj):
    """The wrapper of a PySide object, the same one for as long as PySide knows the object."""
    known = getattr(obj, "_pythonqt", None) if isinstance(obj, QtCore.QObject) else None
    if obj is None or known is not None:
        return known
    wrapper = object.__new__(wrapperClass(type(obj)))
    vars(wrapper).update(_obj=obj, _connections={})
    if isinstance(obj, QtCore.QObject):
        obj._pythonqt = wrapper
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
