"""Panel section "Tasks": choose one, make an attempt, see how it went."""

from pathlib import Path

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.rehearsal.task_file import load_task, parse_task, shipped_tasks, task_text
from DeepDRRSlicerLib.scene.task_table import writeAttempts
from DeepDRRSlicerLib.ui.make_task import MakeTask
from DeepDRRSlicerLib.ui.task_result import TaskResult

_TICK_MS = 500


class TasksSection(VTKObservationMixin):
    """The task itself is kept in the parameter node, so that a scene that is handed out has it."""

    def __init__(self, ui, run):
        VTKObservationMixin.__init__(self)
        self._ui, self._run = ui, run
        self._parameters = None
        self._shown = None
        self._remark = ""
        self._shipped = [load_task(name) for name in shipped_tasks()]
        self._make = MakeTask(ui, self.onWritten)
        self._result = TaskResult(ui)
        self._tick = qt.QTimer(ui.tasksSection)
        self._tick.setInterval(_TICK_MS)
        self._tick.connect("timeout()", self.onTick)
        for task in self._shipped:
            ui.taskSelector.addItem(_(task.title))
        ui.taskFolderButton.directory = str(Path.home())
        ui.taskSelector.connect("activated(int)", self.onTask)
        ui.taskFileEdit.connect("currentPathChanged(QString)", self.onFile)
        ui.startTaskButton.connect("clicked(bool)", self.onStart)
        ui.finishTaskButton.connect("clicked(bool)", self.onFinish)
        ui.abandonTaskButton.connect("clicked(bool)", self.onAbandon)
        ui.saveAttemptsButton.connect("clicked(bool)", self.onSave)

    def setParameters(self, parameters):
        """Show another parameter node, or None; an attempt under way goes on."""
        self._tick.stop()
        self.removeObservers()
        self._parameters, self._shown = parameters, None
        self._make.setParameters(parameters)
        if parameters is None:
            return
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartSaveEvent, self.onSceneSave)
        self._run.resume(parameters)
        self._result.update()
        if self._run.isRunning:
            self._tick.start()

    def parametersChanged(self, parameters):
        """Follow the parameter node."""
        self._make.parametersChanged(parameters)
        self._result.update()
        if self._shown != parameters.task:
            self._shown = parameters.task
            self._showTask()
        self._enable()
        if self._run.hold(parameters):
            self._say(_("There are no previews during an attempt: take a picture instead."))

    def onSceneSave(self, caller, event):
        """The file shall have the attempt under way."""
        self._run.keep(self._parameters)

    def onTask(self, index):
        """Take a task that ships, or stay with the one of the file."""
        if self._parameters is not None and index < len(self._shipped):
            self._parameters.task = task_text(self._shipped[index])

    def onFile(self, path):
        """Take the task of a file, once the path names one."""
        if self._parameters is None or not Path(path).is_file():
            return
        self._takeFile(path)

    def onWritten(self, path):
        """A task has been made: choose it."""
        self._ui.taskFileEdit.currentPath = str(path)
        self._takeFile(path)
        self._say(_("Wrote {path}.").format(path=path))

    def onStart(self):
        """Begin."""
        if self._parameters is None:
            return
        try:
            self._remark = self._run.start(self._parameters)
        except InputError as error:
            slicer.util.errorDisplay(str(error))
            return
        self._say(self._remark)
        self._tick.start()
        self._enable()
        self.onTick()

    def onFinish(self):
        """End the attempt and show its result."""
        self._end(self._run.finish)

    def onAbandon(self):
        """Give the attempt up."""
        self._end(self._run.abandon)

    def onSave(self):
        """Write the table of attempts."""
        try:
            path = writeAttempts(self._ui.taskFolderButton.directory)
        except InputError as error:
            slicer.util.errorDisplay(str(error))
            return
        self._say(_("Wrote {path}.").format(path=path))

    def onTick(self):
        """Show what the attempt has taken so far."""
        run = self._run
        if not run.isRunning:
            self._tick.stop()
            return
        text = _("Images {images} · beam on {beam} s · {kerma} mGy · C-arm moves {moves} · {time}")
        attempt, (minutes, seconds) = run.attempt, divmod(int(run.elapsed), 60)
        self._ui.taskLiveLabel.setText(
            text.format(
                images=attempt.image_count,
                beam=f"{attempt.beam_on_time:.1f}",
                kerma=f"{attempt.air_kerma:.2f}",
                moves=attempt.moves,
                time=f"{minutes}:{seconds:02}",
            )
        )

    def _end(self, end):
        if not self._run.isRunning:
            return
        try:
            end()
        except InputError as error:
            slicer.util.errorDisplay(str(error))
            return
        self._tick.stop()
        self._say("")
        self._result.update(newest=True)
        self._enable()

    def _takeFile(self, path):
        try:
            self._parameters.task = task_text(load_task(path))
        except InputError as error:
            self._say(str(error))

    def _showTask(self):
        ui = self._ui
        task = self._taskOf(self._parameters)
        own = task is not None and task not in self._shipped
        while ui.taskSelector.count > len(self._shipped):
            ui.taskSelector.removeItem(len(self._shipped))
        if own:
            ui.taskSelector.addItem(task.title)
        chosen = -1 if task is None else len(self._shipped) if own else self._shipped.index(task)
        ui.taskSelector.setCurrentIndex(chosen)
        ui.taskInstructionsLabel.setText(task.instructions if task is not None else _("Choose a task."))
        self._say("")

    def _taskOf(self, parameters):
        if not parameters.task:
            return None
        try:
            return parse_task(parameters.task)
        except InputError as error:
            self._say(str(error))
            return None

    def _enable(self):
        ui, running = self._ui, self._run.isRunning
        ready = self._parameters is not None and bool(self._parameters.task) and self._parameters.ct is not None
        ui.startTaskButton.setEnabled(ready and not running)
        ui.finishTaskButton.setEnabled(running)
        ui.abandonTaskButton.setEnabled(running)
        ui.taskSelector.setEnabled(not running)
        ui.taskFileEdit.setEnabled(not running)
        ui.taskLiveLabel.setVisible(running)

    def _say(self, text):
        self._ui.taskWarningLabel.setText(text)
        self._ui.taskWarningLabel.setVisible(bool(text))
