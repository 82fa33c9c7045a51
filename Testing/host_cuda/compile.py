"""Kernel sources compiled by g++ into a library, with a launcher for each entry point."""

from __future__ import annotations

import ctypes
import hashlib
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from DeepDRRSlicerLib.projection.cuda import driver

KERNELS = Path(driver.__file__).parent / "kernels"
BUILT = Path(__file__).resolve().parents[2] / ".cache" / "host_cuda"
MISSING = None if shutil.which("g++") else "g++ is missing: install it to run the CUDA kernels on this processor"
_HEADER = Path(__file__).with_name("cuda_host.h")
# No contraction into fused operations, which this processor may not have.
_FLAGS = ("-std=c++17", "-O2", "-fPIC", "-shared", "-ffp-contract=off", "-Wall", "-Werror", "-Wno-unknown-pragmas",
          "-Wno-unused-function", "-Wno-unused-but-set-variable")  # fmt: skip
_C_TYPES = {"int": "int32", "unsigned": "uint32", "unsigned int": "uint32", "float": "float32", "double": "float64",
            "unsigned long long": "uint64", "long long": "int64"}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """parameters: "buffer", "texture" or the name of a numpy type, in order."""

    name: str
    parameters: tuple[str, ...]


def entries(preprocessed: str) -> dict[str, Entry]:
    """Every extern "C" kernel of a preprocessed source."""
    found = {}
    for name, text in re.findall(r'extern\s+"C"\s+void\s+(\w+)\s*\(([^)]*)\)', preprocessed):
        parameters = []
        for parameter in filter(None, (" ".join(p.split()) for p in text.split(","))):
            kind = re.sub(r"\bconst\b|\b\w+$", "", parameter).strip()
            kind = " ".join(kind.split())
            if "*" in parameter:
                parameters.append("buffer")
            elif kind == "cudaTextureObject_t":
                parameters.append("texture")
            else:
                parameters.append(_C_TYPES[kind])
        found[name] = Entry(name, tuple(parameters))
    return found


@cache
def library(source: str) -> tuple[ctypes.CDLL, dict[str, Entry]]:
    """The kernels of KERNELS/source, built in BUILT, or found there while nothing has changed."""
    headers = sorted(KERNELS.glob("*.h"))
    text = f'#include "{_HEADER}"\n#include "{KERNELS / source}"\n'
    everything = "".join(path.read_text() for path in (_HEADER, KERNELS / source, *headers)) + " ".join(_FLAGS)
    key = hashlib.sha256((source + everything + Path(__file__).read_text()).encode()).hexdigest()[:24]
    stem = source.replace(".", "_")
    plain, built = BUILT / f"{stem}-{key}.ii", BUILT / f"{stem}-{key}.so"
    if not built.is_file() or not plain.is_file():
        BUILT.mkdir(parents=True, exist_ok=True)
        for old in BUILT.glob(f"{stem}-*"):
            old.unlink(missing_ok=True)
        preprocessed = _run(["g++", "-E", "-P", "-std=c++17", "-x", "c++", "-"], text)
        launchers = "".join(map(_launcher, entries(preprocessed).values()))
        with tempfile.TemporaryDirectory(dir=BUILT) as folder:  # whole or not at all: several processes may test
            parts = Path(folder) / "kernels.ii", Path(folder) / "kernels.so"
            parts[0].write_text(preprocessed)
            _run(["g++", *_FLAGS, "-x", "c++", "-o", str(parts[1]), "-"], text + launchers)
            for part, place in zip(parts, (plain, built)):
                part.replace(place)
    return ctypes.CDLL(str(built)), entries(plain.read_text())


def _launcher(entry: Entry) -> str:
    arguments = ", ".join(f"*(A{n}*)arguments[{n}]" for n in range(len(entry.parameters)))
    types = "".join(f"using A{n} = typename Argument<{n}, decltype(&{entry.name})>::type; "
                    for n in range(len(entry.parameters)))  # fmt: skip
    return f"""
#ifndef ARGUMENT
#define ARGUMENT
#include <tuple>
template <int N, class F> struct Argument;
template <int N, class... A> struct Argument<N, void (*)(A...)> {{
    using type = typename std::tuple_element<N, std::tuple<A...>>::type;
}};
#endif
extern "C" void launch_{entry.name}(const unsigned* grid, const unsigned* block, void** arguments) {{
    {types}
    host_run(grid, block, [&] {{ {entry.name}({arguments}); }});
}}
"""


def _run(command: list[str], text: str) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
