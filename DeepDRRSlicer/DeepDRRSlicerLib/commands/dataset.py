"""`deepdrr-slicer dataset`: verifies a written set, or makes one of the parts of a job."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from DeepDRRSlicerLib.errors import InputError


def add_parser(commands) -> None:
    """Registers the command."""
    command = commands.add_parser("dataset", help="verify a dataset, or merge the parts of one")
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    inspect = actions.add_parser("inspect", help="verify counts, checksums and labels, and draw overview.html")
    inspect.add_argument("folder", metavar="DIR", help="the dataset")
    inspect.set_defaults(run=run_inspect)
    merge = actions.add_parser("merge", help="make one dataset of the parts that --shard made")
    merge.add_argument("folders", metavar="DIR", nargs="+", help="the parts")
    merge.add_argument("-o", "--output", metavar="DIR", required=True, help="a new folder for the whole")
    merge.add_argument("--mix", action="store_true", help="accept parts of other jobs, backends or versions")
    merge.set_defaults(run=run_merge)


def run_inspect(options: argparse.Namespace) -> None:
    """Prints a summary. Raises InputError after listing what is wrong."""
    from DeepDRRSlicerLib.dataset.finish import OVERVIEW
    from DeepDRRSlicerLib.dataset.inspect import inspect_set

    result = inspect_set(options.folder, _progress())
    found = result.statistics
    for problem in result.problems:
        print(problem)
    print(f"Images:    {found.count} of {len(found.patients)} patients; {len(result.manifest['skipped'])} skipped")
    print(f"Segments:  {_visible(found.segments)}")
    print(f"Tools:     {_visible(found.tools)}")
    print(f"Landmarks: {_visible(found.landmarks)}")
    print(f"Licence:   {result.manifest['licence'] or 'not stated'}")
    print(f"Overview:  {Path(options.folder) / OVERVIEW}")
    if result.problems:
        count = len(result.problems)
        raise InputError(f"The dataset in {options.folder} has {count} problem(s), listed above; export its job again.")
    print("Counts, checksums and labels agree.")


def run_merge(options: argparse.Namespace) -> None:
    """Prints how many samples were merged. Raises InputError."""
    from DeepDRRSlicerLib.dataset.merge import merge_sets

    manifest = merge_sets(options.folders, options.output, options.mix, _progress())
    print(f"{manifest['written']} samples in {options.output}; {len(manifest['skipped'])} were skipped.")


def _visible(labels) -> str:
    named = [f"{name} ({seen.visible})" for name, seen in labels.items()]
    return f"{len(named)}, visible in: {', '.join(named)}" if named else "none"


def _progress():
    """Tells a terminal, and nothing else, how far it is, twice a second."""
    last = [0.0]

    def tell(fraction: float) -> None:
        now = time.monotonic()
        if sys.stderr.isatty() and (now - last[0] > 0.5 or fraction >= 1):
            last[0] = now
            print(f"\r{fraction:6.1%} ", end="\n" if fraction >= 1 else "", file=sys.stderr, flush=True)

    return tell
