"""Panel section "Patient": which CT is looked at."""

from DeepDRRSlicerLib.scene.patient import showPatient
from DeepDRRSlicerLib.scene.threed_view import frameCArm
from DeepDRRSlicerLib.scene.xray_view import installLayout


class PatientSection:
    """Shows the chosen CT beside the X-ray view; a CT that the C-arm has not been centred on yet gets it centred."""

    def __init__(self, carmSection):
        self._carmSection = carmSection
        self._shown = None

    def setParameters(self, parameters):
        """Show another parameter node, or None."""
        self._shown = None

    def parametersChanged(self, parameters):
        """Follow the CT of the parameter node."""
        node = parameters.ct
        if node is None or node.GetImageData() is None or node.GetID() == self._shown:
            return
        self._shown = node.GetID()
        if parameters.centeredCT is not node:
            self._carmSection.centerOnCT()
            parameters.centeredCT = node
        installLayout()
        showPatient(node)
        frameCArm((parameters.isocenterR, parameters.isocenterA, parameters.isocenterS))
