"""The labels of one view: segments as masks and thickness, landmarks as pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.anatomy.landmarks import Landmark
from DeepDRRSlicerLib.anatomy.segmentation import Segment
from DeepDRRSlicerLib.anatomy.volume import Volume
from DeepDRRSlicerLib.geometry.camera import ConeBeam


@dataclass(frozen=True, eq=False)
class SegmentLabel:
    """thickness: (rows, columns) float32 mm of the segment along each ray.

    mask: bool, where it is thicker than half of the smallest voxel edge. box: (first column, first row, last
    column, last row) of the mask in pixels, both ends included, or None where the segment is not in the picture.
    """

    name: str
    color: tuple[float, float, float]
    thickness: np.ndarray
    mask: np.ndarray

    @property
    def box(self) -> tuple[int, int, int, int] | None:
        rows, columns = np.flatnonzero(self.mask.any(axis=1)), np.flatnonzero(self.mask.any(axis=0))
        if not rows.size:
            return None
        return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


@dataclass(frozen=True)
class LandmarkLabel:
    """column, row: image position in pixels (None beside or behind the source). depth: mm from it along the normal.

    visible: inside the picture, between source and detector.
    """

    name: str
    position_ras: tuple[float, float, float]
    column: float | None
    row: float | None
    depth: float
    visible: bool


def label_segment(segment: Segment, beam: ConeBeam) -> SegmentLabel:
    """Exact projection of a segment; overlaps with other segments are kept, as X-ray shadows do."""
    from DeepDRRSlicerLib.projection.thickness import mask_thickness  # compiled by numba, which is loaded on demand

    thickness = np.zeros(beam.size, dtype=np.float32)
    window = _window(segment.mask, beam)
    if window:
        rows, columns = window
        part = ConeBeam(
            beam.source,
            beam.pixel_to_ras(columns.start, rows.start),
            beam.e_c,
            beam.e_r,
            beam.pitch,
            (rows.stop - rows.start, columns.stop - columns.start),
        )
        thickness[rows, columns] = mask_thickness(segment.mask, part)
    return SegmentLabel(segment.name, segment.color, thickness, thickness > segment.mask.spacing.min() / 2)


def label_landmarks(landmarks: Sequence[Landmark], beam: ConeBeam) -> list[LandmarkLabel]:
    """Where each landmark falls in the picture."""
    labels = []
    for landmark in landmarks:
        depth = float((np.asarray(landmark.position_ras) - beam.source) @ beam.normal)
        column, row = beam.project(landmark.position_ras)[0]
        rows, columns = beam.size
        before = depth > 0 and np.isfinite([column, row]).all()
        inside = before and -0.5 <= column < columns - 0.5 and -0.5 <= row < rows - 0.5
        visible = bool(inside and depth <= beam.sid)
        labels.append(
            LandmarkLabel(
                landmark.name,
                tuple(float(x) for x in landmark.position_ras),
                float(column) if before else None,
                float(row) if before else None,
                depth,
                visible,
            )
        )
    return labels


def _window(mask: Volume, beam: ConeBeam) -> tuple[slice, slice] | None:
    """The rows and columns of the picture that the mask's box can darken; None where it is not in the picture."""
    corners = mask.corners_ras()
    depth = (corners - beam.source) @ beam.normal
    rows, columns = beam.size
    if (depth <= 0).all():
        return None
    if (depth <= 0).any():
        return slice(0, rows), slice(0, columns)
    shadow = beam.project(corners)
    low = np.clip(np.floor(shadow.min(axis=0)) - 1, 0, (columns, rows)).astype(int)
    high = np.clip(np.ceil(shadow.max(axis=0)) + 2, 0, (columns, rows)).astype(int)
    return (slice(low[1], high[1]), slice(low[0], high[0])) if (high > low).all() else None
