"""How much memory is free, and whether work fits into it."""

from __future__ import annotations

import ctypes
import os
import sys

from DeepDRRSlicerLib.errors import InputError

_UNKNOWN = 4 << 30  # taken where the system does not tell: what the smallest machine that runs Slicer has
_CGROUP = (("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
           ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"))  # fmt: skip


def free_memory() -> int:
    """Bytes that this process may still take without swapping; a container's limit counts."""
    if sys.platform == "win32":
        return _windows()
    try:
        with open("/proc/meminfo") as file:
            fields = dict(line.split(":", 1) for line in file)
        free = int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        free = _half_of_all()
    return min([free, *_left_in_container()])


def require_memory(needed: int, free: int, purpose: str) -> None:
    """Raises InputError where `needed` bytes are more than `free`."""
    if needed > free:
        raise InputError(
            f"{purpose} needs {needed / 1e9:.2f} GB of memory but {free / 1e9:.2f} GB are free; crop or resample the "
            "CT, close other programs, or use the threshold model."
        )


def _half_of_all() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return _UNKNOWN


def _left_in_container():
    for limit, used in _CGROUP:
        try:
            with open(limit) as a, open(used) as b:
                yield max(0, int(a.read()) - int(b.read()))
        except (OSError, ValueError):  # no container, or "max"
            continue


def _windows() -> int:
    if sys.platform != "win32":
        return _UNKNOWN

    class Status(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
            (name, ctypes.c_ulonglong)
            for name in ("total", "free", "total_page", "free_page", "total_virtual", "free_virtual", "extended")
        ]

    status = Status()
    status.length = ctypes.sizeof(Status)
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return _UNKNOWN
    return int(status.free)
