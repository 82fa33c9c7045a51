"""Regenerates the facts that Testing/pythonqt_check judges by: which members Qt, CTK and Slicer's widgets have.

Qt is asked through its meta-objects, once for each major version, since Slicer is built on both; CTK's and Slicer's
classes are read from the declarations in their headers (Q_PROPERTY, signals, public slots, Q_INVOKABLE, Q_ENUM):

    python Utilities/make_pythonqt_facts.py qt qt6.json              # in an environment with PySide6
    python Utilities/make_pythonqt_facts.py qt qt5.json              # in an environment with PyQt5 5.15
    python Utilities/make_pythonqt_facts.py headers widgets.json CTK_FOLDER SLICER_FOLDER ...
    python Utilities/make_pythonqt_facts.py merge qt5.json qt6.json widgets.json Testing/pythonqt_check/facts.json

Only names and types are taken, one class per line: bases, properties, signals, slots, methods, enum values.
"""

import enum
import importlib.util
import json
import re
import sys
from pathlib import Path

KINDS = ("properties", "signals", "slots", "methods", "values")
_MODULES = ("QtCore", "QtGui", "QtWidgets")


def empty(bases=()):
    """A class of which nothing but its bases is known."""
    return {"bases": list(bases), "properties": {}, "signals": [], "slots": [], "methods": [], "values": []}


# Qt's meta-objects


def qt_facts():
    """Class name -> facts, of the binding that is installed."""
    binding = "PySide6" if importlib.util.find_spec("PySide6") else "PyQt5"
    modules = [importlib.import_module(f"{binding}.{name}") for name in _MODULES]
    found = {}
    for module in modules:
        for name in dir(module):
            value = getattr(module, name)
            if name == "Qt":
                found["Qt"] = empty() | {"values": sorted(set(_values(value)))}
            elif name.startswith("Q") and isinstance(value, type) and name not in found:
                found[name] = _qt_class(value)
    return found


def _qt_class(cls):
    hasattr(cls, "filled")  # PyQt5 fills a class when it is first asked
    facts = empty(base.__name__ for base in cls.__mro__[1:] if base.__name__.startswith("Q"))
    if hasattr(cls, "staticMetaObject"):
        _add_meta(facts, cls.staticMetaObject)
    signals = {signature.partition("(")[0] for signature in facts["signals"]}
    # PyQt5's descriptors are not callable themselves.
    members = {name: getattr(cls, name, None) for name in list(vars(cls)) if not name.startswith("_")}
    plain = {n for n, v in members.items() if callable(v) and not isinstance(v, type)}
    slots = {signature.partition("(")[0] for signature in facts["slots"]}
    facts["methods"] = sorted(plain - signals - slots)
    facts["values"] = sorted(set(_values(cls)))
    return facts


def _add_meta(facts, meta):
    for index in range(meta.propertyOffset(), meta.propertyCount()):
        prop = meta.property(index)
        facts["properties"][prop.name()] = prop.typeName()
    for index in range(meta.methodOffset(), meta.methodCount()):
        method = meta.method(index)
        signature = bytes(method.methodSignature()).decode()
        kind = getattr(method.methodType(), "name", None) or ("Method", "Signal", "Slot")[int(method.methodType())]
        if not signature.startswith("_q"):
            facts["signals" if kind == "Signal" else "slots"].append(signature)
    facts["signals"].sort()
    facts["slots"].sort()


def _values(cls):
    """Names of the enum values of a class, which PythonQt offers at the class itself."""
    for name in dir(cls) if cls.__name__ == "Qt" else list(vars(cls)):
        value = getattr(cls, name, None)
        if isinstance(value, enum.EnumMeta):
            yield from value.__members__
        elif isinstance(value, int) and not isinstance(value, bool) and type(value) is not int:
            yield name
        elif type(value) is int and name[:1].isupper():
            yield name


# Declarations in headers

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
_CLASS = re.compile(r"\bclass\s+(?:\w+_EXPORT\s+)?((?:ctk|qMRML|qSlicer)\w+)\s*(?:final\s*)?:\s*([^{;]*)\{")
_PROPERTY = re.compile(r"Q_PROPERTY\s*\(\s*([\w:<>,* ]+?[\s*])(\w+)\s+(?:READ|MEMBER)")
_ACCESS = re.compile(r"^\s*(public|protected|private|signals|Q_SIGNALS|public\s+Q_SLOTS|public\s+slots|\w+\s+Q_SLOTS|"
                     r"\w+\s+slots)\s*:", re.M)  # fmt: skip
_METHOD = re.compile(
    r"(?:^|[;}{])\s*((?:Q_INVOKABLE\s+|virtual\s+|static\s+|inline\s+)*)[\w:<>,*& ]+?[\s*&](\w+)\s*"
    r"\(((?:[^()]|\([^()]*\))*)\)\s*(?:const\b)?\s*(?:override\b)?\s*(?:=\s*0\s*)?(?=[;{])"
)
_ENUM = re.compile(r"\benum\s+(?:class\s+)?(\w+)\s*(?::\s*\w+\s*)?\{([^}]*)\}")


def header_facts(folders):
    """Class name -> facts, of all headers below the folders."""
    found = {}
    for folder in folders:
        for path in sorted(Path(folder).rglob("*.h")):
            text = _COMMENT.sub("", path.read_text(encoding="utf-8", errors="replace"))
            for match in _CLASS.finditer(text):
                body = _body(text, match.end())
                if "Q_OBJECT" in body:
                    bases = [re.sub(r"\b(public|virtual)\b|\s", "", base) for base in match.group(2).split(",")]
                    found[match.group(1)] = _declared(body, [base for base in bases if re.match(r"[A-Za-z]\w*$", base)])
    return found


def _body(text, start):
    depth = 1
    for position in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[start:position]
    return text[start:]


def _declared(body, bases):
    facts = empty(bases)
    body = re.sub(r"^\s*#.*$", "", body, flags=re.M)
    facts["properties"] = {name: kind.strip() for kind, name in _PROPERTY.findall(body)}
    marked = set(re.findall(r"Q_(?:ENUMS?|FLAGS?)\s*\(\s*([\w ]+)\)", body))
    for _, values in _ENUM.findall(body):
        if marked:  # a Q_FLAG names the set, not the enum
            facts["values"] += [value.split("=")[0].strip() for value in values.split(",") if value.strip()]
    body = _ENUM.sub("", re.sub(r"\bQ_[A-Z]+\s*\([^)]*\)\s*;?", "", body)).replace("Q_OBJECT", "")
    parts = _ACCESS.split(body)
    for access, part in zip(["private", *parts[1::2]], [parts[0], *parts[2::2]]):
        access = " ".join(access.split())
        for qualifiers, name, parameters in _METHOD.findall(_flat(part)):
            for signature in _signatures(name, parameters):
                if access in ("signals", "Q_SIGNALS"):
                    facts["signals"].append(signature)
                elif access in ("public Q_SLOTS", "public slots"):
                    facts["slots"].append(signature)
                elif access == "public" and "Q_INVOKABLE" in qualifiers:
                    facts["slots"].append(signature)
    facts["signals"], facts["slots"] = sorted(set(facts["signals"])), sorted(set(facts["slots"]))
    facts["values"] = sorted(set(facts["values"]))
    return facts


def _flat(text):
    """Without the bodies of inline methods and nested classes."""
    result, depth = [], 0
    for character in text:
        depth += character == "{"
        if depth == 0 or depth == 1 and character in "{}":
            result.append(character)
        depth -= character == "}"
    return "".join(result)


def _signatures(name, parameters):
    """Normalised signatures: one for each number of arguments that may be left out."""
    parameters = re.sub(r"<[^<>]*>", lambda match: match.group().replace(",", "\0"), parameters)
    kinds, optional = [], 0
    for parameter in filter(None, (part.strip() for part in parameters.split(","))):
        declared, _, default = parameter.replace("\0", ",").partition("=")
        optional += bool(default)
        kinds.append(_normal(declared))
    return [f"{name}({','.join(kinds[: len(kinds) - left_out])})" for left_out in range(optional + 1)]


def _normal(declared):
    """The type of a declared parameter as Qt normalises it."""
    words = re.sub(r"([*&])", r" \1 ", declared).split()
    if len([w for w in words if w not in ("const", "*", "&", "unsigned")]) > 1:
        words.pop()  # its name
    text = "".join(words if "*" in words else [w for w in words if w not in ("const", "&")])
    return text.replace("unsignedint", "uint").replace("unsigned", "uint")


# One table


def merged(qt5, qt6, widgets):
    """Members that both versions of Qt have; those of one alone go under "only5" or "only6"."""
    table = {}
    for name in sorted({*qt5, *qt6}):
        if name not in qt5 or name not in qt6:
            table[name] = {"only": 5 if name in qt5 else 6}
            continue
        all5, all6, new = _inherited(qt5, name), _inherited(qt6, name), qt6[name]
        facts = {"bases": new["bases"]}
        facts["properties"] = {n: t for n, t in new["properties"].items() if n in all5["properties"]}
        for kind in ("signals", "slots", "values"):
            facts[kind] = sorted({*qt5[name][kind], *new[kind]} & all5[kind] & all6[kind])
        # What is a plain method of one version may be a slot of the other: it is called in both.
        called = {n for own in (qt5[name], new) for n in _callables(own)}
        slots = {n.partition("(")[0] for n in facts["slots"]}
        facts["methods"] = sorted((called & _callables(all5) & _callables(all6)) - slots)
        for version, own, other in ((5, qt5[name], all6), (6, new, all5)):
            only = {n for kind in ("signals", "values", "properties") for n in own[kind] if n not in other[kind]}
            only |= _callables(own) - _callables(other)
            if only:
                facts[f"only{version}"] = sorted(n for n in only if not n.endswith("Event"))
        table[name] = facts
    table |= {name: widgets[name] for name in sorted(widgets)}
    return {name: {kind: value for kind, value in facts.items() if value} for name, facts in table.items()}


def _inherited(table, name):
    """All members of a class, its bases' too."""
    classes = [table[n] for n in (name, *table[name]["bases"]) if n in table]
    return {kind: {member for facts in classes for member in facts[kind]} for kind in KINDS}


def _callables(facts):
    return {n.partition("(")[0] for n in (*facts["slots"], *facts["methods"])}


def write(path, table):
    """One class per line, so that a change is read."""
    lines = (f"{json.dumps(name)}: {json.dumps(facts, separators=(',', ':'))}" for name, facts in table.items())
    Path(path).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def main(what, *arguments):
    if what == "qt":
        write(arguments[0], qt_facts())
    elif what == "headers":
        write(arguments[0], header_facts(arguments[1:]))
    elif what == "merge":
        write(arguments[3], merged(*(json.loads(Path(path).read_text(encoding="utf-8")) for path in arguments[:3])))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
