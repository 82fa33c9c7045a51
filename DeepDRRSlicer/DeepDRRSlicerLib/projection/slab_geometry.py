"""A cone beam as slabs of voxels see it: slopes instead of pixels, in which every slab is only scaled and shifted.

For the rays that go mostly along axis w of the array, let h be the distance along w from the source, in voxels. A ray
with the slopes (p, q) = (du/dw, dv/dw) crosses the slab w at u = source_u + p h, v = source_v + q h: for a regular grid
of slopes, every slab is resampled at regular steps along its rows and columns, apart from one another. The sum over
slabs on such a grid, the intermediate image, is looked up at the slopes of each pixel in the end.

Rays belong to the axis along which they cross the most slabs, so that slopes stay between -1 and 1. The six directions
(three axes, forwards and backwards) are the faces of a cube about the source, in voxels. A view mostly needs one of
them; two or three where it looks at the voxels near 45 degrees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from DeepDRRSlicerLib.anatomy.material_volume import MaterialVolume
from DeepDRRSlicerLib.geometry.camera import ConeBeam

ROW_AXIS = (1, 0, 0)  # the axis u along which rows of voxels are resampled, for slabs across i, j, k
COLUMN_AXIS = (2, 2, 1)  # the axis v from row to row
# Samples beyond the outermost ray: for the interpolation, and at most so many for what lies between the slabs.
_MARGIN, _MOST_MARGIN = 2, 16
# Outer points of three that stand for the triangle over two slabs, and their weights. They have its variance, 1/6, and
# like it let nothing pass that repeats with every voxel: sqrt(3) s = sin(pi s). Matching its fourth moment instead
# (s = sqrt(0.4)) lets a third of that pass, and the largest error of 40 views of a chest is a third larger.
_SPREAD = 0.56530
_OUTER = 1 / (12 * _SPREAD**2)
_MOST_GROUPS = 8
# Slopes just beyond 1 belong to another face, but rounding and ties must not fall outside the grid.
_TIE = 1e-6


@dataclass(frozen=True)
class Sampling:
    """How finely slabs are sampled.

    pitch: between samples at the farthest slab in mm; fewest, most: limits in samples per voxel. What is lost between
    samples are the kinks of the density at voxel centres, all in one place where the ray meets the slabs at a right
    angle; they weigh more in coarse voxels.
    similar: heights, the farthest over the nearest, for which slabs are smeared alike.
    """

    pitch: float
    fewest: float
    most: float
    similar: float

    def per_voxel(self, volume: MaterialVolume) -> np.ndarray:
        """Samples per voxel (3,) along i, j, k."""
        return np.clip(np.linalg.norm(volume.ijk_to_ras[:3, :3], axis=0) / self.pitch, self.fewest, self.most)


FINE = Sampling(0.5, 1.875, 4.0, 1.2)
COARSE = Sampling(0.75, 1.0, 2.0, 1.5)  # for previews


@dataclass(frozen=True, eq=False)
class Rays:
    """A beam in voxel indices (i, j, k).

    source: (3,); towards: (3,) from the source to the centre of pixel (0, 0); step_c, step_r: (3,) per column and row.
    bias: (3,), the relative preference of each axis where a ray is equally steep along two.
    """

    source: np.ndarray
    towards: np.ndarray
    step_c: np.ndarray
    step_r: np.ndarray
    bias: np.ndarray
    size: tuple[int, int]


def rays_of(volume: MaterialVolume, beam: ConeBeam) -> Rays:
    """The beam in indices of the volume.

    Where a ray is equally steep along two axes of the array, which of them is taken must not depend on the order in
    which the array is stored. The bias, 1e-9 of the steepness, does not: it is made of angles between the axis, the
    beam and the image, which flips and permutations of the array leave alone.
    """
    ras_to_index = np.linalg.inv(volume.ijk_to_ras)
    gradient = ras_to_index[:3, :3]
    unit = gradient / np.linalg.norm(gradient, axis=1, keepdims=True)
    return Rays(
        source=gradient @ beam.source + ras_to_index[:3, 3],
        towards=gradient @ (beam.pixel00 - beam.source),
        step_c=gradient @ beam.e_c * beam.pitch[0],
        step_r=gradient @ beam.e_r * beam.pitch[1],
        bias=1e-9 * (unit @ beam.normal) * (unit @ beam.e_c + 0.5 * (unit @ beam.e_r)),
        size=beam.size,
    )


@dataclass(frozen=True, eq=False)
class Face:
    """Slabs across one axis, and the grid of slopes on which they are summed.

    axis: w, 0 to 2 for i to k; sign: +1 where rays go to higher indices. slabs: (first, end) of those before every
    pixel of the detector. cut: (first, end) of those before some pixels and behind others.
    origin, step: (p, q) of sample (0, 0) and between samples; steps have the face's sign, so that positions in a slab
    rise along the grid. size: (lines along q, samples along p).
    """

    axis: int
    sign: int
    slabs: tuple[int, int]
    cut: tuple[int, int]
    origin: tuple[float, float]
    step: tuple[float, float]
    size: tuple[int, int]


def groups_of(face: Face, source: float, similar: float) -> np.ndarray:
    """Slab indices (n + 1,) that part the slabs of a face into groups of similar height, counted from the source."""
    heights = np.sort(np.abs(np.array([face.slabs[0], face.slabs[1] - 1]) - source))
    count = int(np.clip(np.ceil(np.log(heights[1] / max(heights[0], 1.0)) / np.log(similar)), 1, _MOST_GROUPS))
    parts = np.linspace(0, face.slabs[1] - face.slabs[0], count + 1).astype(np.int64)
    return face.slabs[0] + parts if face.sign > 0 else face.slabs[1] - parts[::-1]


@dataclass(frozen=True, eq=False)
class Resampling:
    """An intermediate image looked up at other slopes, lines and samples apart, each from four neighbours.

    weight: of the whole. lines: int64 first of the four lines (n,); line_weights: float32 (n, 4). Samples c to
    runs[r + 1] of a run r have their first neighbour at c + offsets[r]; sample_weights: float32 (4, n).
    """

    weight: float
    lines: np.ndarray
    line_weights: np.ndarray
    runs: np.ndarray
    offsets: np.ndarray
    sample_weights: np.ndarray


def between_slabs(face: Face, height: float) -> list[Resampling]:
    """What turns the sum of samples at slabs about a height into the integral through trilinear voxels.

    Between two slabs the density goes over from one to the other while the ray moves on sideways. The exact integral
    of a ray with the slopes (p, q) is therefore that of each slab's plane smeared along (p, q) with a triangle that
    reaches to both neighbours. Three points have the triangle's moments up to the fifth, and the plane moved along
    (p, q) is the intermediate image magnified. Without this (Joseph's rule) the error at 45 degrees is several times
    as large.
    """
    result = []
    for weight, move in ((1 - 2 * _OUTER, 0.0), (_OUTER, _SPREAD), (_OUTER, -_SPREAD)):
        tables = []
        for origin, step, count in zip(face.origin, face.step, face.size[::-1], strict=True):
            position = np.arange(count) + (origin / step + np.arange(count)) * (move / height)
            first = np.clip(np.floor(position), 1, count - 3).astype(np.int64)
            tables.append((first - 1, cubic_weights(position - first)))
        (samples, sample_weights), (lines, line_weights) = tables
        offsets = samples - np.arange(len(samples))
        starts = np.flatnonzero(np.diff(offsets, prepend=offsets[0] - 1))
        runs = np.append(starts, len(samples))
        lines_first = np.ascontiguousarray(line_weights.T)
        result.append(Resampling(weight, lines, lines_first, runs, offsets[starts], sample_weights))
    return result


def cubic_weights(t: np.ndarray) -> np.ndarray:
    """Catmull-Rom weights (4, ...) float32 of neighbours at -1, 0, 1 and 2 for positions t from 0 to 1."""
    t2, t3 = t * t, t * t * t
    weights = [t2 - (t3 + t) / 2, 1.5 * t3 - 2.5 * t2 + 1, 2 * t2 - 1.5 * t3 + t / 2, (t3 - t2) / 2]
    return np.array(weights, dtype=np.float32)


def faces_of(rays: Rays, shape: tuple[int, int, int], per_voxel: np.ndarray) -> list[Face]:
    """The faces that a beam needs. shape: voxels along i, j, k. per_voxel: samples (3,) at the farthest slab."""
    return [
        face for axis in range(3) for sign in (1, -1) if (face := _face(rays, shape, per_voxel, axis, sign)) is not None
    ]


def _face(rays: Rays, shape, per_voxel, axis: int, sign: int) -> Face | None:
    u, v = ROW_AXIS[axis], COLUMN_AXIS[axis]
    corners = _on_face(_detector_corners(rays), axis, sign)
    if not len(corners):
        return None
    source = rays.source[axis]
    slabs, cut = _slabs_and_cut(rays, shape, axis, sign, corners[:, axis])
    if slabs[0] >= slabs[1] and cut[0] >= cut[1]:
        return None
    heights = np.array([slabs[0] - source, slabs[1] - 1 - source])
    grid = []
    for across in (u, v):
        slopes = corners[:, across] / corners[:, axis]
        low, high = slopes.min(), slopes.max()
        reach = _shadow(rays.source[across], shape[across], heights)
        low, high = max(low, reach[0]), min(high, reach[1])
        step = 1 / (per_voxel[across] * max(1.0, np.abs(heights).max()))
        moved = per_voxel[across] * np.abs(heights).max() / max(1.0, np.abs(heights).min())
        margin = _MARGIN + min(_MOST_MARGIN, int(np.ceil(moved)))
        # Multiples of the step from the slope 0: where samples lie does not depend on the order of storage, nor on
        # which part of an image is asked for.
        low, high = np.floor(low / step) - margin, np.ceil(max(low, high) / step) + margin
        count = -(int(high - low) + 1) // 8 * -8  # whole vectors
        origin = (low if sign > 0 else high) * step
        grid.append((float(origin), float(sign * step), count))
    (p, dp, columns), (q, dq, lines) = grid
    return Face(axis, sign, slabs, cut, (p, q), (dp, dq), (lines, columns))


def _slabs_and_cut(rays: Rays, shape, axis: int, sign: int, depths: np.ndarray):
    """Face.slabs and Face.cut. depths: from the source along the axis, of the corners of the face's part of the image.

    A slab that lies before the detector at all its corners is whole for every pixel, even where the detector reaches
    past it beside the voxels.
    """
    order = np.arange(shape[axis])[::sign]
    order = order[sign * (order - rays.source[axis]) > 0]  # from the source on
    depth = sign * (order - rays.source[axis])
    normal = np.cross(rays.step_c, rays.step_r)
    normal /= normal @ rays.towards  # 1 for a way from the source to the detector's plane
    farthest = 0.0  # of the slabs' corners towards the detector
    for b in (ROW_AXIS[axis], COLUMN_AXIS[axis]):
        farthest += max(normal[b] * (end - rays.source[b]) for end in (-1, shape[b]))
    behind = (depth > (sign * depths).min()) & (farthest + sign * depth * normal[axis] > 1)
    whole = int(np.argmax(behind)) if behind.any() else len(order)
    last = max(whole, int((depth <= (sign * depths).max()).sum()))

    def indices(first, end):
        if first >= end:
            return 0, 0
        return (
            (int(order[first]), int(order[end - 1]) + 1) if sign > 0 else (int(order[end - 1]), int(order[first]) + 1)
        )

    return indices(0, whole), indices(whole, last)


def _shadow(source: float, n: int, heights: np.ndarray) -> tuple[float, float]:
    """Lowest and highest slope of rays that come near the voxels, which reach from -1 to n, in any of the slabs."""
    heights = heights[heights != 0]
    if len(heights) < 2:  # a slab at the source itself: any slope
        return -np.inf, np.inf
    slopes = np.array([(end - source) / h for end in (-1.0, n) for h in heights])
    return slopes.min(), slopes.max()


def _detector_corners(rays: Rays) -> np.ndarray:
    """(4, 3) from the source to the centres of the corner pixels, in order round the image."""
    rows, columns = rays.size
    c, r = rays.step_c * (columns - 1), rays.step_r * (rows - 1)
    return rays.towards + np.array([0 * c, c, c + r, r])


def _on_face(polygon: np.ndarray, axis: int, sign: int) -> np.ndarray:
    """The part (n, 3) of a flat polygon of directions that are steepest along the axis (Sutherland and Hodgman)."""
    for across in (ROW_AXIS[axis], COLUMN_AXIS[axis]):
        for side in (1, -1):
            inside = (1 + _TIE) * sign * polygon[:, axis] - side * polygon[:, across]
            if (inside >= 0).all():
                continue
            kept = []
            for a, b, at_a, at_b in zip(polygon, np.roll(polygon, -1, 0), inside, np.roll(inside, -1), strict=True):
                if at_a >= 0:
                    kept.append(a)
                if (at_a >= 0) != (at_b >= 0):
                    kept.append(a + (b - a) * (at_a / (at_a - at_b)))
            if not kept:
                return np.empty((0, 3))
            polygon = np.array(kept)
    return polygon
