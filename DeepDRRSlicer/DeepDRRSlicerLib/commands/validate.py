"""`deepdrr-slicer validate`: the engine against published values, closed forms and sums by another route."""

from __future__ import annotations

import argparse

from DeepDRRSlicerLib.errors import InputError


def add_parser(commands) -> None:
    """Registers the command."""
    command = commands.add_parser("validate", help="compare what this machine computes with reference values")
    command.add_argument("--only", metavar="GROUP", help="one group of the table, as its headings name them")
    command.add_argument("--long", action="store_true", help="more frames of noise, and a row for every case")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Prints the table row by row. Raises InputError for a group that is not there, and where a check fails."""
    from DeepDRRSlicerLib.validation.checks import CHECKS
    from DeepDRRSlicerLib.validation.table import FULL, HEADER, QUICK, legend, line

    if options.only is not None and options.only not in CHECKS:
        raise InputError(f"There is no group {options.only!r} of checks; choose one of: {', '.join(CHECKS)}.")
    rows = []
    print(HEADER)
    for group in [options.only] if options.only else CHECKS:
        print(f"\n{group}")
        for check in CHECKS[group]:
            for row in check(FULL if options.long else QUICK):
                rows.append(row)
                print(line(row), flush=True)
    print("\nsources")
    print("\n".join(legend(rows)))
    failed = sum(not row.passed for row in rows)
    print(f"\n{len(rows) - failed} of {len(rows)} checks passed")
    if failed:
        checks = "1 check fails" if failed == 1 else f"{failed} checks fail"
        raise InputError(f"{checks}; see FAIL in the table, and do not trust what this installation computes.")
