"""The patient's body, computed once for each CT and place of it: points that the machine may touch, and its skin."""

from dataclasses import dataclass, field

import numpy as np

from DeepDRRSlicerLib.geometry.body_points import body_points
from DeepDRRSlicerLib.scene.mrml import volumeFromNode, worldMatrix

_KEPT = 4  # CTs: more than one switches between
_SPACING = 3.0  # mm, at least, of the voxels that are kept
_bodies = {}  # (node ID, time of its voxels, place) -> Body; the newest last


@dataclass(frozen=True, eq=False)
class Body:
    """points: (n, 3) RAS mm. hu: every so many voxels of the CT [k, j, i]; ijk_to_ras: 4x4 of these.

    lying: kept for scene/machine_state.py, the table and where the body lies on it by the patient's position.
    """

    points: np.ndarray
    hu: np.ndarray
    ijk_to_ras: np.ndarray
    lying: dict = field(default_factory=dict)


NOBODY = Body(np.zeros((0, 3)), np.zeros((0, 0, 0), np.int16), np.eye(4))


def bodyOf(node):
    """The Body in a CT node; NOBODY where there is no CT yet. Raises InputError like volumeFromNode.

    The same object is returned as long as voxels and place of the node stay the same.
    """
    if node is None or node.GetImageData() is None:
        return NOBODY
    volume = volumeFromNode(node)
    key = (node.GetID(), node.GetImageData().GetMTime(), volume.ijk_to_ras.tobytes(), worldMatrix(node).tobytes())
    if key not in _bodies:
        while len(_bodies) >= _KEPT:
            del _bodies[next(iter(_bodies))]
        _bodies[key] = _body(volume)
    return _bodies[key]


def _body(volume):
    steps = np.maximum(1, np.floor(_SPACING / np.linalg.norm(volume.ijk_to_ras[:3, :3], axis=0))).astype(int)
    coarse = volume.array[:: steps[2], :: steps[1], :: steps[0]].copy()  # the node's memory may change at any time
    matrix = volume.ijk_to_ras @ np.diag([*steps, 1.0])
    return Body(body_points(coarse, matrix), coarse, matrix)
