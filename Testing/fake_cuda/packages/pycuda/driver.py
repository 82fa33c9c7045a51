"""As pycuda.driver."""

import ctypes
import struct
import threading

import numpy as np

_cuda = ctypes.CDLL("libcuda.so.1")
_contexts = threading.local()


class Error(Exception):
    pass


class MemoryError(Error):
    pass


class LogicError(Error):
    pass


class LaunchError(Error):
    pass


class RuntimeError(Error):
    pass


def _call(name, *arguments):
    code = getattr(_cuda, name)(*arguments)
    if code:
        text = ctypes.c_char_p()
        _cuda.cuGetErrorString(code, ctypes.byref(text))
        kind = {2: MemoryError, 719: LaunchError}.get(code, LogicError)
        raise kind(f"{name.removesuffix('_v2')} failed: {text.value.decode()}")


def init(flags=0):
    _call("cuInit", flags)


class Device:
    def __init__(self, number):
        self._device = ctypes.c_int()
        _call("cuDeviceGet", ctypes.byref(self._device), number)

    def retain_primary_context(self):
        handle = ctypes.c_void_p()
        _call("cuDevicePrimaryCtxRetain", ctypes.byref(handle), self._device)
        return Context(handle, self._device)


class Context:
    def __init__(self, handle, device):
        self._handle, self._device, self._thread = handle, device, threading.get_ident()

    def push(self):
        _call("cuCtxPushCurrent_v2", self._handle)
        _contexts.stack = [*getattr(_contexts, "stack", []), self]

    @staticmethod
    def pop():
        if not getattr(_contexts, "stack", []):
            raise LogicError("context::pop failed: invalid device context - cannot pop non-current context")
        _call("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))
        _contexts.stack.pop()

    def detach(self):
        assert threading.get_ident() == self._thread
        _call("cuDevicePrimaryCtxRelease_v2", self._device)


class Stream:
    def __init__(self, flags=0):
        self._handle = ctypes.c_void_p()
        _call("cuStreamCreate", ctypes.byref(self._handle), ctypes.c_uint(flags))

    @property
    def handle(self):
        return self._handle.value

    def __del__(self):
        _cuda.cuStreamDestroy_v2(self._handle)


class DeviceAllocation:
    def __init__(self, address):
        self._address = address

    def __int__(self):
        return self._address

    def free(self):
        _call("cuMemFree_v2", ctypes.c_uint64(self._address))


def mem_alloc(nbytes):
    address = ctypes.c_uint64()
    _call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(nbytes))
    return DeviceAllocation(address.value)


class Module:
    def __init__(self, handle):
        self._handle = handle

    def get_function(self, name):
        function = ctypes.c_void_p()
        _call("cuModuleGetFunction", ctypes.byref(function), self._handle, name.encode())
        return Function(function)


def module_from_buffer(buffer, options=(), message_handler=None):
    module = ctypes.c_void_p()
    _call("cuModuleLoadDataEx", ctypes.byref(module), bytes(buffer), 0, None, None)
    return Module(module)


class Function:
    def __init__(self, handle):
        self._handle = handle

    def __call__(self, *arguments, grid=(1, 1), block=None, stream=None, shared=0, texrefs=(), time_kernel=False):
        if block is None:
            raise ValueError("must specify block size")
        shape, values = "@", []
        for number, argument in enumerate(arguments):
            if isinstance(argument, np.number):
                shape += argument.dtype.char
            elif isinstance(argument, DeviceAllocation):
                shape, argument = shape + "P", int(argument)
            else:
                raise TypeError(f"invalid type on parameter #{number} (0-based)")
            values.append(argument)
        packed = struct.pack(shape, *values)
        size = ctypes.c_size_t(len(packed))
        extra = (ctypes.c_void_p * 5)(
            1, ctypes.cast(packed, ctypes.c_void_p), 2, ctypes.cast(ctypes.pointer(size), ctypes.c_void_p), 0
        )
        sizes = [ctypes.c_uint(n) for n in (*grid, *[1] * (3 - len(grid)), *block)]
        handle = None if stream is None else ctypes.c_void_p(stream.handle)
        _call("cuLaunchKernel", self._handle, *sizes, ctypes.c_uint(shared), handle, None, extra)
