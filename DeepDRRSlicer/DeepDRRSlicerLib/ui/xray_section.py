"""Panel section "X-ray": technique, and the picture that follows the settings."""

import time

import qt
from slicer.i18n import tr as _

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.scene.fluoroscopy import UPDATING
from DeepDRRSlicerLib.scene.request import settingsOf
from DeepDRRSlicerLib.ui.dependencies import installMissing, whatIsMissing

_GATHER_MS = 40  # several settings change together: a preset, a drag
_POLL_MS = 30


class XRaySection:
    """Asks for a new picture when a setting has changed, and takes it when it is ready. The window never waits."""

    def __init__(self, ui, fluoroscopy, requirements):
        self._ui = ui
        self._fluoroscopy = fluoroscopy
        self._requirements = requirements
        self._parameters = None
        self._settings = None
        self._started = 0.0
        self._gather = qt.QTimer(ui.xraySection)
        self._gather.setSingleShot(True)
        self._gather.setInterval(_GATHER_MS)
        self._gather.connect("timeout()", self.update)
        self._poll = qt.QTimer(ui.xraySection)
        self._poll.setInterval(_POLL_MS)
        self._poll.connect("timeout()", self.onPoll)
        ui.applyButton.connect("clicked(bool)", self.onApply)
        ui.matrixSelector.connect("activated(int)", self.onMatrix)
        self._binning = []

    def setParameters(self, parameters):
        """Show another parameter node, or None, which lets go of a pending picture."""
        if self._gather.isActive() or self._poll.isActive():
            self._fluoroscopy.outdate()
        self._gather.stop()
        self._poll.stop()
        self._parameters = parameters
        self._settings = None
        self._say("" if parameters is None else _("Choose a CT."))
        if parameters is not None:
            self._fillMatrixSelector()

    def outdate(self):
        """Forget what the picture shows: the next change asks for a new one."""
        self._settings = None

    def parametersChanged(self, parameters):
        """Move the C-arm and have a new picture made if a setting of the view has changed."""
        settings = settingsOf(parameters)
        self._ui.applyButton.setEnabled(parameters.ct is not None)
        if settings == self._settings or parameters.ct is None:
            return
        self._settings = settings
        try:
            self._fluoroscopy.moveCArm(parameters)
        except InputError as error:
            self._fluoroscopy.outdate()  # the picture on show is of other settings
            self._fail(error)
            return
        self._poll.stop()
        if parameters.autoUpdate:
            self._fluoroscopy.outdate(UPDATING)
            self._say(_("Updating ..."))
            self._gather.start()
        else:
            self._fluoroscopy.outdate()
            self._say(_("Settings changed: press Apply."))

    def onApply(self):
        """Make the picture now, installing what it needs after asking."""
        installMissing(self._requirements)
        self.update()

    def onMatrix(self, index):
        """Read the detector out with another binning."""
        if self._parameters is not None:
            self._parameters.binning = self._binning[index]

    def update(self):
        """Have the picture made in the background."""
        if self._parameters is None:
            return
        if whatIsMissing():
            self._fluoroscopy.outdate()
            self._fail(whatIsMissing())
            return
        self._started = time.perf_counter()
        try:
            self._fluoroscopy.requestUpdate(self._parameters)
        except InputError as error:
            self._fail(error)
            return
        self._say(_("Updating ..."))
        self._poll.start()

    def onPoll(self):
        """Take the picture if it is ready."""
        try:
            radiograph = self._fluoroscopy.collectUpdate(self._parameters)
        except InputError as error:
            self._fail(error)
            return
        except Exception as error:
            self._fail(error)
            raise
        if radiograph is None:
            return
        self._poll.stop()
        technique = radiograph.metadata["technique"]
        self._say(
            f"{radiograph.metadata['c_arm']['view']} · {technique['kvp']} kV · {technique['mas']:g} mAs · "
            f"{radiograph.beam.size[0]} × {radiograph.beam.size[1]} · {time.perf_counter() - self._started:.1f} s",
            radiograph.warning,
        )

    def _fillMatrixSelector(self):
        detector = load_detector(load_device(self._parameters.device).detector)
        self._binning = list(detector.binning_modes)
        self._ui.matrixSelector.clear()
        for mode in self._binning:
            (rows, columns), pitch = detector.pixel_grid(binning=mode)
            self._ui.matrixSelector.addItem(f"{rows} × {columns}, {pitch:.2f} mm")
        chosen = self._parameters.binning or detector.binning
        self._ui.matrixSelector.setCurrentIndex(self._binning.index(chosen))

    def _fail(self, error):
        """Say why there is no picture: an exception or a sentence."""
        self._gather.stop()
        self._poll.stop()
        self._say("", str(error))

    def _say(self, status, warning=""):
        self._ui.statusLabel.setText(status)
        self._ui.warningLabel.setText(warning)
        self._ui.warningLabel.setVisible(bool(warning))
