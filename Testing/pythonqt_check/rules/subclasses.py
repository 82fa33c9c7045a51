"""Python classes derived from Qt's: which can be, what they must do, and no signals of their own."""

import ast

from ..source import class_named, text

RULE = "subclass"


def check(source):
    """Bases, constructors, event filters, qt.Signal and Slot."""
    for node, _ in source.walk():
        if isinstance(node, ast.ClassDef):
            yield from _class(source, node)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "qt":
            if node.attr in ("Signal", "Slot", "pyqtSignal", "Property"):
                yield source.finding(node, RULE, f"qt.{node.attr} is missing or crashes: call functions.")


def _class(source, node):
    bases = [class_named(base) for base in node.bases if class_named(base)]
    for base in bases:
        if not base.startswith("Q"):
            yield source.finding(node, RULE, f"{base} cannot be derived from: its virtual methods are C++.")
    methods = {child.name: child for child in node.body if isinstance(child, ast.FunctionDef)}
    if bases and "__init__" in methods and not _calls_base(methods["__init__"]):
        yield source.finding(methods["__init__"], RULE, f"{node.name}.__init__ must call that of {bases[0]}.")
    if bases and "eventFilter" in methods:
        yield from _event_filter(source, methods["eventFilter"])


def _calls_base(function):
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "__init__"
        for node in ast.walk(function)
    )


def _event_filter(source, function):
    if len(function.args.args) != 3:
        yield source.finding(function, RULE, "eventFilter takes the watched object and the event.")
    returns = [node for node in ast.walk(function) if isinstance(node, ast.Return)]
    if not returns or not isinstance(function.body[-1], (ast.Return, ast.If, ast.Try, ast.Raise)):
        yield source.finding(function, RULE, "eventFilter must return True or False on every way.")
    for node in returns:
        if node.value is None or isinstance(node.value, ast.Constant) and type(node.value.value) is not bool:
            yield source.finding(node, RULE, f"eventFilter must return a bool, not {text(node)[7:] or 'None'}.")
