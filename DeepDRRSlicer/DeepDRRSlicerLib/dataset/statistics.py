"""Counts and distributions of a set, from its records alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

_BINS = 8

# What is counted: how it is called, its unit, and where a record says it.
_QUANTITIES: tuple[tuple[str, str, Callable[[Mapping], float | None]], ...] = (
    ("primary angle", "degrees", lambda r: r.get("direction", {}).get("primary_angle")),
    ("secondary angle", "degrees", lambda r: r.get("direction", {}).get("secondary_angle")),
    ("source-image distance", "mm", lambda r: r["geometry"]["sid"]),
    ("tube voltage", "kV", lambda r: r.get("technique", {}).get("kvp")),
    ("tube load", "mAs", lambda r: r.get("technique", {}).get("mas")),
    ("kerma-area product", "Gy cm2", lambda r: r.get("dose", {}).get("kerma_area_product_gycm2")),
)


@dataclass
class Seen:
    """In how many images a label is visible, of how many that have it, and its median size in pixels."""

    images: int = 0
    visible: int = 0
    areas: list[int] = field(default_factory=list)

    @property
    def median_area(self) -> float:
        return float(np.median(self.areas)) if self.areas else 0.0


@dataclass
class Statistics:
    """values: by (quantity, unit), of all images that say it. sizes: images by (rows, columns)."""

    count: int = 0
    patients: dict[str, int] = field(default_factory=dict)
    sizes: dict[tuple[int, int], int] = field(default_factory=dict)
    segments: dict[str, Seen] = field(default_factory=dict)
    tools: dict[str, Seen] = field(default_factory=dict)
    landmarks: dict[str, Seen] = field(default_factory=dict)
    values: dict[tuple[str, str], list[float]] = field(default_factory=dict)


def statistics_of(records: Iterable[Mapping]) -> Statistics:
    """Goes through the records once."""
    found = Statistics()
    for record in records:
        found.count += 1
        found.patients[record["patient"]] = found.patients.get(record["patient"], 0) + 1
        size = tuple(record["size"])
        found.sizes[size] = found.sizes.get(size, 0) + 1
        for labels, seen in ((record["segments"], found.segments), (record["tools"], found.tools)):
            for label in labels:
                _count(seen, label["name"], label["box"] is not None, label["area"])
        for label in record["landmarks"]:
            _count(found.landmarks, label["name"], label["visible"], 0)
        for name, unit, value_of in _QUANTITIES:
            value = value_of(record)
            if value is not None:
                found.values.setdefault((name, unit), []).append(float(value))
    return found


def histogram(values: Sequence[float]) -> list[tuple[float, float, int]]:
    """(low, high, count) of each bin; a few distinct values are counted one by one, low and high being the value."""
    distinct = np.unique(np.round(values, 9))
    if len(distinct) <= _BINS:
        return [(float(x), float(x), int((np.round(values, 9) == x).sum())) for x in distinct]
    low, high = min(values), max(values)
    counts, edges = np.histogram(values, bins=_BINS, range=(low, high))
    return [(float(a), float(b), int(n)) for a, b, n in zip(edges[:-1], edges[1:], counts)]


def _count(seen: dict[str, Seen], name: str, visible: bool, area: int) -> None:
    entry = seen.setdefault(name, Seen())
    entry.images += 1
    entry.visible += bool(visible)
    if visible:
        entry.areas.append(area)
