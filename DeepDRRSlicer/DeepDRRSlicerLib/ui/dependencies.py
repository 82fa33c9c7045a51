"""Packages that Slicer does not bring, installed after asking. Without them everything works, only slowly."""

import importlib
import subprocess
from importlib.util import find_spec

import slicer
from slicer.i18n import tr as _


def slowBecause():
    """A sentence on what is missing for pictures at full speed; empty when all is there."""
    if find_spec("numba") is not None:
        return ""
    return _("Without the package numba a picture takes many seconds: press Apply to install it.")


def installMissing(requirements):
    """Install what is missing, from a requirements file, if the user agrees; True if something was installed."""
    if not slowBecause():
        return False
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
    return not slowBecause()


def _installPlainly(requirements):
    question = _("For pictures at full speed the package numba is needed (about 60 MB). Install it now?")
    if not slicer.util.confirmOkCancelDisplay(question):
        return
    try:
        slicer.util.pip_install(["-r", requirements])
    except (RuntimeError, subprocess.CalledProcessError) as error:
        slicer.util.errorDisplay(_("numba could not be installed; see the Python console."), detailedText=str(error))
