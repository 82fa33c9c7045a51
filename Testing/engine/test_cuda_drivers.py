"""Both drivers on a stand-in for the CUDA library: what they call really runs, and what it refuses is told in words."""

import ctypes
import os
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from DeepDRRSlicerLib.errors import InputError
from DeepDRRSlicerLib.projection.cuda import drivers, libcuda
from DeepDRRSlicerLib.projection.cuda.device_thread import shared_device
from DeepDRRSlicerLib.projection.cuda.driver import DeviceError, lead

HERE = Path(__file__).resolve().parents[1] / "fake_cuda"
CORE = pytest.mark.skipif(find_spec("cuda") is None, reason="cuda-core is not installed")
NO_DRIVER = not Path("/proc/driver/nvidia/version").exists()


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The folder of the stand-in."""
    if shutil.which("g++") is None or sys.platform != "linux":
        pytest.skip("g++ on Linux is needed to build the stand-in for the CUDA library")
    folder = tmp_path_factory.mktemp("fake_cuda")
    source, target = HERE / "fake_libcuda.cpp", folder / "libcuda.so.1"
    subprocess.run(["g++", "-std=c++17", "-shared", "-fPIC", "-o", target, source, "-ldl"], check=True)
    return folder


def checked(library, driver, check):
    """Runs a check of checks.py in a process that has the stand-in, and returns what it says."""
    paths = [] if driver == "cuda-core" or find_spec("pycuda") else [str(HERE / "packages")]
    environment = os.environ | {"LD_LIBRARY_PATH": str(library), "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, HERE / "checks.py", driver, check], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", ""), done.stdout + done.stderr


@pytest.mark.parametrize("check", ["everything", "thread"])
@pytest.mark.parametrize("driver", [pytest.param("cuda-core", marks=CORE), "pycuda"])
def test_driver(library, driver, check):
    checked(library, driver, check)


@CORE
def test_what_is_passed_to_the_library_lies_where_the_library_looks(library):
    """The layouts of the four structs, against those of cuda-bindings, which come from the library's own header."""
    checked(library, "cuda-core", "layouts")


@pytest.mark.skipif(not NO_DRIVER, reason="there is an NVIDIA driver")
def test_no_driver_is_said_at_once_and_without_importing_any_package():
    before = set(sys.modules)  # of other tests
    for choice in drivers.CHOICES:
        with pytest.raises(DeviceError, match="^there is no NVIDIA driver on this computer$"):
            drivers.open_driver(choice)
        with pytest.raises(DeviceError, match="no NVIDIA driver"):
            shared_device(choice)
    assert set(drivers.why_not().values()) == {"there is no NVIDIA driver on this computer"}
    assert not {"cuda.bindings", "cuda.core", "pycuda"} & (set(sys.modules) - before)
    taken = []
    for _ in range(5):
        start = time.process_time()
        with pytest.raises(DeviceError):
            drivers.open_driver()
        taken.append(time.process_time() - start)
    assert min(taken) < 5e-3


def test_a_driver_that_there_is_not():
    for function in (drivers.open_driver, drivers.names_of, shared_device):
        with pytest.raises(InputError, match="'opencl'.*auto, cuda-core, pycuda"):
            function("opencl")


class Library:
    """The driver's library of a computer where all is well, unless told otherwise."""

    def __init__(self, **answers):
        self._answers = answers

    def __getattr__(self, name):
        return lambda *arguments: self._answers.get(name, 0)

    def cuGetErrorName(self, code, name):
        ctypes.cast(name, ctypes.POINTER(ctypes.c_char_p))[0] = b"CUDA_ERROR_LAUNCH_TIMEOUT"
        return 0


def test_what_an_answer_means(monkeypatch):
    def said(*arguments, **answers):
        monkeypatch.setattr(libcuda, "library", lambda: Library(**answers))
        return libcuda.failure(*arguments)

    short = said("cuMemAlloc", "CUDA_ERROR_OUT_OF_MEMORY: whatever", 2)
    assert short.out_of_memory and str(short) == "the card has not enough free memory"
    for text in ("mem_alloc failed: out of memory", "CUDA_ERROR_OUT_OF_MEMORY: The API call failed ..."):
        assert said("mem_alloc", text).out_of_memory
    gone = said("project_4", "CUDA_ERROR_ILLEGAL_ADDRESS: While executing a kernel ... restart. Or so.", 700)
    assert gone.lost and str(gone) == (
        "the card stopped working (project_4: CUDA_ERROR_ILLEGAL_ADDRESS); restart the program to use it again"
    )
    # A package may say anything: the card itself is asked, which remains in its error.
    assert said("launch", "something", cuCtxSynchronize=702).lost
    other = said("launch", "something", cuCtxSynchronize=0)
    assert not other.lost and not other.out_of_memory and "refused a call (launch: something)" in str(other)
    assert "finds no card" in str(said("cuInit", "CUDA_ERROR_NO_DEVICE: none", 100))
    assert not said("cuLaunchKernel", "CUDA_ERROR_INVALID_VALUE", 1, cuCtxSynchronize=702).lost  # the code says it


def test_errors_as_parts_of_sentences():
    assert lead(ValueError("The compiler is missing.\nMore.")) == "the compiler is missing"
    assert lead(ValueError("NVRTC is missing.")) == "NVRTC is missing"
    assert lead(ValueError()) == "valueError"
