"""What the room needs of a parameter node, as plain attributes, and a patient for it."""

import numpy as np
import slicer
import slicer.util

DEFAULTS = {
    "ct": None, "segmentation": None, "landmarks": None, "device": "mobile_carm", "patientPosition": "HFS",
    "tableTilt": 0.0, "standJoints": "", "primaryAngle": 0.0, "secondaryAngle": 0.0, "sid": 1000.0,
    "isocenterR": 0.0, "isocenterA": 0.0, "isocenterS": 0.0, "collisionStops": True, "beamInSlices": False,
    "laserCross": False, "magnificationField": "full", "binning": 0, "shutterLeft": 1000.0, "shutterRight": 1000.0,
    "shutterTop": 1000.0, "shutterBottom": 1000.0, "iris": 1000.0, "realGeometry": "",
}  # fmt: skip


class RoomParameters:
    """Stands in for the parameter node; counts how often a change would be told."""

    def __init__(self, **choices):
        vars(self).update(DEFAULTS | choices, changes=0)

    def StartModify(self):
        return 0

    def EndModify(self, state):
        self.changes += 1


def waterPatient(half=(150, 100, 250), voxel=5.0):
    """A CT node: an elliptic cylinder of water of these half axes and half length in mm about the origin of RAS."""
    counts = [int(2 * (extent + 20) / voxel) for extent in half]
    axes = [(np.arange(count) - (count - 1) / 2) * voxel for count in counts]
    z, y, x = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    inside = ((x / half[0]) ** 2 + (y / half[1]) ** 2 <= 1) & (np.abs(z) <= half[2])
    node = slicer.util.addVolumeFromArray(np.where(inside, 0, -1000).astype(np.int16), name="Water patient")
    node.SetSpacing(voxel, voxel, voxel)
    node.SetOrigin(*(float(axis[0]) for axis in axes))
    return node
