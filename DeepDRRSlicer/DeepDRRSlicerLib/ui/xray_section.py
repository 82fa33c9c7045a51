"""Panel section "X-ray": technique, and the picture that follows the settings."""

import time

import qt
from slicer.i18n import tr as _

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.scene.request import settingsOf
from DeepDRRSlicerLib.simulation.technique import MANUAL
from DeepDRRSlicerLib.ui.dependencies import installMissing, slowBecause

_GATHER_MS = 10  # several settings change together
_SETTLE_MS = 250  # without a change: the hand has stopped
_POLL_MS = 10
_MODES = {"fluoro": _("Fluoroscopy"), "spot": _("Spot image"), "cine": _("Cine"), MANUAL: _("Manual")}


class XRaySection:
    """Asks for pictures when a setting has changed, and takes them when they are ready. The window never waits.

    A coarse one follows at once, again and again while the C-arm moves; the real one when the hand has stopped.
    """

    def __init__(self, ui, fluoroscopy, requirements, onPicture):
        self._ui = ui
        self._fluoroscopy = fluoroscopy
        self._requirements = requirements
        self._onPicture = onPicture
        self._parameters = None
        self._settings = None
        self._counted = True
        self._started = 0.0
        self._gather = self._timer(_GATHER_MS, self.preview)
        self._settle = self._timer(_SETTLE_MS, self.update)
        self._poll = self._timer(_POLL_MS, self.onPoll, repeated=True)
        self._modes = [*_MODES]
        for title in _MODES.values():
            ui.modeSelector.addItem(title)
        ui.modeSelector.connect("activated(int)", self.onMode)
        ui.applyButton.connect("clicked(bool)", self.onApply)
        ui.matrixSelector.connect("activated(int)", self.onMatrix)
        self._device = None  # whose matrices the selector offers
        self._binning = []
        self._defaultBinning = 0

    def setParameters(self, parameters):
        """Show another parameter node, or None, which lets go of a pending picture."""
        if any(timer.isActive() for timer in (self._gather, self._settle, self._poll)):
            self._fluoroscopy.outdate()
        self._stop()
        self._parameters = parameters
        self._settings = None
        self._say("" if parameters is None else _("Choose a CT."))
        if parameters is not None:
            # A scene that was opened shows its last picture over again: no new exposure.
            self._counted = parameters.xray is None
            self._fluoroscopy.warmUp()

    def outdate(self):
        """Forget what the picture shows: the next change asks for a new one."""
        self._settings = None

    def parametersChanged(self, parameters):
        """Move the C-arm and have a new picture made if a setting of the view has changed."""
        settings = settingsOf(parameters)
        self._ui.applyButton.setEnabled(parameters.ct is not None)
        manual = parameters.exposureMode == MANUAL
        self._ui.modeSelector.setCurrentIndex(_indexOf(parameters.exposureMode, self._modes))
        for slider in (self._ui.kvpSlider, self._ui.masSlider):
            slider.setEnabled(manual)
        self._showMatrix(parameters)
        if parameters.ct is None:
            if self._settings is not None:
                self._settings = None
                self._fluoroscopy.outdate(_("no CT"))
                self._stop()
                self._say(_("Choose a CT."))
            return
        if settings == self._settings:
            return
        self._settings = settings
        try:
            self._fluoroscopy.moveCArm(parameters)
        except InputError as error:
            self._fluoroscopy.outdate()  # the picture on show is of other settings
            self._fail(error)
            return
        if parameters.autoUpdate:
            self._fluoroscopy.settingsChanged()
            self._say(_("Updating ..."))
            if not self._gather.isActive():
                self._gather.start()
            self._settle.start()
        else:
            self._stop()
            self._fluoroscopy.outdate()
            self._say(_("Settings changed: press Apply."))

    def onApply(self):
        """Make the picture now, installing what it needs after asking."""
        if installMissing(self._requirements):
            self._fluoroscopy.prepareAnew()
        self.update()

    def onMode(self, index):
        """Expose in another way."""
        if self._parameters is not None:
            self._parameters.exposureMode = self._modes[index]

    def onMatrix(self, index):
        """Read the detector out with another binning."""
        if self._parameters is not None:
            self._parameters.binning = self._binning[index]

    def preview(self):
        """Have a coarse picture made in the background."""
        self._ask(self._fluoroscopy.requestPreview)

    def update(self):
        """Have the picture taken in the background."""
        self._stop()
        self._ask(lambda parameters: self._fluoroscopy.requestUpdate(parameters, self._counted))
        self._counted = True

    def _ask(self, request):
        if self._parameters is None:
            return
        self._started = time.perf_counter()
        try:
            request(self._parameters)
        except InputError as error:
            self._fail(error)
            return
        except Exception as error:
            self._fail(error)
            raise
        self._say(_("Compiling, the first time only ...") if self._fluoroscopy.isWarmingUp() else _("Updating ..."))
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
        self._onPicture(radiograph)
        technique = radiograph.metadata["technique"]
        self._say(
            f"{radiograph.metadata['c_arm']['view']} · {technique['kvp']} kV · {technique['mas']:.3g} mAs · "
            f"{radiograph.beam.size[0]} × {radiograph.beam.size[1]} · {time.perf_counter() - self._started:.1f} s",
            " ".join(filter(None, (radiograph.remarks, slowBecause()))),
        )

    def _showMatrix(self, parameters):
        """Offer the matrices of the device's detector; none of one that cannot be read, as the picture will say."""
        if parameters.device != self._device:
            self._device = parameters.device
            self._binning = []
            self._ui.matrixSelector.clear()
            try:
                detector = load_detector(load_device(parameters.device).detector)
            except InputError:
                return
            self._binning = list(detector.binning_modes)
            self._defaultBinning = detector.binning
            for mode in self._binning:
                (rows, columns), pitch = detector.pixel_grid(binning=mode)
                self._ui.matrixSelector.addItem(f"{rows} × {columns}, {pitch:.2f} mm")
        chosen = parameters.binning or self._defaultBinning
        self._ui.matrixSelector.setCurrentIndex(_indexOf(chosen, self._binning))

    def _fail(self, error):
        """Say why there is no picture: an exception or a sentence."""
        self._stop()
        self._say("", str(error))

    def _stop(self):
        for timer in (self._gather, self._settle, self._poll):
            timer.stop()

    def _timer(self, milliseconds, onTimeout, repeated=False):
        timer = qt.QTimer(self._ui.xraySection)
        timer.setSingleShot(not repeated)
        timer.setInterval(milliseconds)
        timer.connect("timeout()", onTimeout)
        return timer

    def _say(self, status, warning=""):
        self._ui.statusLabel.setText(status)
        self._ui.warningLabel.setText(warning)
        self._ui.warningLabel.setVisible(bool(warning))


def _indexOf(value, choices):
    """Place of a value for a combo box, where -1 shows nothing: a script may have set what is not among the choices."""
    return choices.index(value) if value in choices else -1
