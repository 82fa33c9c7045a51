"""Networks: what a CT is made of. Nothing of torch is loaded before a network runs."""

from __future__ import annotations

from importlib.util import find_spec

from DeepDRRSlicerLib.errors import InputError

_NEEDED = ("torch", "safetensors")


def available() -> str | None:
    """None where networks can run, else one sentence on what is missing and how to get it. Loads nothing."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if not missing:
        return None
    return (
        f"The network needs {' and '.join(missing)}, which this Python lacks; install with: pip install "
        f"{' '.join(missing)} (in 3D Slicer: torch with the PyTorch extension)."
    )


def require() -> None:
    """Raises InputError with the sentence of `available` where networks cannot run."""
    reason = available()
    if reason:
        raise InputError(reason)
