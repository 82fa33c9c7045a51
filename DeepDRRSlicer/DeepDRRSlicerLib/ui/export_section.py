"""Panel section "Export this view": the picture, its geometry and labels as files."""

from pathlib import Path

import qt
from slicer.i18n import tr as _

from DeepDRRSlicerLib.errors import InputError

_POLL_MS = 50
_PER_CENT = 100


class ExportSection:
    """Runs one export at a time in the background, with progress and a way to stop it."""

    def __init__(self, ui, fluoroscopy):
        self._ui = ui
        self._fluoroscopy = fluoroscopy
        self._parameters = None
        self._poll = qt.QTimer(ui.exportSection)
        self._poll.setInterval(_POLL_MS)
        self._poll.connect("timeout()", self.onPoll)
        # Before one is chosen the button stands for the working directory: the program's own folder, often.
        ui.exportFolderButton.directory = str(Path.home() / "DeepDRR export")
        ui.exportButton.connect("clicked(bool)", self.onExport)
        ui.cancelExportButton.connect("clicked(bool)", self.onCancel)

    def setParameters(self, parameters):
        """Show another parameter node, or None, which stops a running export."""
        if self._poll.isActive():
            self.onCancel()
        self._parameters = parameters

    def parametersChanged(self, parameters):
        """Follow the parameter node."""
        self._ui.exportButton.setEnabled(parameters.ct is not None and not self._poll.isActive())

    def onExport(self):
        """Start the export into the chosen folder."""
        folder = self._ui.exportFolderButton.directory
        try:
            self._fluoroscopy.startExport(self._parameters, folder)
        except InputError as error:
            self._ui.exportStatusLabel.setText(str(error))
            return
        self._setRunning(True)
        self._ui.exportStatusLabel.setText(_("Exporting to {folder} ...").format(folder=folder))

    def onCancel(self):
        """Stop the export."""
        self._fluoroscopy.cancelExport()
        self._setRunning(False)
        self._ui.exportStatusLabel.setText(_("Export cancelled; nothing was written."))

    def onPoll(self):
        """Show progress, and the end of it."""
        self._ui.exportProgressBar.setValue(round(self._fluoroscopy.exportProgress * _PER_CENT))
        try:
            files = self._fluoroscopy.collectExport()
        except InputError as error:
            self._setRunning(False)
            self._ui.exportStatusLabel.setText(str(error))
            return
        except Exception:
            self._setRunning(False)
            raise
        if files is not None:
            self._setRunning(False)
            self._ui.exportStatusLabel.setText(
                _("Wrote {count} files to {folder}.").format(count=len(files), folder=str(files[0].parent))
            )

    def _setRunning(self, running):
        if running:
            self._poll.start()
        else:
            self._poll.stop()
        self._ui.exportButton.setEnabled(not running)
        self._ui.cancelExportButton.setEnabled(running)
        self._ui.exportProgressBar.setVisible(running)
