"""Panel section "Image": window, orientation, field and grid; its sub-sections are classes of their own."""

import qt
import slicer
import slicer.util
import vtk
from slicer.i18n import tr as _

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.device import load_device
from DeepDRRSlicerLib.physics.detector import load_detector
from DeepDRRSlicerLib.physics.grid import grid_names, load_grid
from DeepDRRSlicerLib.scene.image_nodes import VIEW_NAMES
from DeepDRRSlicerLib.scene.overlays import SegmentOutlines, updateLandmarks
from DeepDRRSlicerLib.scene.picture import refreshPicture
from DeepDRRSlicerLib.scene.shutters import FULL
from DeepDRRSlicerLib.scene.xray_image import SHUTTERS, VIEW, shownImage
from DeepDRRSlicerLib.scene.xray_view import sliceLogic
from DeepDRRSlicerLib.simulation.display import WINDOWS
from DeepDRRSlicerLib.ui.contrast_group import ContrastGroup
from DeepDRRSlicerLib.ui.mark_group import MarkGroup
from DeepDRRSlicerLib.ui.real_xray_group import RealXrayGroup
from DeepDRRSlicerLib.ui.shutter_group import ShutterGroup

_POLL_MS = 20
_OWN = ""  # the window's name where its ends are typed
_TITLES = {
    "chest": _("Chest"),
    "abdomen and pelvis": _("Abdomen and pelvis"),
    "extremity": _("Extremity"),
    "head": _("Head"),
    "implant": _("Implant"),
}


class ImageSection:
    """How the picture is shown. A choice of display shows the present picture anew; nothing is exposed for it."""

    def __init__(self, ui):
        self._ui = ui
        self._parameters = None
        self._display = None
        self._observed = {}  # what for -> (node, tags)
        self._view = None
        self._outlines = SegmentOutlines()
        self._groups = [ShutterGroup(ui), ContrastGroup(ui, self.refresh), MarkGroup(ui), RealXrayGroup(ui)]
        self._poll = qt.QTimer(ui.imageSection)
        self._poll.setInterval(_POLL_MS)
        self._poll.connect("timeout()", self.onPoll)
        self._again = qt.QTimer(ui.imageSection)
        self._again.setSingleShot(True)
        self._again.setInterval(0)
        self._again.connect("timeout()", self.onOpened)
        self._windows = [*WINDOWS, _OWN]
        for name in WINDOWS:
            ui.imageWindowSelector.addItem(_TITLES.get(name, name))
        ui.imageWindowSelector.addItem(_("Own"))
        self._grids = [_OWN, *grid_names()]
        ui.imageGridSelector.addItem(_("The device's own"))
        for name in grid_names():
            ui.imageGridSelector.addItem(load_grid(name).name.partition(",")[0])
        self._fields = []
        self._device = None
        ui.imageWindowSelector.connect("activated(int)", self.onWindow)
        ui.imageFieldSelector.connect("activated(int)", self.onField)
        ui.imageGridSelector.connect("activated(int)", self.onGrid)
        ui.imageTurnLeftButton.connect("clicked(bool)", self.onTurnLeft)
        ui.imageTurnRightButton.connect("clicked(bool)", self.onTurnRight)

    def setParameters(self, parameters):
        """Show another parameter node, or None, which leaves the picture as it is and stops what follows it."""
        self._parameters = parameters
        self._display = self._view = None
        for group in self._groups:
            group.setParameters(parameters)
        if parameters is not None:
            self._again.start()
        else:
            self._poll.stop()
            self._again.stop()
            self._outlines.close()
            for what in list(self._observed):
                self._observe(what, None, ())

    def parametersChanged(self, parameters):
        """Follow the parameter node."""
        ui = self._ui
        ui.imageWindowSelector.setCurrentIndex(_indexOf(parameters.windowName, self._windows))
        for slider in (ui.imageLowSlider, ui.imageHighSlider):
            slider.setEnabled(parameters.windowName == _OWN)
        ui.imageGridSelector.setCurrentIndex(_indexOf(parameters.gridName, self._grids))
        self._showFields(parameters)
        self._observe("image", parameters.xray, (vtk.vtkCommand.ModifiedEvent,))
        landmarks = parameters.landmarks
        self._observe("landmarks", landmarks, (landmarks.PointModifiedEvent,) if landmarks else ())
        for group in self._groups:  # before the picture is shown anew: there may be another view for it
            group.parametersChanged(parameters)
        display = _displayChoices(parameters)
        if display != self._display:
            self._display = display
            self.refresh()

    def onOpened(self):
        """A scene that was opened may have set its views without telling those who draw lines in them."""
        for name in VIEW_NAMES:
            logic = sliceLogic(name)
            if logic is not None:
                logic.GetSliceNode().Modified()
        self.refresh()

    def refresh(self):
        """Show the present picture anew."""
        if self._parameters is None:
            return
        try:
            refreshPicture(self._parameters)
        except InputError as error:
            slicer.util.errorDisplay(str(error))
        self._view = None
        self._onImage()

    def onWindow(self, index):
        """Take a named window, or begin with the present one."""
        parameters = self._parameters
        if parameters is None:
            return
        name = self._windows[index]
        with slicer.util.NodeModify(parameters):
            known = WINDOWS.get(name) or WINDOWS.get(parameters.windowName)
            if known is not None:
                parameters.windowLow, parameters.windowHigh = known.low, known.high
            parameters.windowName = name

    def onTurnLeft(self):
        """Turn the picture counter-clockwise."""
        self._turn(-90)

    def onTurnRight(self):
        """Turn the picture clockwise."""
        self._turn(90)

    def _turn(self, degrees):
        """The button's way is that on the screen, also of a picture that is flipped after it has been turned."""
        parameters = self._parameters
        if parameters is not None:
            way = -degrees if parameters.imageFlip else degrees
            parameters.imageRotation = (parameters.imageRotation + way) % 360

    def onField(self, index):
        """Read out another part of the detector, with the binning that goes with it."""
        if self._parameters is not None:
            with slicer.util.NodeModify(self._parameters):
                self._parameters.magnificationField = self._fields[index]
                self._parameters.binning = 0

    def onGrid(self, index):
        """Use another grid."""
        if self._parameters is not None:
            self._parameters.gridName = self._grids[index]

    def onPoll(self):
        """Draw outlines that are ready."""
        try:
            more = self._outlines.collect()
        except InputError as error:
            self._poll.stop()
            slicer.util.errorDisplay(str(error))
            return
        except Exception:
            self._poll.stop()
            raise
        if not more:
            self._poll.stop()

    def _onImage(self, caller=None, event=None):
        """There is a new picture, or it is shown anew: outlines and shutters follow."""
        parameters = self._parameters
        node = parameters.xray
        view = (node.GetAttribute(VIEW), node.GetAttribute(SHUTTERS)) if node is not None else None
        if view is None or view == self._view:
            return
        self._view = view
        self._groups[0].onImage()
        shown = shownImage()
        if shown is None:
            return
        try:
            self._outlines.request(parameters, shown[1])
        except InputError as error:
            parameters.overlaySegments = False
            slicer.util.errorDisplay(str(error))
        if self._outlines.pending:
            self._poll.start()

    def _onLandmarks(self, caller=None, event=None):
        shown = shownImage()
        if shown is not None and self._parameters.overlayLandmarks:
            updateLandmarks(self._parameters, shown[1])

    def _observe(self, what, node, events):
        known, tags = self._observed.get(what, (None, ()))
        if node is known:
            return
        for tag in tags:
            known.RemoveObserver(tag)
        react = self._onImage if what == "image" else self._onLandmarks
        self._observed[what] = node, [node.AddObserver(event, react) for event in events] if node else []

    def _showFields(self, parameters):
        """Offer the fields of the device's detector; none of one that cannot be read, as the picture will say."""
        selector = self._ui.imageFieldSelector
        if parameters.device != self._device:
            self._device = parameters.device
            self._fields = []
            selector.clear()
            try:
                detector = load_detector(load_device(parameters.device).detector)
            except InputError:
                return
            for field in detector.all_fields:
                (rows, columns), pitch = detector.pixel_grid(field.name)
                self._fields.append(field.name)
                name = _("Whole") if field.name == FULL else field.name
                selector.addItem(f"{name}: {columns * pitch / 10:.0f} × {rows * pitch / 10:.0f} cm, {pitch:.2g} mm")
        chosen = parameters.magnificationField
        selector.setCurrentIndex(_indexOf(chosen if chosen in self._fields else FULL, self._fields))


def _displayChoices(parameters):
    """What decides how a picture is shown, as plain values."""
    names = """windowName windowLow windowHigh imageRotation imageFlip imageAsOnDevice imageMarkers imageInvert edgeGain
    edgeRadius subtraction subtractionRange roadmapOpacity overlayLandmarks overlaySegments realOpacity realBeside
    realRotation realFlip realInvert realPitch patientPosition tableTilt standJoints"""
    nodes = (parameters.landmarks, parameters.segmentation, parameters.realImage)
    views = tuple(view for view in VIEW_NAMES if slicer.mrmlScene.GetSingletonNode(view, "vtkMRMLSliceNode"))
    return (*(getattr(parameters, name) for name in names.split()), *(node and node.GetID() for node in nodes), views)


def _indexOf(value, choices):
    """Place of a value for a combo box, where -1 shows nothing: a script may have set what is not among the choices."""
    return choices.index(value) if value in choices else -1
