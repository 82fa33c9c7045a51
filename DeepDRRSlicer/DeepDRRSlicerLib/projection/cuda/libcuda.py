"""The CUDA driver library through ctypes: is there a card, and what pycuda and cuda-core lack or spell otherwise.

Declarations after the CUDA Driver API reference, https://docs.nvidia.com/cuda/cuda-driver-api. Calls let go of the
interpreter lock while they last.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from DeepDRRSlicerLib.projection.cuda.driver import DeviceError

_OUT_OF_MEMORY = 2
_NO_CARD = (100, 101)
# CUresult after which this process cannot use the card again: context destroyed, uncorrectable memory, and everything
# that ends a kernel half-way. Every later call answers the same.
_LOST = {4, 214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 999}
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76  # CUdevice_attribute
_UINT16, _HOST, _ARRAY = 2, 1, 3  # CUarray_format, CUmemorytype
_BORDER, _POINT, _LINEAR, _AS_INTEGER = 3, 0, 1, 1  # CUaddress_mode, CUfilter_mode, CU_TRSF_READ_AS_INTEGER
_CAPTURE_OF_THIS_THREAD = 1  # CUstreamCaptureMode: other threads' work, torch's, is left alone


@dataclass(frozen=True)
class Card:
    """What can be told without a context. version: the newest CUDA that the driver knows, as (13, 0)."""

    name: str
    capability: tuple[int, int]
    version: tuple[int, int]


class _ArrayDescriptor(ctypes.Structure):
    """CUDA_ARRAY3D_DESCRIPTOR."""

    _fields_ = [("width", ctypes.c_size_t), ("height", ctypes.c_size_t), ("depth", ctypes.c_size_t),
                ("format", ctypes.c_int), ("channels", ctypes.c_uint), ("flags", ctypes.c_uint)]  # fmt: skip


class _Copy3D(ctypes.Structure):
    """CUDA_MEMCPY3D."""

    _fields_ = [
        (side + name, kind)
        for side in ("src_", "dst_")
        for name, kind in (
            ("x_bytes", ctypes.c_size_t), ("y", ctypes.c_size_t), ("z", ctypes.c_size_t), ("lod", ctypes.c_size_t),
            ("memory", ctypes.c_int), ("host", ctypes.c_void_p), ("device", ctypes.c_uint64),
            ("array", ctypes.c_void_p), ("reserved", ctypes.c_void_p), ("pitch", ctypes.c_size_t),
            ("height", ctypes.c_size_t),
        )
    ] + [("width_bytes", ctypes.c_size_t), ("height", ctypes.c_size_t), ("depth", ctypes.c_size_t)]  # fmt: skip


class _Resource(ctypes.Structure):
    """CUDA_RESOURCE_DESC of an array; the union of all kinds of resource takes 128 bytes."""

    _fields_ = [("kind", ctypes.c_int), ("array", ctypes.c_void_p), ("rest", ctypes.c_char * 120),
                ("flags", ctypes.c_uint)]  # fmt: skip


class _Sampling(ctypes.Structure):
    """CUDA_TEXTURE_DESC."""

    _fields_ = [("address", ctypes.c_int * 3), ("filter", ctypes.c_int), ("flags", ctypes.c_uint),
                ("anisotropy", ctypes.c_uint), ("mip_filter", ctypes.c_int), ("mip_bias", ctypes.c_float),
                ("mip_least", ctypes.c_float), ("mip_most", ctypes.c_float), ("border", ctypes.c_float * 4),
                ("reserved", ctypes.c_int * 12)]  # fmt: skip


@cache
def library() -> ctypes.CDLL:
    """The driver's library, initialised. Raises DeviceError where there is no NVIDIA driver, or no card."""
    try:
        if sys.platform == "win32":
            found: ctypes.CDLL = ctypes.WinDLL("nvcuda.dll")
        else:
            found = ctypes.CDLL("libcuda.so.1")
    except OSError:
        raise DeviceError("there is no NVIDIA driver on this computer") from None
    _check(found, found.cuInit(0), "cuInit")
    return found


def call(name: str, *arguments) -> None:
    """Calls a function of the driver API. Raises DeviceError for any answer but success."""
    found = library()
    _check(found, getattr(found, name)(*arguments), name)


def first_card() -> Card:
    """The card in use: the first that CUDA_VISIBLE_DEVICES leaves visible. Raises DeviceError."""
    number, version = ctypes.c_int(), ctypes.c_int()
    call("cuDriverGetVersion", ctypes.byref(version))
    call("cuDeviceGetCount", ctypes.byref(number))
    if number.value == 0:
        raise DeviceError("the NVIDIA driver finds no card")
    device, name, values = ctypes.c_int(), ctypes.create_string_buffer(256), []
    call("cuDeviceGet", ctypes.byref(device), 0)
    call("cuDeviceGetName", name, len(name), device)
    for attribute in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR):
        value = ctypes.c_int()
        call("cuDeviceGetAttribute", ctypes.byref(value), attribute, device)
        values.append(value.value)
    text = name.value.decode(errors="replace")
    return Card(text, (values[0], values[1]), (version.value // 1000, version.value % 1000 // 10))


@contextlib.contextmanager
def said(what: str) -> Iterator[None]:
    """DeviceError for whatever a package raises, whose own classes have several names or exist only once imported."""
    try:
        yield
    except DeviceError:
        raise
    except Exception as error:
        raise failure(what, " ".join(str(error).split()) or type(error).__name__) from error


def failure(what: str, text: str, code: int | None = None) -> DeviceError:
    """The error for what a call answered: by its code, or None where a package hides it behind an error of its own."""
    if code == _OUT_OF_MEMORY or (code is None and "out of memory" in text.lower().replace("_", " ")):
        return DeviceError("the card has not enough free memory", out_of_memory=True)
    if text.startswith("CUDA_ERROR"):
        text = text.split(":")[0]  # what follows may be a paragraph
    if (code if code is not None else _state()) in _LOST:
        return DeviceError(f"the card stopped working ({what}: {text}); restart the program to use it again", lost=True)
    if code in _NO_CARD:
        return DeviceError("the NVIDIA driver finds no card")
    return DeviceError(f"the NVIDIA driver refused a call ({what}: {text})")


def _state() -> int:
    """What the card answers now: an error that ends a kernel is answered to every later call, too."""
    try:
        return library().cuCtxSynchronize()
    except DeviceError:
        return 0


def memory() -> tuple[int, int]:
    """Bytes free and in all."""
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
    return free.value, total.value


def upload(source: int, address: int, nbytes: int, stream: int) -> None:
    """From host to card, complete when it returns."""
    call("cuMemcpyHtoDAsync_v2", ctypes.c_uint64(address), ctypes.c_void_p(source), ctypes.c_size_t(nbytes),
         ctypes.c_void_p(stream))  # fmt: skip
    synchronize(stream)


def download(address: int, target: int, nbytes: int, stream: int) -> None:
    """From card to host, complete when it returns."""
    call("cuMemcpyDtoHAsync_v2", ctypes.c_void_p(target), ctypes.c_uint64(address), ctypes.c_size_t(nbytes),
         ctypes.c_void_p(stream))  # fmt: skip
    synchronize(stream)


def synchronize(stream: int) -> None:
    """Waits for the stream."""
    call("cuStreamSynchronize", ctypes.c_void_p(stream))


def make_array(texels) -> int:
    """A CUarray with the values of a C-contiguous uint16 [k, j, i, channels]."""
    depth, height, width, channels = texels.shape
    array = ctypes.c_void_p()
    shape = _ArrayDescriptor(width, height, depth, _UINT16, channels, 0)
    call("cuArray3DCreate_v2", ctypes.byref(array), ctypes.byref(shape))
    row = width * channels * texels.itemsize
    copy = _Copy3D(
        src_memory=_HOST, src_host=texels.ctypes.data, src_pitch=row, src_height=height,
        dst_memory=_ARRAY, dst_array=array, width_bytes=row, height=height, depth=depth,
    )  # fmt: skip
    try:
        call("cuMemcpy3D_v2", ctypes.byref(copy))
    except DeviceError:
        free_array(_pointed(array))
        raise
    return _pointed(array)


def free_array(array: int) -> None:
    """Lets go of a CUarray."""
    call("cuArrayDestroy", ctypes.c_void_p(array))


def make_texture(array: int, filtered: bool) -> int:
    """A CUtexObject that reads an array: in voxels, zeros outside; filtered as floats 0 to 1, else as integers."""
    texture = ctypes.c_uint64()
    resource = _Resource(array=array)
    sampling = _Sampling((_BORDER,) * 3, _LINEAR if filtered else _POINT, 0 if filtered else _AS_INTEGER)
    call("cuTexObjectCreate", ctypes.byref(texture), ctypes.byref(resource), ctypes.byref(sampling), None)
    return texture.value


def free_texture(texture: int) -> None:
    """Lets go of a CUtexObject, not of its array."""
    call("cuTexObjectDestroy", ctypes.c_uint64(texture))


def record_graph(stream: int, record) -> int:
    """A CUgraphExec of what `record` starts on the stream. Raises what `record` raises."""
    graph, executable = ctypes.c_void_p(), ctypes.c_void_p()
    call("cuStreamBeginCapture_v2", ctypes.c_void_p(stream), _CAPTURE_OF_THIS_THREAD)
    try:
        try:
            record()
        finally:
            call("cuStreamEndCapture", ctypes.c_void_p(stream), ctypes.byref(graph))
        call("cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, ctypes.c_uint64(0))
    finally:
        if graph:
            call("cuGraphDestroy", graph)
    return _pointed(executable)


def _pointed(pointer: ctypes.c_void_p) -> int:
    """The address that a call has filled in."""
    assert pointer.value is not None
    return pointer.value


def launch_graph(executable: int, stream: int) -> None:
    """Starts a graph."""
    call("cuGraphLaunch", ctypes.c_void_p(executable), ctypes.c_void_p(stream))


def free_graph(executable: int) -> None:
    """Lets go of a graph."""
    call("cuGraphExecDestroy", ctypes.c_void_p(executable))


def milliseconds(stream: int, work) -> float:
    """What the card takes for what `work` starts on the stream."""
    events = [ctypes.c_void_p(), ctypes.c_void_p()]
    try:
        for event in events:
            call("cuEventCreate", ctypes.byref(event), 0)
        call("cuEventRecord", events[0], ctypes.c_void_p(stream))
        work()
        call("cuEventRecord", events[1], ctypes.c_void_p(stream))
        call("cuEventSynchronize", events[1])
        elapsed = ctypes.c_float()
        call("cuEventElapsedTime", ctypes.byref(elapsed), *events)
        return elapsed.value
    finally:
        for event in events:
            if event:
                call("cuEventDestroy_v2", event)


def _check(found: ctypes.CDLL, code: int, what: str) -> None:
    if code == 0:
        return
    name, text = ctypes.c_char_p(), ctypes.c_char_p()
    found.cuGetErrorName(code, ctypes.byref(name))
    found.cuGetErrorString(code, ctypes.byref(text))
    words = [part.value.decode() for part in (name, text) if part.value] or [f"error {code}"]
    raise failure(what, ": ".join(words), code)
