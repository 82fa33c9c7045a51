"""Where a network runs, and in which precision."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.projection.parallel import available_cores

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Place:
    """A device, as torch names it, and whether it computes in bfloat16, where that is faster."""

    device: str
    half: bool

    @property
    def bytes(self) -> int:
        """Of a number in a layer."""
        return 2 if self.half else 4


def choose(device: str = "auto") -> Place:
    """The place to compute. "auto" is CUDA where a kernel runs on it, else the CPU.

    Raises InputError for a device that is not there, or is known by another name.
    """
    if device not in DEVICES:
        raise InputError(f"There is no device {device!r} to compute on; choose one of: {', '.join(DEVICES)}.")
    if device == "cpu":
        return cpu()
    reason = _why_no_cuda()
    if reason is None:
        import torch

        return Place("cuda", torch.cuda.get_device_capability()[0] >= 8)
    if device == "cuda":
        raise InputError(f"CUDA cannot be used ({reason}); choose the device cpu, or install torch with CUDA.")
    return cpu()


def cpu() -> Place:
    """The CPU, which is there always."""
    import torch

    supported = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    return Place("cpu", any(test is not None and test() for test in supported))


@contextmanager
def limited_threads():
    """Inside, torch uses no more threads than this process has cores; they may be fewer than the machine's."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(min(before, available_cores()))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _why_no_cuda() -> str | None:
    import torch

    if not torch.cuda.is_available():
        return "torch finds no CUDA device" if torch.version.cuda else "this torch was built without it"
    try:  # a driver that is too old, or a card that this torch has no kernels for, shows only now
        (torch.ones(1, device="cuda") + 1).cpu()
    except RuntimeError as error:
        return str(error).split("\n", 1)[0]
    return None
