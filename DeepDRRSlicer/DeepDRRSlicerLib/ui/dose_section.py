"""Panel section "Dose": what the picture took, and the totals of the study."""

from slicer.i18n import tr as _

from DeepDRRSlicerLib.scene.dose import resetDose, totalsOf

_SECONDS_PER_MINUTE = 60


class DoseSection:
    """Read-outs as an interventional X-ray system shows them; the study's totals are kept in the parameter node."""

    def __init__(self, ui):
        self._ui = ui
        self._parameters = None
        ui.resetDoseButton.connect("clicked(bool)", self.onReset)

    def setParameters(self, parameters):
        """Show another parameter node, or None."""
        self._parameters = parameters
        self.showPicture(None)

    def parametersChanged(self, parameters):
        """Follow the totals of the parameter node."""
        totals = totalsOf(parameters)
        minutes, seconds = divmod(round(totals.beam_on_time, 1), _SECONDS_PER_MINUTE)
        self._ui.totalKermaLabel.setText(f"{totals.air_kerma:.3g} mGy")
        self._ui.totalAreaProductLabel.setText(f"{totals.kerma_area_product:.3g} Gy·cm²")
        self._ui.framesLabel.setText(str(totals.frames))
        self._ui.beamOnTimeLabel.setText(f"{minutes:.0f}:{seconds:04.1f} min" + (" ⚠" if totals.alarm else ""))
        self._ui.resetDoseButton.setEnabled(totals.frames > 0)

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
        if self._parameters is not None:
            resetDose(self._parameters)
