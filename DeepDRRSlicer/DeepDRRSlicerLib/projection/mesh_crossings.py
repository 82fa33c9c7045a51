"""Where rays cross closed triangle surfaces: a scan conversion that never loses or doubles a crossing.

Every triangle is cut into the rows of the image, every row into whole columns. A vertex lies above a row or below it,
one exactly in the row counts as above, and a column exactly on an edge belongs to the right of it. Position and depth
of an edge in a row are computed from its upper to its lower end, hence bit for bit the same for both triangles that
share it: what one loses to rounding, the other gains. Along each ray the signs of the crossings of a closed surface
therefore sum to exactly zero, also for rays through edges and vertices and for triangles seen edge-on.
"""

from __future__ import annotations

import math

import numpy as np

from DeepDRRSlicerLib.projection.compiled import kernel


@kernel
def _on_edge(points, upper, lower, row):
    """Column and inverse depth where an edge crosses a row."""
    share = (row - points[upper, 1]) / (points[lower, 1] - points[upper, 1])
    return (
        points[upper, 0] + (points[lower, 0] - points[upper, 0]) * share,
        points[upper, 2] + (points[lower, 2] - points[upper, 2]) * share,
    )


@kernel
def ends(points, a, b, c, row):
    """(x, q) where the row crosses the edge of a triangle that goes down through it, and (x, q) of the one going up.

    A row between the highest and the lowest corner crosses exactly one of each.
    """
    a_above, b_above, c_above = points[a, 1] <= row, points[b, 1] <= row, points[c, 1] <= row
    if a_above and not b_above:
        x, q = _on_edge(points, a, b, row)
    elif b_above and not c_above:
        x, q = _on_edge(points, b, c, row)
    else:
        x, q = _on_edge(points, c, a, row)
    if b_above and not a_above:
        up_x, up_q = _on_edge(points, b, a, row)
    elif c_above and not b_above:
        up_x, up_q = _on_edge(points, c, b, row)
    else:
        up_x, up_q = _on_edge(points, a, c, row)
    return x, q, up_x, up_q


@kernel
def crossings(points, faces, bodies, tops, bottoms, rows, columns):
    """The crossings of every ray in a window of the image, sorted along the ray.

    points: (n, 3) float64 column, row and inverse depth, source-image distance over distance from the source along
    the detector's normal, so 1 on the detector. faces: (t, 3) ints. bodies: (t,) ints from 0, whose surface it is.
    tops, bottoms: (t,) ints, the first row that crosses the face, and the first below that does not.
    rows, columns: (first, end) of the window, its pixels counted row by row.
    Returns (start, depth, label): those of pixel p are start[p]:start[p + 1]; depth float64, 0 at the source and 1 at
    the detector; label int64, body + 1 with the sign of the crossing.
    """
    width = columns[1] - columns[0]
    start = np.zeros((rows[1] - rows[0]) * width + 1, np.int64)
    found = 0
    pixels, depths, labels = np.empty(1024, np.int64), np.empty(1024), np.empty(1024, np.int64)
    for face in range(faces.shape[0]):
        for row in range(max(tops[face], rows[0]), min(bottoms[face], rows[1])):
            x, q, end_x, end_q = ends(points, faces[face, 0], faces[face, 1], faces[face, 2], row)
            mark = bodies[face] + 1
            if end_x < x:
                x, q, end_x, end_q, mark = end_x, end_q, x, q, -mark
            first = int(max(math.ceil(x), float(columns[0])))
            end = int(min(math.ceil(end_x), float(columns[1])))
            if end <= first:
                continue
            while found + end - first > pixels.size:
                pixels = np.concatenate((pixels, np.empty_like(pixels)))
                depths = np.concatenate((depths, np.empty_like(depths)))
                labels = np.concatenate((labels, np.empty_like(labels)))
            slope = (end_q - q) / (end_x - x)
            for column in range(first, end):
                pixel = (row - rows[0]) * width + column - columns[0]
                pixels[found], depths[found], labels[found] = pixel, 1 / (q + (column - x) * slope), mark
                start[pixel + 1] += 1
                found += 1
    for pixel in range(start.size - 1):
        start[pixel + 1] += start[pixel]
    depth, label = np.empty(found), np.empty(found, np.int64)
    filled = start[:-1].copy()
    for n in range(found):
        # Into the place that keeps its ray sorted: few crossings, mostly in order.
        at = filled[pixels[n]]
        filled[pixels[n]] += 1
        while at > start[pixels[n]] and depth[at - 1] > depths[n]:
            depth[at], label[at] = depth[at - 1], label[at - 1]
            at -= 1
        depth[at], label[at] = depths[n], labels[n]
    return start, depth, label
