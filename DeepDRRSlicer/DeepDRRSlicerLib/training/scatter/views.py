"""The views that scatter is learned from: tubes, detectors, distances, directions and shutters, spread widely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.geometry.carm import CArmPose

DETECTORS = ("ideal", "mobile_flat_panel", "angiography_panel", "image_intensifier")
FILTERS = ({"Al": 3.0}, {"Al": 2.5}, {"Al": 3.0, "Cu": 0.1}, {"Al": 3.0, "Cu": 0.3}, {"Al": 2.5, "Cu": 0.6})
FINE = 4  # pixels along a side of a cell, in which the primary is traced


@dataclass(frozen=True, eq=False)
class View:
    """A view of a body about the origin. beam: its pixels are FINE x FINE to a cell.

    field: (left, right, top, bottom) mm from the middle of the detector to the shutters, or None.
    """

    beam: ConeBeam
    kvp: int
    filtration: dict[str, float]
    detector: str
    field: tuple[float, float, float, float] | None


def view(generator: np.random.Generator, extent: np.ndarray, cells: int) -> View:
    """A random view. extent: (3,) mm, half the sides of the body's box; the source stays outside of it.

    cells: along a side of the square detector.
    """
    side = generator.uniform(180, 430)
    sid = generator.uniform(850, 1300)
    primary = generator.choice([0.0, 180.0, 90.0, -90.0]) + generator.normal(0, 25)
    secondary = float(np.clip(generator.normal(0, 18), -60, 60))
    isocenter = generator.uniform(-0.35, 0.35, 3) * extent
    reach = np.linalg.norm(extent) + np.linalg.norm(isocenter)
    # From far before the detector to touching it; the source never within the body.
    nearest, farthest = reach + 80, sid - 20
    sod = generator.uniform(min(nearest, farthest - 1), farthest) if generator.random() < 0.7 else farthest
    pixels = cells * FINE
    pose = CArmPose(
        primary_angle=float((primary + 180) % 360 - 180),
        secondary_angle=secondary,
        isocenter=tuple(isocenter),
        sid=sid,
        sod=float(sod),
        size=(pixels, pixels),
        pitch=(side / pixels, side / pixels),
    )
    field = None
    if generator.random() < 0.5:
        left, right, top, bottom = generator.uniform(0.15, 1.0, 4) * side / 2
        field = (float(left), float(right), float(top), float(bottom))
    return View(
        beam=pose.beam(),
        kvp=int(generator.integers(50, 126)),
        filtration=FILTERS[generator.integers(len(FILTERS))],
        detector=DETECTORS[generator.integers(len(DETECTORS))],
        field=field,
    )


def shutters(view: View) -> np.ndarray:
    """float32 (rows, columns) of the view's pixels: 1 between the shutters, 0 behind them."""
    rows, columns = view.beam.size
    if view.field is None:
        return np.ones((rows, columns), dtype=np.float32)
    left, right, top, bottom = view.field
    across = (np.arange(columns) - (columns - 1) / 2) * view.beam.pitch[0]
    down = (np.arange(rows) - (rows - 1) / 2) * view.beam.pitch[1]
    inside = ((down >= -top) & (down <= bottom))[:, None] & ((across >= -left) & (across <= right))[None, :]
    return inside.astype(np.float32)
