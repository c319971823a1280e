"""sn_sort_forward, sn_sort_backward and the coefficients against NumPy."""

from fractions import Fraction

import numpy as np
import numpy_kernels as reference
import pytest
from abi import Kernels
from cases import Case, cases, coefficients_for
from hypothesis import given, settings
from hypothesis import strategies as st


@settings(max_examples=20)
@given(case=cases(scales=True), data=st.data())
def test_forward_is_bit_equal(kernels: Kernels, case: Case, data: st.DataObject) -> None:
    coef = data.draw(coefficients_for(case))
    packed = kernels.pack(case.w) if data.draw(st.booleans()) else None
    y = kernels.sort_forward(case.x, case.w, coef, packed, data.draw(st.integers(0, 3)), pad=2)
    np.testing.assert_array_equal(y, reference.sort_forward(case.x, case.w, coef))


@pytest.mark.parametrize("inputs", [10, 150, 320, 784, 1024, 2500])
@pytest.mark.parametrize("count", [1, 4, 5, 10, 16, 17])
def test_forward_at_the_edges_of_the_method(kernels: Kernels, inputs: int, count: int) -> None:
    """Every list length with code of its own, with and without segments; crowds of ties."""
    rng = np.random.default_rng(inputs * 31 + count)
    if count > inputs:
        pytest.skip("more order statistics than inputs")
    x, w = (rng.normal(size=(n, inputs)).astype(np.float32) for n in (11, 35))
    x[3], w[5] = np.round(x[3]), np.round(w[5])
    x[4], w[6] = 1.0, 3.0
    coef = rng.normal(size=count).astype(np.float32)
    y = kernels.sort_forward(x, w, coef)
    np.testing.assert_array_equal(y, reference.sort_forward(x, w, coef))


@settings(max_examples=20)
@given(case=cases(least_inputs=1), data=st.data())
def test_any_threads_packing_and_split_give_the_same_bits(
    kernels: Kernels, case: Case, data: st.DataObject
) -> None:
    coef = data.draw(coefficients_for(case))
    y = kernels.sort_forward(case.x, case.w, coef)
    cut = data.draw(st.integers(0, len(case.x)))
    packed = kernels.pack(case.w)
    for part, want in ((case.x[:cut], y[:cut]), (case.x[cut:], y[cut:])):
        np.testing.assert_array_equal(
            kernels.sort_forward(part, case.w, coef, packed, threads=3), want
        )


@settings(max_examples=20)
@given(case=cases(least_inputs=1), data=st.data())
def test_backward_follows_the_ranks(kernels: Kernels, case: Case, data: st.DataObject) -> None:
    coef = data.draw(coefficients_for(case))
    dy = np.random.default_rng(0).normal(size=(len(case.x), len(case.w))).astype(np.float32)
    got = kernels.sort_backward(case.x, case.w, coef, dy, data.draw(st.integers(0, 3)), pad=1)
    for part, want in zip(got, reference.sort_backward(case.x, case.w, coef, dy), strict=True):
        np.testing.assert_allclose(part, want, rtol=1e-5, atol=1e-4)


def test_nan_and_infinity(kernels: Kernels) -> None:
    rng = np.random.default_rng(3)
    x, w = (rng.normal(size=(n, 500)).astype(np.float32) for n in (9, 40))
    coef = np.array([0.5, 0.25, 0.125], np.float32)
    clean = kernels.sort_forward(x, w, coef)
    x[2, 499], x[4, 3], w[7, 11] = np.nan, np.inf, np.nan
    y = kernels.sort_forward(x, w, coef)
    assert np.isnan(y[2]).all() and np.isnan(y[:, 7]).all()
    assert np.isinf(np.delete(y[4], 7)).all()
    rest = np.ix_([0, 1, 3, 5, 6, 7, 8], [o for o in range(40) if o != 7])
    np.testing.assert_array_equal(y[rest], clean[rest])


@settings(max_examples=20)
@given(rho=st.floats(0.0, 0.9990234375, width=32), count=st.integers(1, 64))
def test_geometric_coefficients_sum_to_at_most_one(
    kernels: Kernels, rho: float, count: int
) -> None:
    coef = kernels.geometric(rho, count)
    total = sum(Fraction(float(c)) for c in coef)
    assert 1 - Fraction(count, 2**23) <= total <= 1
    powers = np.float64(np.float32(rho)) ** np.arange(count)
    np.testing.assert_allclose(coef, powers / powers.sum(), rtol=2e-7, atol=1e-44)
    if count == 1 or rho == 0.0:
        np.testing.assert_array_equal(coef, [1.0] + [0.0] * (count - 1))
