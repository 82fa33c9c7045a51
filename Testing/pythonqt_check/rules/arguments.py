"""Calls of Qt: no keywords, plain types only, and no results beside the return value."""

import ast

from ..facts import known, properties, table
from ..source import class_named, text

RULE = "argument"
_TUPLES = {"getOpenFileName", "getSaveFileName", "getOpenFileNames", "getText", "getInt", "getDouble", "getItem"}
_INTS = {"int", "uint", "qint64"}


def check(source):
    """Keywords, paths, fractions and tuples where PythonQt has none."""
    for node, scope in source.walk():
        if isinstance(node, ast.Call):
            yield from _call(source, node, scope)
        elif isinstance(node, ast.Assign):
            yield from _assigned(source, node, scope)


def _call(source, node, scope):
    receiver = _receiver(source, node, scope)
    if receiver is None:
        return
    for keyword in node.keywords:
        yield source.finding(node, RULE, f"{text(node.func)}: PythonQt takes no keywords, here {keyword.arg or '**'}.")
    for argument in node.args:
        if is_path(argument, source, scope):
            yield source.finding(node, RULE, f"{text(argument)} is a Path, which Qt does not take: give str(...).")
        if _is_fraction(argument) and _takes_int(receiver, getattr(node.func, "attr", "")):
            yield source.finding(node, RULE, f"{text(argument)} is a fraction, which Qt cuts: give round(...).")


def _receiver(source, node, scope):
    """Classes whose method or constructor is called; None if it is not Qt's."""
    function = node.func
    if class_named(function):
        return {class_named(function)}
    if isinstance(function, ast.Attribute):
        if class_named(function.value):
            return {class_named(function.value)}
        return source.types(function.value, scope) or None
    return None


def _assigned(source, node, scope):
    function = node.value.func if isinstance(node.value, ast.Call) else None
    for target in node.targets:
        if isinstance(target, ast.Tuple) and isinstance(function, ast.Attribute) and function.attr in _TUPLES:
            if (class_named(function.value) or "").endswith("Dialog"):
                yield source.finding(node, RULE, f"{text(function)} returns one value, not {len(target.elts)}.")
        if isinstance(target, ast.Attribute):
            for cls in sorted(c for c in source.types(target.value, scope) if known(c)):
                kind = properties(cls).get(target.attr)
                if kind == "QString" and is_path(node.value, source, scope):
                    yield source.finding(node, RULE, f"{text(target)} takes no Path: give str(...).")
                if kind in _INTS and _is_fraction(node.value):
                    yield source.finding(node, RULE, f"{text(target)} takes a whole number: give round(...).")


def is_path(node, source, scope):
    """Whether an expression is a pathlib.Path for certain."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        right = node.right
        named = isinstance(right, ast.JoinedStr) or isinstance(getattr(right, "value", None), str)
        return named or is_path(node.left, source, scope)
    if isinstance(node, ast.Call):
        function = node.func
        if isinstance(function, ast.Name):
            return function.id == "Path"
        if isinstance(function, ast.Attribute):
            return function.attr in ("home", "cwd") and text(function.value).endswith("Path")
    return False


def _is_fraction(node):
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Div) or _is_fraction(node.left) or _is_fraction(node.right)
    return isinstance(node, ast.Constant) and isinstance(node.value, float) and node.value != int(node.value)


def _takes_int(classes, method):
    """Whether a setter or slot takes whole numbers, and no others."""
    for cls in classes:
        name = method[3:4].lower() + method[4:] if method.startswith("set") else ""
        kinds = {properties(cls).get(name)} - {None} if known(cls) else set()
        kinds |= {
            signature.partition("(")[2].rstrip(")")
            for base in table()
            if base == cls
            for signature in table()[base].get("slots", ())
            if signature.startswith(method + "(") and not signature.endswith("()")
        }
        if not kinds or not kinds <= _INTS:
            return False
    return True
