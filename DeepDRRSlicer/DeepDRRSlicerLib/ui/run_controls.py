"""Looking back: cine runs and the last fluoroscopy, replayed in the X-ray view, kept, deleted and exported."""

from pathlib import Path

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.scene.cine import browserOf, isKept, keepRun, removeRun, runs, shownNode
from DeepDRRSlicerLib.scene.replay import showFrame

_POLL_MS = 50


class RunControls:
    """Drives the sequence browsers of the runs, and follows them when Slicer's own controls drive them."""

    def __init__(self, ui, export):
        self._ui = ui
        self._export = export
        self._parameters = None
        self._runs = []
        self._tags = []  # (volume in which a run is replayed, observer)
        self._moved = None  # such a volume that has changed and is not shown yet
        self._show = qt.QTimer(ui.xraySection)  # a browser changes pixels, place and attributes one after the other
        self._show.setSingleShot(True)
        self._show.connect("timeout()", self.onShow)
        self._poll = qt.QTimer(ui.xraySection)
        self._poll.setInterval(_POLL_MS)
        self._poll.connect("timeout()", self.onPoll)
        ui.runFolderButton.directory = str(Path.home() / "DeepDRR runs")
        ui.runSelector.connect("activated(int)", self.onRun)
        ui.runFrameSlider.connect("valueChanged(double)", self.onFrame)
        ui.replayButton.connect("toggled(bool)", self.onReplay)
        ui.keepRunButton.connect("clicked(bool)", self.onKeep)
        ui.removeRunButton.connect("clicked(bool)", self.onRemove)
        ui.exportRunButton.connect("clicked(bool)", self.onExport)

    def setParameters(self, parameters):
        """Show the runs of another scene, or none."""
        self._ui.replayButton.setChecked(False)
        self._parameters = parameters
        self._show.stop()
        self.update(None)

    def update(self, chosen):
        """Runs have come or gone; chosen: the one to look at, or None for the same as before."""
        before = self._chosen()
        self._forget()
        self._runs = runs() if self._parameters is not None else []
        chosen = chosen if chosen in self._runs else before if before in self._runs else None
        self._ui.runSelector.clear()
        for run in self._runs:
            self._ui.runSelector.addItem(run.GetName())
            node = shownNode(run)
            if node is not None:
                self._tags.append((node, node.AddObserver(node.ImageDataModifiedEvent, self._onFrameChanged)))
        if self._runs:
            self._ui.runSelector.setCurrentIndex(self._runs.index(chosen) if chosen else len(self._runs) - 1)
        self._showRun()

    def onRun(self, index):
        """Look at another run."""
        self._ui.replayButton.setChecked(False)
        self._showRun()
        self._select(self._ui.runFrameSlider.value)

    def onFrame(self, number):
        """Show an image of the run."""
        browser = self._browser()
        if browser is not None and browser.GetSelectedItemNumber() != round(number) - 1:
            self._select(number)

    def onReplay(self, on):
        """Play the run, or stop."""
        browser = self._browser()
        if browser is not None:
            browser.SetPlaybackActive(on)

    def onKeep(self):
        """Make the last fluoroscopy a run that stays."""
        run = self._chosen()
        if run is not None:
            keepRun(run)
            self.update(run)

    def onRemove(self):
        """Delete the run."""
        run = self._chosen()
        if run is not None:
            self._ui.replayButton.setChecked(False)
            self._forget()
            removeRun(run)
            self.update(None)

    def onExport(self):
        """Write the run as files, in the background."""
        run = self._chosen()
        if run is None or self._poll.isActive():
            return
        folder = Path(self._ui.runFolderButton.directory) / run.GetName()
        try:
            self._export.start(self._parameters, run, folder)
        except InputError as error:
            self._ui.runStatusLabel.setText(str(error))
            return
        self._ui.runStatusLabel.setText(_("Writing the run to {folder} ...").format(folder=str(folder)))
        self._poll.start()

    def onPoll(self):
        """Say what came of the export."""
        try:
            files = self._export.collect()
        except InputError as error:
            self._poll.stop()
            self._ui.runStatusLabel.setText(str(error))
            return
        except Exception:
            self._poll.stop()
            raise
        if files is not None:
            self._poll.stop()
            text = _("Wrote {count} files to {folder}.")
            self._ui.runStatusLabel.setText(text.format(count=len(files), folder=str(files[0].parent)))

    def onShow(self):
        """Show the image that a browser has put into its volume."""
        node, self._moved = self._moved, None
        run = next((run for run in self._runs if shownNode(run) is node), None)
        if run is None or self._parameters is None:
            return
        self._ui.runSelector.setCurrentIndex(self._runs.index(run))
        self._showRun()
        showFrame(self._parameters, run)

    def _onFrameChanged(self, caller, event):
        self._moved = caller
        self._show.start()

    def _chosen(self):
        index = self._ui.runSelector.currentIndex
        return self._runs[index] if 0 <= index < len(self._runs) else None

    def _browser(self):
        run = self._chosen()
        return browserOf(run) if run is not None else None

    def _select(self, number):
        browser = self._browser()
        if browser is not None:
            browser.SetSelectedItemNumber(round(number) - 1)
            slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)

    def _showRun(self):
        """Offer what can be done with the chosen run."""
        run, browser, ui = self._chosen(), self._browser(), self._ui
        for widget in (ui.runSelector, ui.removeRunButton, ui.exportRunButton):
            widget.setEnabled(run is not None)
        for widget in (ui.runFrameSlider, ui.replayButton):
            widget.setEnabled(browser is not None)
        ui.keepRunButton.setEnabled(run is not None and not isKept(run))
        if browser is not None:
            ui.runFrameSlider.maximum = float(run.GetNumberOfDataNodes())
            ui.runFrameSlider.value = float(browser.GetSelectedItemNumber() + 1)

    def _forget(self):
        for node, tag in self._tags:
            node.RemoveObserver(tag)
        self._tags = []
