"""Pedal, cine run and their rates: from the press to the last image that is held."""

import qt
from slicer.i18n import tr as _

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.scene import pedal
from DeepDRRSlicerLib.scene.cine import Recording
from DeepDRRSlicerLib.scene.request import CINE, FLUORO, pulseRates
from DeepDRRSlicerLib.ui.pedal_keys import PedalKeys

_POLL_MS = 5
_X_RAYS_ON = "background-color: #e8b020; color: black;"


class PedalControls:
    """Keys, mouse and scripts press the scene's pedal node; while it is pressed, pulses are taken and shown.

    onStart() is called before a train of pulses, onPulse(radiograph, train) after those that are shown, and
    onEnd(run, error) behind it, with the sequence node of the run, or None, and what went wrong, or None.
    """

    def __init__(self, ui, fluoroscopy, onStart, onPulse, onEnd):
        self._ui = ui
        self._fluoroscopy = fluoroscopy
        self._onStart, self._onPulse, self._onEnd = onStart, onPulse, onEnd
        self._parameters = None
        self._watch = None
        self._wanted = None  # FLUORO or CINE while the pedal is pressed, or the cine run is on
        self._mode = None  # of the train under way
        self._recording = None
        self._idleText = ui.pedalButton.text
        self._rates = {FLUORO: (), CINE: ()}
        self._selectors = {FLUORO: ui.pulseRateSelector, CINE: ui.cineRateSelector}
        self._poll = qt.QTimer(ui.xraySection)
        self._poll.setInterval(_POLL_MS)
        self._poll.setTimerType(qt.Qt.PreciseTimer)
        self._poll.connect("timeout()", self.onPoll)
        self._keys = PedalKeys(ui.xraySection, self.press, self.release)
        ui.pedalButton.connect("pressed()", self.press)
        ui.pedalButton.connect("released()", self.release)
        ui.cineButton.connect("toggled(bool)", self.onCine)
        ui.pulseRateSelector.connect("activated(int)", self.onPulseRate)
        ui.cineRateSelector.connect("activated(int)", self.onCineRate)

    @property
    def isBusy(self):
        """Whether the X-rays are on, or will be in a moment."""
        return self._poll.isActive()

    def setParameters(self, parameters):
        """Show another parameter node, or None: then nobody stands on the pedal."""
        if self._parameters is not None:
            self._stop()
        self._parameters = parameters
        self._keys.setEnabled(False)
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def parametersChanged(self, parameters):
        """Follow the parameter node."""
        ready = parameters.ct is not None
        for button in (self._ui.pedalButton, self._ui.cineButton):
            button.setEnabled(ready)
        self._keys.setEnabled(ready)
        if ready:
            self._watchPedal()
        for mode, selector in self._selectors.items():
            try:
                rates, chosen = pulseRates(parameters, mode)
            except InputError:  # of the device: the picture says so
                continue
            if rates != self._rates[mode]:
                self._rates[mode] = rates
                selector.clear()
                for rate in rates:
                    selector.addItem(_("{rate} per second").format(rate=f"{rate:g}"))
            selector.setCurrentIndex(rates.index(chosen))

    def press(self):
        """Step on the pedal."""
        if self._parameters is not None and self._parameters.ct is not None:
            self._watchPedal()
            pedal.setPressed(True)

    def release(self):
        """Step off the pedal."""
        if pedal.isPressed():
            pedal.setPressed(False)

    def onPedal(self, pressed):
        """The pedal is pressed, or released, by whomever."""
        if pressed and self._wanted is None:
            self._want(FLUORO)
        elif not pressed and self._wanted == FLUORO:
            self._want(None)
        self._ui.pedalButton.setDown(pressed)

    def onCine(self, on):
        """Begin the cine run, or end it."""
        if on and self._wanted is None:
            self._want(CINE)
        elif not on and self._wanted == CINE:
            self._want(None)

    def onPulseRate(self, index):
        """Take another rate of fluoroscopy."""
        if self._parameters is not None:
            self._parameters.pulseRate = self._rates[FLUORO][index]

    def onCineRate(self, index):
        """Take another rate of cine."""
        if self._parameters is not None:
            self._parameters.cineRate = self._rates[CINE][index]

    def follow(self, parameters):
        """The view has changed while X-rays are on. Raises InputError for one that is not possible."""
        if self._fluoroscopy.train is not None:
            self._fluoroscopy.followView(parameters)

    def onPoll(self):
        """Begin what is wanted, show the pulses that are there, and end what is no longer wanted."""
        try:
            if self._fluoroscopy.train is None and self._mode is None:
                self._begin()
            else:
                self._collect()
        except InputError as error:
            self._end(error)
        except Exception as error:
            self._end(error)
            raise

    def _watchPedal(self):
        """Look at the scene's pedal, which somebody may have deleted, and made anew."""
        if self._watch is not None and self._watch.node is not pedal.pedalNode():
            self._watch.close()
            self._watch = None
        if self._watch is None:
            pedal.setPressed(False)
            self._watch = pedal.PedalWatch(self.onPedal)

    def _want(self, mode):
        self._wanted = mode
        train = self._fluoroscopy.train
        if train is not None:
            train.release()
        elif mode is not None and self._parameters is not None:
            self._poll.start()

    def _begin(self):
        if self._wanted is None:
            self._poll.stop()  # released before the CT was there
        elif self._fluoroscopy.isPatientReady(self._parameters):
            self._onStart()
            self._mode = self._wanted
            self._showRadiation(True)
            self._fluoroscopy.startTrain(self._parameters, self._mode)
            self._recording = Recording(self._mode, pulseRates(self._parameters, self._mode)[1])

    def _collect(self):
        train = self._fluoroscopy.train
        radiograph = self._fluoroscopy.collectPulses(self._parameters, self._record)
        if radiograph is not None:
            self._onPulse(radiograph, train)
        if self._recording.isFull:
            self._ui.cineButton.setChecked(False)
        if self._fluoroscopy.train is None:
            self._end(None)

    def _showRadiation(self, on):
        """As the lamp of an X-ray room does."""
        button = self._ui.pedalButton
        button.setText(_("X-rays on") if on else self._idleText)
        button.styleSheet = _X_RAYS_ON if on else ""

    def _record(self, pulse):
        self._recording.add(self._parameters.xray, pulse)

    def _end(self, error):
        """Of the train. A pedal that was pressed again meanwhile begins the next one."""
        run = self._recording.finish() if self._recording is not None else None
        self._recording = self._mode = None
        self._showRadiation(False)
        if error is not None:
            self._fluoroscopy.dropTrain(self._parameters)
            self._wanted = None
            self._ui.cineButton.setChecked(False)
        if self._wanted is None:
            self._poll.stop()
        self._onEnd(run, error)

    def _stop(self):
        """At once: what has been exposed counts, the pulse under way is given up."""
        self._wanted = None
        self.release()
        self._ui.cineButton.setChecked(False)
        if self._mode is not None and self._fluoroscopy.train is not None:
            self._fluoroscopy.collectPulses(self._parameters, self._record)
            self._fluoroscopy.dropTrain(self._parameters)
            self._end(None)
        self._poll.stop()
