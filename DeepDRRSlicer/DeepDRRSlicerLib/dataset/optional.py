"""Packages that only some formats need."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from DeepDRRSlicerLib.errors import InputError


def optional_package(name: str, purpose: str) -> ModuleType:
    """The package. Raises InputError, which says how to install it, where it is missing."""
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(f"{purpose} needs the package {name}; install it with: pip install {name}") from error
