"""Sub-section "Contrast and subtraction" of the section "Image"."""

import json

import slicer
import slicer.util
from slicer.i18n import tr as _

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import positioner_angles, view_name
from DeepDRRSlicerLib.scene.subtraction import (
    DSA,
    MODES,
    ROADMAP,
    clearMask,
    forgetContrast,
    isOfField,
    maskNode,
    takeMask,
    vesselNode,
)
from DeepDRRSlicerLib.scene.xray_image import CONTRAST, VIEW, shownImage

_TITLES = {"none": _("Plain"), DSA: _("Subtracted (DSA)"), ROADMAP: _("Roadmap")}


class ContrastGroup:
    """refresh() shows the picture anew."""

    def __init__(self, ui, refresh):
        self._ui = ui
        self._refresh = refresh
        self._parameters = None
        self._segments = []
        for mode in MODES:
            ui.imageSubtractionSelector.addItem(_TITLES[mode])
        ui.imageVesselSelector.connect("activated(int)", self.onVessel)
        ui.imageSubtractionSelector.connect("activated(int)", self.onMode)
        ui.imageMaskButton.connect("clicked(bool)", self.onMask)
        ui.imageClearMaskButton.connect("clicked(bool)", self.onClear)

    def setParameters(self, parameters):
        """Show another parameter node, or None."""
        self._parameters = parameters
        if parameters is None:
            forgetContrast()

    def parametersChanged(self, parameters):
        """Follow the parameter node."""
        self._showSegments(parameters)
        self._ui.imageContrastCheckBox.setEnabled(bool(self._segments) or parameters.contrastGiven)
        mode = parameters.subtraction
        self._ui.imageSubtractionSelector.setCurrentIndex(MODES.index(mode) if mode in MODES else -1)
        self._ui.imageSubtractionRangeSlider.setEnabled(mode == DSA)
        self._ui.imageRoadmapSlider.setEnabled(mode == ROADMAP)
        self._ui.imageMaskButton.setEnabled(parameters.xray is not None)
        self._say()

    def onVessel(self, index):
        """Fill another segment."""
        if self._parameters is not None:
            self._parameters.contrastSegment = self._segments[index][0]

    def onMode(self, index):
        """Show the picture plain, subtracted or with the roadmap."""
        if self._parameters is not None:
            self._parameters.subtraction = MODES[index]

    def onMask(self):
        """Keep the present picture."""
        if self._parameters is None:
            return
        try:
            takeMask()
        except InputError as error:
            slicer.util.errorDisplay(str(error))
            return
        self._refresh()
        self._say()

    def onClear(self):
        """Forget mask and roadmap."""
        if self._parameters is not None:
            clearMask()
            self._refresh()
            self._say()

    def _showSegments(self, parameters):
        """Offer the segments of the segmentation; one is chosen by itself, so that contrast can be given at once."""
        node = parameters.segmentation
        segmentation = node.GetSegmentation() if node is not None else None
        ids = segmentation.GetSegmentIDs() if segmentation is not None else ()
        segments = [(each, segmentation.GetSegment(each).GetName()) for each in ids]
        if segments != self._segments:
            self._segments = segments
            self._ui.imageVesselSelector.clear()
            for _id, name in segments:
                self._ui.imageVesselSelector.addItem(name)
        chosen = [each for each, _name in segments]
        if segments and parameters.contrastSegment not in chosen:
            parameters.contrastSegment = chosen[0]
        index = chosen.index(parameters.contrastSegment) if parameters.contrastSegment in chosen else -1
        self._ui.imageVesselSelector.setCurrentIndex(index)

    def _say(self):
        parameters, mask, vessels = self._parameters, maskNode(), vesselNode()
        shown = shownImage() if mask is not None else None
        if not self._segments and parameters.segmentation is None:
            text = _("Choose a segmentation with a vessel under Patient.")
        elif parameters.subtraction == DSA and mask is None:
            text = _("The next picture without contrast is the mask.")
        elif parameters.subtraction == ROADMAP and vessels is None:
            text = _("There is no roadmap yet: take pictures with contrast in the subtracted mode first.")
        elif parameters.subtraction != "none" and mask is not None and shown and not isOfField(mask, shown[1]):
            text = _("The mask is of another field: take a new one.")
        elif mask is not None:
            text = _("Mask: {view}").format(view=_viewOf(mask))
            if mask.GetAttribute(CONTRAST) != "0":
                text += _(", with contrast in it")
            text += _("; roadmap there.") if vessels is not None else "."
        else:
            text = ""
        self._ui.imageSubtractionLabel.setText(text)
        self._ui.imageClearMaskButton.setEnabled(mask is not None)


def _viewOf(node):
    normal = json.loads(node.GetAttribute(VIEW))["normal"]
    return view_name(*positioner_angles(normal))
