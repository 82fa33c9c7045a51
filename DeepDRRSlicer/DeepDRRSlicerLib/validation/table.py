"""The rows of the validation table: a quantity, what it must be and after whom, what it is, and how far off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

# What the sources of the table stand for; printed below it.
SOURCES = {
    "NIST": "J. H. Hubbell and S. M. Seltzer, NISTIR 5632, X-Ray Mass Attenuation Coefficients",
    "spekpy": "spekpy 2.5.4, model casim (doi:10.1002/mp.14945): tungsten, 12 degrees, 3 mm Al, 1 m, without air",
    "IEC 61267": "radiation qualities RQR5 and RQA5; photons per kerma at RQA5 from IEC 62220-1",
    "gVirtualXray": "its CsI panel of 600 um, energy absorbed per photon; 75 % packing by the same formula",
    "tissue table": "HU in a beam of 120 kV, 6 mm Al + 0.2 mm Cu, behind 20 cm water, by spekpy and xraylib",
    "direct sum": "over all energies of the spectrum, in double precision, written for the comparison alone",
    "closed form": "formula of geometry, optics or statistics; Gaussians as sampled kernels",
    "ray sum": "pictures of points all over the focal spot, averaged",
    "configured": "the number or curve that was set",
    "panels": "DQE(0) of 0.65 to 0.75 as measured on panels of 500 to 600 um of CsI",
    "definition": "true by the meaning of the words",
}


@dataclass(frozen=True)
class Relative:
    """A bound on ours / reference - 1."""

    limit: float

    def deviation(self, ours: float, reference: float) -> float:
        """How far off, in the terms of the limit."""
        return ours / reference - 1

    def text(self, value: float, sign: str = "") -> str:
        """A deviation or the limit for the table."""
        return f"{100 * value:{sign}.2g} %"


@dataclass(frozen=True)
class Absolute:
    """A bound on ours - reference, in their own unit."""

    limit: float

    def deviation(self, ours: float, reference: float) -> float:
        """How far off, in the terms of the limit."""
        return ours - reference

    def text(self, value: float, sign: str = "") -> str:
        """A deviation or the limit for the table."""
        return f"{value:{sign}.3g}"


@dataclass(frozen=True)
class Row:
    """One comparison. source: a key of SOURCES. The unit belongs to the quantity's words."""

    quantity: str
    reference: float
    source: str
    ours: float
    allowed: Relative | Absolute

    @property
    def deviation(self) -> float:
        """In the terms of `allowed`."""
        return self.allowed.deviation(self.ours, self.reference)

    @property
    def passed(self) -> bool:
        """Whether the deviation is within what is allowed; a number that is not finite is not."""
        return bool(abs(self.deviation) <= self.allowed.limit)


@dataclass(frozen=True)
class Counts:
    """How much is computed. frames: of noise, averaged. every_case: rows for each case in place of the worst one."""

    frames: int
    every_case: bool


QUICK, FULL = Counts(16, False), Counts(100, True)


def worst(rows: Iterable[Row], counts: Counts) -> Iterator[Row]:
    """The row that uses up most of what it is allowed, which must not be 0; all rows if every case is asked for."""
    rows = list(rows)
    if counts.every_case:
        yield from rows
        return
    row = max(rows, key=lambda row: (not row.passed, abs(row.deviation) / row.allowed.limit))
    yield replace(row, quantity=f"{row.quantity} (worst of {len(rows)})")


HEADER = f"{'quantity':64} {'reference':>10} {'source':12} {'ours':>10} {'deviation':>10} {'allowed':>9}"


def line(row: Row) -> str:
    """A row as text under HEADER."""
    numbers = f"{row.reference:10.5g} {row.source:12} {row.ours:10.5g}"
    bounds = f"{row.allowed.text(row.deviation, '+'):>10} {row.allowed.text(row.allowed.limit):>9}"
    return f"{row.quantity:64} {numbers} {bounds}  {'pass' if row.passed else 'FAIL'}"


def legend(rows: Iterable[Row]) -> Iterator[str]:
    """A line for each source that the rows name."""
    named = {row.source for row in rows}
    yield from (f"{source:12} {what}" for source, what in SOURCES.items() if source in named)
