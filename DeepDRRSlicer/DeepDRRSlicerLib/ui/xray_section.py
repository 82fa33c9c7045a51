"""Panel section "X-ray": previews that follow the settings, single pictures, the pedal, and how all are exposed."""

import time

import qt
from slicer.i18n import tr as _

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.scene.picture_state import PASSED, PREVIEW, REFERENCE
from DeepDRRSlicerLib.scene.request import SPOT, settingsOf
from DeepDRRSlicerLib.simulation.technique import MANUAL
from DeepDRRSlicerLib.ui.backend_line import backendText, failureText, shortBackend
from DeepDRRSlicerLib.ui.dependencies import slowBecause
from DeepDRRSlicerLib.ui.pedal_controls import PedalControls
from DeepDRRSlicerLib.ui.run_controls import RunControls
from DeepDRRSlicerLib.ui.scatter_group import ScatterGroup, referenceText

_GATHER_MS = 1  # several settings change together, in one turn of the event loop
_SETTLE_MS = 250  # without a change: the hand has stopped
_POLL_MS = 3
_MODES = {
    "fluoro": _("Automatic, as fluoroscopy"),
    "spot": _("Automatic, as a spot image"),
    "cine": _("Automatic, as cine"),
    MANUAL: _("By hand"),
}
_KINDS = {PREVIEW: _("preview"), REFERENCE: _("reference, without dose")}


class XRaySection:
    """Asks for pictures and takes them when they are ready. The window never waits.

    What X-rays would show follows the settings as a preview without dose, if that is wanted: a coarse one at once,
    again and again while the C-arm moves, the fine one when the hand has stopped. Pedal, cine run, spot image and Apply
    are what takes dose.
    """

    def __init__(self, ui, fluoroscopy, packages, onPicture):
        self._ui = ui
        self._fluoroscopy = fluoroscopy
        self._packages = packages
        self._onPicture = onPicture
        self._parameters = None
        self._settings = None
        self._obstacle = ""  # why X-rays that are on do not follow the settings
        self._started = 0.0
        self._upToDate = True  # whether the picture was, before the reference image was asked for
        self._gather = self._timer(_GATHER_MS, self.preview)
        self._settle = self._timer(_SETTLE_MS, self.aim)
        self._poll = self._timer(_POLL_MS, self.onPoll, repeated=True)
        self._pedal = PedalControls(ui, fluoroscopy, self.onTrainStart, self.onPulse, self.onTrainEnd)
        self._runs = RunControls(ui, fluoroscopy.runExport)
        self._scatter = ScatterGroup(ui, self.onReference, self.onCancelReference)
        self._modes = [*_MODES]
        for title in _MODES.values():
            ui.modeSelector.addItem(title)
        ui.modeSelector.connect("activated(int)", self.onMode)
        ui.applyButton.connect("clicked(bool)", self.onApply)
        ui.spotButton.connect("clicked(bool)", self.onSpot)
        ui.matrixSelector.connect("activated(int)", self.onMatrix)
        self._device = None  # whose matrices the selector offers
        self._binning = []
        self._defaultBinning = 0

    @property
    def isIdle(self):
        """Whether no picture is under way, and none is about to be asked for."""
        return not self._pedal.isBusy and not any(t.isActive() for t in (self._gather, self._settle, self._poll))

    def setParameters(self, parameters):
        """Show another parameter node, or None, which lets go of a pending picture."""
        self._pedal.setParameters(parameters)
        self._runs.setParameters(parameters)
        self._scatter.setParameters(parameters)
        if any(timer.isActive() for timer in (self._gather, self._settle, self._poll)):
            self._fluoroscopy.outdate()
        self._stop()
        self._parameters = parameters
        self._settings = None
        self._say("" if parameters is None else _("Choose a CT."))
        if parameters is not None:
            self._fluoroscopy.warmUp()
            self._device = None  # connecting the sliders has set their limits anew
            if parameters.ct is not None and self._fluoroscopy.picture.restore(parameters):
                self._settings = settingsOf(parameters)
                self._say(_("The picture is as it was left."))

    def outdate(self):
        """Forget what the picture shows: the next change asks for a new one."""
        self._settings = None

    def parametersChanged(self, parameters):
        """Have the picture follow if a setting of the view has changed."""
        settings = settingsOf(parameters)
        self._pedal.parametersChanged(parameters)
        self._scatter.parametersChanged(parameters)
        self._showChoices(parameters)
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
        self._obstacle = ""
        try:
            self._fluoroscopy.moved(parameters)  # by the section "C-arm", which hears of it first
            self._pedal.follow(parameters)
        except InputError as error:
            if self._fluoroscopy.train is None:
                self._fluoroscopy.outdate()  # the picture on show is of other settings
            else:
                self._obstacle = str(error)
            self._fail(error)
            return
        if self._pedal.isBusy:
            return
        if parameters.autoUpdate:
            self._followWithPreview()
        else:
            self._stop()
            self._fluoroscopy.outdate()
            self._say(_("The view has changed: step on the pedal (space bar), or press Apply."))

    def onApply(self):
        """Take a picture now, installing what it needs after asking."""
        self._packages.askOnFirstUse("numba")
        self._take(None)

    def onSpot(self):
        """Take a spot image."""
        self._take(SPOT)

    def onReference(self):
        """Have the present view made with scatter by the Monte Carlo."""
        if self._pedal.isBusy:
            return
        upToDate = self.isIdle
        self._stop()
        self._ask(self._fluoroscopy.requestReference, None)
        if self._poll.isActive():
            self._scatter.begin()
            self._upToDate = upToDate

    def onCancelReference(self):
        """Let go of it: the picture before stays, or the preview that it has displaced is made."""
        self._stop()
        self._fluoroscopy.cancelReference()
        self._say(_("The reference image was stopped."))
        if not self._upToDate:
            self.outdate()
            self.parametersChanged(self._parameters)

    def onMode(self, index):
        """Expose in another way."""
        if self._parameters is not None:
            self._parameters.exposureMode = self._modes[index]

    def onMatrix(self, index):
        """Read the detector out with another binning."""
        if self._parameters is not None:
            self._parameters.binning = self._binning[index]

    def preview(self):
        """Have a coarse preview made in the background."""
        self._ask(self._fluoroscopy.requestPreview, self._gather)

    def aim(self):
        """Have the fine preview made in the background."""
        self._ask(self._fluoroscopy.requestAim, self._settle)

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
            self._scatter.show(self._fluoroscopy.progress)
            return
        self._poll.stop()
        self._scatter.end(referenceText(radiograph) if self._scatter.isBusy else "")
        self._onPicture(radiograph)
        kind = _KINDS.get(self._fluoroscopy.picture.state, _("taken"))
        self._describe(radiograph, f"{kind} · {time.perf_counter() - self._started:.1f} s")

    # The pedal

    def onTrainStart(self):
        """The X-rays go on: nothing else is under way."""
        self._stop()

    def onPulse(self, radiograph, train):
        """A pulse is shown."""
        self._onPicture(radiograph)
        seconds = self._fluoroscopy.picture.totals(self._parameters).beam_on_time
        rates = f"{train.achieved:.2g}" if train.achieved < 0.95 * train.rate else f"{train.rate:g}"
        self._describe(
            radiograph,
            _("X-rays on, {achieved} of {rate} per second · {minutes:.0f}:{seconds:04.1f}").format(
                achieved=rates, rate=f"{train.rate:g}", minutes=seconds // 60, seconds=seconds % 60
            ),
        )

    def onTrainEnd(self, run, error):
        """The pedal has been released, or something went wrong."""
        self._runs.update(run)
        if error is not None:
            self._fail(error)
        elif self._parameters is not None and (self._fluoroscopy.picture.state == PASSED or self._obstacle):
            self._settings = None
            self.parametersChanged(self._parameters)

    def _followWithPreview(self):
        self._scatter.end()
        self._fluoroscopy.settingsChanged()
        self._say(_("Updating ..."))
        if not self._gather.isActive():
            self._gather.start()
        self._settle.start()

    def _take(self, mode):
        self._stop()
        if not self._pedal.isBusy:
            self._ask(lambda parameters: self._fluoroscopy.requestPicture(parameters, mode), None)

    def _ask(self, request, timer):
        """Request a picture. timer: to ask again by, as long as the CT is being copied; None does not wait for that."""
        if self._parameters is None:
            return
        try:
            if timer is not None and not self._fluoroscopy.isPatientReady(self._parameters):
                timer.start()
                return
            self._started = time.perf_counter()
            request(self._parameters)
        except InputError as error:
            self._fail(error)
            return
        except Exception as error:
            self._fail(error)
            raise
        self._say(_("Compiling, the first time only ...") if self._fluoroscopy.isWarmingUp() else _("Updating ..."))
        self._poll.start()

    def _describe(self, radiograph, what):
        """Say how a picture was taken."""
        technique = radiograph.metadata["technique"]
        current = f"{technique['tube_current_ma']:.0f} mA · " if "tube_current_ma" in technique else ""
        self._say(
            f"{radiograph.metadata['c_arm']['view']} · {technique['kvp']} kV · {current}{technique['mas']:.3g} mAs · "
            f"{radiograph.beam.size[0]} × {radiograph.beam.size[1]} · {what} · "
            f"{shortBackend(radiograph.metadata)}",
            " ".join(
                filter(None, (self._obstacle, failureText(radiograph.metadata), radiograph.remarks, slowBecause()))
            ),
        )
        self._ui.statusLabel.setToolTip(backendText(radiograph.metadata))

    def _showChoices(self, parameters):
        for button in (self._ui.applyButton, self._ui.spotButton):
            button.setEnabled(parameters.ct is not None)
        self._ui.modeSelector.setCurrentIndex(_indexOf(parameters.exposureMode, self._modes))
        for slider in (self._ui.kvpSlider, self._ui.masSlider):
            slider.setEnabled(parameters.exposureMode == MANUAL)
        if parameters.device != self._device:
            self._device = parameters.device
            self._showDevice(parameters.device)
        chosen = parameters.binning or self._defaultBinning
        self._ui.matrixSelector.setCurrentIndex(_indexOf(chosen, self._binning))

    def _showDevice(self, name):
        """Offer what the device can do; nothing of one that cannot be read, as the picture will say."""
        self._binning = []
        self._ui.matrixSelector.clear()
        try:
            device = load_device(name)
            detector = load_detector(device.detector)
        except InputError:
            return
        for slider, limits in (
            (self._ui.kvpSlider, device.tube_voltage.limits),
            (self._ui.masSlider, device.tube_load.limits),
        ):
            slider.minimum, slider.maximum = limits
        self._binning = list(detector.binning_modes)
        self._defaultBinning = detector.binning
        for mode in self._binning:
            (rows, columns), pitch = detector.pixel_grid(binning=mode)
            self._ui.matrixSelector.addItem(f"{rows} × {columns}, {pitch:.2f} mm")

    def _fail(self, error):
        """Say why there is no picture: an exception or a sentence."""
        self._stop()
        self._say("", str(error))

    def _stop(self):
        self._scatter.end()
        for timer in (self._gather, self._settle, self._poll):
            timer.stop()

    def _timer(self, milliseconds, onTimeout, repeated=False):
        timer = qt.QTimer(self._ui.xraySection)
        timer.setSingleShot(not repeated)
        timer.setInterval(milliseconds)
        timer.setTimerType(qt.Qt.PreciseTimer)
        timer.connect("timeout()", onTimeout)
        return timer

    def _say(self, status, warning=""):
        self._ui.statusLabel.setText(status)
        self._ui.warningLabel.setText(warning)
        self._ui.warningLabel.setVisible(bool(warning))


def _indexOf(value, choices):
    """Place of a value for a combo box, where -1 shows nothing: a script may have set what is not among the choices."""
    return choices.index(value) if value in choices else -1
