"""CUDA C++ compiled for a card at run time by NVRTC, through ctypes; needs no card, no driver and no compiler.

The library comes with the package nvidia-cuda-nvrtc, with a CUDA toolkit, or with the system, in this order. CUDA 12
and 13 are known by name, and the newer is taken. But what it makes is for drivers that know its CUDA: `newest`, here
and below, is the major version up to which a compiler will do, any if None.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

# The newest first: it knows the newest cards. 13 no longer knows cards before Turing, nor does this program.
_MAJORS = (13, 12)
# What the packages for Python put it into, below the namespace package `nvidia`.
_FOLDERS = ("cu13", "cuda_nvrtc")


class CompilerMissing(RuntimeError):
    """There is no NVRTC; the message is a sentence that says how to get it."""


class CompileError(RuntimeError):
    """The source is wrong, or the compiler too old for it; the message holds its log."""


class _Library:
    def __init__(self, path: str):
        if sys.platform == "win32" and os.path.isabs(path):
            os.add_dll_directory(os.path.dirname(path))  # its builtins lie beside it
        self._library = ctypes.CDLL(path)
        self.path = path
        self._library.nvrtcGetErrorString.restype = ctypes.c_char_p
        major, minor = ctypes.c_int(), ctypes.c_int()
        self.call("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
        self.version = major.value, minor.value

    def call(self, name: str, *arguments) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            raise CompileError(f"{name}: {self._library.nvrtcGetErrorString(code).decode()}")

    def text(self, what: str, program) -> bytes:
        """nvrtcGet<what> of a program, sized by nvrtcGet<what>Size."""
        size = ctypes.c_size_t()
        self.call(f"nvrtcGet{what}Size", program, ctypes.byref(size))
        content = ctypes.create_string_buffer(size.value)
        self.call(f"nvrtcGet{what}", program, content)
        return content.raw


def version(newest: int | None = None) -> tuple[int, int]:
    """Version of the CUDA that the compiler belongs to, such as (13, 0). Raises CompilerMissing."""
    return _library(newest).version


def architectures(newest: int | None = None) -> tuple[int, ...]:
    """What the compiler knows, such as (75, 80, ...): ten times the compute capability. Raises CompilerMissing."""
    library, count = _library(newest), ctypes.c_int()
    library.call("nvrtcGetNumSupportedArchs", ctypes.byref(count))
    numbers = (ctypes.c_int * count.value)()
    library.call("nvrtcGetSupportedArchs", numbers)
    return tuple(numbers)


def compiled(
    source: str,
    name: str,
    capability: tuple[int, int],
    headers: Mapping[str, str],
    options: Sequence[str] = (),
    newest: int | None = None,
) -> bytes:
    """The code of a source for a card: a cubin, or PTX for the newest card known where this one is newer.

    name: what the log calls the source. headers: text of what it includes, by name. options: as for nvcc.
    Raises CompileError with the compiler's log, or CompilerMissing.
    """
    number, known = capability[0] * 10 + capability[1], architectures(newest)
    older = [other for other in known if other <= number]
    if not older:
        raise CompileError(
            f"The CUDA compiler {'.'.join(map(str, version(newest)))} does not know cards of compute capability "
            f"{capability[0]}.{capability[1]}; install an older nvidia-cuda-nvrtc, or use the CPU."
        )
    kind, what = ("sm", "CUBIN") if number in known else ("compute", "PTX")
    flags = [f"--gpu-architecture={kind}_{max(older)}", "--std=c++17", *options]
    library, program = _library(newest), ctypes.c_void_p()
    texts = (ctypes.c_char_p * len(headers))(*(text.encode() for text in headers.values()))
    names = (ctypes.c_char_p * len(headers))(*(key.encode() for key in headers))
    library.call(
        "nvrtcCreateProgram", ctypes.byref(program), source.encode(), name.encode(), len(headers), texts, names
    )
    try:
        arguments = (ctypes.c_char_p * len(flags))(*(flag.encode() for flag in flags))
        try:
            library.call("nvrtcCompileProgram", program, len(flags), arguments)
        except CompileError as error:
            log = library.text("ProgramLog", program).rstrip(b"\0").decode(errors="replace").strip()
            card = flags[0].rpartition("=")[2]
            raise CompileError(f"{name} cannot be compiled for {card}: {error}.\n{log}") from None
        return library.text(what, program)
    finally:
        library.call("nvrtcDestroyProgram", ctypes.byref(program))


@cache
def _library(newest: int | None) -> _Library:
    for path in _candidates(_MAJORS if newest is None else [major for major in _MAJORS if major <= newest]):
        try:
            return _Library(path)
        except (OSError, AttributeError):  # not there, or not what its name says
            continue
    suffix = f"-cu{newest}" if newest is not None and newest < _MAJORS[0] else ""
    raise CompilerMissing(f"The CUDA compiler NVRTC is missing; install the package nvidia-cuda-nvrtc{suffix}.")


def _candidates(majors: Sequence[int]) -> Iterator[str]:
    """Paths, or names for the system to look up, in the order of preference."""
    package = find_spec("nvidia")
    places = list(package.submodule_search_locations or ()) if package else []
    roots = [Path(place) / folder for place in places for folder in _FOLDERS]
    roots += [Path(os.environ[name]) for name in ("CUDA_PATH", "CUDA_HOME") if os.environ.get(name)]
    names = [_file_name(major) for major in majors]
    for name in names:
        for root in roots:
            for folder in ("lib", "lib64", "bin", "bin/x64", "bin/x86_64"):
                if (root / folder / name).is_file():
                    yield str(root / folder / name)
    yield from names


def _file_name(major: int) -> str:
    return f"nvrtc64_{major}0_0.dll" if sys.platform == "win32" else f"libnvrtc.so.{major}"
