"""`deepdrr-slicer info`: what is installed and what ships."""

from __future__ import annotations

import argparse
import platform
from importlib.metadata import PackageNotFoundError, version

import DeepDRRSlicerLib

_PACKAGES = (
    "numpy", "SimpleITK", "numba", "torch", "cuda-core", "cuda-bindings", "nvidia-cuda-nvrtc", "pycuda", "ray"
)  # fmt: skip


def add_parser(commands) -> None:
    """Registers the command."""
    command = commands.add_parser("info", help="show versions, backends, devices, detectors, grids and materials")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Prints one line per fact."""
    from DeepDRRSlicerLib.geometry.device import device_names
    from DeepDRRSlicerLib.geometry.presets import PRESETS
    from DeepDRRSlicerLib.physics.detector import detector_names
    from DeepDRRSlicerLib.physics.grid import grid_names
    from DeepDRRSlicerLib.physics.materials import material_names

    facts = {
        "DeepDRRSlicer": DeepDRRSlicerLib.__version__,
        "Python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "Packages": ", ".join(f"{name} {_version(name)}" for name in _PACKAGES),
        "Projection": _cpu(),
        "CUDA": _cuda(),
        "Devices": ", ".join(device_names()),
        "Detectors": ", ".join(detector_names()),
        "Grids": ", ".join(grid_names()),
        "Materials": ", ".join(material_names()),
        "Views": ", ".join(f"{name} ({primary:g}/{secondary:g})" for name, (primary, secondary) in PRESETS.items()),
    }
    for name, value in facts.items():
        print(f"{name + ':':15}{value}")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"


def _cuda() -> str:
    """Which driver serves, on which card, and why not the others: whether one works is told by opening it."""
    from DeepDRRSlicerLib.projection.cuda import drivers
    from DeepDRRSlicerLib.projection.projector import backend_in_use

    name, note = backend_in_use()
    if name != "cuda":
        return f"not used: {note}"
    serving = note.partition(",")[0]
    others = [f"{other} {why or 'would do as well'}" for other, why in drivers.why_not().items() if other != serving]
    return "; ".join([note, *(f"not {other}" for other in others)])


def _cpu() -> str:
    try:
        import numba
    except ImportError:
        return "cpu, slow without numba: install it for pictures at full speed"
    return f"cpu, {numba.config.NUMBA_NUM_THREADS} threads"  # type: ignore[attr-defined]  # set when it is imported
