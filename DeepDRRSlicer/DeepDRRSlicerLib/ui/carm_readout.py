"""The sliders and read-outs of the section "C-arm": they show where everything stands without being told of it."""

from DeepDRRSlicerLib.geometry.motion import limits
from DeepDRRSlicerLib.geometry.positioning import stand_joints
from DeepDRRSlicerLib.ui.carm_words import tableText, viewText

_SAME = 1e-4  # degrees


class CArmReadout:
    """filling: whether the sliders are just being set, and nobody has moved them."""

    def __init__(self, ui):
        self._ui = ui
        self.filling = False

    def fill(self, parameters, machine):
        """Show a Machine, each slider within what the device can do."""
        device, values, ui = machine.device, machine.values, self._ui
        ranges, stand = limits(device), stand_joints(device.joints)
        usual = abs(values["primary_angle"] - parameters.primaryAngle) < _SAME
        usual = usual and abs(values["secondary_angle"] - parameters.secondaryAngle) < _SAME
        self.filling = True
        try:
            _set(ui.primaryAngleSlider, parameters.primaryAngle, _range(ranges["primary_angle"], 180.0, usual))
            _set(ui.secondaryAngleSlider, parameters.secondaryAngle, _range(ranges["secondary_angle"], 90.0, usual))
            _set(ui.sidSlider, parameters.sid, ranges["sid"])
            for widget in (ui.standLabel, ui.standSlider):
                widget.setEnabled(bool(stand))
            if stand:
                _set(ui.standSlider, values[stand[0].name], ranges[stand[0].name])
            ui.tableTiltSlider.setEnabled(device.table is not None)
            if device.table is not None:
                _set(ui.tableTiltSlider, parameters.tableTilt, ranges["table_tilt"])
            ui.tableLabel.setText(tableText(machine))
            ui.carmViewLabel.setText(viewText(parameters, machine))
        finally:
            self.filling = False

    def asked(self, slider, value):
        """What a slider says, or the exact value behind what it shows rounded."""
        return value if abs(slider.value - value) <= 0.51 * 10**-slider.decimals else slider.value


def _range(ends, most, usual):
    """The range of a slider in the patient's angles: the joint's own where these are the patient's."""
    return (max(ends[0], -most), min(ends[1], most)) if usual else (-most, most)


def _set(slider, value, ends):
    slider.minimum, slider.maximum = float(min(ends[0], value)), float(max(ends[1], value))
    slider.value = float(value)
