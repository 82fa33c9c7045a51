"""Properties are values, not methods; a wrapped object has the members of its class and takes no others."""

import ast

from ..facts import EVERYWHERE, always_properties, kind_of, known, only_version, properties, table
from ..source import is_ui, text

RULE = "member"
# Methods of Python's own types, and of numpy's, that share their name with a property of Qt.
_PYTHONS = {name for kind in (str, bytes, list, dict, set, tuple, int, float) for name in dir(kind)}
_PYTHONS |= {"min", "max", "sum", "size", "shape", "all", "any", "name", "parent", "query", "status", "state"}


def check(source):
    """Calls of properties, members that are not there, attributes that cannot be set."""
    called = {id(node.func): node for node, _ in source.walk() if isinstance(node, ast.Call)}
    for node, scope in source.walk():
        if not isinstance(node, ast.Attribute):
            continue
        if is_ui(node.value):
            if isinstance(node.ctx, ast.Load):
                yield from _widget(source, node)
            continue
        classes = source.types(node.value, scope)
        for cls in sorted(classes):
            found = list(_typed(source, node, cls, called.get(id(node)))) if known(cls) else []
            if found:
                yield from found
                break  # one sentence, though it may be true of several classes
        if not classes and id(node) in called:
            yield from _untyped(source, node, called[id(node)])


def _widget(source, node):
    names = source.interface.classes
    if names and node.attr not in names and not node.attr.startswith("__") and node.attr not in ("items", "widget"):
        yield source.finding(node, RULE, f"{text(node)}: no .ui file has an object {node.attr}.")


def _typed(source, node, cls, call):
    name = node.attr
    kind = kind_of(cls, name)
    if isinstance(node.ctx, ast.Store):
        if kind is None and name not in EVERYWHERE:
            yield source.finding(node, RULE, f"{text(node)}: {cls} has no property {name}, nor takes new attributes.")
        elif kind in ("slot", "signal", "method"):
            yield source.finding(node, RULE, f"{text(node)}: {name} is a {kind} of {cls} and cannot be assigned.")
    elif name in EVERYWHERE or name.startswith("__"):
        return
    elif kind == "property" and call is not None:
        yield source.finding(node, RULE, f"{text(node)}(): {name} is a property of {cls}; read it without parentheses.")
    elif kind is None:
        version = only_version(cls, name)
        if version:
            yield source.finding(node, RULE, f"{text(node)}: only Qt {version} has {name} of {cls}.")
        else:
            yield source.finding(node, RULE, f"{text(node)}: {cls} has no {name}{_instead(cls, name)}.")


def _instead(cls, name):
    """What to write for a setter or getter that is not wrapped."""
    plain = name[3:4].lower() + name[4:] if name.startswith("set") else name[2:3].lower() + name[3:]
    if name.startswith(("set", "is")) and plain in properties(cls):
        return f" for scripts; use its property {plain}"
    return ""


def _untyped(source, node, call):
    """A receiver of unknown class: only what is a property of whatever widget has it."""
    name = node.attr
    plain = not call.args and not call.keywords and name in always_properties()
    if plain and source.uses_qt and name not in _PYTHONS and name not in source.own_names:
        if name[:1].islower() and not _is_module(node.value, source):
            classes = [cls for cls, facts in table().items() if name in facts.get("properties", {})]
            yield source.finding(node, RULE, f"{text(node)}(): {name} is a property (of {classes[0]}, for one).")


def _is_module(value, source):
    return isinstance(value, ast.Name) and value.id in source.imported_names - {"qt", "ctk"}
