"""The folded part of the section "Tasks" in which a teacher makes one."""

import slicer
import slicer.util
from slicer.i18n import tr as _

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import view_name
from DeepDRRSlicerLib.scene.task_draft import changeDraft, draftOf, presentView, writeDraft


class MakeTask:
    """onWritten(path) is called with the file of a task that has been made."""

    def __init__(self, ui, onWritten):
        self._ui, self._onWritten = ui, onWritten
        self._parameters = None
        self._showing = False
        self._numbers = {
            "angle": ui.makeTaskAngleSpinBox,
            "offset": ui.makeTaskOffsetSpinBox,
            "corridor": ui.makeTaskCorridorSpinBox,
            "reach": ui.makeTaskReachSpinBox,
            "diameter": ui.makeTaskDiameterSpinBox,
            "length": ui.makeTaskLengthSpinBox,
            "tip_apex": ui.makeTaskTipApexSpinBox,
            "images": ui.makeTaskImagesSpinBox,
            "beam_on_time": ui.makeTaskBeamSpinBox,
            "time": ui.makeTaskTimeSpinBox,
            "air_kerma": ui.makeTaskKermaSpinBox,
            "kerma_area_product": ui.makeTaskAreaSpinBox,
        }
        for key, box in self._numbers.items():
            box.connect("valueChanged(int)" if key == "images" else "valueChanged(double)", self._keeper(key))
        ui.makeTaskTitleEdit.connect("textChanged(QString)", self._keeper("title"))
        ui.makeTaskPatientEdit.connect("textChanged(QString)", self._keeper("patient"))
        ui.makeTaskInstructionsEdit.connect("textChanged()", self.onInstructions)
        ui.makeTaskStartButton.connect("clicked(bool)", self.onStart)
        ui.makeTaskViewButton.connect("clicked(bool)", self.onView)
        ui.writeTaskButton.connect("clicked(bool)", self.onWrite)

    def setParameters(self, parameters):
        """Show the draft of another parameter node, or None."""
        self._parameters = parameters
        if parameters is None:
            return
        self._showing = True
        draft = draftOf(parameters)
        for key, box in self._numbers.items():
            box.setValue(int(draft[key]) if key == "images" else float(draft[key]))
        self._ui.makeTaskTitleEdit.setText(draft["title"])
        self._ui.makeTaskPatientEdit.setText(draft["patient"])
        self._ui.makeTaskInstructionsEdit.setPlainText(draft["instructions"])
        self._showing = False
        self._showViews()

    def parametersChanged(self, parameters):
        """Follow the parameter node."""
        self._ui.writeTaskButton.setEnabled(parameters.ct is not None)
        self._showViews()

    def onInstructions(self):
        """Keep what is typed."""
        self._keep("instructions", self._ui.makeTaskInstructionsEdit.plainText)

    def onStart(self):
        """The present view is where the C-arm starts."""
        if self._parameters is not None:
            changeDraft(self._parameters, start=presentView(self._parameters))

    def onView(self):
        """The present view is the one to find; a second press on the same view takes the goal away."""
        if self._parameters is not None:
            here = presentView(self._parameters)
            changeDraft(self._parameters, view=None if draftOf(self._parameters)["view"] == here else here)

    def onWrite(self):
        """Write the file."""
        if self._parameters is None:
            return
        try:
            path = writeDraft(self._parameters, self._ui.taskFolderButton.directory)
        except InputError as error:
            slicer.util.errorDisplay(str(error))
            return
        self._onWritten(path)

    def _keeper(self, key):
        return lambda value: self._keep(key, value)

    def _keep(self, key, value):
        if not self._showing and self._parameters is not None:
            changeDraft(self._parameters, **{key: value})

    def _showViews(self):
        draft = draftOf(self._parameters)
        self._ui.makeTaskStartLabel.setText(_viewText(draft["start"], _("not taken yet")))
        self._ui.makeTaskViewLabel.setText(_viewText(draft["view"], _("no view to find")))


def _viewText(view, none):
    if view is None:
        return none
    point = ", ".join(f"{x:.0f}" for x in view[2:5])
    return _("{view} at {point}").format(view=view_name(view[0], view[1]), point=point)
