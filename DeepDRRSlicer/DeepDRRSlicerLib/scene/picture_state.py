"""What the picture in the X-ray view is: a preview, one taken, a reference, the last image held, or of another view."""

import textwrap
import time

import numpy as np
import slicer

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.scene.dose import addDoses, frameDoseOf, totalsOf
from DeepDRRSlicerLib.scene.picture import refreshPicture, showRadiograph
from DeepDRRSlicerLib.scene.request import reachablePose
from DeepDRRSlicerLib.scene.xray_image import shownImage
from DeepDRRSlicerLib.scene.xray_view import setMark

STATE = "DeepDRRSlicer.State"  # attribute of the X-ray image: one of the next five
PREVIEW, TAKEN, REFERENCE, HELD, PASSED = "preview", "taken", "reference", "held", "passed"
_MARKS = {
    PREVIEW: "preview, no dose",
    TAKEN: "",
    REFERENCE: "Monte Carlo reference, no dose",
    HELD: "last image hold",
    PASSED: "last image hold, not of the present view",
}
_ALARM = "5 minutes of X-rays"
_MARK_WIDTH = 40  # letters
_WRITTEN_EVERY = 0.25  # s


class PictureState:
    """Shows pictures, counts those that are taken, and marks them. onExposure: see Fluoroscopy.

    Each write of the parameter node is heard by the whole panel; pulses, which come thirty times a second, are written
    together, and totals() knows of them before.
    """

    def __init__(self):
        self.onExposure = []
        self.state = TAKEN
        self._imageID = None
        self._warning, self._alarm = "", False
        self._unwritten = []
        self._written = 0.0

    def preview(self, parameters, radiograph):
        """Show a picture that costs nothing."""
        self._show(parameters, radiograph, exposed=False)
        self.set(PREVIEW)

    def refer(self, parameters, radiograph):
        """Show a reference image: it costs nothing, either, and stays until something changes."""
        self._show(parameters, radiograph, exposed=False)
        self.set(REFERENCE)

    def take(self, parameters, radiograph, more=False):
        """Show and count a picture. more: others follow at once, and write() will be called after the last one."""
        self._show(parameters, radiograph, exposed=True)
        self._unwritten.append(frameDoseOf(radiograph))
        if not more or time.monotonic() - self._written > _WRITTEN_EVERY:
            self.write(parameters)
        self._alarm = self.totals(parameters).alarm
        self.set(TAKEN)
        for tell in self.onExposure:
            tell(radiograph)

    def totals(self, parameters):
        """The DoseTotals of the study, with what is not in the parameter node yet."""
        totals = totalsOf(parameters)
        for dose in self._unwritten:
            totals = totals.add(dose)
        return totals

    def write(self, parameters):
        """Put what has been counted into the parameter node."""
        self._written = time.monotonic()
        if self._unwritten:
            doses, self._unwritten = self._unwritten, []
            addDoses(parameters, doses)

    def restore(self, parameters):
        """Show the picture that was left, with its mark; False where it is a preview, or not of the present view."""
        node = parameters.xray
        kept = TAKEN, REFERENCE, HELD, PASSED
        if node is None or node.GetImageData() is None or node.GetAttribute(STATE) not in kept:
            return False
        refreshPicture(parameters)
        self._imageID, self._warning, self._alarm = node.GetID(), "", totalsOf(parameters).alarm
        self.set(node.GetAttribute(STATE))
        return self.state != PASSED and _isOfPresentView(parameters)

    def alarmChanged(self, parameters):
        """The alarm of the fluoroscopy time sounds, or has been reset."""
        if self._alarm != totalsOf(parameters).alarm:
            self._alarm = not self._alarm
            self.set(self.state)

    def forget(self):
        """There is no picture any more."""
        self._imageID = None
        self._unwritten = []
        setMark(None)

    def set(self, state):
        """Keep with the picture, and write over it, what it is."""
        self.state = state
        node = slicer.mrmlScene.GetNodeByID(self._imageID) if self._imageID else None
        if node is None:
            setMark(None)
            return
        node.SetAttribute(STATE, state)
        alarm = _ALARM if self._alarm else ""
        setMark("\n".join(filter(None, (_MARKS[state], alarm, textwrap.fill(self._warning, _MARK_WIDTH)))) or None)

    def _show(self, parameters, radiograph, exposed):
        node = showRadiograph(parameters, radiograph, exposed)
        self._imageID, self._warning = node.GetID(), radiograph.warning


def _isOfPresentView(parameters):
    try:
        present = reachablePose(parameters).beam()
    except InputError:
        return False
    beam = shownImage()[1]
    return (
        beam.size == present.size
        and np.allclose(beam.source, present.source, atol=1e-3)
        and np.allclose(beam.image_to_ras(), present.image_to_ras(), atol=1e-3)
    )
