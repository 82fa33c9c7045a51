"""From a sampling plan to views: which pose, patient position and shutters a sample has.

What moves the patient (pose, table) moves the beam the other way: every geometry is in the RAS frame of the CT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.dataset.distributions import generator, pick
from DeepDRRSlicerLib.dataset.job import Job, image_grid
from DeepDRRSlicerLib.dataset.job_parts import Box, Cones, Grid, Trajectory, Triple, Views
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.geometry.carm import CArmPose, detector_axes, positioner_angles
from DeepDRRSlicerLib.geometry.presets import PRESETS


@dataclass(frozen=True, eq=False)
class Anatomy:
    """What plans aim at, RAS mm: the middle of the CT, landmarks, and points (n, 3) evenly from within each segment."""

    centre: np.ndarray
    landmarks: Mapping[str, Sequence[float]]
    segments: Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class View:
    """One drawn view. pose: of the C-arm in the room; beam: what the patient sees of it, in RAS of the CT.

    motion: 4x4 of the patient from lying as in the CT. shutters: mm at the detector from the middle of the image to
    the (left, right, top, bottom) edge of the open field, or None. settings: everything drawn, plain data.
    """

    pose: CArmPose
    beam: ConeBeam
    motion: np.ndarray
    shutters: tuple[float, float, float, float] | None
    settings: dict


class Draw:
    """The generators of one sample. attempt: views that were drawn before and did not meet the plan's demands."""

    def __init__(self, seed: int, index: int, attempt: int = 0):
        self._seed, self._index = seed, index
        self._suffix = f"#{attempt}" if attempt else ""

    def random(self, quantity: str) -> np.random.Generator:
        """The generator of a quantity."""
        return generator(self._seed, self._index, quantity + self._suffix)

    def one(self, quantity: str, distribution) -> float:
        """A number."""
        return distribution.draw(self.random(quantity))

    def three(self, quantity: str, distributions: Triple) -> list[float]:
        """Three numbers, each from a generator of its own."""
        return [self.one(f"{quantity}[{n}]", distribution) for n, distribution in enumerate(distributions)]

    def happens(self, quantity: str, probability: float) -> bool:
        """Whether something of that probability happens."""
        return bool(self.random(quantity).random() < probability)


def draw_view(job: Job, anatomy: Anatomy, index: int) -> View:
    """The view of sample `index`, which shows the patient of that anatomy.

    Raises InputError where none of plan.tries views shows what it must, or a name is not the patient's.
    """
    around = job.plan.around
    demands = [demand for number in range(len(around.visible)) for demand in _demands(job, anatomy, number)]
    best = 0.0, ""
    for attempt in range(around.tries):
        view = _draw(job, anatomy, index, attempt)
        missed = [(seen, where) for where, points, at_least in demands if (seen := seen_part(view, points)) < at_least]
        if not missed:
            return view
        best = max(best, min(missed))
    raise InputError(
        f"None of the {around.tries} views drawn for sample {index} shows enough: of the best, {best[1]} has "
        f"{best[0]:.0%} in the picture; lower at_least, centre on it, or widen the plan."
    )


def seen_part(view: View, points: np.ndarray) -> float:
    """Part, 0 to 1, of points (n, 3) RAS of the patient that fall into the open field, between source and detector."""
    beam = view.beam
    depth = (points - beam.source) @ beam.normal
    at = beam.project(points)
    rows, columns = beam.size
    with np.errstate(invalid="ignore"):
        inside = (depth > 0) & (depth <= beam.sid)
        inside &= (at >= -0.5).all(axis=1) & (at[:, 0] < columns - 0.5) & (at[:, 1] < rows - 0.5)
        if view.shutters is not None:
            left, right, top, bottom = view.shutters
            x = (at[:, 0] - (columns - 1) / 2) * beam.pitch[0]
            y = (at[:, 1] - (rows - 1) / 2) * beam.pitch[1]
            inside &= (x >= -left) & (x <= right) & (y >= -top) & (y <= bottom)
    return float(inside.mean())


def rigid(rotation: Sequence[float], translation: Sequence[float] | np.ndarray, about=(0.0, 0.0, 0.0)) -> np.ndarray:
    """4x4 that turns by degrees about the R, then the A, then the S axis through a point, and then moves by mm."""
    matrix = np.eye(4)
    for axis, degrees in enumerate(rotation):
        c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(4)
        turn[first, first] = turn[second, second] = c
        turn[second, first], turn[first, second] = s, -s
        matrix = turn @ matrix
    about = np.asarray(about, dtype=np.float64)
    matrix[:3, 3] = about - matrix[:3, :3] @ about + translation
    return matrix


def _draw(job: Job, anatomy: Anatomy, index: int, attempt: int) -> View:
    around, draw = job.plan.around, Draw(job.seed, index, attempt)
    target, name = _target(job, anatomy, draw)
    sid = draw.one("sid", around.sid) if around.sid else job.device.source_image_distance.default
    sod = draw.one("sod", around.sod) if around.sod else job.device.source_isocenter_distance
    if isinstance(job.plan, Trajectory):
        primary, secondary, aim, target, sid = _on_trajectory(job.plan, index // len(job.patients), target, sid)
    else:
        primary, secondary, aim = _angles(job.plan, draw, index // len(job.patients))
    offset = draw.three("offset", around.centre.offset)
    rotation = draw.three("rotation", around.patient.rotation)
    translation = draw.three("translation", around.patient.translation)
    table = draw.three("table", around.table)
    motion = rigid(rotation, np.add(translation, table), target)
    r, a, s = (float(x) for x in np.add(target, offset))
    isocenter = (r, a, s)
    size, pitch = image_grid(job)
    pose = CArmPose(primary, secondary, isocenter, sid, sod, size, pitch)
    beam = pose.beam()
    if any([*rotation, *translation, *table]):
        beam = beam.transformed(np.linalg.inv(motion))
    shutters = None
    if job.collimation:
        left, right, top, bottom = (
            draw.one(f"collimation.{edge}", getattr(job.collimation, edge))
            for edge in ("left", "right", "top", "bottom")
        )
        shutters = (left, right, top, bottom)
    settings = {
        "c_arm": {
            "primary_angle": primary, "secondary_angle": secondary, "isocenter": list(isocenter), "sid": sid, "sod": sod
        },
        "aim": aim,
        "centre": {"on": around.centre.on, "name": name, "offset": offset},
        "patient": {"rotation": rotation, "translation": translation, "table": table},
        "collimation": list(shutters) if shutters else None,
        "attempts": attempt + 1,
    }  # fmt: skip
    if isinstance(job.plan, Trajectory):  # a run of images that belong together
        run = index // len(job.patients) // job.plan.frames * len(job.patients) + job.patient_of(index)
        settings["sequence"] = run
    return View(pose, beam, motion, shutters, settings)


def _target(job: Job, anatomy: Anatomy, draw: Draw) -> tuple[np.ndarray, str | None]:
    """The point at the isocentre, and the name of the landmark or segment that it is."""
    centre = job.plan.around.centre
    if centre.on == "ct":
        return np.asarray(anatomy.centre, dtype=np.float64), None
    if centre.on == "point":
        return np.array(centre.point), None
    known = getattr(anatomy, centre.on)
    names = centre.names or tuple(known)
    if not names:
        raise InputError(f"plan.centre is on {centre.on}, of which the patient has none; add them or centre on the CT.")
    name = names[pick([1.0] * len(names), draw.random("centre"))]
    found = _found(known, name, "plan.centre.names", centre.on)
    return np.asarray(found, dtype=np.float64).reshape(-1, 3).mean(axis=0), name


def _angles(plan: Grid | Box | Cones | Views, draw: Draw, number: int) -> tuple[float, float, dict]:
    """Angles of the patient's n-th view, and what was aimed at."""
    if isinstance(plan, Grid):
        cell = number % (len(plan.primary_angles) * len(plan.secondary_angles))
        first, second = divmod(cell, len(plan.secondary_angles))
        return plan.primary_angles[first], plan.secondary_angles[second], {"cell": cell}
    if isinstance(plan, Box):
        angles = draw.one("primary_angle", plan.primary_angle), draw.one("secondary_angle", plan.secondary_angle)
        return *angles, {}
    if isinstance(plan, Cones):
        chosen = pick([cone.weight for cone in plan.cones], draw.random("cone"))
        cone = plan.cones[chosen]
        return *in_cone(*cone.axis, cone.half_angle, draw.random("direction")), {"cone": chosen}
    name = plan.views[pick([1.0] * len(plan.views), draw.random("view"))]
    primary = PRESETS[name][0] + draw.one("primary_error", plan.primary_error)
    secondary = PRESETS[name][1] + draw.one("secondary_error", plan.secondary_error)
    return wrapped(primary), secondary, {"view": name}


def wrapped(primary: float) -> float:
    """An angle in degrees in (-180, 180]."""
    return primary if -180 < primary <= 180 else 180.0 - (180.0 - primary) % 360.0


def in_cone(primary: float, secondary: float, half_angle: float, random: np.random.Generator) -> tuple[float, float]:
    """Angles of a direction drawn evenly over the cap of a sphere: its height is uniform (Archimedes)."""
    e_c, e_r, d = detector_axes(primary, secondary)
    height, around = 1 - (1 - np.cos(np.deg2rad(half_angle))) * random.random(), 2 * np.pi * random.random()
    across = np.sqrt(max(0.0, 1 - height**2))
    found = positioner_angles(height * d + across * (np.cos(around) * e_c + np.sin(around) * e_r))
    return (primary, secondary) if half_angle == 0 else found


def _on_trajectory(plan: Trajectory, number: int, centre: np.ndarray, sid: float):
    """(primary, secondary, what was aimed at, isocentre, sid); centre and sid are those of waypoints without."""
    frame = number % plan.frames
    at = frame / (plan.frames - 1) * (len(plan.waypoints) - 1)
    leg = min(int(at), len(plan.waypoints) - 2)

    def pose(waypoint):
        own_sid = sid if waypoint.sid is None else waypoint.sid
        isocenter = centre if waypoint.isocenter is None else waypoint.isocenter
        return np.array([waypoint.primary_angle, waypoint.secondary_angle, own_sid, *isocenter])

    start, end = pose(plan.waypoints[leg]), pose(plan.waypoints[leg + 1])
    primary, secondary, own_sid, *isocenter = start + (end - start) * (at - leg)
    return float(primary), float(secondary), {"frame": frame}, np.array(isocenter), float(own_sid)


def _demands(job: Job, anatomy: Anatomy, number: int):
    """(what a message calls it, its points, the part to be seen) of one entry of plan.visible."""
    demand = job.plan.around.visible[number]
    kind, name = ("segment", demand.segment) if demand.segment is not None else ("landmark", demand.landmark)
    known = anatomy.segments if kind == "segment" else anatomy.landmarks
    for one in known if name == "*" else (name,):
        points = np.asarray(_found(known, one, f"plan.visible[{number}].{kind}", f"{kind}s"), dtype=np.float64)
        points = points.reshape(-1, 3)
        if not len(points):
            raise InputError(f"The segment {one} of plan.visible[{number}] is empty; take it out.")
        yield f"the {kind} {one}", points, demand.at_least


def _found(known: Mapping, name: str | None, where: str, kind: str):
    if name not in known:
        listed = ", ".join(list(known)[:10]) or "none"
        raise InputError(f"{where}: {name!r} is not among the labelled {kind} of the patient ({listed}); correct it.")
    return known[name]
