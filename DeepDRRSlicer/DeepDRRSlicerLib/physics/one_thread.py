"""Products of matrices by the calling thread alone.

A linear algebra library gives all but small products to threads of its own. Where another program, or a network, keeps
a core busy, they wait for each other at every product, for some milliseconds each: many times what it takes. The order
of summation, and so the last digit, would depend on them, too.
"""

from __future__ import annotations

import numpy as np

PRODUCTS_AT_ONCE = 2**17  # multiplications that no library hands to threads; it is few enough for the cache, too


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b of matrices (m, k) and (k, n), in strips of rows or columns."""
    m, n, k = len(a), b.shape[1], b.shape[0]
    result = np.empty((m, n), dtype=np.result_type(a, b))
    if n >= m:
        strip = max(1, PRODUCTS_AT_ONCE // (m * k))
        for first in range(0, n, strip):
            np.matmul(a, b[:, first : first + strip], out=result[:, first : first + strip])
    else:
        strip = max(1, PRODUCTS_AT_ONCE // (n * k))
        for first in range(0, m, strip):
            np.matmul(a[first : first + strip], b, out=result[first : first + strip])
    return result


def weighted_sum(weights: np.ndarray, images: np.ndarray) -> np.ndarray:
    """(...) sum of images (n, ...), each times its weight (n,), in the kind of the images."""
    return np.einsum("n,n...->...", weights.astype(images.dtype), images)
