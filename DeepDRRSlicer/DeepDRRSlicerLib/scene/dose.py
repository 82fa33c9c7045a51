"""The dose of the study, kept in the parameter node so that a saved scene has it."""

import json
from dataclasses import asdict

from DeepDRRSlicerLib.physics.dose import DoseTotals, FrameDose

_UGY_PER_MGY = 1000.0


def totalsOf(parameters):
    """The DoseTotals of the study so far."""
    return DoseTotals(**json.loads(parameters.dose)) if parameters.dose else DoseTotals()


def frameDoseOf(radiograph):
    """The FrameDose of a picture."""
    dose = radiograph.metadata["dose"]
    return FrameDose(
        air_kerma=dose.get("reference_air_kerma_ugy", 0.0) / _UGY_PER_MGY,
        kerma_area_product=dose["kerma_area_product_gycm2"],
        time=dose["beam_on_time_s"],
    )


def addDoses(parameters, doses):
    """Count pictures that were taken, by their FrameDose."""
    totals = totalsOf(parameters)
    for dose in doses:
        totals = totals.add(dose)
    parameters.dose = json.dumps(asdict(totals))


def resetDose(parameters):
    """Begin a new study."""
    parameters.dose = ""


def resetAlarm(parameters):
    """Have the alarm count the beam-on time anew; the totals stay."""
    parameters.dose = json.dumps(asdict(totalsOf(parameters).with_alarm_reset()))
