"""Calls between Python and Qt with PythonQt's conversions: what a slot takes, what comes back, slots in Python.

Stricter than PythonQt, which turns any object into a string by str(), floors floats and takes truth values.
"""

import collections.abc
import enum
import inspect
import threading
import traceback
import types
import typing

import shiboken6
from PySide6 import QtCore, QtGui, QtWidgets  # noqa: F401  (signatures of QtWidgets are known once it is imported)
from shibokensupport.signature import get_signature

errors = []  # exceptions raised in slots, timers, observers and threads; Slicer --testing fails on them at exit

_PLAIN = {bool: (bool, int), int: (int, bool), float: (float, int, bool), str: (str,)}


class Wrapped:
    """Base of the objects that stand for Qt objects in Python; ``_alive(what)`` gives the PySide object."""


def record(error):
    """Keep an exception that has no caller who could handle it, and print it as PythonQt does."""
    errors.append(error)
    traceback.print_exception(error)


class Receiver:
    """A Python callable at the end of a connection or timer: drops surplus arguments, records exceptions."""

    def __init__(self, target):
        if not callable(target):
            raise TypeError(f"{target!r} is not callable")
        self.target = target
        function = target.__func__ if inspect.ismethod(target) else target
        self.count = None  # partials, callable objects and functions with *args receive everything
        if inspect.isfunction(function) and not function.__code__.co_flags & inspect.CO_VARARGS:
            self.count = function.__code__.co_argcount - inspect.ismethod(target)

    def __call__(self, *arguments):
        try:
            self.target(*[toPython(a) for a in arguments[: self.count]])
        except BaseException as error:  # pytest's own failures are no Exception
            record(error)


def toPython(value):
    """What PythonQt hands to Python for a value that came from Qt."""
    if isinstance(value, enum.Enum):
        return int(value.value)
    if isinstance(value, shiboken6.Object):
        from .pythonqt import wrap  # wrappers call Qt through this file

        return wrap(value)
    if isinstance(value, tuple):
        raise NotImplementedError("PythonQt has no tuple returns: this call has out-parameters")
    if isinstance(value, list):
        return tuple(value) if value and all(isinstance(v, str) for v in value) else [toPython(v) for v in value]
    return value


def convert(value, wanted):
    """``value`` as Qt takes it for ``wanted``, a type or annotation; raises TypeError where it does not fit."""
    options, origin = typing.get_args(wanted), typing.get_origin(wanted)
    if origin in (typing.Union, types.UnionType):
        # PySide lists implicit C++ conversions as further Qt classes of the union; PythonQt does not make them.
        surplus = [o for o in options if isinstance(o, type) and issubclass(o, shiboken6.Object)][1:]
        for option in options:
            try:
                if option not in surplus:
                    return convert(value, option)
            except TypeError:
                pass
    elif wanted in (typing.Any, inspect.Parameter.empty, object):
        return value._alive("an argument") if isinstance(value, Wrapped) else value
    elif wanted in _PLAIN:
        if type(value) in _PLAIN[wanted]:  # no subclasses: numpy.float64 is a float, numpy.str_ a str
            return wanted(value)
    elif origin in (list, collections.abc.Sequence):
        if isinstance(value, (list, tuple)):
            return [convert(v, options[0]) for v in value]
    elif isinstance(wanted, type):
        if issubclass(wanted, enum.Enum) and type(value) is int:
            return wanted(value)
        if isinstance(value, Wrapped) and isinstance(value._obj, wanted):
            return value._alive("an argument")
        if isinstance(value, wanted) or value is None and issubclass(wanted, QtCore.QObject):
            return value
    raise TypeError(f"{value!r} of type {type(value).__name__} is not accepted where Qt wants {wanted}")


def _overloads(function):
    """The positional parameters of every overload."""
    if isinstance(function, type):  # the constructor, of a stand-in or of Qt
        cls = next(c for c in function.__mro__ if "__init__" in vars(c))
        function = cls.__init__ if inspect.isfunction(cls.__init__) else cls
    signatures = inspect.signature(function) if inspect.isfunction(function) else get_signature(function) or []
    skip = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
    for signature in signatures if isinstance(signatures, list) else [signatures]:
        yield [p for p in signature.parameters.values() if p.kind not in skip and p.name != "self"]


def call(name, described, arguments, keywords, bound=None):
    """Call a Qt function, or its ``bound`` form, with the first overload that takes the arguments."""
    checkThread(name)
    if keywords:
        raise TypeError(f"called slot {name} does not support kwargs: {', '.join(keywords)}")
    reasons = []
    for parameters in _overloads(described):
        if not sum(p.default is p.empty for p in parameters) <= len(arguments) <= len(parameters):
            continue
        try:
            fitted = [convert(a, p.annotation) for a, p in zip(arguments, parameters)]
        except TypeError as error:
            reasons.append(str(error))
        else:
            return toPython((bound or described)(*fitted))
    raise TypeError(f"{name}{arguments!r} fits no overload that the test host knows. " + "; ".join(reasons))


def checkThread(what):
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(f"{what}: Qt was used from thread {threading.current_thread().name}, not the main thread")
