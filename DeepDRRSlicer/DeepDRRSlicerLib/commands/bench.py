"""`deepdrr-slicer bench`: how fast this machine makes radiographs, and how exact the projections are."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import DeepDRRSlicerLib
from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.projection.cuda.drivers import CHOICES


@dataclass(frozen=True)
class Plan:
    """What is measured. images: sizes of whole radiographs. sizes, channels: of projections, each with each.

    every_count: with 1, 2, 4, ... threads up to the most, instead of the most alone. peers: (name, channels, sizes),
    of those above.
    """

    images: tuple[int, ...]
    sizes: tuple[int, ...]
    channels: tuple[int, ...]
    every_count: bool
    peers: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]


QUICK = Plan((512, 256), (512,), (1, 3), False, (("RTK Joseph", (1, 3), (512,)), ("nanodrr", (1,), (512,))))
FULL = Plan(
    (512, 256),
    (256, 512, 1024, 2048),
    (1, 2, 3, 4, 5),
    True,
    (("RTK Joseph", (1, 3), (512, 1024)), ("nanodrr", (1, 3), (512,))),
)


def add_parser(commands) -> None:
    """Registers the command."""
    command = commands.add_parser("bench", help="measure speed, memory and error on this machine")
    command.add_argument("--ct", type=Path, metavar="PATH", help="CT file or DICOM folder (default: a built-in thorax)")
    command.add_argument(
        "--full", action="store_true", help="256 to 2048 pixels, 1 to 5 materials, 1 to all threads; takes minutes"
    )
    command.add_argument("--threads", type=int, metavar="N", help="use at most so many (default: all cores)")
    command.add_argument("--backend", choices=("cpu", "cuda"), default="cpu", help="what is measured: the CPU, or a "
                         "card with all that it can do (default: %(default)s)")  # fmt: skip
    command.add_argument("--cuda-driver", choices=CHOICES, default="auto", help="package that talks to the card "
                         "(default: %(default)s, the first that works)")  # fmt: skip
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Prints the table row by row. Raises InputError for a CT that cannot be read or a number of threads below 1."""
    from DeepDRRSlicerLib.commands.benchmark.table import HEADER, line
    from DeepDRRSlicerLib.projection.parallel import available_cores

    if options.threads is not None and options.threads < 1:
        raise InputError(f"The number of threads must be 1 or more, not {options.threads}.")
    device = _card(options.cuda_driver) if options.backend == "cuda" else None
    threads = options.threads or available_cores()
    ct, name = _ct(options.ct)
    columns, rows, slices = ct.size
    print(f"{name}, {columns} x {rows} x {slices} voxels; {platform.system()} {platform.machine()}, {threads} threads")
    if device is not None:
        _print_card(ct, device)
        return
    print("clock and CPU: the least of several calls; CPU: all threads together; MB: held while ready to project")
    print("error: relative RMS of area densities against a float64 ray march (of the spectral stage: the largest)\n")
    print(HEADER)
    for row in rows_of(ct, FULL if options.full else QUICK, threads):
        print(line(row), flush=True)


def _card(driver: str):
    """The thread of the card. Raises InputError where none can be used."""
    from DeepDRRSlicerLib.projection.cuda.device_thread import shared_device
    from DeepDRRSlicerLib.projection.cuda.driver import DeviceError

    try:
        return shared_device(driver)
    except DeviceError as error:
        raise InputError(f"There is nothing to measure: {error}.") from error


def _print_card(ct, device) -> None:
    """The table of a card, with what it was made by. Raises InputError where the card fails."""
    from DeepDRRSlicerLib.commands.benchmark.cuda import HEADER, card_rows, line
    from DeepDRRSlicerLib.projection.cuda import libcuda, nvrtc
    from DeepDRRSlicerLib.projection.cuda.driver import DeviceError

    card = libcuda.first_card()
    known, compiler = (".".join(map(str, v)) for v in (card.version, nvrtc.version(card.version[0])))
    print(f"{date.today()}, DeepDRRSlicer {DeepDRRSlicerLib.__version__}")
    print(f"{card.name} by {device.name}, driver for CUDA {known}, NVRTC {compiler}")
    print(
        "ms: of a batch until all is done, the least of several; radiographs with the copy to the host, others without"
    )
    print("live: from a pulse's request to its picture on the host, with all that is simulated; means of a train")
    print("share: of the card's best rate of texture samples")
    print("error: relative RMS of area densities against a float64 ray march\n")
    print(HEADER)
    try:
        for row in card_rows(ct, device):
            print(line(row), flush=True)
    except DeviceError as error:
        raise InputError(f"The measurement ended early: {error}.") from error


def rows_of(ct, plan: Plan, threads: int) -> Iterator:
    """All measurements of a CT (benchmark.table.Row), as they are made."""
    from DeepDRRSlicerLib.anatomy.hu_model import decompose
    from DeepDRRSlicerLib.commands.benchmark.body import thorax
    from DeepDRRSlicerLib.commands.benchmark.measure import timed
    from DeepDRRSlicerLib.commands.benchmark.projection import oblique_view, projection_rows
    from DeepDRRSlicerLib.commands.benchmark.radiograph import radiograph_rows
    from DeepDRRSlicerLib.commands.benchmark.table import Row
    from DeepDRRSlicerLib.projection.projector import make_projector

    def compiled():
        small = decompose(thorax((16, 32, 32)))
        make_projector(small, threads=threads).project([oblique_view(small, 16)])

    timing, _ = timed(compiled, at_least=1, seconds=0.0)
    yield Row("start: compile or load kernels", timing)
    yield from radiograph_rows(ct, plan.images, threads)

    volume = decompose(ct)
    fewer = [2**n for n in range(threads.bit_length()) if 2**n < threads]
    counts = [*fewer, threads] if plan.every_count else [threads]
    for channels in plan.channels:
        peers = {name: sizes for name, of_channels, sizes in plan.peers if channels in of_channels}
        yield from projection_rows(volume, channels, plan.sizes, counts, peers)


def _ct(path: Path | None):
    """(volume, what to call it)."""
    if path is None:
        from DeepDRRSlicerLib.commands.benchmark.body import thorax

        return thorax(), "Built-in thorax"
    from DeepDRRSlicerLib.anatomy.ct import read_ct

    return read_ct(path), path.name
