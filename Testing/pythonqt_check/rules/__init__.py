"""The families of rules, each a function from a Source to its findings; those of .ui files stand apart."""

from . import (
    arguments,
    imports,
    instances,
    interfaces,
    members,
    module_file,
    observers,
    ownership,
    signals,
    slots,
    subclasses,
    threads,
    translation,
    values,
)

RULES = (
    imports.check,
    members.check,
    signals.check,
    slots.check,
    arguments.check,
    instances.check,
    ownership.check,
    subclasses.check,
    values.check,
    threads.check,
    observers.check,
    translation.check,
    module_file.check,
)
INTERFACE_RULES = (interfaces.check,)
