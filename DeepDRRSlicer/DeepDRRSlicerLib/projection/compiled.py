"""How kernels are compiled: by numba where it is installed, kept as plain Python where it is not.

Imported by the modules that hold kernels alone, which are themselves imported when something is projected. Kernels
release the interpreter lock, so that run_parts of projection.parallel can call them from several threads; numba's own
threads are not used. Without numba the same loops run as Python, about a hundred times slower.
"""

from __future__ import annotations

try:
    from numba import njit
except ImportError:

    def kernel(function):
        """The function itself: numba is missing."""
        return function

else:
    # Cached beside the source, or in the user's cache folder. Divisions are not checked for zero: kernels do that.
    kernel = njit(nogil=True, cache=True, error_model="numpy")
