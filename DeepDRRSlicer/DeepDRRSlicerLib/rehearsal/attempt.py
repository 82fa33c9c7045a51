"""What an attempt at a task has taken so far: pictures, dose, movements. Times in s since its start."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace

import numpy as np

from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.geometry.carm import positioner_angles
from DeepDRRSlicerLib.physics.dose import FrameDose
from DeepDRRSlicerLib.rehearsal.measures import Wire, beam_angle, corridor_breach, distance_in_picture
from DeepDRRSlicerLib.rehearsal.task import Pose, Task

_PAUSE = 1.0  # s without movement that end one
_LONG = 1e9  # s: JSON has no infinity
_STILL = 0.1  # degrees, and mm, below which the C-arm has not moved
_LIKE_THE_VIEW = 30.0  # degrees within which a picture stands for one of the views of a tip-apex distance


@dataclass(frozen=True)
class Attempt:
    """images: (kind, number) by kind, in the order of their first. beam_on_time: s. air_kerma: mGy at the reference
    point. kerma_area_product: Gy cm2. moves: movements of the C-arm, each ended by a second of rest. turned: degrees
    that the beam turned in all; shifted: mm that the isocentre moved in all. pose: where the C-arm was seen last, moved
    at the time last_move.
    worst_breach: the largest corridor breach in a picture, mm; None while the wire was in the corridor in none.
    seen: for each view of the tip-apex distance (degrees from it, mm in the picture) of the picture nearest to it.
    """

    pose: Pose
    images: tuple[tuple[str, int], ...] = ()
    beam_on_time: float = 0.0
    air_kerma: float = 0.0
    kerma_area_product: float = 0.0
    moves: int = 0
    turned: float = 0.0
    shifted: float = 0.0
    last_move: float = -math.inf
    worst_breach: float | None = None
    seen: tuple[tuple[float, float] | None, ...] = (None, None)

    @property
    def image_count(self) -> int:
        """Pictures and pulses of every kind."""
        return sum(number for _, number in self.images)


def moved(attempt: Attempt, pose: Pose, time: float) -> Attempt:
    """After the C-arm was seen at a pose; the attempt itself where it had not moved."""
    before = attempt.pose
    turned = beam_angle((before.primary_angle, before.secondary_angle), (pose.primary_angle, pose.secondary_angle))
    shifted = float(np.linalg.norm(np.subtract(pose.isocenter, before.isocenter)))
    if turned < _STILL and shifted < _STILL:
        return attempt
    return replace(
        attempt,
        pose=pose,
        moves=attempt.moves + (time - attempt.last_move >= _PAUSE),
        turned=attempt.turned + turned,
        shifted=attempt.shifted + shifted,
        last_move=time,
    )


def exposed(attempt: Attempt, task: Task, kind: str, dose: FrameDose, beam: ConeBeam, wire: Wire | None) -> Attempt:
    """After a picture. kind: the exposure mode. wire: where it was, None where there is none."""
    counts = dict(attempt.images)
    counts[kind] = counts.get(kind, 0) + 1
    worst, seen = attempt.worst_breach, attempt.seen
    if task.wire is not None and wire is not None:
        breach = corridor_breach(wire, task.wire)
        worst = worst if breach is None else max(breach, worst or 0.0)
        apex = task.wire.apex
        if apex is not None:
            seen = tuple(_nearer(old, view, apex, beam, wire) for old, view in zip(seen, task.wire.apex_views))
    return replace(
        attempt,
        images=tuple(counts.items()),
        beam_on_time=attempt.beam_on_time + dose.time,
        air_kerma=attempt.air_kerma + dose.air_kerma,
        kerma_area_product=attempt.kerma_area_product + dose.kerma_area_product,
        worst_breach=worst,
        seen=seen,
    )


def attempt_text(attempt: Attempt, elapsed: float, begun: str) -> str:
    """The attempt as JSON, for a scene that is saved while it goes on. elapsed: s since its start, begun: its date."""
    data = asdict(replace(attempt, last_move=max(attempt.last_move, -_LONG)))
    return json.dumps(data | {"elapsed": elapsed, "begun": begun})


def parse_attempt(text: str) -> tuple[Attempt, float, str]:
    """(attempt, elapsed, begun) of attempt_text. Raises ValueError, TypeError or KeyError for any other text."""
    data = json.loads(text)
    elapsed, begun = float(data.pop("elapsed")), str(data.pop("begun"))
    pose = Pose(**(data["pose"] | {"isocenter": tuple(data["pose"]["isocenter"])}))
    seen = tuple(None if one is None else tuple(one) for one in data["seen"])
    images = tuple((str(kind), int(number)) for kind, number in data["images"])
    return Attempt(**(data | {"pose": pose, "seen": seen, "images": images})), elapsed, begun


def _nearer(old, view, apex: tuple[float, float, float], beam: ConeBeam, wire: Wire):
    """(degrees, mm) of this picture where it shows the view as well as the one before it; a wire that is in."""
    off = beam_angle(positioner_angles(beam.normal), view)
    off = min(off, 180.0 - off)  # seen from the other side, a distance is the same
    if off > _LIKE_THE_VIEW or (old is not None and off > old[0] + _STILL):
        return old
    return off, distance_in_picture(wire.tip, apex, beam)
