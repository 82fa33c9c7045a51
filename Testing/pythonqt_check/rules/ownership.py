"""An object without a parent lives as long as Python refers to it; deleting is Qt's own business."""

import ast

from ..facts import ancestors
from ..source import class_named, text

RULE = "ownership"
# That do something later, for which they must still be there.
_LATER = {"QTimer", "QShortcut", "QAction", "QButtonGroup", "QValidator", "QAbstractItemModel", "QAbstractItemDelegate",
          "QCompleter", "QProcess", "QPropertyAnimation"}  # fmt: skip


def check(source):
    """Objects that go at once, and del of a widget."""
    for node, scope in source.walk():
        if isinstance(node, ast.Assign):
            yield from _assigned(source, node, scope)
        elif isinstance(node, ast.Expr):
            yield from _dropped(source, node)
        elif isinstance(node, ast.Delete):
            for target in node.targets:
                if source.types(target, scope):
                    yield source.finding(node, RULE, f"del {text(target)}: use deleteLater().")


def _lives_later(call):
    cls = class_named(call.func) if isinstance(call, ast.Call) else None
    return cls and bool(_LATER & set(ancestors(cls))) and cls


def _parentless(call):
    # Texts and numbers are no parents.
    return not any(not isinstance(argument, (ast.Constant, ast.JoinedStr)) for argument in call.args)


def _assigned(source, node, scope):
    cls = _lives_later(node.value)
    if not cls or not _parentless(node.value) or not scope.functions:
        return
    names = {target.id for target in node.targets if isinstance(target, ast.Name)}
    if len(names) == len(node.targets) and not _kept(scope.functions[-1], names):
        yield source.finding(node, RULE, f"This {cls} has no parent and ends with the function: keep it.")


def _kept(function, names):
    """Whether a name is handed on: stored, returned, passed, or used by an inner function."""
    for node in ast.walk(function):
        if isinstance(node, (ast.Return, ast.Yield)) and node.value is not None and _uses(node.value, names):
            return True
        if isinstance(node, ast.Assign) and not all(isinstance(t, ast.Name) for t in node.targets):
            if any(isinstance(part, ast.Name) and part.id in names for part in _values(node.value)):
                return True
        if isinstance(node, ast.Call) and any(_uses(argument, names) for argument in node.args):
            return True
        if isinstance(node, (ast.Lambda, ast.FunctionDef)) and node is not function and _uses(node, names):
            return True
    return False


def _values(node):
    return node.elts if isinstance(node, (ast.Tuple, ast.List)) else [node]


def _uses(node, names):
    return any(isinstance(part, ast.Name) and part.id in names for part in ast.walk(node))


def _dropped(source, node):
    cls = _lives_later(node.value)
    if cls and _parentless(node.value):
        yield source.finding(node, RULE, f"This {cls} has no parent and ends at once: keep it.")
