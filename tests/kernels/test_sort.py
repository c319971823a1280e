"""sn_sort_forward, sn_sort_backward and the coefficients against NumPy."""

from fractions import Fraction

import numpy as np
import numpy_kernels as reference
import pytest
from abi import Array, Kernels
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


# Every list length with code of its own, with and without segments.
EDGES = [
    (inputs, count)
    for inputs in (10, 150, 320, 784, 1024, 2500)
    for count in (1, 4, 5, 10, 16, 17)
    if count <= inputs
]


def edges(inputs: int, count: int) -> tuple[Array, Array, Array]:
    """Samples, weights and coefficients with crowds of ties."""
    rng = np.random.default_rng(inputs * 31 + count)
    x, w = (rng.normal(size=(n, inputs)).astype(np.float32) for n in (11, 35))
    x[3], w[5] = np.round(x[3]), np.round(w[5])
    x[4], w[6] = 1.0, 3.0
    return x, w, rng.normal(size=count).astype(np.float32)


@pytest.mark.parametrize(("inputs", "count"), EDGES)
def test_forward_at_the_edges_of_the_method(kernels: Kernels, inputs: int, count: int) -> None:
    x, w, coef = edges(inputs, count)
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
@given(case=cases(scales=True), data=st.data())
def test_backward_is_bit_equal(kernels: Kernels, case: Case, data: st.DataObject) -> None:
    coef = data.draw(coefficients_for(case))
    dy = np.random.default_rng(0).normal(size=(len(case.x), len(case.w))).astype(np.float32)
    got = kernels.sort_backward(case.x, case.w, coef, dy, data.draw(st.integers(0, 3)), pad=1)
    for part, want in zip(got, reference.sort_backward(case.x, case.w, coef, dy), strict=True):
        np.testing.assert_array_equal(part, want)


@pytest.mark.parametrize(("inputs", "count"), EDGES)
def test_backward_at_the_edges_of_the_method(kernels: Kernels, inputs: int, count: int) -> None:
    """Ties are ranked by input; a term of 0 has no slope; any number of threads."""
    x, w, coef = edges(inputs, count)
    x[7, 3:] = w[8, 3:]  # all but three terms are 0
    dy = np.random.default_rng(1).normal(size=(len(x), len(w))).astype(np.float32)
    want = reference.sort_backward(x, w, coef, dy)
    for threads in (0, 3):
        for part, exact in zip(kernels.sort_backward(x, w, coef, dy, threads), want, strict=True):
            np.testing.assert_array_equal(part, exact)


def test_backward_of_more_places_than_are_held_at_once(kernels: Kernels) -> None:
    """A batch in several parts; the sums are exact, hence those of the parts."""
    rng = np.random.default_rng(4)
    x, w = (rng.normal(size=(n, 16)).astype(np.float32) for n in (40, 20000))
    coef = np.float32(2.0) ** rng.integers(-3, 3, 16).astype(np.float32)
    dy = rng.integers(-8, 8, (40, 20000)).astype(np.float32)
    dx, dw, _ = kernels.sort_backward(x, w, coef, dy, 2)
    halves = [kernels.sort_backward(x[b], w, coef, dy[b], 2) for b in (slice(0, 20), slice(20, 40))]
    np.testing.assert_array_equal(dx, np.concatenate([part[0] for part in halves]))
    np.testing.assert_array_equal(dw, halves[0][1] + halves[1][1])


def test_backward_of_nan_and_infinity(kernels: Kernels) -> None:
    """NaN ranks as infinity and has no slope; other samples do not notice."""
    x, w, _ = edges(500, 3)
    coef = np.array([0.5, 0.25, 0.125], np.float32)
    dy = np.ones((len(x), len(w)), np.float32)
    x[2, 499], w[7, 11] = np.nan, -np.inf
    dx, dw, dcoef = kernels.sort_backward(x, w, coef, dy)
    assert np.isfinite(dx).all() and np.isfinite(dw).all()
    assert dx[2, 499] == 0 and dw[7, 11] == -coef[0] * len(x)
    assert np.isposinf(dcoef[:, 0]).all()
    others = np.arange(len(x)) != 2
    without, *_ = kernels.sort_backward(x[others], w, coef, dy[others])
    np.testing.assert_array_equal(dx[others], without)


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
