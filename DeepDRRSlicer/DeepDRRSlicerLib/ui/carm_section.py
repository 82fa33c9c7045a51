"""Panel section "C-arm": device, standard views, isocentre."""

import qt
import slicer
from slicer.i18n import tr as _

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.carm import view_name
from DeepDRRSlicerLib.geometry.device import device_names, load_device
from DeepDRRSlicerLib.geometry.presets import PRESETS
from DeepDRRSlicerLib.scene.request import centerOnCT

_COLUMNS = 3


class CArmSection:
    """Fills in what the .ui file cannot know; angles and distances are bound to the parameter node by name."""

    def __init__(self, ui):
        self._ui = ui
        self._parameters = None
        self._presets = list(PRESETS.values())
        self._presetGroup = qt.QButtonGroup(ui.presetPanel)
        for number, (name, (primary, secondary)) in enumerate(PRESETS.items()):
            button = qt.QPushButton(_(name))
            button.setToolTip(f"{view_name(primary, secondary)}: {primary:g}° / {secondary:g}°")
            self._presetGroup.addButton(button, number)
            ui.presetPanel.layout().addWidget(button, number // _COLUMNS, number % _COLUMNS)
        self._deviceNames = device_names()
        for name in self._deviceNames:
            ui.deviceSelector.addItem(load_device(name).name)
        self._presetGroup.connect("idClicked(int)", self.onPreset)
        ui.deviceSelector.connect("activated(int)", self.onDevice)
        ui.centerButton.connect("clicked(bool)", self.onCenter)

    def setParameters(self, parameters):
        """Show another parameter node, or None."""
        self._parameters = parameters
        if parameters is not None:
            names = self._deviceNames  # a script may have set a file
            self._ui.deviceSelector.setCurrentIndex(
                names.index(parameters.device) if parameters.device in names else -1
            )
            self._limitSliders()

    def parametersChanged(self, parameters):
        """Follow the parameter node."""
        self._ui.centerButton.setEnabled(parameters.ct is not None)

    def onPreset(self, number):
        """Turn the C-arm to a standard view."""
        if self._parameters is None:
            return
        primary, secondary = self._presets[number]
        with slicer.util.NodeModify(self._parameters):
            self._parameters.primaryAngle = primary
            self._parameters.secondaryAngle = secondary

    def onDevice(self, index):
        """Use another device, with its own distances."""
        if self._parameters is None:
            return
        device = load_device(self._deviceNames[index])
        with slicer.util.NodeModify(self._parameters):
            self._parameters.device = self._deviceNames[index]
            self._parameters.sid = device.source_image_distance.default
        self._limitSliders()

    def onCenter(self):
        """Put the isocentre in the middle of the CT."""
        if self._parameters is None or self._parameters.ct is None:
            return
        try:
            centerOnCT(self._parameters)
        except InputError as error:
            slicer.util.errorDisplay(str(error))

    def _limitSliders(self):
        device = load_device(self._parameters.device)
        for joint, slider in (
            ("primary_angle", self._ui.primaryAngleSlider),
            ("secondary_angle", self._ui.secondaryAngleSlider),
            ("sid", self._ui.sidSlider),
        ):
            slider.minimum, slider.maximum = device.joint(joint).limits
        self._ui.kvpSlider.minimum, self._ui.kvpSlider.maximum = device.tube_voltage.limits
        self._ui.masSlider.minimum, self._ui.masSlider.maximum = device.tube_load.limits
