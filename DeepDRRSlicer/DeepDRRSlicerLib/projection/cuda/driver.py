"""What the CUDA backend asks of a card, whichever package talks to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

Grid = tuple[int, int, int]


class DeviceError(RuntimeError):
    """The card cannot go on, and the CPU takes over. The message says why, as part of a sentence: "the card ...".

    out_of_memory: whether a smaller task may still fit. lost: whether nothing that this process asks of the card will
    succeed any more.
    """

    def __init__(self, sentence: str, out_of_memory: bool = False, lost: bool = False):
        super().__init__(sentence)
        self.out_of_memory, self.lost = out_of_memory, lost


def lead(error: Exception) -> str:
    """The first line of an error's text, as part of a sentence: without capital and stop."""
    line = " ".join((str(error).strip() or type(error).__name__).splitlines()[0].split()).rstrip(".")
    return line if line[1:2].isupper() else line[:1].lower() + line[1:]


class Buffer(Protocol):
    """Linear memory of the card; freed with the last reference, or by `free`."""

    nbytes: int

    def free(self) -> None: ...


class Texture(Protocol):
    """A 3D array of 16-bit texels that kernels read through a cudaTextureObject_t; freed likewise."""

    nbytes: int

    def free(self) -> None: ...


class Kernel(Protocol):
    """One entry point of a compiled source."""

    name: str


Argument = Buffer | Texture | np.generic  # scalars as numpy types, so that their width is certain


class Driver(Protocol):
    """One card. All methods are called by the one thread that made the driver, which owns its context.

    The context is the device's primary one, which torch shares. Every method raises DeviceError.
    name: "pycuda" or "cuda-core". device: the card's name. capability: compute capability, such as (9, 0).
    """

    name: str
    device: str
    capability: tuple[int, int]

    def memory(self) -> tuple[int, int]:
        """Bytes free and in all, whoever uses them."""
        ...

    def kernels(self, source: str, names: Sequence[str]) -> dict[str, Kernel]:
        """Entry points (extern "C") of `kernels/<source>`, compiled by NVRTC for the card or read from the cache."""
        ...

    def buffer(self, nbytes: int) -> Buffer:
        """Uninitialised memory."""
        ...

    def upload(self, array: np.ndarray, target: Buffer, offset: int = 0) -> None:
        """Copies a C-contiguous array into a buffer, from the byte `offset` on; the array may be changed afterwards."""
        ...

    def download(self, source: Buffer, array: np.ndarray, offset: int = 0) -> None:
        """Copies from a buffer into a C-contiguous array, after everything launched before."""
        ...

    def texture(self, texels: np.ndarray, filtered: bool) -> Texture:
        """A texture of uint16 [k, j, i, channels], channels 1, 2 or 4.

        Coordinates are in voxels, not normalised, centres at +0.5; outside lie zeros (border addressing). filtered:
        read as floats from 0 to 1 with trilinear filtering by the hardware; otherwise nearest voxels as integers.
        """
        ...

    def launch(self, kernel: Kernel, grid: Grid, block: Grid, arguments: Sequence[Argument]) -> None:
        """Starts a kernel after all that was started before, without waiting."""
        ...

    def graph(self, record: Callable[[], None]) -> Callable[[], None]:
        """What `record` launches, as one object that repeats it with a single call: for the live loop."""
        ...

    def synchronize(self) -> None:
        """Waits for everything that was started."""
        ...

    def milliseconds(self, work: Callable[[], None]) -> float:
        """How long the card takes for what `work` launches, between two events."""
        ...

    def close(self) -> None:
        """Frees what is left and lets go of the context."""
        ...
