"""A Python file with what can be told of its expressions: of which Qt, CTK or Slicer class they are.

Types come from the .ui files (ui.NAME), from constructors (qt.QTimer(...)) and from what is assigned to names and to
attributes of self. An expression of which nothing certain is known has no type.
"""

import ast
import functools
import re
from dataclasses import dataclass, field
from pathlib import Path

from .facts import PREFIXES, table

NOTHING = frozenset()
_UI = ("ui", "_ui")
# Of the few wrapped methods whose result the panel uses.
RETURNS = {
    "horizontalHeader": "QHeaderView",
    "verticalHeader": "QHeaderView",
    "item": "QTableWidgetItem",
    "focusWidget": "QWidget",
}


@dataclass(frozen=True)
class Finding:
    """One line for the reader: where, which rule, and what to do."""

    path: Path
    line: int
    rule: str
    sentence: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.sentence} [{self.rule}]"


@dataclass(frozen=True)
class Scope:
    """Where a node stands: the functions around it, outermost first, and the class."""

    functions: tuple = ()
    cls: ast.ClassDef | None = None


@dataclass
class Source:
    """path, tree; interface: of the module's .ui files; own_names: of all functions that the checked files define."""

    path: Path
    tree: ast.Module
    interface: object
    own_names: frozenset = NOTHING
    _seen: set = field(default_factory=set)
    _known: dict = field(default_factory=dict)
    _assigning: dict = field(default_factory=dict)

    def finding(self, node, rule, sentence):
        return Finding(self.path, node.lineno, rule, sentence)

    def walk(self):
        """(node, Scope) of everything in the file; a function's or class's own node stands outside itself."""
        return self._nodes

    @functools.cached_property
    def _nodes(self):
        return list(self._below(self.tree, Scope()))

    def _below(self, node, scope):
        for child in ast.iter_child_nodes(node):
            yield child, scope
            inner = scope
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                inner = Scope((*scope.functions, child), scope.cls)
            elif isinstance(child, ast.ClassDef):
                inner = Scope((), child)
            yield from self._below(child, inner)

    @property
    def uses_qt(self):
        """Whether the file works with widgets."""
        return bool({"qt", "ctk", "slicer"} & self.imported_names)

    @functools.cached_property
    def imported_names(self):
        """Names of the modules that the file imports, and of what it takes from them."""
        names = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names |= {(node.module or "").split(".")[0]}
        return names

    # Types

    def types(self, expression, scope):
        """Names of the classes that an expression may be of; empty if that is not known."""
        key = (id(expression), scope)
        if key in self._known:
            return self._known[key]
        if key in self._seen:  # a name that is assigned from itself
            return NOTHING
        self._seen.add(key)
        try:
            self._known[key] = self._types(expression, scope)
        finally:
            self._seen.discard(key)
        return self._known[key]

    def _types(self, node, scope):
        if isinstance(node, ast.Call):
            return self._of_call(node, scope)
        if isinstance(node, ast.Attribute):
            if is_ui(node.value):
                return self._of_names(node.attr)
            if isinstance(node.value, ast.Name) and node.value.id == "self":
                return self._joined(self._assigned_to_self(node.attr, scope.cls))
            return NOTHING
        if isinstance(node, ast.Name):
            return self._joined(self._assigned(node.id, scope))
        if isinstance(node, ast.Subscript):
            return self.element_types(node.value, scope)
        return NOTHING

    def _of_names(self, name):
        cls = self.interface.classes.get(name)
        return frozenset((cls,)) if cls else NOTHING

    def _of_call(self, node, scope):
        function = node.func
        if isinstance(function, ast.Name) and function.id == "getattr" and len(node.args) == 2 and is_ui(node.args[0]):
            name = node.args[1]
            if isinstance(name, ast.JoinedStr):
                parts = [re.escape(p.value) if isinstance(p, ast.Constant) else r"\w+" for p in name.values]
                return self.interface.matching("".join(parts))
            return self._of_names(name.value) if isinstance(name, ast.Constant) else NOTHING
        if isinstance(function, ast.Attribute):
            cls = class_named(function)
            if cls:
                return frozenset((cls,))
            if function.attr in RETURNS and (class_named(function.value) or self.types(function.value, scope)):
                return frozenset((RETURNS[function.attr],))
        return NOTHING

    def element_types(self, node, scope):
        """Classes of the elements of a list, tuple or dictionary."""
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            return self._joined([(element, scope) for element in node.elts]) if node.elts else NOTHING
        if isinstance(node, ast.Dict):
            return self._joined([(value, scope) for value in node.values]) if node.values else NOTHING
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp)):
            return self.types(node.elt, scope)
        if isinstance(node, ast.DictComp):
            return self.types(node.value, scope)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "values":
            return self.element_types(node.func.value, scope)
        assigned = []
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            assigned = self._assigned_to_self(node.attr, scope.cls)
        elif isinstance(node, ast.Name):
            assigned = self._assigned(node.id, scope)
        if not assigned or any(value is None for value, _ in assigned):
            return NOTHING
        found = [self.element_types(value, where) for value, where in assigned if not _is_empty(value)]
        return frozenset().union(*found) if found and all(found) else NOTHING

    def _joined(self, assigned):
        """The union, if every one of (expression, scope) has a type, None apart."""
        found = [self._one(value, where) for value, where in assigned if not _is_none(value)]
        return frozenset().union(*found) if found and all(found) else NOTHING

    def _one(self, value, where):
        if value is None:
            return NOTHING
        if isinstance(value, _Element):
            return self.element_types(value.container, where)
        return self.types(value, where)

    def _assignments(self, owner):
        if id(owner) not in self._assigning:
            self._assigning[id(owner)] = list(assignments(owner))
        return self._assigning[id(owner)]

    def _assigned(self, name, scope):
        """(expression or None, scope) of what is assigned to a name in the functions around, innermost first."""
        for depth in range(len(scope.functions), -1, -1):
            owner = scope.functions[depth - 1] if depth else self.tree
            where = Scope(scope.functions[:depth], scope.cls)
            found = [(value, where) for target, value in self._assignments(owner) if _names(target, name)]
            if found:
                return found
            if depth and name in _parameters(owner):
                return [(None, where)]
        return []

    def _assigned_to_self(self, attribute, cls):
        found = []
        for node in cls.body if cls else []:
            if isinstance(node, ast.FunctionDef):
                where = Scope((node,), cls)
                for target, value in self._assignments(node):
                    if isinstance(target, ast.Attribute) and target.attr == attribute and _names(target.value, "self"):
                        found.append((value, where))
        return found


@dataclass(frozen=True)
class _Element:
    """What a loop variable is: an element of a container."""

    container: ast.expr


def assignments(owner):
    """(target, value) of a function, without those of functions inside; value None where it is not plain."""
    for node in _inside(owner):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from _unpacked(target, node.value)
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
            yield node.target, node.value
        elif isinstance(node, ast.AugAssign):
            yield node.target, None
        elif isinstance(node, (ast.For, ast.comprehension)):
            yield from _looped(node.target, node.iter)
        elif isinstance(node, ast.With):
            for item in node.items:
                if item.optional_vars is not None:
                    yield item.optional_vars, None
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                yield ast.Name(alias.asname or alias.name.split(".")[0]), None


def _inside(owner):
    body = owner.body if isinstance(owner.body, list) else [owner.body]
    pending = list(body)
    while pending:
        node = pending.pop(0)
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            pending += ast.iter_child_nodes(node)


def _unpacked(target, value):
    if isinstance(target, (ast.Tuple, ast.List)):
        same = isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(target.elts)
        for index, part in enumerate(target.elts):
            yield from _unpacked(part, value.elts[index] if same else None)
    else:
        yield target, value


def _looped(target, container):
    if isinstance(target, (ast.Tuple, ast.List)):
        for part in target.elts:
            yield from _unpacked(part, None)
    else:
        yield target, _Element(container)


def _parameters(owner):
    if isinstance(owner, ast.Module):
        return ()
    a = owner.args
    return [p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg)))]


def _names(target, name):
    return isinstance(target, ast.Name) and target.id == name


def _is_none(value):
    return isinstance(value, ast.Constant) and value.value is None


def _is_empty(value):
    return isinstance(value, (ast.Tuple, ast.List, ast.Dict, ast.Set)) and not (
        value.values if isinstance(value, ast.Dict) else value.elts
    )


def is_ui(node):
    """Whether an expression is the namespace of the panel's widgets: ui, self.ui, self._ui, widget.ui."""
    return isinstance(node, ast.Name) and node.id in _UI or isinstance(node, ast.Attribute) and node.attr in _UI


def class_named(node):
    """ "QTimer" of qt.QTimer, "ctkSliderWidget" of ctk.ctkSliderWidget, "qMRMLX" of slicer.qMRMLX; else None."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        module, name = node.value.id, node.attr
        if module in ("qt", "ctk", "slicer") and name.startswith(PREFIXES) and not name.startswith("Qt"):
            return name if name in table() or module != "slicer" else None
    return None


def text(node):
    """The code of a node, for a sentence."""
    return ast.unparse(node)
