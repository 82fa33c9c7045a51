"""VTK observers: called with (caller, event), removed by their tag or by the same function."""

import ast

from ..source import assignments
from .slots import _function

RULE = "observer"


def check(source):
    """AddObserver of VTK and addObserver of VTKObservationMixin."""
    kept = {id(node.value) for node, _ in source.walk() if isinstance(node, ast.Expr)}
    for node, scope in source.walk():
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr == "AddObserver" and len(node.args) >= 2:
            if id(node) in kept and not _made_here(node.func.value, scope):
                yield source.finding(node, RULE, "The tag of AddObserver is lost: keep it to remove the observer.")
            yield from _callback(source, node.args[1], scope, node)
        elif node.func.attr == "addObserver" and len(node.args) >= 3:
            if isinstance(node.args[2], ast.Lambda):
                yield source.finding(node, RULE, "A lambda cannot be removed by itself: observe with a method.")
            yield from _callback(source, node.args[2], scope, node)


def _made_here(receiver, scope):
    """Whether the observed object is made in the same function, and takes its observers with it."""
    if not isinstance(receiver, ast.Name) or not scope.functions or isinstance(scope.functions[-1], ast.Lambda):
        return False
    assigned = [value for target, value in assignments(scope.functions[-1]) if ast.unparse(target) == receiver.id]
    return bool(assigned) and all(_constructs(value) for value in assigned)


def _constructs(value):
    if isinstance(value, ast.IfExp):
        return _constructs(value.body) and _constructs(value.orelse)
    return isinstance(value, ast.Call) and ast.unparse(value.func).split(".")[-1].startswith("vtk")


def _callback(source, target, scope, call):
    function, bound = _function(source, target, scope)
    if function is None or function.args.vararg:
        return
    a = function.args
    plain = [*a.posonlyargs, *a.args][1 if bound else 0 :]
    decorated = any("calldata_type" in ast.unparse(d) for d in getattr(function, "decorator_list", ()))
    given = 3 if decorated else 2
    if not len(plain) - len(a.defaults) <= given <= len(plain):
        arguments = ("caller", "event", "calldata")[:given]
        yield source.finding(call, RULE, f"{ast.unparse(target)} is called with ({', '.join(arguments)}).")
