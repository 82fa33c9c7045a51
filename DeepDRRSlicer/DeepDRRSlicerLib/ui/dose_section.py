"""Panel section "Dose": what the picture took, and the totals of the study."""

import qt
import slicer.util
from slicer.i18n import tr as _

from DeepDRRSlicerLib.physics.dose import FLUOROSCOPY_ALARM
from DeepDRRSlicerLib.scene.dose import resetAlarm, resetDose, totalsOf

_SECONDS_PER_MINUTE = 60


class DoseSection:
    """Read-outs as an interventional X-ray system shows them; the study's totals are kept in the parameter node."""

    def __init__(self, ui, fluoroscopy):
        self._ui = ui
        self._fluoroscopy = fluoroscopy
        self._parameters = None
        self._alarm = False
        ui.resetAlarmButton.connect("clicked(bool)", self.onResetAlarm)
        ui.resetDoseButton.connect("clicked(bool)", self.onReset)

    def setParameters(self, parameters):
        """Show another parameter node, or None."""
        self._parameters = parameters
        self._alarm = parameters is not None and totalsOf(parameters).alarm  # one that has sounded before is silent
        self.showPicture(None)

    def parametersChanged(self, parameters):
        """Follow the totals of the parameter node."""
        totals = totalsOf(parameters)
        self._ui.totalKermaLabel.setText(f"{totals.air_kerma:.3g} mGy")
        self._ui.totalAreaProductLabel.setText(f"{totals.kerma_area_product:.3g} Gy·cm²")
        self._ui.framesLabel.setText(str(totals.frames))
        self._ui.beamOnTimeLabel.setText(_minutes(totals.beam_on_time))
        self._ui.resetDoseButton.setEnabled(totals.frames > 0)
        self._showAlarm(totals)

    def showPicture(self, radiograph):
        """Technique and dose of a picture, or dashes for None."""
        technique = quality = rate = kerma = "–"
        if radiograph is not None:
            used, dose = radiograph.metadata["technique"], radiograph.metadata["dose"]
            beam = radiograph.metadata["spectrum"]
            quality = f"HVL {beam['half_value_layer_mm_al']:.2f} mm Al · {beam['mean_energy_kev']:.0f} keV"
            technique = f"{used['kvp']} kV · "
            if "tube_current_ma" in used and "pulse_width_ms" in used:
                technique += f"{used['tube_current_ma']:.3g} mA · {used['pulse_width_ms']:.3g} ms"
            else:
                technique += f"{used['mas']:.3g} mAs"
            if "reference_air_kerma_ugy" in dose:
                kerma = f"{dose['reference_air_kerma_ugy']:.3g} µGy"
                if "pulse_rate_hz" in used:
                    rate = _("{rate} mGy/min at {pulses}/s").format(
                        rate=f"{dose['reference_air_kerma_rate_mgy_per_min']:.3g}", pulses=f"{used['pulse_rate_hz']:g}"
                    )
            kerma += f" · {dose['kerma_area_product_gycm2']:.3g} Gy·cm²"
        self._ui.techniqueLabel.setText(technique)
        self._ui.beamQualityLabel.setText(quality)
        self._ui.doseRateLabel.setText(rate)
        self._ui.pictureDoseLabel.setText(kerma)

    def onReset(self):
        """Begin a new study."""
        question = _("Set the dose of this study to zero? The totals so far are lost.")
        if self._parameters is not None and slicer.util.confirmYesNoDisplay(question):
            resetDose(self._parameters)

    def onResetAlarm(self):
        """Count the five minutes anew."""
        if self._parameters is not None:
            resetAlarm(self._parameters)

    def _showAlarm(self, totals):
        """Sounds once, and stays on show until it is reset."""
        if totals.alarm and not self._alarm:
            qt.QApplication.beep()
        if totals.alarm != self._alarm:
            self._alarm = totals.alarm
            self._fluoroscopy.picture.alarmChanged(self._parameters)
        if totals.alarm:
            text = _("Five minutes of X-rays are over.")
        else:
            text = _("in {time}").format(time=_minutes(FLUOROSCOPY_ALARM - totals.alarm_time))
        self._ui.alarmLabel.setText(text)
        self._ui.resetAlarmButton.setEnabled(totals.alarm)


def _minutes(seconds):
    minutes, seconds = divmod(round(seconds, 1), _SECONDS_PER_MINUTE)
    return f"{minutes:.0f}:{seconds:04.1f} min"
