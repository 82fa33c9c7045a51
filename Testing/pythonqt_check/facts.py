"""What the classes of Qt, CTK and Slicer have, as PythonQt shows it."""

import functools
import json
from pathlib import Path

PREFIXES = ("Q", "ctk", "qMRML", "qSlicer")
# Offered by every wrapped object, or by Slicer's build of PythonQt, beside what the class declares.
EVERYWHERE = {"name", "className", "delete", "help", "connect", "disconnect", "inherits", "isWidgetType", "deleteLater",
              "dynamicPropertyNames", "setProperty", "property", "objectName", "__class__", "__dict__"}  # fmt: skip
# In modules of Qt that are not asked, or only in one of the bindings.
UNLISTED = {"QUiLoader", "QDesktopServices", "QNetworkAccessManager", "QNetworkRequest", "QWebEngineView", "QTest"}


@functools.cache
def table():
    """Class name -> its own bases, properties, signals, slots, methods, values, only5, only6."""
    return json.loads((Path(__file__).parent / "facts.json").read_text(encoding="utf-8"))


def known(name):
    """Whether the members of a class can be judged: it and all its bases are in the table."""
    facts = table().get(name)
    return facts is not None and "only" not in facts and all(known(base) for base in _own_bases(name))


def _own_bases(name):
    bases = table()[name].get("bases", [])
    # Qt's classes list all their ancestors, of which QPaintDevice and the like hold nothing that a script sees.
    return [base for base in bases if base in table() or not base.startswith("Q") and base.startswith(PREFIXES)]


@functools.cache
def ancestors(name):
    """The class and all its bases, nearest first."""
    result = [name]
    for base in _own_bases(name) if name in table() else []:
        result += [ancestor for ancestor in ancestors(base) if ancestor not in result]
    return result


@functools.cache
def members(name):
    """Member -> "property", "signal", "slot", "method" or "value"; the property goes before the getter."""
    found = {}
    for cls in reversed(ancestors(name)):
        facts = table().get(cls, {})
        wrapped = cls.startswith("Q")  # PythonQt wraps plain methods of Qt's classes alone
        for kind, names in (
            ("value", facts.get("values", ())),
            ("method", facts.get("methods", ()) if wrapped else ()),
            ("slot", (signature.partition("(")[0] for signature in facts.get("slots", ()))),
            ("signal", (signature.partition("(")[0] for signature in facts.get("signals", ()))),
            ("property", facts.get("properties", ())),
        ):
            found |= dict.fromkeys(names, kind)
    return found


def kind_of(name, member):
    """What a member of a class is, or None; a trailing underscore is forgiven, as in exec_()."""
    all_members = members(name)
    return all_members.get(member) or all_members.get(member.removesuffix("_"))


@functools.cache
def properties(name):
    """Property -> its C++ type."""
    return {n: t for cls in reversed(ancestors(name)) for n, t in table().get(cls, {}).get("properties", {}).items()}


@functools.cache
def signals(name):
    """All signatures of a class's signals."""
    return frozenset(s for cls in ancestors(name) for s in table().get(cls, {}).get("signals", ()))


@functools.cache
def all_signals():
    """The signatures of all classes' signals."""
    return frozenset(s for facts in table().values() for s in facts.get("signals", ()))


def only_version(name, member):
    """5 or 6 where only that version of Qt has the member (of a signal: its signature), else None."""
    for cls in ancestors(name):
        for version in (5, 6):
            if member in table().get(cls, {}).get(f"only{version}", ()):
                return version
    return None


def _static(slot):
    """Whether a slot is how PythonQt is told of a static function: static_<class>_<function>()."""
    return slot.startswith("static_")


@functools.cache
def always_properties():
    """Names that are a property of some class and a plain method of none."""
    found, methods = set(), set()
    for name in table():
        for cls in ancestors(name):
            found |= set(table().get(cls, {}).get("properties", {}))
        methods |= {member for member, kind in members(name).items() if kind in ("slot", "method")}
        methods |= {slot.partition("(")[0].split("_", 2)[2] for slot in table()[name].get("slots", ()) if _static(slot)}
    return found - methods
