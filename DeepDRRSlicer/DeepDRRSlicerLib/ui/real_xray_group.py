"""Sub-section "Real X-ray" of the section "Image"."""

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.scene.real_xray import loadRealImage, loadRealPose, removeRealImage
from DeepDRRSlicerLib.scene.xray_layout import BESIDE_LAYOUT_ID, LAYOUT_ID, installLayout, registerLayout

_IMAGES = _("X-ray images (*.dcm *.ima *.nrrd *.mha *.nii *.png *.jpg *.tif);;All files (*)")
_GEOMETRIES = _("Geometry (*.json *.dcm *.ima);;All files (*)")


class RealXrayGroup:
    """Loads a real image and its geometry."""

    def __init__(self, ui):
        self._ui = ui
        self._parameters = None
        ui.imageRealButton.connect("clicked(bool)", self.onImage)
        ui.imageRealPoseButton.connect("clicked(bool)", self.onPose)
        ui.imageRealRemoveButton.connect("clicked(bool)", self.onRemove)
        ui.imageRealTurnButton.connect("clicked(bool)", self.onTurn)

    def setParameters(self, parameters):
        """Show another parameter node, or None."""
        self._parameters = parameters
        self._say("")

    def parametersChanged(self, parameters):
        """Follow the parameter node."""
        ui, there = self._ui, parameters.realImage is not None
        for widget in (ui.imageRealRemoveButton, ui.imageRealTurnButton, ui.imageRealFlipCheckBox,
                       ui.imageRealInvertCheckBox, ui.imageRealPitchSlider, ui.imageRealBesideCheckBox):  # fmt: skip
            widget.setEnabled(there)
        ui.imageRealOpacitySlider.setEnabled(there and not parameters.realBeside)
        _arrange(there and parameters.realBeside)

    def onImage(self):
        """Load an image."""
        self._load(_("Choose an X-ray image"), _IMAGES, loadRealImage)

    def onPose(self):
        """Load a geometry."""
        self._load(_("Choose the geometry of an X-ray image"), _GEOMETRIES, loadRealPose)

    def onRemove(self):
        """Take the image away."""
        if self._parameters is not None:
            removeRealImage(self._parameters)
            self._say("")

    def onTurn(self):
        """Turn the image clockwise."""
        parameters = self._parameters
        if parameters is not None:
            way = -90 if parameters.realFlip else 90
            parameters.realRotation = (parameters.realRotation + way) % 360

    def _load(self, title, kinds, load):
        if self._parameters is None:
            return
        path = _chosenFile(self._ui.imageRealButton, title, kinds)
        if not path:
            return
        try:
            self._say(load(self._parameters, path))
        except InputError as error:
            self._say(str(error))
            slicer.util.errorDisplay(str(error))

    def _say(self, text):
        self._ui.imageRealLabel.setText(text)
        self._ui.imageRealLabel.setVisible(bool(text))


def _chosenFile(parent, title, kinds):
    """The path of a file, or an empty text."""
    return qt.QFileDialog.getOpenFileName(parent, title, "", kinds)


def _arrange(beside):
    """Put a second X-ray view beside the first one, or take it away; no other layout is touched."""
    node = registerLayout()
    if node is not None and node.GetViewArrangement() == (LAYOUT_ID if beside else BESIDE_LAYOUT_ID):
        installLayout(beside)
