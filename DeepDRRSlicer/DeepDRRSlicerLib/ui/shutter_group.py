"""Sub-section "Shutters" of the section "Image": typed, and dragged on the image."""

from slicer.i18n import tr as _

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.scene.image_orientation import displayedSides, displayTurn
from DeepDRRSlicerLib.scene.shutter_handles import ShutterHandles
from DeepDRRSlicerLib.scene.shutters import SIDES, halfField, irisRadius, moveShutter, resetShutters, shutterEdges


class ShutterGroup:
    """The sliders name the sides of the picture as it is shown, turned or flipped."""

    def __init__(self, ui):
        self._ui = ui
        self._parameters = None
        self._showing = False
        self._handles = ShutterHandles()
        self._sliders = {side: getattr(ui, f"image{side.capitalize()}ShutterSlider") for side in SIDES}
        ui.imageLeftShutterSlider.connect("valueChanged(double)", self.onLeft)
        ui.imageRightShutterSlider.connect("valueChanged(double)", self.onRight)
        ui.imageTopShutterSlider.connect("valueChanged(double)", self.onTop)
        ui.imageBottomShutterSlider.connect("valueChanged(double)", self.onBottom)
        ui.imageIrisSlider.connect("valueChanged(double)", self.onIris)
        ui.imageOpenShuttersButton.connect("clicked(bool)", self.onOpen)

    def setParameters(self, parameters):
        """Show another parameter node, or None, which takes the handles from the image."""
        self._parameters = parameters
        self._handles.setParameters(parameters)

    def parametersChanged(self, parameters):
        """Follow the parameter node."""
        try:
            edges, half, iris = shutterEdges(parameters), halfField(parameters), irisRadius(parameters)
        except InputError:  # the section "X-ray" says so
            return
        corner = (half[0] ** 2 + half[1] ** 2) ** 0.5
        self._showing = True
        try:
            for shown, side in displayedSides(*displayTurn(parameters)).items():
                limit = half[0] if side in ("left", "right") else half[1]
                _show(self._sliders[shown], -limit, limit, edges[side])
            _show(self._ui.imageIrisSlider, 5, corner, iris or corner)
        finally:
            self._showing = False
        across = 2 * (iris or corner)
        width, height = (
            min(edges["left"] + edges["right"], across) / 10,
            min(edges["top"] + edges["bottom"], across) / 10,
        )
        text = _("{width} × {height} cm exposed")
        self._ui.imageFieldLabel.setText(text.format(width=f"{width:.1f}", height=f"{height:.1f}"))
        self._handles.update()

    def onImage(self):
        """There is a new picture: the lines go when it was taken with these shutters."""
        self._handles.update()

    def onLeft(self, value):
        """Move the shutter on the left of the picture."""
        self._move("left", value)

    def onRight(self, value):
        """Move the shutter on the right of the picture."""
        self._move("right", value)

    def onTop(self, value):
        """Move the shutter at the top of the picture."""
        self._move("top", value)

    def onBottom(self, value):
        """Move the shutter at the bottom of the picture."""
        self._move("bottom", value)

    def onIris(self, value):
        """Close or open the iris."""
        if self._parameters is not None and not self._showing:
            moveShutter(self._parameters, "iris", _orOpen(self._ui.imageIrisSlider, value))

    def onOpen(self):
        """Open everything."""
        if self._parameters is not None:
            resetShutters(self._parameters)

    def _move(self, shown, value):
        if self._parameters is not None and not self._showing:
            side = displayedSides(*displayTurn(self._parameters))[shown]
            moveShutter(self._parameters, side, _orOpen(self._sliders[shown], value))


def _show(slider, low, high, value):
    slider.minimum, slider.maximum = float(low), float(high)
    slider.value = float(value)


def _orOpen(slider, value):
    """At the end of its way a shutter is open, also for a larger field."""
    return float("inf") if value >= slider.maximum - 0.5 else value
