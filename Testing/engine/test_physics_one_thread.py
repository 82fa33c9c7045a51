"""Products without the threads of a linear algebra library."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from DeepDRRSlicerLib.physics import one_thread
from DeepDRRSlicerLib.physics.one_thread import PRODUCTS_AT_ONCE, product, weighted_sum

SIZES = st.integers(1, 70)


@settings(max_examples=60, deadline=None)
@given(SIZES, SIZES, SIZES, st.sampled_from([np.float32, np.float64]), st.integers(0, 99))
def test_the_product_of_two_matrices(m, k, n, kind, seed):
    random = np.random.default_rng(seed)
    a, b = random.normal(size=(m, k)).astype(kind), random.normal(size=(k, n)).astype(kind)
    found = product(a, b)
    assert found.dtype == kind and found.shape == (m, n)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    assert np.allclose(found, exact, rtol=1e-4, atol=3e-6 * k if kind == np.float32 else 1e-12)


@pytest.mark.parametrize(("m", "k", "n"), [(16, 144, 1024), (64, 576, 16), (1, 500_000, 3), (512, 32, 32)])
def test_no_part_is_large_enough_for_threads(m, k, n, monkeypatch):
    parts = []

    def counted(a, b, out):
        parts.append(a.shape[0] * a.shape[1] * b.shape[1])
        out[:] = np.einsum("ij,jk->ik", a, b)

    monkeypatch.setattr(one_thread.np, "matmul", counted)
    product(np.ones((m, k)), np.ones((k, n)))
    least = k * min(m, n)  # one row or column
    assert max(parts) <= max(PRODUCTS_AT_ONCE, least) and sum(parts) == m * k * n


def test_weighted_sum_of_images():
    images = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    found = weighted_sum(np.array([0.25, 2.0]), images)
    assert found.dtype == np.float32 and np.array_equal(found, images[0] / 4 + images[1] * 2)
