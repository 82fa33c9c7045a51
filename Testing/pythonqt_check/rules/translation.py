"""Texts go through _() as they stand, and _ stays the translator."""

import ast
import re

from ..source import assignments, text

RULE = "translation"
_SHOWN = {"errorDisplay", "infoDisplay", "warningDisplay", "confirmOkCancelDisplay", "confirmYesNoDisplay",
          "showStatusMessage"}  # fmt: skip
_SETTERS = {"setText", "setToolTip", "setWindowTitle", "setPlaceholderText", "setStatusTip", "addItem"}


def check(source):
    """Whatever is wrong with a translated text, and texts that are not."""
    translator = _imports_translator(source)
    for node, scope in source.walk():
        if isinstance(node, ast.Call) and _is_translator(node.func) and translator:
            yield from _translated(source, node)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and translator:
            yield from _shadowed(source, node, node)
        elif isinstance(node, ast.Call):
            yield from _shown(source, node, scope)
    if translator:
        yield from _shadowed(source, source.tree, None)


def _imports_translator(source):
    return any(
        isinstance(node, ast.ImportFrom) and node.module == "slicer.i18n" and any(a.asname == "_" for a in node.names)
        for node in ast.walk(source.tree)
    )


def _is_translator(function):
    return isinstance(function, ast.Name) and function.id in ("_", "translate")


def _translated(source, node):
    message = node.args[-1] if node.args else None
    if isinstance(message, ast.JoinedStr):
        yield source.finding(node, RULE, 'An f-string is never found in a catalogue: use _("... {x}").format(x=x).')
    elif isinstance(message, ast.BinOp) or isinstance(message, ast.Call) and "format" in text(message.func):
        yield source.finding(node, RULE, 'Translate the text, then put the values in: _("... {x}").format(x=x).')


def _shadowed(source, owner, function):
    """An assignment to _ makes it local to the whole function, or replaces it for the whole file."""
    here = [target for target, _ in assignments(owner) if isinstance(target, ast.Name) and target.id == "_"]
    names = [target for target in here if hasattr(target, "lineno")]
    parameters = [a for a in (function.args.args if function else []) if a.arg == "_"]
    if not names and not parameters:
        return
    comprehended = function is not None and all(_in_comprehension(owner, target) for target in names) and not parameters
    used = any(isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "_" for n in ast.walk(owner))
    if (used or function is None) and not comprehended:
        node = (names or parameters)[0]
        yield source.finding(node, RULE, "_ is the translator: name what is thrown away otherwise.")


def _in_comprehension(owner, target):
    return any(
        isinstance(node, ast.comprehension) and any(part is target for part in ast.walk(node.target))
        for node in ast.walk(owner)
    )


def _shown(source, node, scope):
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    widget = name in _SETTERS and bool(source.types(node.func.value, scope))
    if (name in _SHOWN or widget) and node.args:
        message = node.args[0]
        if isinstance(message, ast.JoinedStr):
            spoken = "".join(part.value for part in message.values if isinstance(part, ast.Constant))
        else:
            spoken = message.value if isinstance(message, ast.Constant) and isinstance(message.value, str) else ""
        if any(re.fullmatch(r"[A-Za-z][a-z]{2,}[.:,]?", word) for word in spoken.split()):  # no unit, such as mGy
            yield source.finding(node, RULE, f"{name}({text(message)}): pass the text through _().")
