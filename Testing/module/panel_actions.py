"""What a person does with the panel, for the tests of its sections."""

import os
import subprocess
import sys
from pathlib import Path

from DeepDRRSlicerLib.scene.carm import CArm
from DeepDRRSlicerLib.scene.xray_view import sliceLogic


def opened(host, **choices):
    """The panel with a small image matrix, idle."""
    widget = host.openModule()
    parameters = widget.logic.getParameterNode()
    parameters.binning = 4
    for name, value in choices.items():
        setattr(parameters, name, value)
    settle(host, widget)
    return widget, parameters


def settle(host, widget):
    """Runs the event loop until the picture, preview or not, is up to date, and said to be so."""
    section = widget.sections["XRay"]
    host.processEvents(until=lambda: section.isIdle and "kV" in widget.ui.statusLabel.text, timeout_s=60)


def mark():
    """The text of the mark on the X-ray view, or None."""
    actors = sliceLogic().GetDisplayableManagerGroup().GetRenderer().GetActors2D()
    shown = [actors.GetItemAsObject(i) for i in range(actors.GetNumberOfItems())]
    texts = [a.GetInput() for a in shown if a.GetObjectName() == "DeepDRRSlicer.Updating" and a.GetVisibility()]
    return texts[0] if texts else None


def click_preset(widget, name):
    widget.sections["CArm"].presets.buttonOf(name).click()


def CArm_of(parameters):
    from DeepDRRSlicerLib.geometry.device import load_device

    return CArm(load_device(parameters.device))


def run_python(code, **environment):
    """What a piece of code prints in a process of its own, to which module, library and test host are known."""
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join(str(root / folder) for folder in ("DeepDRRSlicer", "Testing"))
    environment = os.environ | {"PYTHONPATH": path, "QT_QPA_PLATFORM": "offscreen"} | environment
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
