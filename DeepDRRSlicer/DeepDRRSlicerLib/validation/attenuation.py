"""Attenuation coefficients against the tables of NIST."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from importlib.resources import files
from itertools import groupby

from DeepDRRSlicerLib.physics.materials import mass_attenuation, mass_energy_transfer
from DeepDRRSlicerLib.validation.table import Counts, Relative, Row, worst

# mu_en/rho of dry air in cm2/g. The energy transfer, which is ours, is larger by the electrons' bremsstrahlung: 0.1 %.
_AIR_MU_EN = {20: 0.5389, 40: 0.06833, 60: 0.03041, 100: 0.02325}


def nist_table() -> list[tuple[str, float, float]]:
    """(material, keV, cm2/g) of every row of the table that ships."""
    text = (files("DeepDRRSlicerLib") / "data" / "validation" / "attenuation_nist.csv").read_text(encoding="utf-8")
    lines = [entry for entry in text.splitlines() if not entry.startswith("#")]
    return [(r["material"], float(r["energy_kev"]), float(r["mu_over_rho"])) for r in csv.DictReader(lines)]


def attenuation_rows(counts: Counts) -> Iterator[Row]:
    """mu/rho of each material of NIST's table, all its energies."""
    for material, entries in groupby(nist_table(), key=lambda entry: entry[0]):
        yield from worst(
            (
                Row(
                    f"mu/rho of {material} at {energy:g} keV, cm2/g",
                    published,
                    "NIST",
                    float(mass_attenuation(material, energy)),
                    Relative(0.002),
                )
                for _, energy, published in entries
            ),
            counts,
        )


def energy_transfer_rows(counts: Counts) -> Iterator[Row]:
    """mu_tr/rho of air, on which every air kerma rests."""
    for energy, published in _AIR_MU_EN.items():
        ours = float(mass_energy_transfer("air", energy))
        yield Row(f"mu_tr/rho of air at {energy} keV, cm2/g", published, "NIST", ours, Relative(0.006))
