"""What the section "C-arm" says: where everything stands, and what keeps it from moving on."""

from slicer.i18n import tr as _

from DeepDRRSlicerLib.geometry.carm import view_name
from DeepDRRSlicerLib.geometry.collision import PATIENT, TABLE
from DeepDRRSlicerLib.geometry.motion import limits

STOPPED = _('Stopped: "{part}" is about to touch {obstacle}.')
NOT_THERE = _('Not there: "{part}" would touch {obstacle}; move the table, or choose another view.')
TOUCHES = _('"{part}" touches {obstacle}: move the table, or choose another view.')
_OBSTACLES = {PATIENT: _("the patient"), TABLE: _("the table")}
_NAMES = {
    "primary_angle": _("The LAO / RAO joint"),
    "secondary_angle": _("The cranial / caudal joint"),
    "sid": _("The detector"),
    "table_height": _("The table's height"),
    "table_longitudinal": _("The table's way in and out"),
    "table_lateral": _("The table's way to the side"),
    "table_tilt": _("The table's tilt"),
}


def contactText(contact, words):
    """One of the sentences above about a Clearance."""
    return words.format(part=_(contact.part), obstacle=_OBSTACLES[contact.obstacle])


def limitsText(device, names):
    """Where the joints and axes of these names end."""
    ranges, ends = limits(device), []
    for name in names:
        low, high = ranges[name]
        what = _NAMES.get(name) or name.replace("_", " ").capitalize()
        ends.append(_("{what} ends at {low:g} and {high:g}.").format(what=what, low=low, high=high))
    return " ".join(ends)


def viewText(parameters, machine):
    """The view in the patient's angles, and in the machine's where they differ."""
    text = f"<b>{view_name(parameters.primaryAngle, parameters.secondaryAngle)}</b> · {parameters.sid:g} mm"
    primary, secondary = machine.values["primary_angle"], machine.values["secondary_angle"]
    if max(abs(primary - parameters.primaryAngle), abs(secondary - parameters.secondaryAngle)) < 0.05:
        return text
    return text + " · " + _("machine at {primary:.1f}° / {secondary:.1f}°").format(primary=primary, secondary=secondary)


def tableText(machine):
    """Where the table stands."""
    if machine.device.table is None:
        return _("none")
    values = machine.values
    return _("{height:.0f} mm high, {longitudinal:.0f} mm in, {lateral:.0f} mm to the side").format(
        height=values["table_height"], longitudinal=values["table_longitudinal"], lateral=values["table_lateral"]
    )
