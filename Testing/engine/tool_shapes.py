"""Closed triangle surfaces of known shape, and independent ways to find how much of a ray lies in one."""

import numpy as np


def box(low, high):
    """Vertices and faces of an axis-aligned box."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    vertices = np.array([np.where(corner, high, low) for corner in np.ndindex(2, 2, 2)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return vertices, np.array([face for a, b, c, d in quads for face in ((a, b, c), (a, c, d))])


def ring(profile, segments, closed=False):
    """Surface of revolution about z of a profile [(radius, z), ...]: a lathe part, or a torus where closed."""
    profile = np.asarray(profile, float)
    angle = np.arange(segments) / segments * 2 * np.pi
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    vertices = [np.column_stack([r * circle, np.full(segments, z)]) for r, z in profile]
    faces, n = [], np.arange(segments)
    following, count = (n + 1) % segments, len(profile)
    for p in range(count if closed else count - 1):
        a, b = p * segments, (p + 1) % count * segments
        faces += [np.stack([a + n, a + following, b + n], 1), np.stack([a + following, b + following, b + n], 1)]
    if not closed:
        vertices += [np.array([[0, 0, profile[0, 1]], [0, 0, profile[-1, 1]]])]
        last = (count - 1) * segments
        faces += [np.stack([following, n, np.full(segments, count * segments)], 1)]
        faces += [np.stack([last + n, last + following, np.full(segments, count * segments + 1)], 1)]
    return np.concatenate(vertices), np.concatenate(faces)


def sphere(radius, segments, rings):
    """A globe with poles on z, inscribed."""
    polar = np.linspace(0, np.pi, rings + 1)
    return ring(np.column_stack([radius * np.sin(polar), -radius * np.cos(polar)]), segments)


def icosphere(radius, subdivisions):
    """Regular triangles on a sphere, with vertices exactly on the three axes' planes."""
    golden = (1 + 5**0.5) / 2
    vertices = [(s * 1.0, t * golden, 0.0) for t in (1, -1) for s in (-1, 1)]
    vertices = np.array(vertices + [(0, a, b) for a, b, _ in vertices] + [(b, 0, a) for a, b, _ in vertices])
    length = np.linalg.norm(vertices[:, None] - vertices, axis=-1)
    near = np.abs(length - 2) < 0.01
    faces = [
        (a, b, c) for a in range(12) for b in range(a) for c in range(b) if near[a, b] and near[b, c] and near[c, a]
    ]
    faces = outward(vertices, np.array(faces))
    for _ in range(subdivisions):
        edges = np.unique(np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
        number = {tuple(edge): len(vertices) + n for n, edge in enumerate(edges.tolist())}
        vertices = np.concatenate([vertices, vertices[edges].mean(axis=1)])
        split = []
        for a, b, c in faces.tolist():
            ab, bc, ca = (number[tuple(sorted(edge))] for edge in ((a, b), (b, c), (c, a)))
            split += [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
        faces = np.array(split)
    return vertices * (radius / np.linalg.norm(vertices, axis=1, keepdims=True)), faces


def outward(vertices, faces):
    """The faces of a convex body, each turned so that it is counter-clockwise from outside."""
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    turned = np.einsum("fa,fa->f", normal, corners.mean(axis=1) - vertices.mean(axis=0)) < 0
    return np.where(turned[:, None], faces[:, ::-1], faces)


def comb(teeth, width=1.0, gap=1.5, height=20.0, depth=6.0):
    """A comb whose teeth stand along x on a back; its profile is extruded along y. Back: z from -2 to 0."""
    profile = [(0.0, -2.0)]
    for n in range(teeth):
        x = n * (width + gap)
        profile += [(x, height), (x + width, height)] if n == 0 else [(x, 0.0), (x, height), (x + width, height)]
        profile += [(x + width, 0.0)] if n < teeth - 1 else [(x + width, -2.0)]
    return extruded(np.array(profile), depth)


def extruded(profile, depth):
    """A simple polygon (n, 2) in x and z, cut into triangles by its ears and extruded along y from 0 to depth."""
    n = len(profile)
    cap, left = [], list(range(n))
    area = 0.5 * sum(np.linalg.det([profile[a], profile[(a + 1) % n]]) for a in range(n))

    def turn(a, b, c):
        return np.sign(area) * np.linalg.det([profile[b] - profile[a], profile[c] - profile[a]])

    while len(left) > 3:
        for k in range(len(left)):
            a, b, c = left[k - 1], left[k], left[(k + 1) % len(left)]
            others = [p for p in left if p not in (a, b, c)]
            if turn(a, b, c) > 0 and not any(
                turn(a, b, p) >= 0 and turn(b, c, p) >= 0 and turn(c, a, p) >= 0 for p in others
            ):
                cap.append((a, b, c))
                left.remove(b)
                break
        else:
            raise ValueError("no simple polygon")
    cap = np.array([*cap, tuple(left)])
    vertices = np.concatenate([np.column_stack([profile[:, 0], np.full(n, y), profile[:, 1]]) for y in (0, depth)])
    a = np.arange(n)
    b = (a + 1) % n
    sides = np.concatenate([np.stack([b, a, a + n], 1), np.stack([b, a + n, b + n], 1)])
    return vertices, np.concatenate([cap, cap[:, ::-1] + n, sides])


def convex_chords(vertices, faces, source, targets):
    """Lengths (n,) of the ways from source to targets (n, 3) in a convex body: clipped by the plane of every face."""
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normal, axis=1)
    keep = length > 1e-9 * length.max()
    normal, corners = normal[keep] / length[keep, None], corners[keep]
    way = targets - source
    height = np.einsum("fa,fa->f", normal, corners[:, 0] - source)  # inside: normal . x <= height
    fall = way @ normal.T
    with np.errstate(divide="ignore", invalid="ignore"):
        at = height / fall
    enter = np.max(np.where(fall < 0, at, -np.inf), axis=1, initial=0.0)
    leave = np.min(np.where(fall > 0, at, np.inf), axis=1, initial=1.0)
    outside = ((fall == 0) & (height < 0)).any(axis=1)
    return np.where(outside, 0, np.maximum(0, leave - enter)) * np.linalg.norm(way, axis=1)


def intersections(vertices, faces, source, target):
    """Sorted shares (0 source, 1 target) at which one ray in general position crosses the faces, and their signs."""
    a, b, c = (vertices[faces[:, k]] - source for k in range(3))
    way = np.asarray(target) - source
    volumes = np.stack([np.cross(p, q) @ way for p, q in ((a, b), (b, c), (c, a))])
    hit = (volumes > 0).all(axis=0) | (volumes < 0).all(axis=0)
    normal = np.cross(b - a, c - a)[hit]
    at = np.einsum("fa,fa->f", normal, a[hit]) / (normal @ way)
    order = np.argsort(at)
    return at[order], -np.sign(normal @ way)[order]


def length_inside(vertices, faces, source, target):
    """mm of the way from source to target where the surface winds around it, one ray in general position."""
    at, signs = intersections(vertices, faces, source, target)
    winding = np.cumsum(signs)
    pieces = np.diff(np.clip(at, 0, 1))
    return pieces[winding[:-1] != 0].sum() * np.linalg.norm(np.asarray(target) - source)
