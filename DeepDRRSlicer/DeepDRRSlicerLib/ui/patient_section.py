"""Panel section "Patient": which CT is looked at, and how the patient lies."""

import qt
from slicer.i18n import tr as _

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.positioning import POSITIONS
from DeepDRRSlicerLib.scene.ct_views import keepView, layDown, restoreView
from DeepDRRSlicerLib.scene.machine_state import isocenterOf
from DeepDRRSlicerLib.scene.patient import showPatient
from DeepDRRSlicerLib.scene.request import centerOnCT
from DeepDRRSlicerLib.scene.threed_view import frameCArm
from DeepDRRSlicerLib.scene.xray_image import QUANTITY
from DeepDRRSlicerLib.scene.xray_layout import installLayout


class PatientSection:
    """Shows the chosen CT beside the X-ray view. When it is chosen for the first time, the C-arm is centred on it.

    Views of a CT that was chosen before stay as the user, or the scene that was opened, has left them: isocentre and
    position of the patient are kept with each CT.
    """

    def __init__(self, ui, onCTChanged):
        self._ui = ui
        self._parameters = None
        self._shown = None
        self._ct = None
        self._tags = []
        self._positions = [*POSITIONS]
        for title in POSITIONS.values():
            ui.positionSelector.addItem(_(title))
        ui.positionSelector.connect("activated(int)", self.onPosition)
        self._changed = qt.QTimer(ui.patientSection)  # an array is put into a volume in several steps
        self._changed.setSingleShot(True)
        self._changed.connect("timeout()", onCTChanged)

    def setParameters(self, parameters):
        """Show another parameter node, or None."""
        self._parameters = parameters
        self._shown = None
        self._observe(parameters and parameters.ct)

    def parametersChanged(self, parameters):
        """Follow CT and position of the parameter node."""
        position = parameters.patientPosition
        self._ui.positionSelector.setCurrentIndex(
            self._positions.index(position) if position in self._positions else -1
        )
        node = parameters.ct
        self._observe(node)
        if node is None or node.GetImageData() is None or node.GetAttribute(QUANTITY) or node.GetID() == self._shown:
            return
        self._shown = node.GetID()
        installLayout()
        before = parameters.centeredCT
        if before is node:
            return
        if before is not None:
            keepView(parameters, before)
        try:
            if not restoreView(parameters, node):
                centerOnCT(parameters)
                if before is not None:
                    layDown(parameters)
        except InputError:  # the section "X-ray" says so; there may be voxels later
            self._shown = None
            return
        parameters.centeredCT = node
        showPatient(node, before)
        frameCArm(isocenterOf(parameters), position=parameters.patientPosition)

    def onPosition(self, index):
        """Lay the patient another way; the view of the patient stays, and the room turns about them."""
        if self._parameters is None or self._positions[index] == self._parameters.patientPosition:
            return
        self._parameters.patientPosition = self._positions[index]
        frameCArm(isocenterOf(self._parameters), position=self._parameters.patientPosition)

    def _observe(self, node):
        if node is self._ct:
            return
        self._changed.stop()
        for tag in self._tags:
            self._ct.RemoveObserver(tag)
        self._ct, self._tags = node, []
        if node is not None:
            for event in (node.ImageDataModifiedEvent, node.TransformModifiedEvent):
                self._tags.append(node.AddObserver(event, self._onCTModified))

    def _onCTModified(self, caller, event):
        self._changed.start()
