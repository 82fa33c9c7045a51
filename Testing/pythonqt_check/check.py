"""Runs every rule over files."""

import ast
import os
from pathlib import Path

from .interface import interface_files, read_interfaces
from .rules import INTERFACE_RULES, RULES
from .rules.interfaces import parameter_names
from .source import Finding, Source

SHIPPED = Path(__file__).resolve().parents[2] / "DeepDRRSlicer"


def shipped_files():
    """Every Python and .ui file that ships."""
    found = sorted([*SHIPPED.rglob("*.py"), *SHIPPED.rglob("*.ui")])
    return [path for path in found if not {"build", "__pycache__"} & set(path.parts)]


def check_files(paths):
    """Findings of Python and .ui files, in order; widgets' names are known from the .ui files that ship, too."""
    interfaces = [path for path in paths if path.suffix == ".ui"]
    interface = read_interfaces(dict.fromkeys([*interface_files(SHIPPED), *interfaces]))
    trees = {path: ast.parse(path.read_text(encoding="utf-8"), str(path)) for path in paths if path.suffix == ".py"}
    own = frozenset(n.name for tree in trees.values() for n in ast.walk(tree) if isinstance(n, ast.FunctionDef))
    parameters = parameter_names(trees.values())
    findings = []
    for path, tree in trees.items():
        findings += check_tree(_short(path), tree, interface, own)
    for path in interfaces:
        for rule in INTERFACE_RULES:
            findings += [Finding(_short(path), *found) for found in rule(path, parameters)]
    return sorted(findings, key=lambda finding: (str(finding.path), finding.line, finding.sentence))


def check_tree(path, tree, interface, own_names=frozenset()):
    """Findings of one parsed file."""
    source = Source(path, tree, interface, own_names)
    return list(dict.fromkeys(finding for rule in RULES for finding in rule(source)))


def _short(path):
    return Path(os.path.relpath(path)) if path.is_absolute() else path
