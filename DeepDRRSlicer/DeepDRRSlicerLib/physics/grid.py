"""Anti-scatter grid description files: what part of the primary and of the scatter passes.

A file is JSON. Keys marked * are needed. Unknown keys are refused.

  format*                "DeepDRRSlicer grid 1"
  name*, source          what it is; where the numbers come from
  ratio                  height of the lead strips over the distance between them, as IEC 60627 defines it (0: no grid)
  lines_per_cm           strips per cm
  primary_transmission*  0..1, above 0, of radiation along the strips
  scatter_transmission*  0..1, not above the primary's

Both transmissions are taken as the same for all photon energies and over the field: the lead stops what meets it at
diagnostic energies, and the interspace is light. Cut-off of a focused grid that stands wrong is not modelled, nor are
its lines.
"""

from dataclasses import dataclass
from pathlib import Path

from DeepDRRSlicerLib.descriptions import build, check, read_description, shipped_names

FORMAT = "DeepDRRSlicer grid 1"


@dataclass(frozen=True)
class Grid:
    """A grid as its file describes it."""

    name: str
    primary_transmission: float
    scatter_transmission: float
    source: str = ""
    ratio: float = 0.0
    lines_per_cm: float = 0.0

    def __post_init__(self):
        check(0 < self.primary_transmission <= 1, "primary_transmission must lie in 0..1, above 0")
        check(
            0 <= self.scatter_transmission <= self.primary_transmission,
            "scatter_transmission must lie in 0..1 and not above primary_transmission",
        )
        check(self.ratio >= 0 and self.lines_per_cm >= 0, "ratio and lines_per_cm must not be negative")

    def bucky_factor(self, scatter_to_primary: float) -> float:
        """By how much the dose must rise behind the patient for the same signal on the detector."""
        behind = self.primary_transmission + self.scatter_transmission * scatter_to_primary
        return (1 + scatter_to_primary) / behind

    def contrast_improvement(self, scatter_to_primary: float) -> float:
        """Contrast with the grid over contrast without it."""
        return self.primary_transmission * self.bucky_factor(scatter_to_primary)


def grid_names() -> list[str]:
    """Names of the grids that ship, for load_grid."""
    return shipped_names("grid")


def load_grid(name: str | Path) -> Grid:
    """A shipped grid by name ("none" is one), or any grid file by path. Raises InputError naming the fault."""
    return read_description("grid", name, _parse)


def _parse(data: dict, path: Path) -> Grid:
    check(isinstance(data, dict) and data.get("format") == FORMAT, f'its "format" must be "{FORMAT}"')
    return build("grid", Grid, {key: value for key, value in data.items() if key != "format"})
