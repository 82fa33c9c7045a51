"""Sub-section "Scatter" of the section "X-ray": how scatter comes into pictures, and a reference image of it."""

import time

import qt
from slicer.i18n import tr as _

from DeepDRRSlicerLib.scene.scatter import (
    CHOICES,
    ERROR,
    LIMITS,
    MONTE_CARLO,
    NETWORK,
    NONE,
    PHOTONS,
    chosenScatter,
    liveScatter,
    networkMissing,
)

_FLAGS_ROLE = qt.Qt.UserRole - 1  # under which the items of a combo box keep whether they can be chosen
_TITLES = {NONE: _("None"), NETWORK: _("Network"), MONTE_CARLO: _("Monte Carlo")}
_LIMIT_TITLES = {PHOTONS: _("Number of photons"), ERROR: _("Wanted error")}
_PER_CENT = 100.0
_MILLION = 1e6
_SECONDS = 60


class ScatterGroup:
    """Shows the choice and how far a reference image is; the section asks for it, and says when it has ended."""

    def __init__(self, ui, onReference, onCancel):
        self._ui = ui
        self._parameters = None
        self._shown = None
        self._started = None  # when the reference image under way was asked for
        for choice in CHOICES:
            ui.scatterSelector.addItem(_TITLES[choice])
        for limit in LIMITS:
            ui.scatterLimitSelector.addItem(_LIMIT_TITLES[limit])
        ui.scatterSelector.connect("activated(int)", self.onChoice)
        ui.scatterLimitSelector.connect("activated(int)", self.onLimit)
        ui.referenceButton.connect("clicked(bool)", onReference)
        ui.cancelReferenceButton.connect("clicked(bool)", onCancel)
        self._say("")
        self._enable()

    def setParameters(self, parameters):
        """Show another parameter node, or None."""
        self._parameters = parameters
        self._shown = None
        self._say("")

    def parametersChanged(self, parameters):
        """Follow the parameter node."""
        ui, missing = self._ui, networkMissing()
        shown = missing, parameters.scatter, parameters.scatterLimit, parameters.ct is None
        if shown == self._shown:
            return
        self._shown = shown
        index = CHOICES.index(NETWORK)
        flags = qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEnabled if missing is None else qt.Qt.NoItemFlags
        ui.scatterSelector.setItemData(index, int(flags), _FLAGS_ROLE)
        ui.scatterSelector.setItemData(index, missing or "", qt.Qt.ToolTipRole)
        chosen = chosenScatter(parameters)
        ui.scatterSelector.setCurrentIndex(CHOICES.index(chosen) if chosen in CHOICES else -1)
        live = _("by the network") if liveScatter(parameters) == NETWORK else _("without scatter")
        said = [_("Live pictures are {made}.").format(made=live)] if chosen == MONTE_CARLO else []
        ui.scatterLabel.setText(" ".join([*said, *filter(None, [missing])]))
        ui.scatterLabel.setVisible(bool(ui.scatterLabel.text))
        limit = parameters.scatterLimit
        ui.scatterLimitSelector.setCurrentIndex(LIMITS.index(limit) if limit in LIMITS else -1)
        for each, widgets in (
            (PHOTONS, (ui.scatterPhotonsLabel, ui.scatterPhotonsSlider)),
            (ERROR, (ui.scatterErrorLabel, ui.scatterErrorSlider)),
        ):
            for widget in widgets:
                widget.setVisible(limit == each)
        self._enable()

    def onChoice(self, index):
        """Have scatter in another way."""
        if self._parameters is not None:
            self._parameters.scatter = CHOICES[index]

    def onLimit(self, index):
        """Follow photons until something else is reached."""
        if self._parameters is not None:
            self._parameters.scatterLimit = LIMITS[index]

    def begin(self):
        """A reference image is under way."""
        self._started = time.monotonic()
        self._ui.referenceProgressBar.setMaximum(0)  # which shows that something goes on
        self._say(_("Taking the picture ..."))
        self._enable()

    def show(self, progress):
        """How far it is: a Progress of simulation/reference.py."""
        if self._started is None or progress.error is None:
            return
        bar = self._ui.referenceProgressBar
        bar.setMaximum(progress.total)
        bar.setValue(progress.done)
        self._say(self._progressText(progress))

    def end(self, text=""):
        """It is there, or has been let go of: say so. Each step of a C-arm that moves comes here."""
        if not self.isBusy and text == self._text:
            return
        self._started = None
        self._say(text)
        self._enable()

    @property
    def isBusy(self):
        """Whether one is under way."""
        return self._started is not None

    def _say(self, text):
        self._text = text
        self._ui.referenceLabel.setText(text)
        self._ui.referenceLabel.setVisible(bool(text))

    def _enable(self):
        ui = self._ui
        there = self._parameters is not None and self._parameters.ct is not None
        ui.referenceButton.setEnabled(there and not self.isBusy)
        ui.cancelReferenceButton.setEnabled(self.isBusy)
        ui.referenceProgressBar.setVisible(self.isBusy)

    def _progressText(self, progress):
        values = {"done": _millions(progress.done), "error": _percent(progress.error)}
        if not progress.total:
            return _("{done} million photons, a cell within {error} %: looking how many it takes").format(**values)
        seconds = (time.monotonic() - self._started) * (progress.total / progress.done - 1)
        minutes, seconds = divmod(round(seconds), _SECONDS)
        text = _("{done} of {total} million photons, a cell within {error} % · {time} left")
        return text.format(**values, total=_millions(progress.total), time=f"{minutes}:{seconds:02}")


def referenceText(radiograph):
    """How well a reference image is known."""
    said = radiograph.metadata["scatter"]
    text = _("Scatter by {photons} million photons, each cell within {error} %.")
    return text.format(photons=_millions(said["histories"]), error=_percent(said["relative_error_of_a_cell"]))


def _millions(photons):
    return f"{photons / _MILLION:.3g}"


def _percent(error):
    return f"{error * _PER_CENT:.2g}"
