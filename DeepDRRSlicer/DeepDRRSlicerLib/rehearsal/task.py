"""What a rehearsal asks for: a patient, where to begin, a goal, and limits.

What cannot be raises ValueError with a clause that names the key of the task file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.descriptions import check
from DeepDRRSlicerLib.geometry.carm import detector_axes
from DeepDRRSlicerLib.geometry.positioning import DEFAULT_POSITION

_LEAST_DEPTH = 1.0  # mm from entry to target
_LEAST_TURN = 30.0  # degrees between the two views of a tip-apex distance
AP_AND_LATERAL = ((0.0, 0.0), (90.0, 0.0))


@dataclass(frozen=True)
class Patient:
    """Which CT a task is made for.

    name: in words. low, high: corners of the box of its voxel centres, RAS mm. voxels: SHA-256 of its values in HU
    (rehearsal/patient_match.py); None where any CT in that place will do.
    """

    name: str
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    voxels: str | None = None

    def __post_init__(self):
        check(all(a < b for a, b in zip(self.low, self.high, strict=True)), "patient.low must be below patient.high")
        good = self.voxels is None or set(self.voxels) <= set("0123456789abcdef")
        check(good, "patient.voxels must be a SHA-256 in lower-case hex")


@dataclass(frozen=True)
class Pose:
    """A view: angles in degrees as in geometry/carm.py, isocentre in RAS mm, source-image distance in mm."""

    primary_angle: float
    secondary_angle: float
    isocenter: tuple[float, float, float]
    sid: float | None = None


@dataclass(frozen=True)
class ViewGoal:
    """A view to find. angle: how far the beam may point from it, degrees. offset: mm by which its central ray may miss
    the isocentre."""

    primary_angle: float
    secondary_angle: float
    isocenter: tuple[float, float, float]
    angle: float = 5.0
    offset: float = 20.0


@dataclass(frozen=True)
class WireGoal:
    """A wire to bring from entry to target, RAS mm, its tip to within `reach` mm of the target.

    corridor: radius in mm of the cylinder about the line from entry to target that holds the wire's surface.
    diameter, length: of the wire, mm. apex: for a tip-apex distance, of at most `tip_apex` mm; None measures none.
    apex_views: (primary, secondary) angles of the two views in which that distance is measured.
    """

    entry: tuple[float, float, float]
    target: tuple[float, float, float]
    corridor: float
    reach: float = 3.0
    diameter: float = 2.0
    length: float = 200.0
    apex: tuple[float, float, float] | None = None
    tip_apex: float = 25.0
    apex_views: tuple[tuple[float, float], tuple[float, float]] = AP_AND_LATERAL

    def __post_init__(self):
        check(self.depth >= _LEAST_DEPTH, "wire.target must lie at least 1 mm from wire.entry")
        check(2 * self.corridor >= self.diameter, "wire.corridor must hold the wire: be at least half of its diameter")
        check(self.length > self.depth, "wire.length must be more than the way from entry to target")
        first, second = (detector_axes(*view)[2] for view in self.apex_views)
        turn = np.rad2deg(np.arccos(np.clip(abs(first @ second), 0, 1)))
        check(turn >= _LEAST_TURN, f"wire.apex_views must be {_LEAST_TURN:g} degrees apart at least")

    @property
    def direction(self) -> np.ndarray:
        """(3,) unit vector from entry to target."""
        way = np.subtract(self.target, self.entry)
        return way / np.linalg.norm(way)

    @property
    def depth(self) -> float:
        """mm from entry to target."""
        return float(np.linalg.norm(np.subtract(self.target, self.entry)))


@dataclass(frozen=True)
class Limits:
    """What an attempt may take at most; None is no limit.

    images: number of pictures and pulses. beam_on_time: s. air_kerma: mGy at the reference point.
    kerma_area_product: Gy cm2. time: s from start to finish.
    """

    images: int | None = None
    beam_on_time: float | None = None
    air_kerma: float | None = None
    kerma_area_product: float | None = None
    time: float | None = None


@dataclass(frozen=True)
class Task:
    """A rehearsal. position: DICOM Patient Position. At least one of view and wire is given."""

    title: str
    instructions: str
    patient: Patient
    start: Pose
    view: ViewGoal | None = None
    wire: WireGoal | None = None
    limits: Limits = Limits()
    position: str = DEFAULT_POSITION

    def __post_init__(self):
        check(self.view is not None or self.wire is not None, "the goal is missing: give view, wire or both")
