"""Wrapped classes have no common bases: isinstance() knows the exact class alone, and so does findChildren()."""

import ast

from ..source import class_named, text

RULE = "instance"


def check(source):
    """isinstance() with a Qt class, and findChildren()."""
    for node, scope in source.walk():
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "issubclass") and len(node.args) == 2:
            classes = node.args[1].elts if isinstance(node.args[1], ast.Tuple) else [node.args[1]]
            for cls in classes:
                if class_named(cls):
                    yield source.finding(
                        node, RULE, f"{text(node)} is false for derived classes: use inherits() or className()."
                    )
        elif isinstance(node.func, ast.Attribute) and node.func.attr in ("findChildren", "findChild"):
            of_widget = source.types(node.func.value, scope) or any(class_named(a) for a in node.args)
            if of_widget and text(node.func.value) != "slicer.util":
                yield source.finding(node, RULE, f"{node.func.attr} is unreliable: use slicer.util.{node.func.attr}.")
