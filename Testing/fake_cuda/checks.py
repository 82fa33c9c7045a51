"""What is asked of a driver on the stand-in for the CUDA library; run by test_cuda_drivers.py in a process of its own.

python checks.py DRIVER CHECK      prints "done" where nothing failed
"""

import ctypes
import gc
import sys
import threading
import types
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "DeepDRRSlicer"))

from DeepDRRSlicerLib.projection.cuda import drivers, libcuda  # noqa: E402
from DeepDRRSlicerLib.projection.cuda.device_thread import DeviceThread, shared_device  # noqa: E402
from DeepDRRSlicerLib.projection.cuda.driver import DeviceError  # noqa: E402

CACHE = "DeepDRRSlicerLib.projection.cuda.kernel_cache"
COMPILER = "DeepDRRSlicerLib.projection.cuda.nvrtc"


class FakeCompiler(types.ModuleType):
    """In place of kernel_cache and nvrtc: the stand-in takes the names of kernels for code."""

    class CompileError(RuntimeError):
        pass

    class CompilerMissing(RuntimeError):
        pass

    known = (13, 0)

    def version(self, newest):
        if newest < self.known[0]:
            raise self.CompilerMissing(f"No compiler for CUDA {newest}.")
        return self.known

    def kernel_image(self, source, capability, newest):
        assert capability == (9, 0) and newest == 13
        if source == "broken.cu":
            raise self.CompileError("broken.cu cannot be compiled for sm_90.\nline 1: what?")
        return b"FAKE fill total"


def compiler():
    fake = FakeCompiler("fake")
    sys.modules[CACHE] = sys.modules[COMPILER] = fake
    import DeepDRRSlicerLib.projection.cuda as package

    package.kernel_cache = package.nvrtc = fake
    return fake


def card():
    """The stand-in, to be steered and looked at."""
    library = ctypes.CDLL("libcuda.so.1")
    library.fake_get.restype = ctypes.c_longlong
    library.fake_set.argtypes = [ctypes.c_char_p, ctypes.c_longlong]
    return library


def refusal(function, *arguments):
    try:
        function(*arguments)
    except DeviceError as error:
        return error
    raise AssertionError("no error")


def work(name):
    """Memory, copies, textures, kernels, graphs and times; everything is given back."""
    fake, driver = card(), drivers.open_driver(name)
    assert (driver.name, driver.device, driver.capability) == (name, "Stand-in 9000", (9, 0))
    total = 1 << 30
    assert driver.memory() == (total, total)
    before = fake.fake_get(b"objects")

    buffer = driver.buffer(4000)
    assert driver.memory() == (total - 4000, total)
    values = np.arange(500, dtype=np.float32)
    driver.upload(values, buffer, offset=400)
    values[:] = -1  # may be changed afterwards
    back = np.empty(500, np.float32)
    driver.download(buffer, back, offset=400)
    np.testing.assert_array_equal(back, np.arange(500))
    for wrong in ((np.empty(1001, np.float32), 0), (np.empty(10, np.float32), 3990), (np.empty((9, 9))[:, 1], 0)):
        for copy in (lambda a, o: driver.upload(a, buffer, o), lambda a, o: driver.download(buffer, a, o)):
            try:
                copy(*wrong)
            except ValueError:
                continue
            raise AssertionError("copied beyond the end")

    kernels = driver.kernels("some.cu", ["fill", "total"])
    assert driver.kernels("some.cu", ["fill"])["fill"] is kernels["fill"] and kernels["fill"].name == "fill"
    driver.launch(kernels["fill"], (3, 2, 1), (32, 4, 1), [buffer, np.int32(1000), np.float32(2.5)])
    whole = np.empty(1000, np.float32)
    driver.download(buffer, whole)
    assert (whole == 2.5).all()

    for channels, filtered in ((1, True), (2, True), (4, True), (4, False)):
        texels = np.random.default_rng(channels).integers(0, 65536, (3, 4, 5, channels)).astype(np.uint16)
        texture = driver.texture(texels[:, ::-1][:, ::-1], filtered)
        driver.launch(kernels["total"], (1, 1, 1), (1, 1, 1), [texture, buffer])
        said = np.empty(8)
        driver.download(buffer, said)
        flat = texels.reshape(-1).astype(np.float64)
        expected = [(flat * (1 + np.arange(flat.size) % 7)).sum(), 5, 4, 3, channels, filtered, not filtered, 3]
        np.testing.assert_array_equal(said, expected)
        assert texture.nbytes == texels.nbytes
        texture.free()
        texture.free()  # once is enough

    launches = fake.fake_get(b"launches")
    nine = (buffer, np.int32(9), np.float32(7))
    again = driver.graph(lambda: driver.launch(kernels["fill"], (1, 1, 1), (1, 1, 1), nine))
    assert fake.fake_get(b"launches") == launches, "a graph that is recorded does nothing yet"
    again()
    again()
    driver.synchronize()
    assert fake.fake_get(b"launches") == launches + 2
    driver.download(buffer, whole)
    assert (whole[:9] == 7).all()
    assert driver.milliseconds(again) == 0.25

    def copied():
        driver.upload(values, buffer)

    refusal(driver.graph, copied)  # what cannot be recorded leaves the stream usable
    driver.launch(kernels["fill"], (1, 1, 1), (1, 1, 1), [buffer, np.int32(1), np.float32(1)])
    driver.synchronize()

    missing = refusal(driver.kernels, "some.cu", ["nothing"])
    assert not missing.lost and not missing.out_of_memory and "nothing" in str(missing)
    assert str(refusal(driver.kernels, "broken.cu", ["fill"])) == "broken.cu cannot be compiled for sm_90"
    refusal(driver.launch, kernels["fill"], (1, 1, 70000), (1, 1, 1), [buffer, np.int32(1), np.float32(1)])

    again = None
    buffer.free()
    gc.collect()
    assert fake.fake_get(b"objects") == before and fake.fake_get(b"used") == 0
    driver.close()
    assert fake.fake_get(b"objects") <= before - 1  # its stream


def memory(name):
    """Too much is refused as such, leaves nothing behind, and what other threads let go of comes back."""
    fake, driver = card(), drivers.open_driver(name)
    fake.fake_set(b"memory", 10_000)
    kept = driver.buffer(6000)
    for ask in (lambda: driver.buffer(6000), lambda: driver.texture(np.zeros((20, 20, 20, 1), np.uint16), True)):
        error = refusal(ask)
        assert error.out_of_memory and not error.lost and str(error) == "the card has not enough free memory"
    assert driver.memory() == (4000, 10_000)
    held = [kept, driver.texture(np.ones((5, 5, 5, 1), np.uint16), True)]
    del kept
    other = threading.Thread(target=held.clear)  # as a garbage collector may, on a thread without the context
    other.start(), other.join()
    assert fake.fake_get(b"used") == 6250
    assert driver.memory() == (10_000, 10_000)
    driver.buffer(9000)  # goes at once on its own thread
    assert driver.memory() == (10_000, 10_000)
    driver.close()
    fake.fake_set(b"memory", 1 << 30)


def lost(name):
    """A kernel that ends half-way: every later call says so, nothing hangs, and no driver is opened again."""
    fake, driver = card(), drivers.open_driver(name)
    buffer = driver.buffer(400)
    hundred = (buffer, np.int32(100), np.float32(1))
    kernels = driver.kernels("some.cu", ["fill"])
    fake.fake_set(b"lost_after", fake.fake_get(b"launches") + 2)

    def fill():
        driver.launch(kernels["fill"], (1, 1, 1), (1, 1, 1), hundred)

    for _ in range(3):
        fill()
    for ask in (driver.synchronize, fill, driver.memory, lambda: driver.buffer(8), lambda: driver.graph(fill)):
        error = refusal(ask)
        assert error.lost and not error.out_of_memory, error
        assert "stopped working" in str(error) and "restart the program" in str(error)
    drivers.remember(error)
    driver.close()
    assert "stopped working" in str(refusal(drivers.open_driver, name))
    assert "stopped working" in str(refusal(shared_device, name))


def refused(name):
    """Reasons not to use a card, each in words, before any package is asked."""
    fake, compiles = card(), compiler()
    library = libcuda.library()
    assert library.cuInit(0) == 0
    for settings, known, words in (
        ({"capability": 70}, (13, 0), "Stand-in 9000 has compute capability 7.0; 7.5 is needed"),
        ({"version": 11080}, (11, 0), "driver is too old: it knows CUDA 11.8, and 12.0 is needed; update it"),
        ({"version": 12040}, (13, 0), "no compiler for CUDA 12"),
        ({"devices": 0}, (13, 0), "the NVIDIA driver finds no card"),
    ):  # fmt: skip
        for key, value in ({"capability": 90, "version": 13000, "devices": 1} | settings).items():
            fake.fake_set(key.encode(), value)
        compiles.known = known
        assert words in str(refusal(drivers.open_driver, name)), drivers.why_not()
        assert words in drivers.why_not()[name]
    assert fake.fake_get(b"cuDevicePrimaryCtxRetain") == 0, "a card that is refused is not touched"
    for key, value in (("capability", 90), ("version", 13000), ("devices", 1)):
        fake.fake_set(key.encode(), value)
    assert drivers.why_not()[name] is None
    drivers.open_driver("auto").close()


def everything(name):
    """One after the other, in one process; the last leaves the card lost."""
    for check in (refused, work, memory, lost):
        check(name)


def layouts(name):
    """The structs of libcuda.py, byte for byte as cuda-bindings fills them."""
    from cuda.bindings import driver as api

    def same(ours, theirs):
        raw = ctypes.string_at(theirs.getPtr(), ctypes.sizeof(ours))
        assert raw == bytes(ours), type(ours)

    shape = api.CUDA_ARRAY3D_DESCRIPTOR()
    shape.Width, shape.Height, shape.Depth, shape.NumChannels, shape.Flags = 3, 4, 5, 2, 0
    shape.Format = api.CUarray_format.CU_AD_FORMAT_UNSIGNED_INT16
    same(libcuda._ArrayDescriptor(3, 4, 5, 2, 2, 0), shape)

    copy = api.CUDA_MEMCPY3D()
    copy.srcMemoryType, copy.dstMemoryType = api.CUmemorytype.CU_MEMORYTYPE_HOST, api.CUmemorytype.CU_MEMORYTYPE_ARRAY
    copy.srcHost, copy.srcPitch, copy.srcHeight, copy.dstArray = 0x1234567890, 12, 4, api.CUarray(0x9876543210)
    copy.WidthInBytes, copy.Height, copy.Depth = 12, 4, 5
    ours = libcuda._Copy3D(
        src_memory=1, src_host=0x1234567890, src_pitch=12, src_height=4, dst_memory=3, dst_array=0x9876543210,
        width_bytes=12, height=4, depth=5,
    )  # fmt: skip
    same(ours, copy)

    resource = api.CUDA_RESOURCE_DESC()
    resource.resType = api.CUresourcetype.CU_RESOURCE_TYPE_ARRAY
    resource.res.array.hArray = api.CUarray(0x9876543210)
    same(libcuda._Resource(array=0x9876543210), resource)

    sampling = api.CUDA_TEXTURE_DESC()
    sampling.addressMode = [api.CUaddress_mode.CU_TR_ADDRESS_MODE_BORDER] * 3
    sampling.filterMode, sampling.flags = api.CUfilter_mode.CU_TR_FILTER_MODE_LINEAR, api.CU_TRSF_READ_AS_INTEGER
    same(libcuda._Sampling((3, 3, 3), 1, 1), sampling)


def thread(name):
    """The thread owns the context; others, which have none, are served; it ends and lets go of what it took."""
    fake = card()
    device = shared_device(name)
    assert shared_device(name) is device and (device.name, device.device) == (name, "Stand-in 9000")

    def square(driver, should_stop):
        buffer = driver.buffer(64)
        driver.launch(driver.kernels("some.cu", ["fill"])["fill"], (1, 1, 1), (1, 1, 1),
                      [buffer, np.int32(16), np.float32(3)])  # fmt: skip
        found = np.empty(16, np.float32)
        driver.download(buffer, found)
        return float(found.sum())

    results = []
    threads = [threading.Thread(target=lambda: results.append(device.call(square))) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert results == [48.0] * 8 and fake.fake_get(b"used") == 0
    device.close()
    assert not any(each.name == "DeepDRRSlicer card" for each in threading.enumerate())
    assert "let go of" in str(refusal(device.call, square))
    again = shared_device(name)
    assert again is not device and again.call(square) == 48.0  # and is left to the end of the program
    assert isinstance(again, DeviceThread)


if __name__ == "__main__":
    compiler()
    globals()[sys.argv[2]](sys.argv[1])
    print("done")
