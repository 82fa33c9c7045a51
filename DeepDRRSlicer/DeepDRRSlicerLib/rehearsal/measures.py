"""How near a view or a wire came to what was asked for. Lengths mm, angles degrees, points RAS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.geometry.carm import detector_axes
from DeepDRRSlicerLib.rehearsal.task import WireGoal


@dataclass(frozen=True)
class Wire:
    """Where a wire is. tip: (3,) RAS mm. direction: (3,) unit vector towards which it points. length, diameter: mm."""

    tip: np.ndarray
    direction: np.ndarray
    length: float
    diameter: float


def beam_angle(first, second) -> float:
    """Angle between two views (primary, secondary): between their directions from source to detector."""
    a, b = detector_axes(*first)[2], detector_axes(*second)[2]
    return angle_between(a, b)


def angle_between(a, b) -> float:
    """Angle between two directions; accurate also for small ones."""
    return float(np.rad2deg(np.arctan2(np.linalg.norm(np.cross(a, b)), np.dot(a, b))))


def ray_offset(view, isocenter, point) -> float:
    """Distance of a point from the central ray of a view (primary, secondary) through its isocentre."""
    return float(np.linalg.norm(across(np.subtract(point, isocenter), detector_axes(*view)[2])))


def across(vector, direction) -> np.ndarray:
    """The part of a vector at a right angle to a unit vector."""
    return np.asarray(vector, float) - np.dot(vector, direction) * np.asarray(direction, float)


def corridor_breach(wire: Wire, goal: WireGoal) -> float | None:
    """How far the wire's surface reaches out of the corridor between entry and target; None while it is not in there.

    The corridor is the cylinder about the line from entry to target, between the planes through both at a right angle
    to it. Along a straight wire the distance from that line is greatest at one of the two ends of what lies between
    the planes.
    """
    ends = np.stack([wire.tip - wire.length * wire.direction, wire.tip])
    along = (ends - goal.entry) @ goal.direction
    if along[1] <= 0 or along[0] >= goal.depth or along[0] >= along[1]:
        return None  # outside, or pointing backwards
    shares = (np.clip([0.0, goal.depth], *along) - along[0]) / (along[1] - along[0])
    inside = ends[0] + np.outer(shares, ends[1] - ends[0])
    farthest = max(float(np.linalg.norm(across(point - goal.entry, goal.direction))) for point in inside)
    return float(max(0.0, farthest + wire.diameter / 2 - goal.corridor))


def tip_apex_distance(tip, apex, views) -> float:
    """The tip-apex distance of Baumgaertner et al. (J Bone Joint Surg Am 1995;77:1058): the sum of the distances from
    the tip to the apex as seen in two views, both at true size.

    views: (primary, secondary) of both. At true size a view shows the part of the way across its beam.
    """
    way = np.subtract(apex, tip)
    return float(sum(np.linalg.norm(across(way, detector_axes(*view)[2])) for view in views))


def distance_in_picture(tip, apex, beam: ConeBeam) -> float:
    """Distance from tip to apex as measured in a picture, divided by the magnification of the wire at its tip.

    The rule of the same paper: the measured distance times the wire's true diameter over its diameter in the picture.
    Both are magnified alike only where tip and apex are equally far from the source.
    """
    (first, second), depth = beam.project([tip, apex]), (np.asarray(tip) - beam.source) @ beam.normal
    return float(np.linalg.norm((second - first) * beam.pitch) * depth / beam.sid)
