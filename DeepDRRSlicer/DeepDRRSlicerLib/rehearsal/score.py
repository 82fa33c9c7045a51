"""The result of an attempt: every measure beside its limit, and no single number in their place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.rehearsal.attempt import Attempt
from DeepDRRSlicerLib.rehearsal.measures import (
    Wire,
    angle_between,
    beam_angle,
    corridor_breach,
    ray_offset,
    tip_apex_distance,
)
from DeepDRRSlicerLib.rehearsal.task import Task, WireGoal

# key: (title, unit, digits); what a table of attempts has, in its order
MEASURES: dict[str, tuple[str, str, int]] = {
    "view_error": ("View error", "°", 1),
    "view_offset": ("Central ray to goal", "mm", 1),
    "tip_distance": ("Tip to target", "mm", 1),
    "wire_angle": ("Wire to planned line", "°", 1),
    "corridor_breach": ("Corridor breach", "mm", 1),
    "worst_breach": ("Worst breach in a picture", "mm", 1),
    "tip_apex": ("Tip–apex distance", "mm", 1),
    "tip_apex_pictures": ("Tip–apex, from pictures", "mm", 1),
    "images": ("Images", "", 0),
    "images_fluoro": ("  fluoroscopy pulses", "", 0),
    "images_spot": ("  spot images", "", 0),
    "images_cine": ("  cine frames", "", 0),
    "images_other": ("  other images", "", 0),
    "beam_on_time": ("Beam-on time", "s", 2),
    "air_kerma": ("Air kerma", "mGy", 3),
    "kerma_area_product": ("Kerma-area product", "Gy·cm²", 4),
    "moves": ("C-arm movements", "", 0),
    "turned": ("  turned in all", "°", 0),
    "shifted": ("  isocentre shifted in all", "mm", 0),
    "time": ("Time", "s", 0),
}
_KINDS = ("fluoro", "spot", "cine")


@dataclass(frozen=True)
class Row:
    """One measure. value: None where there is none, as of a wire that never entered. limit: None where none is set."""

    key: str
    value: float | None
    limit: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the value keeps the limit; None without one. A limit without a value is not met."""
        if self.limit is None:
            return None
        return self.value is not None and self.value <= self.limit + 1e-9


def score(task: Task, attempt: Attempt, elapsed: float, wire: Wire | None) -> list[Row]:
    """Rows in the order of MEASURES, of those that the task has. elapsed: s. wire: at the end; None if there is none.

    The view is that of the C-arm at the end.
    """
    rows = []
    if task.view is not None:
        here = attempt.pose.primary_angle, attempt.pose.secondary_angle
        goal = task.view
        rows += [
            Row("view_error", beam_angle(here, (goal.primary_angle, goal.secondary_angle)), goal.angle),
            Row("view_offset", ray_offset(here, attempt.pose.isocenter, goal.isocenter), goal.offset),
        ]
    if task.wire is not None:
        rows += _wire_rows(task.wire, attempt, wire)
    counts, limits = dict(attempt.images), task.limits
    others = attempt.image_count - sum(counts.get(kind, 0) for kind in _KINDS)
    return [
        *rows,
        Row("images", attempt.image_count, limits.images),
        *(Row(f"images_{kind}", counts.get(kind, 0)) for kind in _KINDS),
        Row("images_other", others),
        Row("beam_on_time", attempt.beam_on_time, limits.beam_on_time),
        Row("air_kerma", attempt.air_kerma, limits.air_kerma),
        Row("kerma_area_product", attempt.kerma_area_product, limits.kerma_area_product),
        Row("moves", attempt.moves),
        Row("turned", attempt.turned),
        Row("shifted", attempt.shifted),
        Row("time", elapsed, limits.time),
    ]


def met_count(rows: list[Row]) -> tuple[int, int]:
    """(how many limits are kept, how many there are)."""
    judged = [row.met for row in rows if row.met is not None]
    return sum(judged), len(judged)


def _wire_rows(goal: WireGoal, attempt: Attempt, wire: Wire | None) -> list[Row]:
    tip = angle = breach = apex = None
    if wire is not None:
        tip = float(np.linalg.norm(np.subtract(goal.target, wire.tip)))
        angle = angle_between(wire.direction, goal.direction)
        breach = corridor_breach(wire, goal)
        apex = tip_apex_distance(wire.tip, goal.apex, goal.apex_views) if goal.apex is not None else None
    rows = [
        Row("tip_distance", tip, goal.reach),
        Row("wire_angle", angle),
        Row("corridor_breach", breach, 0.0),
        Row("worst_breach", attempt.worst_breach),
    ]
    if goal.apex is not None:
        seen = [one[1] for one in attempt.seen if one is not None]
        rows.append(Row("tip_apex", apex, goal.tip_apex))
        rows.append(Row("tip_apex_pictures", sum(seen) if len(seen) == len(attempt.seen) else None))
    return rows
