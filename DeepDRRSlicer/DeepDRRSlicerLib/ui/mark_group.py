"""Sub-section "Measure and mark" of the section "Image"."""

from slicer.i18n import tr as _

from DeepDRRSlicerLib.scene.back_projection import BackProjection, distanceAtIsocenter, meetings
from DeepDRRSlicerLib.scene.ray_lines import rays


class MarkGroup:
    """Starts the placing of points, and says what came of them."""

    def __init__(self, ui):
        self._ui = ui
        self._parameters = None
        self._marks = BackProjection(self._say)
        ui.imagePointButton.connect("clicked(bool)", self.onPoint)
        ui.imageRulerButton.connect("clicked(bool)", self.onRuler)
        ui.imageClearMarksButton.connect("clicked(bool)", self.onClear)

    def setParameters(self, parameters):
        """Show another parameter node, or None."""
        self._parameters = parameters
        self._marks.setParameters(parameters)

    def parametersChanged(self, parameters):
        """Follow the parameter node."""
        for button in (self._ui.imagePointButton, self._ui.imageRulerButton):
            button.setEnabled(parameters.xray is not None)
        self._ui.imageLandmarksCheckBox.setEnabled(parameters.landmarks is not None)
        self._ui.imageOutlinesCheckBox.setEnabled(parameters.segmentation is not None)
        self._say()

    def onPoint(self):
        """Mark a point."""
        if self._parameters is not None:
            self._marks.placePoint()

    def onRuler(self):
        """Measure a distance."""
        if self._parameters is not None:
            self._marks.placeRuler()

    def onClear(self):
        """Take everything away."""
        if self._parameters is not None:
            self._marks.clear()

    def _say(self):
        marked = rays()
        lines = [self._marks.refused] if self._marks.refused else []
        found = meetings(marked)
        for label, (point, distance) in sorted(found.items()):
            place = ", ".join(f"{x:.1f}" for x in point)
            lines.append(
                _("{label}: R A S {place} mm; the rays pass it at {distance} mm").format(
                    label=label, place=place, distance=f"{distance:.2g}"
                )
            )
        waiting = sorted({label for label, _source, _point in marked} - set(found))
        if waiting:
            lines.append(_("Mark in a second view: {labels}").format(labels=", ".join(waiting)))
        measured = distanceAtIsocenter()
        if measured is not None:
            text = _("Distance: {at} mm in the plane of the isocentre, {on} mm at the detector ({factor} times)")
            lines.append(text.format(at=f"{measured[0]:.1f}", on=f"{measured[1]:.1f}", factor=f"{measured[2]:.2f}"))
        self._ui.imageMarkLabel.setText("\n".join(lines))
        self._ui.imageMarkLabel.setVisible(bool(lines))
        self._ui.imageClearMarksButton.setEnabled(bool(marked) or measured is not None)
