"""Whether the machine touches the patient or the table, and by how much it clears them.

Parts of the machine are compared with points: of the patient's body (body_points.py), and all over the surfaces of
the table's parts, TABLE_SPACING apart. The distance from a point to a part is exact (distances.py); what lies between
the points may be nearer, for the table by half the diagonal of the spacing, which is taken off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from DeepDRRSlicerLib.geometry.distances import bounding_sphere, signed_distance
from DeepDRRSlicerLib.geometry.machine import Device, joint_frames
from DeepDRRSlicerLib.geometry.motion import Motion
from DeepDRRSlicerLib.geometry.positioning import patient_to_room
from DeepDRRSlicerLib.geometry.shape_points import shape_points
from DeepDRRSlicerLib.geometry.table import TABLE_FRAMES, Lying, table_frames

PATIENT, TABLE = "patient", "table"
TABLE_SPACING = 16.0  # mm
_TABLE_GAP = TABLE_SPACING / np.sqrt(2)
_CELL = 200.0  # mm; points this near to each other are looked at together
_SHORTEST_STEP = 0.02  # s
_NEARER = 0.5  # mm that count as coming nearer
_REMEMBERED = 8  # places


@dataclass(frozen=True)
class Clearance:
    """The nearest pair: `part` of the machine, `obstacle` "patient" or "table", mm between them (negative: inside)."""

    part: str
    obstacle: str
    distance: float


@dataclass(frozen=True, eq=False)
class _Solid:
    """A part's shape on a joint, with a sphere around it in the joint's frame."""

    name: str
    joint: str | None
    shape: dict
    center: np.ndarray
    radius: float


@dataclass(frozen=True, eq=False)
class _Cloud:
    """Neighbouring points (n, 3) on a frame of the table, with a sphere around them; gap: mm, see above."""

    obstacle: str
    frame: str
    points: np.ndarray
    gap: float
    center: np.ndarray
    radius: float


@dataclass(frozen=True, eq=False)
class Surroundings:
    """A device's parts and what they may touch, prepared once for a device and a patient as they lie."""

    device: Device
    lying: Lying
    solids: tuple[_Solid, ...]
    clouds: tuple[_Cloud, ...]
    middles: dict[str, np.ndarray]  # of the clouds' spheres by frame, in the order of the clouds
    radii: np.ndarray  # of these spheres, and what lies between points
    levers: dict[str, float]
    recent: dict = field(default_factory=dict)  # clearances found, by place


def surroundings(
    device: Device, lying: Lying, body_points, mesh_boxes: Mapping[str, dict] | None = None
) -> Surroundings:
    """What the machine may touch: the patient, and the table where the device has one.

    body_points: (n, 3) RAS mm, n may be 0. mesh_boxes: a box shape by the name of each part that is a mesh; such a
    part without one is left out.
    """
    solids = []
    for part in device.parts:
        shape = (mesh_boxes or {}).get(part.name) if part.shape["type"] == "mesh" else part.shape
        if shape is not None:
            solids.append(_Solid(part.name, part.joint, shape, *bounding_sphere(shape)))
    points = np.asarray(body_points, dtype=np.float64).reshape(-1, 3)
    clouds = list(_clouds(PATIENT, "top", (points - lying.origin) @ patient_to_room(lying.position).T, 0.0))
    for part in device.table.parts if device.table is not None else ():
        clouds += _clouds(TABLE, str(part.joint), shape_points(part.shape, TABLE_SPACING), _TABLE_GAP)
    clouds.sort(key=lambda cloud: TABLE_FRAMES.index(cloud.frame))
    middles = {
        frame: np.array([cloud.center for cloud in clouds if cloud.frame == frame])
        for frame in TABLE_FRAMES
        if any(cloud.frame == frame for cloud in clouds)
    }
    radii = np.array([cloud.radius + cloud.gap for cloud in clouds])
    return Surroundings(device, lying, tuple(solids), tuple(clouds), middles, radii, _levers(device, solids))


def clearance(
    around: Surroundings, values: Mapping[str, float], isocenter=None, within: float = np.inf
) -> Clearance | None:
    """The nearest pair with machine and table at `values` (geometry/motion.py); None where there is no obstacle.

    isocenter: RAS mm, needed for a device without a table alone. Values count to a millionth of a degree or mm.
    within: mm; pairs that are farther apart are not looked at, which is quicker.
    """
    if not around.solids or not around.clouds:
        return None
    # Remembered, because a motion is asked for the places that it left and reached again.
    place = tuple(sorted((name, round(float(value), 6)) for name, value in values.items()))
    key = place, None if isocenter is None else tuple(np.round(isocenter, 6).tolist()), within
    if key not in around.recent:
        if len(around.recent) >= _REMEMBERED:
            around.recent.clear()
        around.recent[key] = _clearance(around, values, isocenter, within)
    return around.recent[key]


def _clearance(around: Surroundings, values: Mapping[str, float], isocenter, within: float) -> Clearance | None:
    joints: dict[str | None, np.ndarray] = {None: np.eye(4)}
    joints.update(joint_frames(around.device, values))
    stands = _obstacle_frames(around, values, isocenter)
    relative = {
        (joint, frame): np.linalg.inv(joints[joint]) @ stands[frame] for joint in joints for frame in around.middles
    }
    moved: dict[tuple[str | None, int], np.ndarray] = {}
    found = None
    solids, clouds = around.solids, around.clouds
    for bound, solid_number, cloud_number in _nearest_first(around, relative):
        if bound > within or found is not None and bound >= found.distance:
            break
        solid, cloud = solids[solid_number], clouds[cloud_number]
        key = solid.joint, cloud_number
        if key not in moved:
            moved[key] = _apply(relative[solid.joint, cloud.frame], cloud.points)
        distance = float(signed_distance(solid.shape, moved[key]).min() - cloud.gap)
        if distance <= within and (found is None or distance < found.distance):
            found = Clearance(solid.name, cloud.obstacle, distance)
    return found


def first_contact(around: Surroundings, motion: Motion, margin: float = 10.0, isocenter=None) -> float | None:
    """Seconds for which the motion keeps `margin` mm from every obstacle; None if it does so to its end.

    A motion that starts within the margin, or in contact, goes on while it comes no nearer than it began, until it has
    once left the margin. It is looked at in steps as long as the fastest place needs for the clearance at hand, so that
    no contact is stepped over.
    """
    time = clear_until = 0.0
    bar = None
    while True:
        nearest = clearance(around, motion.at(time), isocenter)
        if nearest is None:
            return None
        if bar is None or nearest.distance >= margin:
            bar = margin if nearest.distance >= margin else nearest.distance - _NEARER
        if nearest.distance < bar:
            return clear_until
        if time >= motion.duration:
            return None
        clear_until = time
        step = (nearest.distance - bar) / max(_fastest(around, motion, time), 1e-9)
        time = min(time + max(step, _SHORTEST_STEP), motion.duration)


def _clouds(obstacle: str, frame: str, points: np.ndarray, gap: float) -> Iterator[_Cloud]:
    """The points in handfuls, as lie in one cell of a grid."""
    if not len(points):
        return
    cells = ((points - points.min(axis=0)) / _CELL).astype(int)
    number = np.ravel_multi_index(cells.T, cells.max(axis=0) + 1)
    order = np.argsort(number, kind="stable")
    for handful in np.split(points[order], np.flatnonzero(np.diff(number[order])) + 1):
        center = (handful.min(axis=0) + handful.max(axis=0)) / 2
        yield _Cloud(obstacle, frame, handful, gap, center, float(np.linalg.norm(handful - center, axis=1).max()))


def _obstacle_frames(around: Surroundings, values: Mapping[str, float], isocenter) -> dict[str, np.ndarray]:
    """4x4 of each of TABLE_FRAMES to the room; of `top` alone, under the patient, for a device without a table."""
    device, lying = around.device, around.lying
    if device.table is not None:
        return table_frames(device.table, values, device.isocenter_height)
    top = np.eye(4)
    top[:3, :3] = patient_to_room("HFS", values.get("table_tilt", 0.0))
    top[:3, 3] = top[:3, :3] @ patient_to_room(lying.position) @ (np.array(lying.origin) - isocenter)
    return {"top": top}


def _nearest_first(around: Surroundings, relative: dict) -> Iterator[tuple[float, int, int]]:
    """(least possible distance, number of the solid, number of the cloud) of every pair, nearest first.

    No point of a cloud is nearer to a solid than the middle of the cloud's sphere is, less the sphere's radius.
    """
    centers = {
        joint: np.concatenate([_apply(relative[joint, frame], middles) for frame, middles in around.middles.items()])
        for joint in {solid.joint for solid in around.solids}
    }
    bounds = np.array([signed_distance(solid.shape, centers[solid.joint]) for solid in around.solids]) - around.radii
    for pair in np.argsort(bounds, axis=None):
        solid, cloud = divmod(int(pair), len(around.clouds))
        yield float(bounds[solid, cloud]), solid, cloud


def _fastest(around: Surroundings, motion: Motion, time: float) -> float:
    """mm/s that any two places which can touch move against each other, at most, after `time`."""
    under_way = (n for n, start in motion.start.items() if abs(motion.target[n] - start) > motion.speeds[n] * time)
    return sum(motion.speeds[name] * around.levers.get(name, 1.0) for name in under_way)


def _levers(device: Device, solids: list[_Solid]) -> dict[str, float]:
    """mm that a turn of each rotation by a degree moves the farthest place on it.

    A place of the table that a part of the machine can touch is no farther from the isocentre than the machine is.
    """
    carried: dict[str | None, set[str]] = {None: set()}  # the rotations that move each joint's frame
    for joint in device.joints:
        carried[joint.name] = carried[joint.parent] | ({joint.name} if joint.type == "rotation" else set())
    levers = dict.fromkeys((joint.name for joint in device.joints if joint.type == "rotation"), 0.0)
    farthest = 0.0
    for sid in device.joint("sid").limits:
        frames: dict[str | None, np.ndarray] = {None: np.eye(4)}
        frames.update(joint_frames(device, {"sid": sid}))
        for solid in solids:
            reach = float(np.linalg.norm(_apply(frames[solid.joint], solid.center))) + solid.radius
            farthest = max(farthest, reach)
            for name in carried[solid.joint]:
                levers[name] = max(levers[name], reach + float(np.linalg.norm(device.joint(name).origin)))
    return {name: np.deg2rad(lever) for name, lever in (levers | {"table_tilt": farthest}).items()}


def _apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:3, :3].T + matrix[:3, 3]
