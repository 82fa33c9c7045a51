"""The labels of one view: segments as masks and thickness, landmarks as pixels."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from DeepDRRSlicerLib.anatomy.landmarks import Landmark
from DeepDRRSlicerLib.anatomy.segmentation import Segment
from DeepDRRSlicerLib.anatomy.surface import SegmentSurface
from DeepDRRSlicerLib.geometry.camera import ConeBeam

if TYPE_CHECKING:
    from DeepDRRSlicerLib.projection.tools import Tool

_MM_PER_CM = 10.0


@dataclass(frozen=True, eq=False)
class SegmentLabel:
    """thickness: (rows, columns) float32 mm of the segment along each ray.

    mask: bool, where it is thicker than half of the smallest voxel edge; where there is any, if it came as triangles.
    box: (first column, first row, last column, last row) of the mask in pixels, both ends included, or None where the
    segment is not in the picture.
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


@dataclass(frozen=True, eq=False)
class ToolLabel:
    """A tool in one view. pose: (4, 4) from the tool's own frame, that of its mesh file, to the patient's RAS in mm.

    thickness: (rows, columns) float32 mm of the tool along each ray; mask: bool, where there is any.
    """

    name: str
    material: str
    mask: np.ndarray
    thickness: np.ndarray
    pose: np.ndarray


def label_tool(tool: Tool, pose: np.ndarray, beam: ConeBeam, threads: int | None = None) -> ToolLabel:
    """Exact projection of one tool, as if no other were there. tool: where it stands, pose: how it came there."""
    from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
    from DeepDRRSlicerLib.projection.tools import insert_tools

    nothing = MaterialVolume((tool.material,), np.zeros((1, 1, 1, 1), np.uint16), np.ones(1), np.eye(4))
    area_density = np.zeros((1, *beam.size), dtype=np.float32)
    insert_tools(area_density, nothing, beam, [tool], threads)
    assert tool.density is not None  # once it is made
    thickness = area_density[0] * np.float32(_MM_PER_CM / tool.density)
    return ToolLabel(tool.name, tool.material, thickness > 0, thickness, np.asarray(pose, dtype=np.float64))


def label_segment(segment: Segment | SegmentSurface, beam: ConeBeam, threads: int | None = None) -> SegmentLabel:
    """Exact projection of a segment's surface; overlaps with other segments are kept, as X-ray shadows do.

    The surface of a mask is made at the first label and kept as long as the segment itself.
    threads: that take part; the result does not depend on it.
    """
    from DeepDRRSlicerLib.projection.thickness import surface_thickness  # compiled by numba, which is loaded on demand

    surface = segment if isinstance(segment, SegmentSurface) else _surface(segment)
    thickness = surface_thickness(surface, beam, threads)
    return SegmentLabel(surface.name, surface.color, thickness, thickness > surface.least_thickness)


def label_landmarks(landmarks: Sequence[Landmark], beam: ConeBeam) -> list[LandmarkLabel]:
    """Where each landmark falls in the picture."""
    if not landmarks:
        return []
    places = np.array([landmark.position_ras for landmark in landmarks], dtype=np.float64)
    depths, pixels = (places - beam.source) @ beam.normal, beam.project(places)
    rows, columns = beam.size
    before = (depths > 0) & np.isfinite(pixels).all(axis=1)
    inside = before & (pixels >= -0.5).all(axis=1) & (pixels[:, 0] < columns - 0.5) & (pixels[:, 1] < rows - 0.5)
    visible = inside & (depths <= beam.sid)
    return [
        LandmarkLabel(
            landmark.name,
            tuple(place.tolist()),
            float(pixel[0]) if there else None,
            float(pixel[1]) if there else None,
            float(depth),
            bool(seen),
        )
        for landmark, place, pixel, depth, there, seen in zip(landmarks, places, pixels, depths, before, visible)
    ]


_building = threading.Lock()  # two workers would make the same surface twice
_surfaces: WeakKeyDictionary[Segment, SegmentSurface] = WeakKeyDictionary()


def _surface(segment: Segment) -> SegmentSurface:
    with _building:
        if segment not in _surfaces:
            _surfaces[segment] = SegmentSurface.from_segment(segment)
        return _surfaces[segment]
