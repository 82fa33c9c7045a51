"""Surgical tools as closed surfaces made from a few numbers: K-wire, cannulated screw, needle.

All stand in a frame of their own, in mm: the tip is the origin, and the tool points along +z, so that advancing it is
a movement along +z and its shaft lies on the negative z axis. Round cross-sections are regular polygons of the area of
their circle, so that the shadow of a shaft is that of the round one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import numpy as np

from DeepDRRSlicerLib.errors import InputError

_SIDES = 36  # of round cross-sections: a multiple of 6, so that the edges of a trocar's facets lie on vertices
_ROUND = np.sqrt(2 * np.pi / _SIDES / np.sin(2 * np.pi / _SIDES))  # radius of the polygon over that of the circle
_ANGLES = np.arange(_SIDES) / _SIDES * 2 * np.pi
_CIRCLE = _ROUND * np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
_ROWS_PER_TURN = 12  # of a thread
_RUN_OUT = 0.5  # turns over which a thread rises and ends
_BLUNT = 0.4  # thickness of a screw's tip, of its core; it grows to all of it within about half a core's width
_LEAST_WALL = 0.05  # mm of metal

# gauge: (outer, inner) diameter in mm; regular wall, Stubs' gauge of needles (ISO 9626 allows for a little more)
GAUGES = {
    8: (4.191, 3.429),
    10: (3.404, 2.692),
    11: (3.048, 2.388),
    13: (2.413, 1.803),
    14: (2.108, 1.600),
    16: (1.651, 1.194),
    18: (1.270, 0.838),
    20: (0.908, 0.603),
    21: (0.819, 0.514),
    22: (0.718, 0.413),
    25: (0.515, 0.260),
}


@dataclass(frozen=True)
class KWire:
    """A Kirschner wire with a trocar point: three flat facets. mm and degrees.

    tip_angle: between a facet and the axis. Raises InputError for impossible numbers.
    """

    diameter: float = 2.0
    length: float = 280.0
    tip_angle: float = 15.0

    material = "stainless steel 316L"
    limits = {"diameter": (0.3, 10), "length": (5, 1000), "tip_angle": (5, 60)}

    def __post_init__(self):
        _take_numbers(self)
        if self.length <= _trocar_length(self):
            raise InputError("The wire is shorter than its point; make it longer or thinner.")

    def mesh(self) -> tuple[np.ndarray, np.ndarray]:
        """(vertices (n, 3) mm, faces (t, 3)) of the closed surface, counter-clockwise from outside."""
        radius = self.diameter / 2
        nearest = np.max([np.cos(_ANGLES - k * 2 * np.pi / 3) for k in range(3)], axis=0)
        depth = _ROUND * radius * nearest / np.tan(np.deg2rad(self.tip_angle))  # where a facet meets the shaft
        front = np.column_stack([radius * _CIRCLE, -depth])
        return _skin([_ring(radius, -self.length), front], front_tip=np.zeros(3))


@dataclass(frozen=True)
class CannulatedScrew:
    """A partially threaded screw with a head, a socket for its driver, and a bore for its guide wire. mm.

    diameter: over the thread. core: of the shaft, and of the thread at its root. pitch: along the axis for one
    right-handed turn. thread: its length from the tip. cannula: diameter of the bore, 0 for a solid screw.
    length: from the tip to the underside of the head. Raises InputError for impossible numbers.
    """

    diameter: float = 7.3
    length: float = 80.0
    core: float = 4.8
    pitch: float = 2.75
    thread: float = 32.0
    cannula: float = 2.9
    head_diameter: float = 8.0
    head_length: float = 4.0

    material = "titanium"
    limits = {
        "diameter": (1, 20), "length": (5, 300), "core": (0.8, 20), "pitch": (0.3, 10), "thread": (1, 300),
        "cannula": (0, 15), "head_diameter": (1, 30), "head_length": (1, 20),
    }  # fmt: skip

    def __post_init__(self):
        _take_numbers(self)
        if not self.core <= self.diameter:
            raise InputError("The core of the screw must not be thicker than its thread; make it thinner.")
        if self.thread > self.length:
            raise InputError("The thread of the screw is longer than the screw; make it shorter.")
        # The socket is the widest hole, in the head; the bore must leave a wall in the core.
        if self.cannula + 2 * _LEAST_WALL > min(self.core, self.head_diameter):
            raise InputError("The bore of the screw leaves no wall; make it narrower than core and head.")

    def mesh(self) -> tuple[np.ndarray, np.ndarray]:
        """(vertices (n, 3) mm, faces (t, 3)) of the closed surface, counter-clockwise from outside."""
        bore, head = self.cannula / 2, self.head_diameter / 2
        socket = max(bore, min(0.35 * self.head_diameter, head - _LEAST_WALL))
        rear, floor = self.length + self.head_length, self.length + 0.4 * self.head_length
        outside = [_ring(head, -rear), _ring(head, -self.length)]
        if self.thread < self.length:
            outside.append(_ring(self.core / 2, -self.length))
        outside += self._threaded()
        socket_rings = [_ring(socket, -floor), _ring(socket, -rear)]
        if bore:
            return _skin([*outside, _ring(bore, 0.0), _ring(bore, -floor), *socket_rings], looped=True)
        return _skin([*socket_rings, *outside])

    def _threaded(self) -> list[np.ndarray]:
        """Rings from the rear end of the thread to the tip."""
        count = max(2, int(np.ceil(self.thread / self.pitch * _ROWS_PER_TURN)) + 1)
        tip, rings = self.cannula / 2 + _LEAST_WALL, []
        for depth in np.linspace(self.thread, 0.0, count):
            ramp = np.clip(min(depth, self.thread - depth) / (_RUN_OUT * self.pitch), 0.0, 1.0)
            phase = (-depth / self.pitch - _ANGLES / (2 * np.pi)) % 1.0
            height = np.clip(2.5 * (1 - 2 * np.abs(phase - 0.5)) - 1.25, 0.0, 1.0)  # a trapezium on half of the pitch
            radius = self.core / 2 + ramp * height * (self.diameter - self.core) / 2
            blunt = min(1.0, _BLUNT + depth / self.core)
            radius = tip + blunt * (radius - tip)
            rings.append(np.column_stack([radius[:, None] * _CIRCLE, np.full(_SIDES, -depth)]))
        return rings


@dataclass(frozen=True)
class Needle:
    """A hollow needle with a bevel. gauge: one of GAUGES; length mm; bevel: degrees between its plane and the axis.

    The origin is on the axis, level with the point of the bevel. Raises InputError for impossible numbers.
    """

    gauge: int = 18
    length: float = 150.0
    bevel: float = 20.0

    material = "stainless steel 316L"
    limits = {"length": (5, 500), "bevel": (8, 80)}

    def __post_init__(self):
        if self.gauge not in GAUGES:
            known = ", ".join(str(gauge) for gauge in GAUGES)
            raise InputError(f"There is no needle of {self.gauge} gauge here; choose one of {known}.")
        object.__setattr__(self, "gauge", int(self.gauge))
        _take_numbers(self)
        if self.length <= GAUGES[self.gauge][0] * _ROUND / np.tan(np.deg2rad(self.bevel)):
            raise InputError("The needle is shorter than its bevel; make it longer.")

    def mesh(self) -> tuple[np.ndarray, np.ndarray]:
        """(vertices (n, 3) mm, faces (t, 3)) of the closed surface, counter-clockwise from outside."""
        outer, inner = (diameter / 2 for diameter in GAUGES[self.gauge])
        fronts = []
        for radius in (outer, inner):
            x, y = (radius * _CIRCLE).T
            depth = (x + _ROUND * outer) / np.tan(np.deg2rad(self.bevel))
            fronts.append(np.column_stack([x, y, -depth]))
        return _skin([_ring(outer, -self.length), *fronts, _ring(inner, -self.length)], looped=True)


SHAPES = {"k-wire": KWire, "cannulated screw": CannulatedScrew, "needle": Needle}


def shape_to_dict(shape) -> dict:
    """The shape as plain data: its kind, as SHAPES calls it, and its numbers."""
    return {"kind": _kind(shape), **asdict(shape)}


def shape_from_dict(data: dict):
    """The shape of plain data, as shape_to_dict gives it; numbers that are left out are the usual ones.

    Raises InputError for an unknown kind or key, or for impossible numbers.
    """
    kind = data.get("kind") if isinstance(data, dict) else None
    if not isinstance(kind, str) or kind not in SHAPES:
        raise InputError(f"The kind of a tool's shape must be one of {', '.join(SHAPES)}, not {kind!r}.")
    numbers = {key: value for key, value in data.items() if key != "kind"}
    known = [field.name for field in fields(SHAPES[kind])]
    for key in numbers:
        if key not in known:
            raise InputError(f"The shape of a {kind} has no {key!r}; it has {', '.join(known)}.")
    return SHAPES[kind](**numbers)


def _kind(shape) -> str:
    return next(name for name, made in SHAPES.items() if isinstance(shape, made))


def _take_numbers(shape):
    for name, (low, high) in shape.limits.items():
        value = getattr(shape, name)
        good = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        if not good:
            words = f"{name.replace('_', ' ')} of the {_kind(shape)}"
            raise InputError(f"The {words} must be a number from {low:g} to {high:g}, not {value!r}.")
        object.__setattr__(shape, name, float(value))


def _trocar_length(wire: KWire) -> float:
    return _ROUND * wire.diameter / 2 / np.tan(np.deg2rad(wire.tip_angle))


def _ring(radius: float, z: float) -> np.ndarray:
    return np.column_stack([radius * _CIRCLE, np.full(_SIDES, z)])


def _skin(rings, front_tip=None, looped=False) -> tuple[np.ndarray, np.ndarray]:
    """A closed surface through rings of _SIDES points, from the rear along the outside to the front.

    Closed by a fan at either end, at the front to the point front_tip, or looped: the last ring meets the first.
    """
    here = np.arange(_SIDES)
    following = (here + 1) % _SIDES
    count = len(rings)
    vertices, faces = list(rings), []
    for number in range(count if looped else count - 1):
        a, b = number * _SIDES, (number + 1) % count * _SIDES
        faces.append(np.stack([a + here, a + following, b + following], axis=1))
        faces.append(np.stack([a + here, b + following, b + here], axis=1))
    if not looped:
        rear, front = rings[0].mean(axis=0), rings[-1].mean(axis=0) if front_tip is None else front_tip
        vertices.append(np.stack([rear, front]))
        middle, last = count * _SIDES, (count - 1) * _SIDES
        faces.append(np.stack([following, here, np.full(_SIDES, middle)], axis=1))
        faces.append(np.stack([last + here, last + following, np.full(_SIDES, middle + 1)], axis=1))
    return np.concatenate(vertices), np.concatenate(faces).astype(np.int64)
