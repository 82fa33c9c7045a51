"""What was set for each CT: isocentre and position of the patient, kept with it while another one is chosen."""

import json

import numpy as np
import slicer.util

from DeepDRRSlicerLib.geometry.positioning import DEFAULT_POSITION, POSITIONS

_KEPT = "DeepDRRSlicer.CArmForThisCT"
_NAMES = ("isocenterR", "isocenterA", "isocenterS", "patientPosition", "tableTilt")


def keepView(parameters, node):
    """Remember isocentre and position of the patient with a CT node."""
    text = json.dumps({name: getattr(parameters, name) for name in _NAMES})
    if node.GetAttribute(_KEPT) != text:
        node.SetAttribute(_KEPT, text)


def layDown(parameters):
    """Another patient lies as usual, on a level table."""
    with slicer.util.NodeModify(parameters):
        parameters.patientPosition, parameters.tableTilt = DEFAULT_POSITION, 0.0


def restoreView(parameters, node):
    """Put the parameters to what is kept with a CT; False, and nothing changed, where nothing usable is kept."""
    try:
        kept = json.loads(node.GetAttribute(_KEPT) or "{}")
        values = {name: type(getattr(parameters, name))(kept[name]) for name in _NAMES}
    except (ValueError, TypeError, KeyError):
        return False
    numbers = [value for value in values.values() if isinstance(value, float)]
    if values["patientPosition"] not in POSITIONS or not np.isfinite(numbers).all():
        return False
    with slicer.util.NodeModify(parameters):
        for name, value in values.items():
            setattr(parameters, name, value)
    return True
