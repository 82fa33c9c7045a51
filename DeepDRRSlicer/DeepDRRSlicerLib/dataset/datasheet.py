"""The datasheet of a set: README.md with counts, distributions and licence, and samples.png."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from DeepDRRSlicerLib.dataset.atomic import write_whole
from DeepDRRSlicerLib.dataset.image_bytes import png_bytes
from DeepDRRSlicerLib.dataset.outputs import WRITERS
from DeepDRRSlicerLib.dataset.pictures import grid, spread, thumbnail
from DeepDRRSlicerLib.dataset.statistics import Seen, Statistics, histogram, statistics_of

README, SAMPLES = "README.md", "samples.png"
_PICTURES = 16
_BAR = 24  # characters

_CONTENTS = {
    "coco": "`coco/annotations.json` and `coco/images/`: COCO, 16-bit pictures; loads with pycocotools",
    "webdataset": "`webdataset/shard-*.tar`: WebDataset; loads with webdataset and torch's DataLoader",
    "dicom": "`dicom/*.dcm`: X-Ray Angiographic Image Storage, geometry in the header",
    "hdf5": "`hdf5/set.h5`: HDF5, one group for each sample",
}

_CONVENTIONS = """
## Conventions

- `records/` holds what is known of each sample, `job.json` the job that made the set, `checksums.sha256` the checksums
  (`sha256sum -c checksums.sha256`); `deepdrr-slicer dataset inspect` verifies all of it.
- World frame: patient RAS, mm. Pixel centres are at integers, row 0 at the top, column 0 at the left.
  `P = K [R|t]` projects RAS mm to (column, row). Source, centre of pixel (0,0), `e_c`, `e_r` and pitch say the same.
- Angles in degrees as in DICOM: primary + LAO, - RAO; secondary + cranial, - caudal.
- Signal and open field: float32, keV per pixel; the signal may be slightly negative. Pictures are 16-bit grey values.
- Masks may overlap, as shadows do. Boxes in `records/` are first column, first row, last column, last row.
"""


def write_datasheet(folder: Path, records: Sequence[dict], manifest: Mapping, writers: Sequence[str]) -> list[Path]:
    """README.md and samples.png; the pictures are those of the first writer."""
    shown = [records[n] for n in spread(len(records), _PICTURES)]
    pictures = [thumbnail(record, WRITERS[writers[0]].read(folder, record)) for record in shown]
    text = "\n".join(_readme(statistics_of(records), manifest, writers)) + "\n"
    return [
        write_whole(folder / SAMPLES, [png_bytes(grid(pictures))]),
        write_whole(folder / README, [text.encode("utf-8")]),
    ]


def _readme(found: Statistics, manifest: Mapping, writers: Sequence[str]) -> Iterator[str]:
    yield f"# {_cell(manifest['name'])}"
    yield ""
    yield (f"{found.count} simulated radiographs of {len(found.patients)} patient(s), made from CT by DeepDRRSlicer. "
           "They are no real exposures.")  # fmt: skip
    yield ""
    yield f"![samples]({SAMPLES})"
    yield ""
    yield from _table(["", ""], [
        ["Licence", manifest["licence"] or "not stated"],
        ["Job", manifest["job_hash"]],
        ["Backend", manifest["backend"]],
        ["Versions", ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())],
        ["Samples asked for, written, skipped",
         f"{manifest['requested']}, {found.count}, {len(manifest['skipped'])}"],
        ["Image sizes, rows x columns", ", ".join(f"{r} x {c} ({n})" for (r, c), n in found.sizes.items())],
    ])  # fmt: skip
    yield "## Contents"
    yield ""
    for name in writers:
        yield f"- {_CONTENTS[name]}"
    yield _CONVENTIONS
    yield "## Patients"
    yield ""
    yield from _table(["Patient", "Images"], [[name, n] for name, n in found.patients.items()])
    yield "## Labels"
    yield ""
    rows = [*_seen("segment", found.segments), *_seen("tool", found.tools), *_seen("landmark", found.landmarks)]
    yield from _table(["Kind", "Name", "Images with it", "Visible in", "Median area, pixels"], rows)
    yield "## Distributions"
    yield ""
    for (name, unit), values in found.values.items():
        yield from _table([f"{name}, {unit}", "Images", ""], _bars(histogram(values)))
    if manifest["skipped"]:
        yield "## Skipped"
        yield ""
        yield from _table(["Sample", "Why"], [[entry["index"], entry["reason"]] for entry in manifest["skipped"]])


def _seen(kind: str, labels: Mapping[str, Seen]) -> list[list]:
    return [
        [kind, name, seen.images, seen.visible, "" if kind == "landmark" else f"{seen.median_area:g}"]
        for name, seen in labels.items()
    ]


def _bars(bins: Sequence[tuple[float, float, int]]) -> list[list]:
    most = max(count for _, _, count in bins)
    return [
        [f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}", count, "█" * round(_BAR * count / most)]
        for low, high, count in bins
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(_cell(value) for value in row)} |"
    yield ""


def _cell(value) -> str:
    return " ".join(str(value).replace("|", "\\|").replace("<", "&lt;").split())
