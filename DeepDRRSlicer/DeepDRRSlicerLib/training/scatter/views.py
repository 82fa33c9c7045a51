"""The views that scatter is learned from: tubes, detectors, distances, directions and shutters, spread widely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.geometry.carm import CArmPose, detector_axes

DETECTORS = ("ideal", "mobile_flat_panel", "angiography_panel", "image_intensifier")
FINE = 4  # pixels along a side of a cell, in which the primary is traced
_NEAREST = 60.0  # mm from the source to the box that holds the body
_FARTHEST_GAP = 600.0  # mm from the body to the detector
_WIDEST = 300.0  # mm of the shutters from the middle: open


@dataclass(frozen=True, eq=False)
class View:
    """A view of a body. beam: its pixels are FINE x FINE to a cell.

    field: (left, right, top, bottom) mm from the middle of the detector to the shutters.
    """

    beam: ConeBeam
    kvp: int
    filtration: dict[str, float]
    detector: str
    field: tuple[float, float, float, float]


def view(generator: np.random.Generator, matter: np.ndarray, corners: np.ndarray, cells: int) -> View:
    """A random view. matter: (n, 3) RAS mm, points of the body; corners: (8, 3) of the volume that holds it, outside of
    which the source stays. cells: along a side of the square detector.
    """
    side = generator.uniform(100, 450)
    sid = generator.uniform(750, 1400)
    primary = generator.choice([0.0, 180.0, 90.0, -90.0]) + generator.normal(0, 25)
    primary = float((primary + 180) % 360 - 180)
    secondary = float(np.clip(generator.normal(0, 18), -60, 60))
    low, high = matter.min(axis=0), matter.max(axis=0)
    isocenter = (low + high) / 2 + generator.uniform(-0.35, 0.35, 3) * (high - low)
    # The gap behind the body is chosen, and the distances follow: the source must stay before the volume.
    normal = detector_axes(primary, secondary)[2]
    behind = float(((matter - isocenter) @ normal).max())
    before = float(-((corners - isocenter) @ normal).min())
    gap = _FARTHEST_GAP * generator.random() ** 1.7
    sid = max(sid, before + behind + _NEAREST + 5)
    sod = sid - behind - max(min(gap, sid - behind - before - _NEAREST), 1 - min(behind, 0))
    pixels = cells * FINE
    pose = CArmPose(
        primary_angle=primary,
        secondary_angle=secondary,
        isocenter=tuple(isocenter),
        sid=sid,
        sod=sod,
        size=(pixels, pixels),
        pitch=(side / pixels, side / pixels),
    )
    filtration = {"Al": float(generator.uniform(1.5, 6.0))}
    if generator.random() < 0.5:
        filtration["Cu"] = float(generator.uniform(0.05, 0.9))
    return View(
        beam=pose.beam(),
        kvp=int(generator.integers(40, 126)),
        filtration=filtration,
        detector=DETECTORS[generator.integers(len(DETECTORS))],
        field=_field(generator, side),
    )


def _field(generator, side) -> tuple[float, float, float, float]:
    """Open, a rectangle about the middle (as detectors that are no squares have), or shutters that differ."""
    kind = generator.random()
    if kind < 0.4:
        return (_WIDEST,) * 4
    if kind < 0.6:
        short = float(generator.uniform(0.3, 1.0)) * side / 2
        return (_WIDEST, _WIDEST, short, short) if generator.random() < 0.5 else (short, short, _WIDEST, _WIDEST)
    return tuple(float(part) * side / 2 for part in generator.uniform(0.1, 1.0, 4))


def shutters(view: View) -> np.ndarray:
    """float32 (rows, columns) of the view's pixels: 1 between the shutters, 0 behind them."""
    rows, columns = view.beam.size
    left, right, top, bottom = view.field
    across = (np.arange(columns) - (columns - 1) / 2) * view.beam.pitch[0]
    down = (np.arange(rows) - (rows - 1) / 2) * view.beam.pitch[1]
    inside = ((down >= -top) & (down <= bottom))[:, None] & ((across >= -left) & (across <= right))[None, :]
    return inside.astype(np.float32)
