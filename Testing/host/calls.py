"""Calls between Python and Qt with PythonQt's conversions: what a slot takes, what comes back, slots in Python.

Stricter than PythonQt, which turns any object into a string by str(), floors floats and takes truth values.
"""

import collections.abc
import enum
import functools
import inspect
import sys
import threading
import traceback
import types
import typing

import shiboken6
from PySide6 import QtCore, QtGui, QtWidgets  # noqa: F401  (signatures of QtWidgets are known once it is imported)
from shibokensupport.signature import get_signature

errors = []  # exceptions raised in slots, timers, observers and threads; Slicer --testing fails on them at exit


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
            self.target(*[to_python(a) for a in arguments[: self.count]])
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # pytest's own failures are no Exception
            record(error)


def unwrap(value):
    if isinstance(value, Wrapped):
        return value._alive("an argument")
    if isinstance(value, (list, tuple)):
        return [unwrap(v) for v in value]
    return value


def to_python(value):
    """What PythonQt hands to Python for a value that came from Qt."""
    if isinstance(value, enum.Enum):
        return int(value.value)
    if isinstance(value, shiboken6.Object):
        from .pythonqt import wrap  # wrappers call Qt through this file

        return wrap(value)
    if isinstance(value, tuple):
        raise NotImplementedError("PythonQt has no tuple returns: this call has out-parameters")
    if isinstance(value, list):
        return tuple(value) if value and all(isinstance(v, str) for v in value) else [to_python(v) for v in value]
    return value


def convert(value, wanted):
    """``value`` as Qt takes it where ``wanted`` (a type or annotation) stands; raises TypeError where it does not fit.

    Stricter than PythonQt, which turns any object into a string by str(), floors floats and takes truth values.
    """
    options, origin = typing.get_args(wanted), typing.get_origin(wanted)
    if origin in (typing.Union, types.UnionType):
        # PySide lists implicit C++ conversions as further classes of the union; PythonQt does not make them.
        qtClasses = [o for o in options if isinstance(o, type) and issubclass(o, shiboken6.Object)]
        for option in options:
            if option in qtClasses[1:]:
                continue
            try:
                return convert(value, option)
            except TypeError:
                pass
    elif wanted in (typing.Any, inspect.Parameter.empty, object):
        return unwrap(value)
    elif wanted is bool and type(value) in (bool, int):
        return bool(value)
    elif wanted is int and isinstance(value, int):
        return int(value)
    elif wanted is float and type(value) in (float, int, bool):
        return float(value)
    elif wanted is str and isinstance(value, str):
        return value
    elif isinstance(wanted, enum.EnumMeta) and isinstance(value, int):
        return wanted(int(value))
    elif origin in (list, collections.abc.Sequence) and isinstance(value, (list, tuple)):
        return [convert(v, options[0]) for v in value]
    elif (origin is collections.abc.Callable or wanted is collections.abc.Callable) and callable(value):
        return value
    elif isinstance(wanted, type):
        if isinstance(value, Wrapped) and isinstance(value._obj, wanted):
            return unwrap(value)
        if value is None and (wanted is type(None) or issubclass(wanted, QtCore.QObject)):
            return None
        if wanted not in (bool, int, float) and not issubclass(wanted, shiboken6.Object) and isinstance(value, wanted):
            return value
    raise TypeError(f"{value!r} of type {type(value).__name__} is not accepted where Qt wants {wanted}")


@functools.cache
def _overloads(function):
    """The positional parameters of every overload, or None where they are not known."""
    if inspect.isfunction(function):
        signatures = [inspect.signature(function)]
    else:
        signatures = get_signature(function) or []
        signatures = signatures if isinstance(signatures, list) else [signatures]
    skip = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
    return [[p for p in s.parameters.values() if p.kind not in skip and p.name != "self"] for s in signatures]


def _fit(arguments, parameters):
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
        return [unwrap(a) for a in arguments]
    required = sum(p.default is inspect.Parameter.empty for p in parameters)
    if not required <= len(arguments) <= len(parameters):
        raise TypeError("wrong number of arguments")
    return [convert(a, p.annotation) for a, p in zip(arguments, parameters, strict=False)]


def call(name, function, described, arguments, keywords):
    """Call a Qt function with the first overload that takes the arguments; ``described`` carries the signatures."""
    checkThread(name)
    if keywords:
        raise TypeError(f"called slot {name} does not support kwargs: {', '.join(keywords)}")
    overloads = _overloads(described)
    if not overloads:
        raise NotImplementedError(f"the parameters of {name} are unknown to the test host")
    reasons = []
    for parameters in overloads:
        try:
            fitted = _fit(arguments, parameters)
        except TypeError as error:
            reasons.append(str(error))
            continue
        return to_python(function(*fitted))
    raise TypeError(f"{name}{arguments!r} fits no overload: " + "; ".join(dict.fromkeys(reasons)))


def checkThread(what):
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(f"{what}: Qt was used from thread {threading.current_thread().name}, not the main thread")


def installErrorHooks():
    """Record what ends at the top: VTK observers, event handlers and threads. Returns a function that undoes it."""
    previous = sys.excepthook, threading.excepthook
    sys.excepthook = lambda kind, error, trace: record(error)
    threading.excepthook = lambda args: record(args.exc_value)

    def restore():
        sys.excepthook, threading.excepthook = previous

    return restore
