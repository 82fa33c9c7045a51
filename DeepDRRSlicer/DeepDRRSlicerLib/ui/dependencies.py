"""Packages that Slicer does not bring, installed after asking."""

import importlib
import subprocess
from importlib.util import find_spec

import slicer
from slicer.i18n import tr as _

_NEEDED = ("numba", "SimpleITK")


def whatIsMissing():
    """A sentence that names the packages that the projector lacks; empty when all are there."""
    names = [name for name in _NEEDED if find_spec(name) is None]
    text = _("The projector needs the package {names}: press Apply in the module DeepDRR C-arm to install it.")
    return text.format(names=", ".join(names)) if names else ""


def installMissing(requirements):
    """Install what the projector lacks, from a requirements file, if the user agrees."""
    if not whatIsMissing():
        return
    try:
        from slicer import packaging
    except ImportError:  # Slicer 5.10
        _installPlainly(requirements)
    else:
        try:
            packaging.pip_ensure(packaging.load_requirements(requirements), requester="DeepDRRSlicer")
        except (RuntimeError, subprocess.CalledProcessError):  # declined, or failed, which pip_ensure has shown
            pass
    importlib.invalidate_caches()


def _installPlainly(requirements):
    question = _("The projector needs the package numba (about 60 MB). Install it now?")
    if not slicer.util.confirmOkCancelDisplay(question):
        return
    try:
        slicer.util.pip_install(["-r", requirements])
    except (RuntimeError, subprocess.CalledProcessError) as error:
        slicer.util.errorDisplay(_("numba could not be installed; see the Python console."), detailedText=str(error))
