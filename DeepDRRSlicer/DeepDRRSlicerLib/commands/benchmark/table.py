"""The rows of the benchmark, printed as they are measured."""

from __future__ import annotations

from dataclasses import dataclass

from DeepDRRSlicerLib.commands.benchmark.measure import Timing


@dataclass(frozen=True)
class Row:
    """One measurement. size: rows = columns of the image. Numbers that do not apply are None.

    memory: MB held afterwards. error: relative to a float64 reference. ratio: CPU time over that of our projector for
    the same channels and size.
    """

    what: str
    timing: Timing
    channels: int | None = None
    size: int | None = None
    threads: int | None = None
    memory: float | None = None
    error: float | None = None
    ratio: float | None = None


HEADER = (
    f"{'':34} {'channels':>8} {'size':>6} {'threads':>7} {'clock ms':>9} {'CPU ms':>9} {'per s':>7} {'MB':>6}"
    f" {'error':>8} {'CPU/ours':>8}"
)


def line(row: Row) -> str:
    """A row as text under HEADER."""

    def number(value, text):
        return "" if value is None else text.format(value)

    return (
        f"{row.what:34} {number(row.channels, '{:d}'):>8} {number(row.size, '{:d}'):>6}"
        f" {number(row.threads, '{:d}'):>7} {row.timing.clock:9.1f} {row.timing.cpu:9.1f} {1e3 / row.timing.clock:7.1f}"
        f" {number(row.memory, '{:.0f}'):>6} {number(row.error, '{:.1e}'):>8} {number(row.ratio, '{:.1f}'):>8}"
    ).rstrip()
