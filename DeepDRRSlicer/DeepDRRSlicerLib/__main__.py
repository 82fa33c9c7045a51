"""The command line: `deepdrr-slicer`, or `python -m DeepDRRSlicerLib`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import DeepDRRSlicerLib
from DeepDRRSlicerLib.commands import bench, dataset, export, info, montecarlo, simulate, train, validate
from DeepDRRSlicerLib.errors import InputError


class _Parser(argparse.ArgumentParser):
    """Reports wrong options as every other wrong input, in one sentence, and knows no abbreviations of them."""

    def __init__(self, **options):
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str):
        raise InputError(f"{message[:1].upper()}{message[1:]}; see {self.prog} --help.")


def parser() -> argparse.ArgumentParser:
    """The whole program's options."""
    program = _Parser(prog="deepdrr-slicer", description="Realistic, physically scaled fluoroscopy from CT.")
    program.add_argument("--version", action="version", version=DeepDRRSlicerLib.__version__)
    commands = program.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    for command in (simulate, montecarlo, export, dataset, train, validate, bench, info):
        command.add_parser(commands)
    return program


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command. Returns 0, or 2 after one sentence on what was wrong."""
    try:
        options = parser().parse_args(arguments)
        options.run(options)
    except InputError as error:
        said = " ".join(str(error).split()).encode("utf-8", "backslashreplace").decode()  # one line, whatever it quotes
        print(f"deepdrr-slicer: {said}", file=sys.stderr)
        return 2
    except MemoryError:
        print("deepdrr-slicer: This needs more memory than there is; use a smaller CT or image.", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has had enough, as head does; nothing is left to say, and nowhere to say it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except KeyboardInterrupt:
        print("deepdrr-slicer: Stopped.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
