"""sn_lp_forward and sn_lp_backward against NumPy."""

import numpy as np
import numpy_kernels as reference
import pytest
from abi import Kernels, Masks
from cases import POWERS, Case, cases, masks_for
from hypothesis import given, settings
from hypothesis import strategies as st

INF = float("inf")


def _assert_norms(got: np.ndarray, want: np.ndarray, p: float) -> None:
    if p == INF:
        np.testing.assert_array_equal(got, want)
    else:
        # 2e-6 and the rounding of the result, which below 2^-126 is an absolute one.
        np.testing.assert_allclose(got, want, rtol=2e-6, atol=2.0**-149)


@settings(max_examples=20)
@given(case=cases(scales=True), p=POWERS, data=st.data())
def test_forward_is_the_norm(kernels: Kernels, case: Case, p: float, data: st.DataObject) -> None:
    masks = data.draw(st.none() | masks_for(case))
    packed = kernels.pack(case.w) if data.draw(st.booleans()) else None
    y = kernels.lp_forward(case.x, case.w, p, masks, packed, data.draw(st.integers(0, 3)), pad=2)
    want = reference.lp_forward(case.x, case.w, np.float32(p), masks)
    _assert_norms(y, np.where(want > np.finfo(np.float32).max, np.inf, want), p)


@pytest.mark.parametrize(
    "p",
    [
        1.0,
        1.01,
        2.0,
        2.5,
        6.0,
        8.0,
        12.0,
        17.3,
        32.0,
        40.0,
        96.0,
        128.0,
        192.0,
        300.0,
        1024.0,
        3e38,
    ],
)
@pytest.mark.parametrize("scale", [2.0**-149, 2.0**-130, 1e-30, 1e-3, 1.0, 1e4, 1e15, 2.0**124])
def test_relative_error_at_every_scale(kernels: Kernels, p: float, scale: float) -> None:
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(5, 700)) * scale).astype(np.float32)
    w = (rng.uniform(-1, 1, size=(33, 700)) * scale).astype(np.float32)
    want = reference.lp_forward(x, w, np.float32(p))
    want = np.where(want > np.finfo(np.float32).max, np.inf, want)
    _assert_norms(kernels.lp_forward(x, w, p), want, p)


@settings(max_examples=20)
@given(case=cases(least_inputs=1), p=POWERS, data=st.data())
def test_any_threads_packing_and_split_give_the_same_bits(
    kernels: Kernels, case: Case, p: float, data: st.DataObject
) -> None:
    y = kernels.lp_forward(case.x, case.w, p)
    packed = kernels.pack(case.w)
    for threads in (1, 2, 5):
        np.testing.assert_array_equal(kernels.lp_forward(case.x, case.w, p, threads=threads), y)
    np.testing.assert_array_equal(kernels.lp_forward(case.x, case.w, p, packed=packed), y)
    cut = data.draw(st.integers(0, len(case.x)))
    for part, want in ((case.x[:cut], y[:cut]), (case.x[cut:], y[cut:])):
        np.testing.assert_array_equal(kernels.lp_forward(part, case.w, p, packed=packed), want)


@settings(max_examples=20)
@given(case=cases(scales=True), p=POWERS, data=st.data())
def test_backward_is_the_slope(kernels: Kernels, case: Case, p: float, data: st.DataObject) -> None:
    masks = data.draw(st.none() | masks_for(case))
    y = kernels.lp_forward(case.x, case.w, p, masks)
    rng = np.random.default_rng(0)
    dy = rng.normal(size=y.shape).astype(np.float32)
    dx, dw = kernels.lp_backward(case.x, case.w, p, y, dy, masks, data.draw(st.integers(0, 3)), 1)
    if not np.isfinite(y).all():
        return
    want = reference.lp_backward(case.x, case.w, np.float32(p), y, dy, masks)
    # A slope errs by (p - 1) times the error of a / y, here 4e-7, and each sum by its roundings.
    slack = 0.0 if p == INF else 4e-7 * max(p - 1, 1)
    size = np.abs(dy).max(initial=0.0)
    for got, exact, terms in ((dx, want[0], len(case.w)), (dw, want[1], len(case.x))):
        np.testing.assert_allclose(got, exact, rtol=1e-6, atol=size * terms * (slack + 2e-7))


@settings(max_examples=20)
@given(case=cases(least_inputs=1), p=POWERS, data=st.data())
def test_backward_is_the_same_for_any_threads_and_split(
    kernels: Kernels, case: Case, p: float, data: st.DataObject
) -> None:
    y = kernels.lp_forward(case.x, case.w, p)
    dy = np.random.default_rng(0).normal(size=y.shape).astype(np.float32)
    dx, dw = kernels.lp_backward(case.x, case.w, p, y, dy)
    for threads in (2, 3):
        again = kernels.lp_backward(case.x, case.w, p, y, dy, threads=threads)
        np.testing.assert_array_equal(again[0], dx)
        np.testing.assert_array_equal(again[1], dw)
    cut = data.draw(st.integers(0, len(case.x)))
    for part in (slice(0, cut), slice(cut, None)):
        got, _ = kernels.lp_backward(case.x[part], case.w, p, y[part], dy[part])
        np.testing.assert_array_equal(got, dx[part])


@pytest.mark.parametrize("p", [1.5, 2.0, 6.0, 8.0, 12.0, 17.3, 48.0, 60.0, 128.0, 192.0])
def test_backward_matches_finite_differences(kernels: Kernels, p: float) -> None:
    rng = np.random.default_rng(2)
    x, w = rng.normal(size=(3, 20)).astype(np.float32), rng.normal(size=(4, 20)).astype(np.float32)
    dy = rng.normal(size=(3, 4)).astype(np.float32)
    dx, dw = kernels.lp_backward(x, w, p, kernels.lp_forward(x, w, p), dy)

    def loss(x: np.ndarray, w: np.ndarray) -> float:
        return float((reference.lp_norm(np.abs(x[:, None] - w[None]), p) * dy).sum())

    x64, w64, step = x.astype(float), w.astype(float), 1e-6
    for point, gradient in ((x64, dx), (w64, dw)):
        for at in [(0, 0), (1, 7), (2, 19)]:
            values = []
            for sign in (1, -1):
                point[at] += sign * step
                values.append(loss(x64, w64))
                point[at] -= sign * step
            assert gradient[at] == pytest.approx((values[0] - values[1]) / (2 * step), abs=5e-5)


@pytest.mark.parametrize("p", [1.0, 1.7, 2.0, 8.0, 17.3, 300.0, INF])
def test_nan_and_infinity(kernels: Kernels, p: float) -> None:
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=(9, 50)).astype(np.float32), rng.normal(size=(40, 50)).astype(np.float32)
    clean = kernels.lp_forward(x, w, p)
    x[2, 49], x[4, 3], w[7, 11], w[39, 3] = np.nan, np.inf, np.nan, np.inf
    y = kernels.lp_forward(x, w, p)
    odd = np.zeros(y.shape, bool)
    odd[[2, 4]] = True
    odd[:, [7, 39]] = True
    np.testing.assert_array_equal(y[~odd], clean[~odd])
    assert np.isnan(y[2]).all() and np.isnan(y[:, 7]).all() and np.isnan(y[4, 39])
    assert np.isinf(np.delete(y[4], [7, 39])).all() and np.isinf(np.delete(y[:, 39], [2, 4])).all()
    # A dropped input does not matter, whatever it is.
    kept = np.ones((9, 50), np.uint8)
    kept[2, 49] = 0
    y = kernels.lp_forward(x, w, p, Masks(kept, None, 1))
    assert np.isfinite(np.delete(y[2], [7, 39])).all()


@pytest.mark.parametrize("p", [1.0, 1.05, 1.2, 6.0, 17.3])
@pytest.mark.parametrize("inputs", [784, 16384])
def test_many_denormal_terms_beside_a_tiny_one(kernels: Kernels, p: float, inputs: int) -> None:
    x = np.full((9, inputs), np.float32(0.99 * 2.0**-126), np.float32)
    x[:, 0] = 2.0**-100
    w = np.zeros((3, inputs), np.float32)
    want = reference.lp_forward(x, w, np.float32(p))
    _assert_norms(kernels.lp_forward(x, w, p), want, p)
    low, high = kernels.bounds(x, x, w, p, None, 1)
    assert (low <= want).all() and (want <= high).all()


@pytest.mark.parametrize("p", [3e7, 1.2e8, 5e8, 3e38])
def test_slopes_of_huge_powers(kernels: Kernels, p: float) -> None:
    x = (np.random.default_rng(6).random((20, 3)) + 0.5).astype(np.float32)
    w, dy = np.zeros((1, 3), np.float32), np.ones((20, 1), np.float32)
    y = kernels.lp_forward(x, w, p)
    dx, _ = kernels.lp_backward(x, w, p, y, dy)
    want, _ = reference.lp_backward(x, w, np.float32(p), y, dy)
    np.testing.assert_allclose(dx, want, rtol=1e-6, atol=1e-9)


def test_equal_rows_have_no_norm_and_no_slope(kernels: Kernels) -> None:
    x = np.random.default_rng(4).normal(size=(3, 40)).astype(np.float32)
    for p in (1.0, 1.0000001, 1.5, 8.0, 12.0, 17.3, 192.0, 300.0, INF):
        y = kernels.lp_forward(x, x, p)
        np.testing.assert_array_equal(np.diag(y), 0)
        dx, dw = kernels.lp_backward(x, x, p, y, np.eye(3, dtype=np.float32))
        assert not dx.any() and not dw.any()
