"""A stand-in for pycuda: the part of its interface that the driver uses, on the stand-in for the CUDA library.

Names, arguments and what is refused are those of pycuda 2022.1 to 2026.1 (src/wrapper/wrap_cudadrv.cpp and
pycuda/driver.py at https://github.com/inducer/pycuda); where the real package is installed, the tests use that.
"""
