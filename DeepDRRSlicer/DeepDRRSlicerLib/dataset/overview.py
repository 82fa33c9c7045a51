"""The overview page of a set: one HTML file that needs neither network nor script."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from html import escape

import numpy as np

from DeepDRRSlicerLib.dataset.image_bytes import png_bytes
from DeepDRRSlicerLib.dataset.records import record_beam
from DeepDRRSlicerLib.dataset.statistics import Seen, Statistics, histogram
from DeepDRRSlicerLib.geometry.carm import positioner_angles, view_name

_MOST_PROBLEMS = 200
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; }
td, th { padding: .15rem .8rem .15rem 0; text-align: left; }
figure { display: inline-block; margin: 0 .6rem .8rem 0; vertical-align: top; max-width: 11rem; }
figure img { display: block; background: #000; } figcaption { font-size: 12px; color: #555; }
.good { color: #18672b; } .bad { color: #a11; } svg { margin: 0 1.5rem 1rem 0; font-size: 11px; }
"""
_WIDTH, _HEIGHT = 260, 90  # of a histogram


def overview_html(
    manifest: Mapping, found: Statistics, problems: Sequence[str], pictures: Sequence[tuple[Mapping, np.ndarray]]
) -> str:
    """The page. pictures: record and (rows, columns, 3) uint8 of the samples that are shown."""
    return "\n".join(_page(manifest, found, problems, pictures)) + "\n"


def _page(manifest: Mapping, found: Statistics, problems: Sequence[str], pictures) -> Iterator[str]:
    title = escape(str(manifest["name"]))
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    yield f"<style>{_STYLE}</style></head><body><h1>{title}</h1>"
    if problems:
        yield f'<p class="bad"><b>{len(problems)} problem(s).</b></p><ul class="bad">'
        yield from (f"<li>{escape(problem)}</li>" for problem in problems[:_MOST_PROBLEMS])
        yield f"</ul>{'<p>... and more.</p>' if len(problems) > _MOST_PROBLEMS else ''}"
    else:
        yield '<p class="good"><b>Counts, checksums and labels agree.</b></p>'
    yield from _table([], [
        ["Images", found.count],
        ["Patients", ", ".join(f"{name} ({n})" for name, n in found.patients.items())],
        ["Rows x columns", ", ".join(f"{r} x {c} ({n})" for (r, c), n in found.sizes.items())],
        ["Licence", manifest["licence"] or "not stated"],
        ["Job", manifest["job_hash"]],
        ["Backend", manifest["backend"]],
        ["Versions", ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())],
        ["Skipped", len(manifest["skipped"])],
    ])  # fmt: skip
    yield "<h2>Samples</h2><div>"
    yield from (_figure(record, image) for record, image in pictures)
    yield "</div><h2>Distributions</h2><div>"
    yield from (_histogram(f"{name}, {unit}", histogram(values)) for (name, unit), values in found.values.items())
    yield "</div><h2>Labels</h2>"
    rows = [*_seen("segment", found.segments), *_seen("tool", found.tools), *_seen("landmark", found.landmarks)]
    yield from _table(["Kind", "Name", "Images with it", "Visible in", "Median area, pixels"], rows)
    yield "</body></html>"


def _figure(record: Mapping, image: np.ndarray) -> str:
    data = b64encode(png_bytes(image)).decode("ascii")
    rows, columns = image.shape[:2]
    view = view_name(*positioner_angles(record_beam(record).normal))
    caption = escape(f"{record['index']}: {record['patient']}, {view}")
    return (f'<figure><img width="{columns}" height="{rows}" alt="{caption}" src="data:image/png;base64,{data}">'
            f"<figcaption>{caption}</figcaption></figure>")  # fmt: skip


def _histogram(title: str, bins: Sequence[tuple[float, float, int]]) -> str:
    most = max(count for _, _, count in bins)
    width = _WIDTH / len(bins)
    bars = "".join(
        f'<rect x="{n * width + 1:.1f}" y="{20 + _HEIGHT * (1 - count / most):.1f}" width="{width - 2:.1f}" '
        f'height="{_HEIGHT * count / most:.1f}" fill="#47a"><title>{low:.4g} to {high:.4g}: {count}</title></rect>'
        for n, (low, high, count) in enumerate(bins)
    )
    return (f'<svg width="{_WIDTH}" height="{_HEIGHT + 40}" role="img"><text x="0" y="12">{escape(title)}</text>{bars}'
            f'<text x="0" y="{_HEIGHT + 34}">{bins[0][0]:.4g}</text>'
            f'<text x="{_WIDTH}" y="{_HEIGHT + 34}" text-anchor="end">{bins[-1][1]:.4g}</text></svg>')  # fmt: skip


def _seen(kind: str, labels: Mapping[str, Seen]) -> list[list]:
    return [[kind, name, s.images, s.visible, f"{s.median_area:g}" if s.areas else ""] for name, s in labels.items()]


def _table(head: Sequence[str], rows: Sequence[Sequence]) -> Iterator[str]:
    yield "<table>"
    if head:
        yield "<tr>" + "".join(f"<th>{escape(text)}</th>" for text in head) + "</tr>"
    for row in rows:
        yield "<tr>" + "".join(f"<td>{escape(str(value))}</td>" for value in row) + "</tr>"
    yield "</table>"
