"""Enum values are found at their class: qt.Qt.AlignLeft, qt.QSizePolicy.Expanding; plain ints."""

import ast

from ..facts import EVERYWHERE, ancestors, kind_of, known, only_version, table
from ..source import class_named, text

RULE = "value"
_STATIC = {"singleShot"}  # a function of QTimer beside the property
_ENUM_NAMES = ("Flag", "Type", "Mode", "Role", "Policy", "State", "Behavior", "Shape", "Button", "Option", "Key")


def check(source):
    """Attributes of classes: values and static functions that do not exist."""
    for node, _ in source.walk():
        if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Attribute):
            continue
        cls = _class(node.value)
        if cls is None or not known(cls) or node.attr in EVERYWHERE or node.attr.startswith("__"):
            continue
        kind = kind_of(cls, node.attr)
        if kind == "property" and node.attr not in _STATIC:
            yield source.finding(node, RULE, f"{text(node)}: {node.attr} is a property of an object, not of the class.")
        elif kind is None and not _is_enum(cls, node.attr):
            version = only_version(cls, node.attr)
            problem = f"only Qt {version} has it" if version else f"{cls} has no value or function {node.attr}"
            yield source.finding(node, RULE, f"{text(node)}: {problem}.")


def _class(node):
    """ "Qt" of qt.Qt, "QSizePolicy" of qt.QSizePolicy."""
    if isinstance(node.value, ast.Name) and node.value.id == "qt" and node.attr == "Qt":
        return "Qt"
    return class_named(node)


def _is_enum(cls, name):
    """The enum itself, qt.Qt.AlignmentFlag, through which its values can be had, too."""
    return name[:1].isupper() and name.endswith(_ENUM_NAMES) and any(base in table() for base in ancestors(cls))
