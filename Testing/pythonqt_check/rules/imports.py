"""Qt comes as the flat modules qt and ctk, Slicer's widgets in slicer; only classes that Qt 5 and 6 have."""

import ast

from ..facts import PREFIXES, UNLISTED, table
from ..source import text

RULE = "import"
_BINDINGS = {"PySide2", "PySide6", "PyQt5", "PyQt6", "qtpy", "shiboken2", "shiboken6"}
_MODULES = {"QtCore", "QtGui", "QtWidgets", "QtNetwork", "QtUiTools"}
# Left out of Qt 6, or of Slicer's Python: what takes their place.
REPLACED = {
    "QDesktopWidget": "slicer.app.screens()",
    "QRegExp": "qt.QRegularExpression",
    "QRegExpValidator": "qt.QRegularExpressionValidator",
}


def check(source):
    """Wrong modules, and classes that do not exist."""
    for node, _ in source.walk():
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from _imported(source, node)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield from _taken(source, node)


def _imported(source, node):
    modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
    for module in modules:
        top = module.split(".")[0]
        if top in _BINDINGS:
            yield source.finding(node, RULE, f"Slicer has no {top}: import qt.")
        elif top == "imp":
            yield source.finding(node, RULE, "Python 3.12 has no imp: use importlib.")
        elif top in ("qt", "ctk") and "." in module:
            yield source.finding(node, RULE, f"{top} is flat: there is no {module}.")
    if isinstance(node, ast.ImportFrom) and node.module in ("qt", "ctk"):
        for alias in node.names:
            yield from _exists(source, node, node.module, alias.name)


def _taken(source, node):
    module, name = node.value.id, node.attr
    if module == "qt" and name in _MODULES:
        yield source.finding(node, RULE, f"{text(node)}: the module qt is flat, without {name}.")
    elif module in ("qt", "ctk", "slicer"):
        yield from _exists(source, node, module, name)


def _exists(source, node, module, name):
    wanted = {"qt": ("Q",), "ctk": ("ctk",), "slicer": PREFIXES[2:]}[module]
    if not name.startswith(wanted) or name in UNLISTED or name == "Qt":
        return
    facts = table().get(name)
    if facts is None:
        yield source.finding(node, RULE, f"{module} has no class {name}.")
    elif "only" in facts:
        instead = f": use {REPLACED[name]}" if name in REPLACED else ""
        yield source.finding(node, RULE, f"Only Qt {facts['only']} has {name}{instead}.")
