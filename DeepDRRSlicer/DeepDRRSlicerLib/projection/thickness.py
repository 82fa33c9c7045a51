"""How much of each ray lies within a closed triangle surface: exact for its triangles.

The depths at which a ray leaves the surface less those at which it enters are its way inside. So crossings need
neither be sorted nor kept: each face adds its own to the pixels that it covers, found as mesh_crossings finds them, so
that none is lost or doubled.
"""

from __future__ import annotations

import math

import numpy as np

from DeepDRRSlicerLib.anatomy.surface import SegmentSurface
from DeepDRRSlicerLib.geometry.camera import ConeBeam
from DeepDRRSlicerLib.projection.compiled import kernel
from DeepDRRSlicerLib.projection.mesh_crossings import ends
from DeepDRRSlicerLib.projection.parallel import available_cores, row_parts, run_parts
from DeepDRRSlicerLib.projection.tools import projected

_ROUNDING = 1e-3  # pixels: far more than rounding carries a crossing beyond the corners of its face
_NEAREST = 1e-3  # of the source-image distance: a surface that comes closer to the source is cut there, by `projected`


def surface_thickness(surface: SegmentSurface, beam: ConeBeam, threads: int | None = None) -> np.ndarray:
    """(rows, columns) float32 mm of each ray, from source to pixel, within the surface.

    The source may lie inside, and the surface reach behind it or behind the detector. Only the pixels that the surface
    can shade are visited. threads: as in run_parts; the result does not depend on it.
    """
    thickness = np.zeros(beam.size, dtype=np.float32)
    if not len(surface.faces):
        return thickness
    axes = np.stack([beam.e_c, beam.e_r, beam.normal])
    vertices, faces = np.ascontiguousarray(surface.vertices), surface.faces
    points = np.empty_like(vertices)
    if (
        _place(vertices, beam.source, axes, axes @ (beam.source - beam.pixel00), beam.pitch, beam.sid, points)
        < _NEAREST
    ):
        points, faces, _ = projected([surface], beam)
    size = np.array(beam.size[::-1])
    low, high = (np.array([limit(points[:, axis]) for axis in (0, 1)]) for limit in (np.min, np.max))
    first = np.clip(np.floor(low), 0, size).astype(int).tolist()
    end = np.clip(np.ceil(high) + 1, 0, size).astype(int).tolist()
    leaving = -np.sign(np.linalg.det([beam.e_c, beam.e_r, beam.normal]))
    foot = np.array([(beam.source - beam.pixel00) @ axis for axis in (beam.e_c, beam.e_r)])

    def fill(rows):
        _fill(points, faces, leaving, rows, (first[0], end[0]), foot, beam.pitch, beam.sid, thickness)

    # As few strips as threads, since each of them looks through all faces.
    rows = -(-(end[1] - first[1]) // (available_cores() if threads is None else max(1, threads)))
    run_parts(fill, row_parts(first[1], end[1], max(1, rows)), threads)
    return thickness


@kernel
def _place(vertices, source, axes, offset, pitch, sid, points):
    """Fills points (n, 3), as `_fill` takes them, from vertices (n, 3) RAS mm.

    Returns the least depth of them, 1 being that of the detector.
    axes: (3, 3) e_c, e_r and normal. offset: (3,) mm along them from pixel (0, 0) to the source.
    """
    least = np.inf
    for n in range(vertices.shape[0]):
        x, y, z = vertices[n, 0] - source[0], vertices[n, 1] - source[1], vertices[n, 2] - source[2]
        depth = axes[2, 0] * x + axes[2, 1] * y + axes[2, 2] * z
        least = min(least, depth / sid)
        scale = sid / depth
        points[n, 0] = (offset[0] + (axes[0, 0] * x + axes[0, 1] * y + axes[0, 2] * z) * scale) / pitch[0]
        points[n, 1] = (offset[1] + (axes[1, 0] * x + axes[1, 1] * y + axes[1, 2] * z) * scale) / pitch[1]
        points[n, 2] = scale
    return least


@kernel
def _fill(points, faces, leaving, rows, columns, foot, pitch, sid, thickness):
    """Fills rows and columns, each (first, end), of thickness (rows, columns) of the whole image, in mm.

    points: (n, 3) float64 column, row and inverse depth, 1 on the detector. faces: (t, 3).
    leaving: the sign of a crossing outwards, where one that grows along its row counts as positive.
    foot: (2,) mm along the image's axes from pixel (0, 0) to the point at right angles before the source.
    """
    share = np.zeros((rows[1] - rows[0], columns[1] - columns[0]))
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        low = min(points[a, 1], points[b, 1], points[c, 1])
        high = max(points[a, 1], points[b, 1], points[c, 1])
        if low > rows[1] - 1 or high <= rows[0]:
            continue
        left = min(points[a, 0], points[b, 0], points[c, 0]) - _ROUNDING
        right = max(points[a, 0], points[b, 0], points[c, 0]) + _ROUNDING
        if math.ceil(max(left, float(columns[0]))) >= math.ceil(min(right, float(columns[1]))):
            continue  # between two columns
        for row in range(int(max(math.ceil(low), float(rows[0]))), int(min(math.ceil(high), float(rows[1])))):
            x, q, end_x, end_q = ends(points, a, b, c, row)
            sign = leaving
            if end_x < x:
                x, q, end_x, end_q, sign = end_x, end_q, x, q, -sign
            first = int(max(math.ceil(x), float(columns[0])))
            end = int(min(math.ceil(end_x), float(columns[1])))
            if end <= first:
                continue
            slope = (end_q - q) / (end_x - x)
            for column in range(first, end):
                # What is behind the detector is left and entered there, at depth 1, to no effect.
                share[row - rows[0], column - columns[0]] += sign * min(1 / (q + (column - x) * slope), 1.0)
    for row in range(rows[0], rows[1]):
        v = row * pitch[1] - foot[1]
        for column in range(columns[0], columns[1]):
            u = column * pitch[0] - foot[0]
            part = max(share[row - rows[0], column - columns[0]], 0.0)
            thickness[row, column] = part * math.sqrt(u * u + v * v + sid * sid)
