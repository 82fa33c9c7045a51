"""Panel section "Dataset": many labelled images of the scene, previewed, written as a job, and made."""

import tempfile
from importlib.util import find_spec
from pathlib import Path

import qt
from slicer.i18n import tr as _

from DeepDRRSlicerLib.dataset.image_bytes import png_bytes
from DeepDRRSlicerLib.dataset.pictures import grid
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import view_name
from DeepDRRSlicerLib.scene.job_settings import (
    BOX,
    CENTRES,
    CONE,
    FORMATS,
    GRID,
    ISOCENTER,
    LANDMARKS,
    PLANS,
    SEGMENTS,
    VIEWS,
    gridAngles,
    reachableViews,
)
from DeepDRRSlicerLib.scene.scatter import MONTE_CARLO, chosenScatter
from DeepDRRSlicerLib.ui.dependencies import slowBecause

_POLL_MS = 100
_SAMPLES, _COLUMNS, _SIDE = 9, 3, 120  # of a preview: as wide as the panel
_PLAN_TITLES = {
    CONE: _("Around this view"),
    VIEWS: _("Standard views with error"),
    BOX: _("Range of angles about this view"),
    GRID: _("Grid of angles about this view"),
}
_CENTRE_TITLES = {ISOCENTER: _("The isocentre"), LANDMARKS: _("A landmark"), SEGMENTS: _("A segment")}
_PREVIEW, _WRITE, _RUN = "preview", "write", "run"


class DatasetSection:
    """One piece of work at a time, in the background. It goes on when another module or scene is opened."""

    def __init__(self, ui, work):
        self._ui = ui
        self._work = work
        self._parameters = None
        self._doing = None
        self._shown = 0
        self._folder = ""
        self._poll = qt.QTimer(ui.datasetSection)
        self._poll.setInterval(_POLL_MS)
        self._poll.connect("timeout()", self.onPoll)
        for plan in PLANS:
            ui.datasetPlanSelector.addItem(_PLAN_TITLES[plan])
        for centre in CENTRES:
            ui.datasetCentreSelector.addItem(_CENTRE_TITLES[centre])
        self._formats = self._formatBoxes()
        ui.datasetFolderButton.directory = _defaultFolder()
        ui.datasetPlanSelector.connect("activated(int)", self.onPlan)
        ui.datasetCentreSelector.connect("activated(int)", self.onCentre)
        ui.datasetFolderButton.connect("directoryChanged(QString)", self.onFolder)
        ui.previewDatasetButton.connect("clicked(bool)", self.onPreview)
        ui.writeJobButton.connect("clicked(bool)", self.onWrite)
        ui.startDatasetButton.connect("clicked(bool)", self.onStart)
        ui.pauseDatasetButton.connect("toggled(bool)", self.onPause)
        ui.cancelDatasetButton.connect("clicked(bool)", self.onCancel)

    def setParameters(self, parameters):
        """Show another parameter node, or None; work that was begun has all it needs of the last."""
        self._parameters = None
        if parameters is not None:
            self._ui.datasetFolderButton.directory = parameters.datasetFolder or _defaultFolder()
        self._parameters = parameters

    def parametersChanged(self, parameters):
        """Follow the parameter node."""
        ui, plan = self._ui, parameters.datasetPlan
        ui.datasetPlanSelector.setCurrentIndex(PLANS.index(plan))
        ui.datasetCentreSelector.setCurrentIndex(CENTRES.index(parameters.datasetCentre))
        ui.datasetCountSpinBox.setEnabled(plan != GRID)
        ui.datasetPrimaryRangeLabel.setText(_("Within:") if plan == CONE else _("LAO / RAO ±:"))
        ui.datasetSecondaryRangeSlider.setEnabled(plan != CONE)
        ui.datasetStepSlider.setEnabled(plan == GRID)
        for choice, (box, package, toolTip) in self._formats.items():
            there = package is None or find_spec(package) is not None
            box.setToolTip(toolTip if there else _("Needs the Python package {name}.").format(name=package))
            box.setEnabled(there or getattr(parameters, choice))  # a scene from elsewhere may have chosen it
        ui.datasetPlanLabel.setText(" ".join(filter(None, (_planText(parameters), _scatterText(parameters)))))
        self._enable()

    def onPlan(self, index):
        """Take other views."""
        if self._parameters is not None:
            self._parameters.datasetPlan = PLANS[index]

    def onCentre(self, index):
        """Put something else at the isocentre."""
        if self._parameters is not None:
            self._parameters.datasetCentre = CENTRES[index]

    def onFolder(self, folder):
        """Write elsewhere."""
        if self._parameters is not None:
            self._parameters.datasetFolder = folder

    def onPreview(self):
        """Make some samples."""
        self._begin(_PREVIEW, lambda: self._work.startPreview(self._parameters, _SAMPLES, _SIDE))

    def onWrite(self):
        """Write the job."""
        self._begin(_WRITE, lambda: self._work.startWriting(self._parameters, self._folder))

    def onStart(self):
        """Write the job and make its images."""
        self._begin(_RUN, lambda: self._work.startRun(self._parameters, self._folder))

    def onPause(self, paused):
        """Wait, or go on."""
        self._work.state.paused = paused

    def onCancel(self):
        """Stop."""
        doing = self._doing
        self._work.cancel()
        self._end()
        if doing == _RUN:
            self._say(_("Stopped: Start goes on where it ended, in {folder}.").format(folder=self._folder))
        else:
            self._say(_("Stopped; nothing was written."))

    def onPoll(self):
        """Show how far the work is, and what came of it."""
        try:
            result = self._work.collect()
        except InputError as error:
            self._end()
            self._say(str(error))
            return
        except Exception as error:
            self._end()
            self._say(f"{type(error).__name__}: {error}")
            raise
        self._showPictures()
        if result is None:
            self._showProgress()
            return
        doing = self._doing
        self._end()
        if doing == _PREVIEW:
            self._say(_("{count} of the images, chosen at random.").format(count=len(result)))
        elif doing == _WRITE:
            self._say(_("Wrote {path}; it runs anywhere with: deepdrr-slicer export job.json").format(path=result))
        else:
            self._say(_summaryText(result))

    def _begin(self, doing, start):
        if self._parameters is None or self._doing is not None:
            return
        self._folder = self._ui.datasetFolderButton.directory
        try:
            start()
        except InputError as error:
            self._say(str(error))
            return
        self._doing, self._shown = doing, 0
        if doing == _PREVIEW:
            self._ui.datasetPreviewLabel.setVisible(False)
        self._ui.datasetProgressBar.setMaximum(0)  # which shows that something goes on
        self._showProgress()
        self._poll.start()
        self._enable()

    def _end(self):
        self._poll.stop()
        self._doing = None
        self._ui.pauseDatasetButton.setChecked(False)
        self._enable()

    def _enable(self):
        ui, idle = self._ui, self._doing is None
        ready = idle and self._parameters is not None and self._parameters.ct is not None
        for button in (ui.previewDatasetButton, ui.writeJobButton, ui.startDatasetButton):
            button.setEnabled(ready)
        ui.pauseDatasetButton.setEnabled(self._doing == _RUN)
        ui.cancelDatasetButton.setEnabled(not idle)
        ui.datasetProgressBar.setVisible(not idle)

    def _showProgress(self):
        state, bar = self._work.state, self._ui.datasetProgressBar
        progress = state.progress
        if self._doing == _PREVIEW:
            self._say(_("Making samples: {count} there ...").format(count=len(state.pictures)))
        elif progress is None:
            self._say(_("Writing the job to {folder} ...").format(folder=self._folder))
        else:
            bar.setMaximum(progress.total)
            bar.setValue(progress.done)
            self._say(f"{_progressText(progress, state.paused)} {slowBecause()}")

    def _showPictures(self):
        pictures = list(self._work.state.pictures)  # the other thread adds to it
        if len(pictures) == self._shown:
            return
        self._shown = len(pictures)
        with tempfile.TemporaryDirectory(prefix="DeepDRR-") as folder:
            path = Path(folder) / "samples.png"
            path.write_bytes(png_bytes(grid(pictures, _COLUMNS)))
            self._ui.datasetPreviewLabel.setPixmap(qt.QPixmap(str(path)))
        self._ui.datasetPreviewLabel.setVisible(True)

    def _say(self, text):
        self._ui.datasetStatusLabel.setText(text)

    def _formatBoxes(self):
        """parameter -> (check box, the package of its format or None, its tool tip where that is there)."""
        ui = self._ui
        boxes = (ui.datasetCocoCheckBox, ui.datasetWebDatasetCheckBox, ui.datasetDicomCheckBox, ui.datasetHdf5CheckBox)
        found = {}
        for box, (choice, (_writer, package)) in zip(boxes, FORMATS.items(), strict=True):
            found[choice] = box, package, box.toolTip
        return found


def _defaultFolder():
    return str(Path.home() / "DeepDRR dataset")


def _planText(parameters):
    """The views in words."""
    plan, count = parameters.datasetPlan, parameters.datasetCount
    primary, secondary = parameters.primaryAngle, parameters.secondaryAngle
    reach, other = parameters.datasetPrimaryRange, parameters.datasetSecondaryRange
    if plan == CONE:
        text = _("{count} images within {reach}° of {view}.")
        return text.format(count=count, reach=f"{reach:g}", view=view_name(primary, secondary))
    if plan == VIEWS:
        text = _("{count} images of {views}.")
        return text.format(count=count, views=", ".join(reachableViews(parameters)) or "–")
    if plan == BOX:
        low, high = (view_name(primary + s * reach, secondary + s * other) for s in (-1, 1))
        return _("{count} images from {low} to {high}.").format(count=count, low=low, high=high)
    columns, rows = gridAngles(parameters)
    text = _("{count} images: {columns} × {rows} angles.")
    return text.format(count=len(columns) * len(rows), columns=len(columns), rows=len(rows))


def _scatterText(parameters):
    """A warning where each image takes long; empty else."""
    if chosenScatter(parameters) != MONTE_CARLO:
        return ""
    text = _("Scatter by Monte Carlo: {count} million photons take seconds to minutes for each image.")
    return text.format(count=f"{parameters.scatterPhotons:g}")


def _progressText(progress, paused):
    text = _("{done} of {total} images").format(done=progress.done, total=progress.total)
    if progress.remaining is not None:
        text += _(" · {rate} per second · {time} left").format(
            rate=f"{progress.rate:.2g}", time=_duration(progress.remaining)
        )
    if progress.skipped:
        text += _(" · {count} left out").format(count=progress.skipped)
    return text + (_(" · paused") if paused else "")


def _summaryText(summary):
    text = _("{count} images in {folder}, {new} of them new, in {time}.").format(
        count=summary.samples, folder=summary.folder, new=summary.new, time=_duration(summary.seconds)
    )
    if summary.skipped:
        reasons = "; ".join(sorted(set(summary.skipped.values())))
        text += " " + _("{count} were left out: {reasons}").format(count=len(summary.skipped), reasons=reasons)
    return text


def _duration(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
