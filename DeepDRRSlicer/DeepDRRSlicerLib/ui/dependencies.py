"""Packages that Slicer does not bring: what each is for, how much there is to download, and how it is installed.

Nothing is installed without asking. Without any of them the module works, only slower or with less to choose from. pip
heeds its own settings, so a folder of wheels serves a computer without a network (Documentation/install.md).
"""

import ctypes
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import slicer
import slicer.util
from slicer.i18n import tr as _

from DeepDRRSlicerLib.errors import InputError

_TORCH = ">=2.2"
_FIRST_OF_CUDA_13 = 13


@dataclass(frozen=True)
class Offer:
    """Packages that belong together.

    names: for people. modules: how they are imported. requirements: what pip is told, of torch only what the
    extension PyTorch does not install. size: of the download in words, the largest of all systems. purpose: what for.
    """

    names: str
    modules: tuple
    requirements: tuple
    size: str
    purpose: str

    @property
    def isMissing(self):
        """Whether one of them is."""
        return not all(_isThere(module) for module in self.modules)


def slowBecause():
    """A sentence on what is missing for pictures at full speed; empty when all is there."""
    if find_spec("numba") is not None:
        return ""
    return _("Without the package numba a picture takes many seconds: install it under Packages.")


def cudaVersion():
    """Major version of CUDA that the NVIDIA driver of this computer knows, or None where there is no driver."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        version = ctypes.c_int(0)
        failed = driver.cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return None
    return None if failed else version.value // 1000


def hasCudaToolkit():
    """Whether there is a CUDA toolkit to build programs with."""
    folder = os.environ.get("CUDA_PATH") or os.environ.get("CUDA_HOME")
    return shutil.which("nvcc") is not None or folder is not None and Path(folder).is_dir()


class Packages:
    """What may be installed here. Who declines is not asked again until Slicer is restarted, but by a button.

    requirements: the file of what the module wants on first use. offers: name -> Offer. onInstalled: called when there
    is a package that was missing before; a list to add to.
    """

    def __init__(self, requirements):
        self._declined = set()
        self.onInstalled = []
        needed = _lines(requirements)
        self.offers = {
            "numba": Offer(
                "numba, safetensors",
                ("numba", "safetensors"),
                needed,
                _("65 MB"),
                _("pictures in a fraction of a second instead of many seconds"),
            ),
            "torch": Offer(
                "PyTorch",
                ("torch", "safetensors"),
                tuple(line for line in needed if line.startswith("safetensors")),
                _("200 MB, with an NVIDIA graphics card up to 3 GB"),
                _("the network that tells what the CT is made of"),
            ),
            "h5py": Offer("h5py", ("h5py",), ("h5py>=3.10",), _("6 MB"), _("datasets in the format HDF5")),
        }
        version = cudaVersion()
        if version is not None:
            self.offers["cuda"] = Offer(
                "cuda-core, NVRTC",
                ("cuda.core", "cuda.bindings"),
                ("cuda-core[cu13]>=0.3", "nvidia-cuda-nvrtc")
                if version >= _FIRST_OF_CUDA_13
                else ("cuda-core[cu12]>=0.3", "nvidia-cuda-nvrtc-cu12"),
                _("190 MB"),
                _("pictures from the NVIDIA graphics card"),
            )
        if version is not None and hasCudaToolkit():
            self.offers["pycuda"] = Offer(
                "pycuda",
                ("pycuda",),
                ("pycuda>=2024.1",),
                _("2 MB, built here for some minutes"),
                _("the NVIDIA graphics card by way of the CUDA toolkit of this computer"),
            )

    def askOnFirstUse(self, name):
        """Install what is missing of an offer if the user agrees. Who declines is not asked again in this session."""
        if name not in self._declined:
            try:
                self.install(name)
            except InputError as error:
                self._declined.add(name)
                slicer.util.errorDisplay(str(error))

    def install(self, name):
        """Install what is missing of an offer if the user agrees; whether it was. Raises InputError if that fails."""
        offer = self.offers[name]
        if not offer.isMissing:
            return False
        if name == "torch" and find_spec("PyTorchUtils") is None:
            raise InputError(_("Install the extension PyTorch in the Extensions Manager and restart Slicer first."))
        question = _("{names} will be downloaded and added to Slicer's Python ({size}), for {purpose}. Install now?")
        question = question.format(names=offer.names, size=offer.size, purpose=offer.purpose)
        if not slicer.util.confirmOkCancelDisplay(question, _("DeepDRR C-arm: install packages")):
            self._declined.add(name)
            return False
        try:
            _pip(offer.requirements)
            if name == "torch":
                _installTorch()
        # What pip, the PyTorch extension, or importing what it has installed raises.
        except (RuntimeError, ValueError, OSError, ImportError, subprocess.CalledProcessError) as error:
            raise InputError(
                _("{names} could not be installed ({error}): see the Python console, and try again.").format(
                    names=offer.names, error=error
                )
            ) from error
        importlib.invalidate_caches()
        if offer.isMissing:
            return False
        for tell in self.onInstalled:
            tell()
        return True


def _lines(path):
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return tuple(line for line in map(str.strip, lines) if line and not line.startswith("#"))


def _isThere(module):
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package within another, which is missing
        return False


def _pip(requirements):
    """Have pip install what is missing of the requirements, and leave numpy as Slicer has it."""
    import numpy as np

    if slicer.app.testingEnabled():  # tests do not change the Python that runs them
        return
    with tempfile.TemporaryDirectory(prefix="DeepDRR-") as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text(f"numpy=={np.__version__}\n", encoding="utf-8")
        try:
            from slicer import packaging
        except ImportError:  # Slicer 5.10
            with slicer.util.WaitCursor():
                slicer.util.pip_install(["--constraint", str(constraints), *requirements])
        else:
            packaging.pip_ensure(
                list(requirements), constraints=constraints, prompt_install=False, requester="DeepDRRSlicer"
            )


def _installTorch():
    import PyTorchUtils

    if not slicer.app.testingEnabled():
        with slicer.util.WaitCursor():
            PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=False, torchVersionRequirement=_TORCH)
