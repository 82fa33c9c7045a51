"""The module's own file: Slicer runs every method of the test class whose name contains "test"; setup comes late."""

import ast

RULE = "module"
_EARLY = {"pip_install", "pip_ensure"}
_LATER = {"slicer.mrmlScene", "slicer.app", "slicer.modules"}


def check(source):
    """Names in the self-test, and what runs when the file is loaded."""
    for node in source.tree.body:
        if isinstance(node, ast.ClassDef) and any("ScriptedLoadableModuleTest" in ast.unparse(b) for b in node.bases):
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and "test" in method.name and not method.name.startswith("test"):
                    yield source.finding(method, RULE, f'"Reload and Test" runs {method.name} as a test: rename it.')
        yield from _at_file_scope(source, node)


def _at_file_scope(source, node):
    if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.If)):
        return
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and ast.unparse(part) in _LATER:
            yield source.finding(part, RULE, f"{ast.unparse(part)} is used while the file is loaded.")
        name = part.func.attr if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) else ""
        if name in _EARLY:
            yield source.finding(part, RULE, "Nothing is installed while the file is loaded: ask when it is needed.")
