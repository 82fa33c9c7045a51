"""Every kernel compiles for every card that is supported, by NVRTC, which needs no card; and what is kept of it."""

import hashlib
import os
import re

import pytest

from DeepDRRSlicerLib.projection.cuda import kernel_cache, nvrtc
from DeepDRRSlicerLib.projection.cuda.kernel_cache import kernel_image, sources
from DeepDRRSlicerLib.projection.cuda.records import RECORD_BYTES, TEXELS
from DeepDRRSlicerLib.projection.cuda.tool_records import MOST_CROSSINGS, MOST_TOOLS, TILE
from host_cuda.compile import KERNELS

NAMES = sorted(path.name for path in KERNELS.glob("*.cu"))
CARDS = [(7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)]
EMPTY = 'extern "C" __global__ void nothing() {}'

try:
    nvrtc.version()
    MISSING = None
except nvrtc.CompilerMissing as error:
    MISSING = str(error)
compiles = pytest.mark.skipif(MISSING is not None, reason=MISSING or "")


def code_of(image):
    """Names of the kernels in a cubin."""
    assert image[:4] == b"\x7fELF"
    return {name.decode() for name in re.findall(rb"\.text\.(\w+)", image)}


@compiles
@pytest.mark.parametrize("card", CARDS, ids=lambda card: f"sm_{card[0]}{card[1]}")
@pytest.mark.parametrize("source", NAMES)
def test_every_kernel_compiles_for_every_card(source, card, pytestconfig):
    """For that very card, hardly optimised, which is quicker; once, while neither sources nor compiler change."""
    text, headers = sources(source)
    key = hashlib.sha256(repr((text, sorted(headers.items()), nvrtc.version())).encode()).hexdigest()
    place = f"cuda/{source}-{card[0]}{card[1]}"
    if pytestconfig.cache.get(place, None) != key:
        assert code_of(nvrtc.compiled(text, source, card, headers, ["--Ofast-compile=max"]))
        pytestconfig.cache.set(place, key)


@compiles
@pytest.mark.long
@pytest.mark.parametrize("card", CARDS, ids=lambda card: f"sm_{card[0]}{card[1]}")
@pytest.mark.parametrize("source", NAMES)
def test_every_kernel_compiles_as_it_will_run(source, card, tmp_path):
    assert code_of(kernel_image(source, card, folder=tmp_path))


@compiles
def test_the_kernels_are_there(tmp_path):
    found = {source: code_of(kernel_image(source, (9, 0), folder=tmp_path)) for source in ("projection.cu", "tools.cu")}
    assert found == {
        "projection.cu": {f"{name}_{n}" for name in ("project", "preview", "exact") for n in TEXELS},
        "tools.cu": {f"{name}_{n}" for name in ("tools", "exact_tools") for n in TEXELS},
    }


@compiles
def test_errors_hold_the_log():
    with pytest.raises(nvrtc.CompileError, match=r"wrong\.cu.*sm_80(.|\n)*nonsense.*undefined"):
        nvrtc.compiled("__global__ void f() { nonsense(); }", "wrong.cu", (8, 0), {})
    with pytest.raises(nvrtc.CompileError, match=r"does not know cards of compute capability 5\.0"):
        nvrtc.compiled(EMPTY, "empty.cu", (5, 0), {})


@compiles
def test_a_card_newer_than_the_compiler_gets_ptx():
    """Which its driver compiles on: for the newest card that is known, and is not newer than the card itself."""
    newest = max(nvrtc.architectures())
    image = nvrtc.compiled(EMPTY, "empty.cu", (99, 0), {})
    assert f".target sm_{newest}".encode() in image
    assert b".target sm_75" in nvrtc.compiled(EMPTY, "empty.cu", (7, 9), {})


@compiles
def test_headers_and_options_reach_the_compiler():
    text = '#include "a.h"\nextern "C" __global__ void f(int* x) { *x = NUMBER + OTHER; }'
    one = nvrtc.compiled(text, "f.cu", (7, 9), {"a.h": "#define NUMBER 12340"}, ["-DOTHER=5"])
    assert b"12345" in one


@compiles
def test_a_compiler_too_new_for_the_driver_is_passed_over():
    with pytest.raises(nvrtc.CompilerMissing, match="nvidia-cuda-nvrtc-cu11"):
        nvrtc.version(newest=11)
    assert nvrtc.version(newest=99) == nvrtc.version()


def test_where_nvrtc_is_missing_a_sentence_says_what_to_install(monkeypatch):
    nvrtc._library.cache_clear()
    monkeypatch.setattr(nvrtc, "_candidates", lambda majors: [])
    with pytest.raises(
        nvrtc.CompilerMissing, match=r"^The CUDA compiler NVRTC is missing; install .*nvidia-cuda-nvrtc\.$"
    ):
        nvrtc.version()
    nvrtc._library.cache_clear()


@pytest.fixture
def counted(monkeypatch):
    """Compiling, counted and free of cost."""
    calls = []

    def compiled(text, name, capability, headers, options=(), newest=None):
        calls.append((name, capability))
        return f"{name} {capability} {len(text)}".encode()

    monkeypatch.setattr(nvrtc, "compiled", compiled)
    monkeypatch.setattr(nvrtc, "version", lambda newest=None: (13, 0))
    return calls


def test_a_kernel_is_compiled_once_for_each_card(counted, tmp_path):
    first = kernel_image("projection.cu", (8, 6), folder=tmp_path)
    assert kernel_image("projection.cu", (8, 6), folder=tmp_path) == first and len(counted) == 1
    kernel_image("projection.cu", (9, 0), folder=tmp_path)
    kernel_image("tools.cu", (8, 6), folder=tmp_path)
    assert len(counted) == 3 == len(list(tmp_path.iterdir()))


@pytest.mark.parametrize("changed", ["source", "header", "compiler"])
def test_a_change_of_anything_compiles_anew(counted, tmp_path, monkeypatch, changed):
    kernel_image("projection.cu", (8, 6), folder=tmp_path)
    text, headers = sources("projection.cu")
    if changed == "compiler":
        monkeypatch.setattr(nvrtc, "version", lambda newest=None: (13, 1))
    else:
        new = (text + " ", headers) if changed == "source" else (text, {**headers, "rays.h": ""})
        monkeypatch.setattr(kernel_cache, "sources", lambda source: new)
    kernel_image("projection.cu", (8, 6), folder=tmp_path)
    assert len(counted) == 2


def test_a_damaged_file_is_made_again(counted, tmp_path):
    first = kernel_image("projection.cu", (8, 6), folder=tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for damaged in (b"", whole[:-1], whole[:40] + b"x" + whole[41:]):
        path.write_bytes(damaged)
        assert kernel_image("projection.cu", (8, 6), folder=tmp_path) == first
        assert path.read_bytes() == whole


def test_a_folder_that_cannot_be_written_is_no_error(counted, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert kernel_image("projection.cu", (8, 6), folder=tmp_path / "file").startswith(b"projection.cu")
    assert os.listdir(tmp_path) == ["file"]


def test_the_cache_is_in_the_folder_of_the_user(counted, tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPDRRSLICER_CACHE", str(tmp_path))
    kernel_image("projection.cu", (8, 6))
    assert [path.suffix for path in (tmp_path / "kernels").iterdir()] == [".image"]


def test_numbers_are_the_same_on_both_sides():
    """What Python and the kernels each write down."""
    rays, crossings = (sources("tools.cu")[1][name] for name in ("rays.h", "crossings.h"))
    assert f"constexpr int TILE = {TILE};" in sources("tools.cu")[0]
    assert f"MOST_CROSSINGS = {MOST_CROSSINGS};" in crossings and f"MOST_BODIES = {MOST_TOOLS};" in crossings
    for struct in ("View", "Volume"):
        (members,) = re.findall(rf"struct {struct} {{\n    double (.*);\n}}", rays)
        counts = [int((re.findall(r"\[(\d+)\]", member) or [1])[0]) for member in members.split(",")]
        assert 8 * sum(counts) == RECORD_BYTES
