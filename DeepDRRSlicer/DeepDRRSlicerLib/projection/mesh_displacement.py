"""What tools in the beam add to each ray and take away: their own length, and the tissue whose place they take."""

from __future__ import annotations

import math

import numpy as np

from DeepDRRSlicerLib.projection.compiled import kernel

_SPREAD = math.sqrt(1 / 6)  # standard deviation of a triangle of weights over two voxels


@kernel
def split_rays(start, depth, label, lengths, inside):
    """Splits each ray at its crossings and gives each piece to one body, or to none.

    start, depth, label: as mesh_crossings.crossings gives them. A piece is inside a body whose surface winds around it
    any number of times but 0: overlapping shells count once, a shell turned inwards in another is a cavity. Where
    bodies overlap, the last one has the place. Nothing counts before the source or behind the detector.
    lengths: (pixels, bodies) float64 zeros, set to the part, 0 to 1, of the way from source to pixel in each body.
    inside: (crossings, 2) float64, set to the depths between which a ray is in any body, from start[pixel] on.
    Returns (pixels,) int64, how many such stretches each ray has.
    """
    winding = np.zeros(lengths.shape[1], np.int64)
    count = np.zeros(lengths.shape[0], np.int64)
    for pixel in range(lengths.shape[0]):
        first, end = start[pixel], start[pixel + 1]
        if first == end:
            continue
        winding[:] = 0
        for n in range(first, end):  # where the source stands: the opposite of all that is still to be crossed
            winding[abs(label[n]) - 1] -= 1 if label[n] > 0 else -1
        at = 0.0
        for n in range(first, end):
            until = min(depth[n], 1.0)
            if until > at:
                body = winding.size - 1
                while body >= 0 and winding[body] == 0:
                    body -= 1
                if body >= 0:
                    lengths[pixel, body] += until - at
                    last = first + count[pixel] - 1
                    if last >= first and inside[last, 1] == at:
                        inside[last, 1] = until
                    else:
                        inside[last + 1, 0], inside[last + 1, 1] = at, until
                        count[pixel] += 1
                at = until
            winding[abs(label[n]) - 1] += 1 if label[n] > 0 else -1
    return count


@kernel
def _neighbours(position, n):
    """The two voxels about a position in an axis of n, and their weights; one beyond the end has the weight 0."""
    first = int(math.floor(position))
    weight = position - first
    if first < -1 or first > n - 1:
        return 0, 0, 0.0, 0.0
    if first == -1:
        return 0, 0, 0.0, weight
    if first == n - 1:
        return first, first, 1 - weight, 0.0
    return first, first + 1, 1 - weight, weight


@kernel
def _add_plane(density, shape, strides, plane, axis, at_b, at_c, weight, total):
    """Adds to total (channels,) the bilinear sample at (at_b, at_c) of a plane across an axis, times a weight."""
    if plane < 0 or plane >= shape[axis] or weight == 0:
        return
    b, c = (axis + 1) % 3, (axis + 2) % 3
    b0, b1, weight_b0, weight_b1 = _neighbours(at_b, shape[b])
    c0, c1, weight_c0, weight_c1 = _neighbours(at_c, shape[c])
    low, high = plane * strides[axis] + c0 * strides[c], plane * strides[axis] + c1 * strides[c]
    b0, b1 = b0 * strides[b], b1 * strides[b]
    w00, w10 = weight * weight_b0 * weight_c0, weight * weight_b1 * weight_c0
    w01, w11 = weight * weight_b0 * weight_c1, weight * weight_b1 * weight_c1
    for m in range(total.size):
        total[m] += (
            w00 * density[m, low + b0] + w10 * density[m, low + b1]
            + w01 * density[m, high + b0] + w11 * density[m, high + b1]
        )  # fmt: skip


@kernel
def _half(begin, end):
    """Integral of x, and its centroid, over begin..end within 0..1: the weight of the plane at 1."""
    both = end + begin
    return (end - begin) * both / 2, (end * end + end * begin + begin * begin) / both / 1.5 if both > 0 else 0.0


@kernel
def _add_tissue(density, shape, strides, origin, ray, axis, low, high, total):
    """Adds to total (channels,) the trilinear density between positions low and high along one axis, in its units.

    density: (channels, voxels); shape, strides: of i, j, k. origin, ray: (3,) voxel indices.
    The weight of a plane of voxels rises from 0 at the plane before to 1 and falls to 0 at the plane behind, while the
    ray moves on sideways. Planes whose whole triangle is crossed are sampled twice, where two samples have the same
    moments up to the third; the others at the centroids of what is crossed before and behind them.
    """
    b, c = (axis + 1) % 3, (axis + 2) % 3
    slope_b, slope_c = ray[b] / ray[axis], ray[c] / ray[axis]
    start_b, start_c = origin[b] - origin[axis] * slope_b, origin[c] - origin[axis] * slope_c
    first, end = int(max(math.floor(low), 0.0)), int(min(math.ceil(high), shape[axis] - 1.0)) + 1
    aside_b, aside_c = _SPREAD * slope_b, _SPREAD * slope_c
    # Where the whole stretch lies between voxels, neighbours need not be looked for.
    margin_b, margin_c = abs(slope_b), abs(slope_c)
    low_b, high_b = start_b + low * slope_b, start_b + high * slope_b
    low_c, high_c = start_c + low * slope_c, start_c + high * slope_c
    free = (
        min(low_b, high_b) > margin_b and max(low_b, high_b) < shape[b] - 1 - margin_b
        and min(low_c, high_c) > margin_c and max(low_c, high_c) < shape[c] - 1 - margin_c
    )  # fmt: skip
    for plane in range(first, end):
        at_b, at_c = start_b + plane * slope_b, start_c + plane * slope_c
        if low > plane - 1 or high < plane + 1:
            weight, centroid = _half(max(low - plane + 1, 0.0), min(high - plane + 1, 1.0))
            if weight > 0:
                aside = centroid - 1
                _add_plane(
                    density, shape, strides, plane, axis, at_b + aside * slope_b, at_c + aside * slope_c, weight, total
                )
            weight, centroid = _half(max(plane + 1 - high, 0.0), min(plane + 1 - low, 1.0))
            if weight > 0:
                aside = 1 - centroid
                _add_plane(
                    density, shape, strides, plane, axis, at_b + aside * slope_b, at_c + aside * slope_c, weight, total
                )
        elif free:
            base = plane * strides[axis]
            b0, c0 = int(at_b - aside_b), int(at_c - aside_c)
            p, q = at_b - aside_b - b0, at_c - aside_c - c0
            near = base + b0 * strides[b] + c0 * strides[c]
            b0, c0 = int(at_b + aside_b), int(at_c + aside_c)
            r, s = at_b + aside_b - b0, at_c + aside_c - c0
            far = base + b0 * strides[b] + c0 * strides[c]
            p0, p1, p2, p3 = (1 - p) * (1 - q), p * (1 - q), (1 - p) * q, p * q
            r0, r1, r2, r3 = (1 - r) * (1 - s), r * (1 - s), (1 - r) * s, r * s
            i, j = strides[b], strides[c]
            for m in range(total.size):
                total[m] += 0.5 * (
                    p0 * density[m, near] + p1 * density[m, near + i]
                    + p2 * density[m, near + j] + p3 * density[m, near + i + j]
                    + r0 * density[m, far] + r1 * density[m, far + i]
                    + r2 * density[m, far + j] + r3 * density[m, far + i + j]
                )  # fmt: skip
        else:
            _add_plane(density, shape, strides, plane, axis, at_b - aside_b, at_c - aside_c, 0.5, total)
            _add_plane(density, shape, strides, plane, axis, at_b + aside_b, at_c + aside_c, 0.5, total)


@kernel
def insert(
    start, inside, count, lengths, channels, densities, density, scale, shape, index_to_cm, rays, rows, columns,
    rounding, area_density,
):  # fmt: skip
    """Takes the tissue in the stretches that split_rays found from area_density, and adds the bodies themselves.

    start, inside, count, lengths: of the pixels of the window rows, columns, each (first, end).
    channels, densities: (bodies,), where in area_density each body belongs, and its g/cm3.
    density: (volume channels, voxels) the flat [k, j, i] of each; scale: their g/cm3 per unit; shape: voxels along
    i, j, k; index_to_cm: 3x3. rays: (4, 3) in voxel indices (i, j, k), the source, the way from it to pixel (0, 0), and
    how that way changes per column and per row.
    rounding: (part of what is taken, g/cm2); a deficit within either of them becomes 0.
    area_density: (channels, rows, columns) float32 g/cm2 of the whole image, those of the volume first.
    Tissue is integrated along the axis that the ray crosses most planes of, see _add_tissue. As for the projectors,
    density falls to zero over one voxel beyond the outermost centres.
    """
    strides = (1, shape[0], shape[0] * shape[1])
    total, ray = np.empty(density.shape[0]), np.empty(3)
    width = columns[1] - columns[0]
    for pixel in range(count.size):
        if count[pixel] == 0:
            continue
        row, column = rows[0] + pixel // width, columns[0] + pixel % width
        axis = 0
        for a in range(3):
            ray[a] = rays[1, a] + rays[2, a] * column + rays[3, a] * row
            if abs(ray[a]) > abs(ray[axis]):
                axis = a
        square = 0.0
        for a in range(3):
            square += (index_to_cm[a, 0] * ray[0] + index_to_cm[a, 1] * ray[1] + index_to_cm[a, 2] * ray[2]) ** 2
        cm = math.sqrt(square)
        total[:] = 0
        for n in range(start[pixel], start[pixel] + count[pixel]):
            low, high = rays[0, axis] + inside[n, 0] * ray[axis], rays[0, axis] + inside[n, 1] * ray[axis]
            _add_tissue(density, shape, strides, rays[0], ray, axis, min(low, high), max(low, high), total)
        for m in range(total.size):
            if total[m] == 0:
                continue
            taken = total[m] * scale[m] * cm / abs(ray[axis])
            left = area_density[m, row, column] - taken
            if left < 0 and -left <= max(rounding[0] * taken, rounding[1]):
                left = 0.0
            area_density[m, row, column] = np.float32(left)
        for body in range(lengths.shape[1]):
            if lengths[pixel, body] > 0:
                area_density[channels[body], row, column] += np.float32(lengths[pixel, body] * cm * densities[body])
