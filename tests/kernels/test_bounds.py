"""sn_lp_bounds and sn_sort_bounds enclose exact arithmetic, closely."""

from fractions import Fraction

import numpy as np
import numpy_kernels as reference
import pytest
from abi import Kernels
from cases import POWERS, Case, cases, coefficients_for
from hypothesis import given, settings
from hypothesis import strategies as st

INF = float("inf")


def _box(case: Case, radius: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    width = radius * rng.random(case.x.shape) * (rng.random(case.x.shape) < 0.8)
    return (case.x - width).astype(np.float32), (case.x + width).astype(np.float32)


@settings(max_examples=20)
@given(case=cases(), p=POWERS, radius=st.sampled_from([0.0, 1e-6, 0.05, 1.0]), data=st.data())
def test_norm_bounds(
    kernels: Kernels, case: Case, p: float, radius: float, data: st.DataObject
) -> None:
    lower, upper = _box(case, radius)
    packed = kernels.pack(case.w) if data.draw(st.booleans()) else None
    low, high = kernels.bounds(lower, upper, case.w, p, packed, data.draw(st.integers(0, 3)))
    near, far = reference.interval_terms(lower, upper, case.w)
    least, largest = (reference.lp_norm(t, float(np.float32(p))) for t in (near, far))
    # The reference itself errs by 1e-13.
    assert (low <= least * (1 + 1e-13)).all() and (high >= largest * (1 - 1e-13)).all()
    slack = 2.0**-22 if p == INF else 5e-6
    assert (low >= least * (1 - slack) - 1e-44).all()
    assert (high <= largest * (1 + slack) + 1e-44).all()


@pytest.mark.parametrize("p", [1e5, 5e6, 1e7, 2e7, 1e9])
@pytest.mark.parametrize("inputs", [1, 2, 7, 70])
def test_bounds_keep_the_largest_term_at_huge_p(kernels: Kernels, p: float, inputs: int) -> None:
    rng = np.random.default_rng(inputs)
    x = rng.random((33, inputs)).astype(np.float32)
    w = rng.normal(size=(40, inputs)).astype(np.float32)
    low, high = kernels.bounds(x, x, w, p)
    exact = reference.lp_norm(reference.interval_terms(x, x, w)[0], float(np.float32(p)))
    assert (low <= exact * (1 + 1e-13)).all() and (high >= exact * (1 - 1e-13)).all()
    assert (low >= exact * (1 - 5e-6)).all() and (high <= exact * (1 + 5e-6)).all()


@settings(max_examples=20)
@given(case=cases(), radius=st.sampled_from([0.0, 1e-6, 0.05, 1.0]), data=st.data())
def test_sorted_bounds(kernels: Kernels, case: Case, radius: float, data: st.DataObject) -> None:
    lower, upper = _box(case, radius)
    coef = data.draw(coefficients_for(case))
    low, high = kernels.bounds(lower, upper, case.w, coef, None, data.draw(st.integers(0, 3)))
    near, far = reference.interval_terms(lower, upper, case.w)
    least, largest = reference.sorted_range(near, far, coef)
    size = reference.sorted_range(far, far, np.abs(coef))[1]
    tiny = 1e-13 * size
    assert (low <= least + tiny).all() and (high >= largest - tiny).all()
    slack = (2 * coef.shape[-1] + 10) * 2.0**-24 * size + 1e-42
    assert (low >= least - slack).all() and (high <= largest + slack).all()


@settings(max_examples=20)
@given(case=cases(least_inputs=1), data=st.data())
def test_bounds_hold_for_every_point_in_exact_arithmetic(
    kernels: Kernels, case: Case, data: st.DataObject
) -> None:
    if len(case.x) == 0:
        return
    x, w = case.x[:1], case.w[:1]
    lower, upper = _box(Case(x, w), 0.1)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    point = np.where(rng.random(x.shape) < 0.5, lower, upper)[0]
    terms = sorted(
        (abs(Fraction(float(a)) - Fraction(float(b))) for a, b in zip(point, w[0], strict=True)),
        reverse=True,
    )
    coef = kernels.geometric(0.3, min(10, len(terms)))
    value = sum(Fraction(float(c)) * t for c, t in zip(coef, terms, strict=False))
    low, high = kernels.bounds(lower, upper, w, coef)
    assert Fraction(float(low[0, 0])) <= value <= Fraction(float(high[0, 0]))
    low, high = kernels.bounds(lower, upper, w, INF)
    assert Fraction(float(low[0, 0])) <= terms[0] <= Fraction(float(high[0, 0]))


@pytest.mark.parametrize("kind", [INF, 1.0, 8.0, 17.3, np.array([0.5, 0.25], np.float32)])
def test_odd_intervals(kernels: Kernels, kind: float | np.ndarray) -> None:
    rng = np.random.default_rng(6)
    x, w = rng.normal(size=(6, 40)).astype(np.float32), rng.normal(size=(35, 40)).astype(np.float32)
    lower, upper = x - np.float32(0.1), x + np.float32(0.1)
    clean = kernels.bounds(lower, upper, w, kind)
    lower[1, 39] = upper[1, 39] + 1
    upper[2, 0] = np.nan
    lower[3, 5], upper[3, 5] = -np.inf, np.inf
    w[34, 2] = np.nan
    low, high = kernels.bounds(lower, upper, w, kind)
    assert np.isneginf(low[[1, 2]]).all() and np.isposinf(high[[1, 2]]).all()
    assert np.isneginf(low[:, 34]).all() and np.isposinf(high[:, 34]).all()
    assert np.isfinite(low[3, :34]).all() and np.isposinf(high[3, :34]).all()
    for got, want in zip((low, high), clean, strict=True):
        np.testing.assert_array_equal(got[[0, 4, 5], :34], want[[0, 4, 5], :34])
