"""Widgets, nodes and VTK belong to the main thread; observers must not run the event loop."""

import ast

from .slots import _function

RULE = "thread"
_MAIN_ONLY = {"qt", "ctk", "slicer", "vtk"}


def check(source):
    """What a thread's function touches, and processEvents() in observers."""
    for node, scope in source.walk():
        if isinstance(node, ast.Call):
            target = _target(node)
            function, _ = _function(source, target, scope) if target is not None else (None, False)
            if function is not None:
                yield from _in_thread(source, node, function)
        elif isinstance(node, ast.FunctionDef) and _is_observer(node):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Attribute) and inner.attr == "processEvents":
                    yield source.finding(inner, RULE, f"{node.name} is an observer: it must not run the event loop.")


def _target(node):
    """The function that a call gives to another thread."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name == "Thread":
        return next((keyword.value for keyword in node.keywords if keyword.arg == "target"), None)
    return node.args[0] if name in ("submit", "run_in_executor") and node.args else None


def _in_thread(source, call, function):
    for node in ast.walk(function):
        touches = isinstance(node, ast.Name) and node.id in _MAIN_ONLY
        touches |= isinstance(node, ast.Attribute) and node.attr in ("ui", "_ui")
        if touches:
            name = node.id if isinstance(node, ast.Name) else node.attr
            yield source.finding(call, RULE, f"The thread's function uses {name} (line {node.lineno}).")
            return


def _is_observer(node):
    return [argument.arg for argument in node.args.args if argument.arg != "self"][:2] == ["caller", "event"]
