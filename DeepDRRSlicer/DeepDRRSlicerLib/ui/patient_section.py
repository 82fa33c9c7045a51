"""Panel section "Patient": which CT is looked at."""

import qt

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.scene.patient import showPatient
from DeepDRRSlicerLib.scene.request import centerOnCT
from DeepDRRSlicerLib.scene.threed_view import frameCArm
from DeepDRRSlicerLib.scene.xray_image import QUANTITY
from DeepDRRSlicerLib.scene.xray_view import installLayout


class PatientSection:
    """Shows the chosen CT beside the X-ray view. When it is chosen for the first time, the C-arm is centred on it.

    Views of a CT that was chosen before stay as the user, or the scene that was opened, has left them.
    """

    def __init__(self, ui, onCTChanged):
        self._shown = None
        self._ct = None
        self._tags = []
        self._changed = qt.QTimer(ui.patientSection)  # an array is put into a volume in several steps
        self._changed.setSingleShot(True)
        self._changed.connect("timeout()", onCTChanged)

    def setParameters(self, parameters):
        """Show another parameter node, or None."""
        self._shown = None
        self._observe(parameters and parameters.ct)

    def parametersChanged(self, parameters):
        """Follow the CT of the parameter node."""
        node = parameters.ct
        self._observe(node)
        if node is None or node.GetImageData() is None or node.GetAttribute(QUANTITY) or node.GetID() == self._shown:
            return
        self._shown = node.GetID()
        installLayout()
        if parameters.centeredCT is node:
            return
        try:
            centerOnCT(parameters)
        except InputError:  # the section "X-ray" says so; there may be voxels later
            self._shown = None
            return
        parameters.centeredCT = node
        showPatient(node)
        frameCArm((parameters.isocenterR, parameters.isocenterA, parameters.isocenterS))

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
