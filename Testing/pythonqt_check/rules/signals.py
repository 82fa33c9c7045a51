"""Signals are named by their exact normalised C++ signature: PythonQt only prints a line about any other."""

import ast
import re

from ..facts import all_signals, known, only_version, signals
from ..source import text

RULE = "signal"
_SIGNATURE = re.compile(r"\w+\([\w:<>,*& ]*\)$")


def check(source):
    """Every connect and disconnect, by string or by attribute."""
    for node, scope in source.walk():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ("connect", "disconnect") and len(node.args) >= 2:
                yield from _by_string(source, node, scope)
            elif node.func.attr in ("connect", "disconnect") and isinstance(node.func.value, ast.Attribute):
                yield from _by_attribute(source, node, scope)


def signatures(node):
    """The signature strings of a connect call; both of a conditional expression."""
    first = node.args[0]
    parts = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
    return [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def _by_string(source, node, scope):
    receiver = node.func.value
    classes = [cls for cls in sorted(source.types(receiver, scope)) if known(cls)]
    for signature in signatures(node):
        if not _SIGNATURE.match(signature):
            yield source.finding(node, RULE, f'"{signature}" is no signature of a signal: name(type,type).')
        elif normalised(signature) != signature:
            yield source.finding(node, RULE, f'Write the signal as Qt normalises it: "{normalised(signature)}".')
        elif classes:
            for cls in classes:
                yield from _of_class(source, node, cls, signature)
        elif signature not in all_signals():
            yield source.finding(node, RULE, f'No class has a signal "{signature}".')
    if node.func.attr == "disconnect" and isinstance(node.args[1], ast.Lambda):
        yield source.finding(node, RULE, "A new lambda is not the one that was connected: keep the function.")


def _of_class(source, node, cls, signature):
    if signature in signals(cls) or isinstance(node.args[0], ast.IfExp):
        return
    version, name = only_version(cls, signature), signature.partition("(")[0]
    others = sorted(s for s in signals(cls) if s.partition("(")[0] == name)
    if version:
        yield source.finding(node, RULE, f'Only Qt {version} has the signal "{signature}" of {cls}.')
    else:
        instead = f", but {', '.join(others)}" if others else ""
        yield source.finding(node, RULE, f'{cls} has no signal "{signature}"{instead}.')


def _by_attribute(source, node, scope):
    signal = node.func.value
    for cls in sorted(source.types(signal.value, scope)):
        overloads = [s for s in signals(cls) if s.partition("(")[0] == signal.attr]
        longest = max(overloads, key=len, default="")
        # clicked() and clicked(bool) are one signal with an argument that may be left out.
        if known(cls) and not all(longest.startswith(overload.rstrip(")")) for overload in overloads):
            yield source.finding(
                node,
                RULE,
                f"{text(signal)} has {len(overloads)} overloads: connect by a signature.",
            )


def normalised(signature):
    """A signature as QMetaObject::normalizedSignature writes it."""
    name, _, rest = signature.partition("(")
    parameters = []
    for parameter in rest.rstrip(")").split(","):
        parameter = parameter.strip()
        if "*" not in parameter:
            parameter = re.sub(r"^const\s+|&", "", parameter)
        parameters.append(re.sub(r"\s*([*&])\s*", r"\1", parameter).strip())
    return f"{name.strip()}({','.join(parameters)})"
