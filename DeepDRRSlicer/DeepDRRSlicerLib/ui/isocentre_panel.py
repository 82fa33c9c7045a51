"""Row "Centre on" of the section "C-arm": the isocentre on CT, point or segment, or where one clicks."""

import qt
import slicer
from slicer.i18n import tr as _

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.scene.isocentre import POINT, SEGMENT, IsocentrePicker, centerOn, targets
from DeepDRRSlicerLib.scene.machine_state import setIsocenter

_KIND = {POINT: _("Point {name}"), SEGMENT: _("Segment {name}")}


class IsocentrePanel:
    """Offers what the isocentre can be put on, and keeps the list up to date while points and segments come and go."""

    def __init__(self, ui, beforeMove):
        self._ui = ui
        self._beforeMove = beforeMove
        self._parameters = None
        self._targets = []
        self._observed = []  # (object, tag)
        self._sources = None, None
        self._picker = IsocentrePicker(self._onPicked)
        self._over = qt.QTimer(ui.carmSection)
        self._over.setSingleShot(True)
        self._over.connect("timeout()", self._endPicking)
        ui.centerButton.connect("clicked(bool)", self.onCenter)
        ui.pickButton.connect("clicked(bool)", self.onPick)

    def setParameters(self, parameters):
        """Follow another parameter node, or none, which ends a pick."""
        self._endPicking()
        self._parameters = parameters
        self._observe(None, None)
        self._refill()
        if parameters is not None:
            self.parametersChanged(parameters)

    def parametersChanged(self, parameters):
        """Follow the landmarks and the segmentation of the parameter node."""
        self._observe(parameters.landmarks, parameters.segmentation)
        self._refill()

    def onCenter(self):
        """Put the isocentre on what is chosen."""
        index = self._ui.centerTargetSelector.currentIndex
        if self._parameters is None or not 0 <= index < len(self._targets):
            return
        kind, key, _name = self._targets[index]
        self._beforeMove()
        try:
            centerOn(self._parameters, kind, key)
        except InputError as error:
            slicer.util.errorDisplay(str(error))

    def onPick(self, checked):
        """Wait for a click in a slice view, or no longer."""
        self._endPicking()
        if checked and self._parameters is not None:
            self._picker.start()
            self._ui.pickButton.setChecked(True)

    def _onPicked(self, point):
        self._over.start(0)  # the view still holds the point that was placed
        if point is not None and self._parameters is not None:
            self._beforeMove()
            setIsocenter(self._parameters, point)

    def _endPicking(self):
        self._over.stop()
        self._picker.stop()
        self._ui.pickButton.setChecked(False)

    def _observe(self, landmarks, segmentation):
        if (landmarks, segmentation) == self._sources:
            return
        for observed, tag in self._observed:
            observed.RemoveObserver(tag)
        self._sources, self._observed = (landmarks, segmentation), []
        if landmarks is not None:
            for event in (landmarks.PointAddedEvent, landmarks.PointRemovedEvent, landmarks.PointPositionDefinedEvent):
                self._observed.append((landmarks, landmarks.AddObserver(event, self._onSource)))
        if segmentation is not None:
            segments = segmentation.GetSegmentation()
            for event in (segments.SegmentAdded, segments.SegmentRemoved, segments.SegmentModified):
                self._observed.append((segments, segments.AddObserver(event, self._onSource)))

    def _onSource(self, caller, event):
        self._refill()

    def _refill(self):
        found = targets(self._parameters) if self._parameters is not None else []
        if found != self._targets:
            selector, chosen = self._ui.centerTargetSelector, self._chosen()
            self._targets = found
            selector.clear()
            for kind, _key, name in found:
                selector.addItem(_KIND[kind].format(name=name) if kind in _KIND else name)
            keys = [target[:2] for target in found]
            selector.setCurrentIndex(keys.index(chosen) if chosen in keys else 0 if keys else -1)
        for widget in (self._ui.centerTargetSelector, self._ui.centerButton):
            widget.setEnabled(bool(found))
        self._ui.pickButton.setEnabled(self._parameters is not None and self._parameters.ct is not None)

    def _chosen(self):
        index = self._ui.centerTargetSelector.currentIndex
        return self._targets[index][:2] if 0 <= index < len(self._targets) else None
