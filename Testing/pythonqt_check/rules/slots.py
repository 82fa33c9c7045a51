"""A function gets as many of the signal's arguments as it has parameters, those with a default value included."""

import ast

from .signals import signatures

RULE = "slot"


def check(source):
    """Functions that would take an argument for their own default value, or get too few or too many."""
    for node, scope in source.walk():
        connects = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "connect"
        if connects and len(node.args) == 2:
            for signature in signatures(node):
                if "(" in signature:
                    yield from _connected(source, node, scope, signature)


def count(signature):
    """The number of a signal's arguments."""
    inside = signature.partition("(")[2].rstrip(")")
    return len(inside.split(",")) if inside else 0


def _connected(source, node, scope, signature):
    target, sent = node.args[1], count(signature)
    if isinstance(target, ast.Call) and _name(target.func) == "partial" and sent:
        yield source.finding(
            node, RULE, f"functools.partial gets all {sent} arguments of {signature} on top of its own: use a lambda."
        )
        return
    function, bound = _function(source, target, scope)
    if function is None:
        return
    a = function.args
    plain = [*a.posonlyargs, *a.args][1 if bound else 0 :]
    needed = len(plain) - len(a.defaults)
    if needed > sent:
        yield source.finding(node, RULE, f"{signature} sends {sent} arguments, and {_called(target)} needs {needed}.")
    elif a.defaults and sent > needed:
        first = plain[needed].arg
        yield source.finding(
            node, RULE, f"{_called(target)} gets an argument of {signature} as {first}, in place of its default value."
        )


def _function(source, target, scope):
    """(definition, whether self comes first) of a lambda, a method of self or a function of the file."""
    if isinstance(target, ast.Lambda):
        return target, False
    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
        return _find(scope.cls.body if scope.cls else [], target.attr, True)
    if isinstance(target, ast.Name):
        for function in reversed(scope.functions):
            found = _find(function.body if isinstance(function.body, list) else [], target.id, False)
            if found[0]:
                return found
        return _find(source.tree.body, target.id, False)
    return None, False


def _find(body, name, method):
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            static = any(_name(decorator) == "staticmethod" for decorator in node.decorator_list)
            return (None if node.decorator_list and not static else node), method and not static
    return None, False


def _name(node):
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _called(target):
    return "the lambda" if isinstance(target, ast.Lambda) else ast.unparse(target)
