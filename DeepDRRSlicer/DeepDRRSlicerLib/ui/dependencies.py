"""Packages that Slicer does not bring, installed after asking."""

from importlib.util import find_spec

import slicer
from slicer.i18n import tr as _

_NEEDED = ("numba", "SimpleITK")


def installMissing(requirements):
    """Install what the projector lacks, from a requirements file, if the user agrees. Returns whether all is there."""
    if all(find_spec(name) for name in _NEEDED):
        return True
    try:
        from slicer import packaging
    except ImportError:  # Slicer 5.10
        question = _("The projector needs the package numba (about 60 MB). Install it now?")
        if slicer.util.confirmOkCancelDisplay(question):
            slicer.util.pip_install(f'-r "{requirements}"')
    else:
        try:
            packaging.pip_ensure(packaging.load_requirements(requirements), requester="DeepDRRSlicer")
        except RuntimeError:  # the user declined
            return False
    return all(find_spec(name) for name in _NEEDED)
