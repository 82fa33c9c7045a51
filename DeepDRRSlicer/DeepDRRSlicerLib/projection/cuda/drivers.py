"""Which driver is used, and why not the others."""

from __future__ import annotations

from importlib.util import find_spec

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.projection.cuda import libcuda
from DeepDRRSlicerLib.projection.cuda.driver import DeviceError, Driver, lead

# In the order in which "auto" tries them: the one that installs anywhere first.
DRIVERS = ("cuda-core", "pycuda")
CHOICES = ("auto", *DRIVERS)
LEAST_CAPABILITY = (7, 5)  # Turing, the least that CUDA 13 compiles for
LEAST_VERSION = (12, 0)  # of CUDA that the NVIDIA driver knows
_MODULES = {"cuda-core": ("cuda.core", "cuda.bindings"), "pycuda": ("pycuda",)}
_INSTALL = {"cuda-core": "pip install cuda-core cuda-bindings nvidia-cuda-nvrtc", "pycuda": "pip install pycuda"}

_lost: dict[str, str] = {}  # why nothing more is asked of the card in this process
_failed: dict[str, str] = {}  # why a driver could not be opened the last time


def open_driver(choice: str = "auto") -> Driver:
    """The first driver of `choice` that works, of this thread. Where there is no card it says so within milliseconds.

    Raises DeviceError, whose sentence says why none does, and InputError for an unknown choice.
    """
    for name in names_of(choice):
        reason = _refused(name)
        if reason is None:
            try:
                driver = _made(name)
            except DeviceError as error:
                _failed[name] = str(error)
                remember(error)
            else:
                _failed.pop(name, None)
                return driver
    raise DeviceError(_because({name: reason for name, reason in why_not().items() if name in names_of(choice)}))


def names_of(choice: str) -> tuple[str, ...]:
    """The drivers that a choice stands for, in the order in which they are tried. Raises InputError."""
    if choice not in CHOICES:
        raise InputError(f"There is no CUDA driver {choice!r}; choose one of: {', '.join(CHOICES)}.")
    return DRIVERS if choice == "auto" else (choice,)


def why_not() -> dict[str, str | None]:
    """For each driver why it cannot be used, as part of a sentence; None where nothing speaks against it.

    Nothing is opened: what only opening shows is known once it was tried.
    """
    return {name: _refused(name) or _failed.get(name) for name in DRIVERS}


def remember(error: DeviceError) -> None:
    """Nothing more is asked of a card that is lost: every call would fail, and may hang."""
    if error.lost:
        _lost.setdefault("card", str(error))


def _refused(name: str) -> str | None:
    """What speaks against a driver before it is opened, the quickest first."""
    if _lost:
        return _lost["card"]
    try:
        card = libcuda.first_card()
    except DeviceError as error:
        return str(error)
    if card.capability < LEAST_CAPABILITY:
        return f"{card.name} has compute capability {_dotted(card.capability)}; {_dotted(LEAST_CAPABILITY)} is needed"
    if card.version < LEAST_VERSION:
        return f"the NVIDIA driver is too old: it knows CUDA {_dotted(card.version)}, and 12.0 is needed; update it"
    if any(_missing(module) for module in _MODULES[name]):
        return f"{name} is not installed ({_INSTALL[name]})"
    return _compiler_refused(card)


def _compiler_refused(card: libcuda.Card) -> str | None:
    """Compiled code is for drivers of the same major version of CUDA, or a newer one."""
    from DeepDRRSlicerLib.projection.cuda import nvrtc

    try:
        nvrtc.version(newest=card.version[0])
    except nvrtc.CompilerMissing as error:
        return lead(error)
    return None


def _made(name: str) -> Driver:
    if name == "pycuda":
        from DeepDRRSlicerLib.projection.cuda.pycuda_driver import PycudaDriver

        return PycudaDriver()
    from DeepDRRSlicerLib.projection.cuda.core_driver import CoreDriver

    return CoreDriver()


def _missing(module: str) -> bool:
    try:
        return find_spec(module) is None
    except ModuleNotFoundError:  # of the package that it is in
        return True


def _because(reasons: dict[str, str | None]) -> str:
    """One sentence, without its end, of the reasons of several drivers."""
    told = {name: str(reason) for name, reason in reasons.items()}
    different = set(told.values())
    if len(different) == 1:
        return different.pop()
    return "; ".join(f"{name}: {reason}" if name not in reason else reason for name, reason in told.items())


def _dotted(numbers: tuple[int, int]) -> str:
    return ".".join(map(str, numbers))
