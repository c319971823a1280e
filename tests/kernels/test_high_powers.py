"""Powers so high that few terms matter: pruned, against all terms, on easy and hard data."""

import numpy as np
import numpy_kernels as reference
import pytest
from abi import Kernels, Masks
from hypothesis import given, settings
from hypothesis import strategies as st
from test_pruning import KINDS, some_masks, values

HIGH = st.one_of(
    st.sampled_from([32.0, 48.0, 64.0, 96.0, 128.0, 192.0, 256.0, 384.0, 1024.0]),
    st.floats(13.5, 400.0, width=32),
)
PRUNED = sorted({*KINDS} - {"overflow", "denormal", "huge"})  # norms and slopes in float32's range


def _operands(data: st.DataObject) -> tuple[np.ndarray, np.ndarray]:
    batch = data.draw(st.sampled_from([1, 7, 16, 31, 33, 70]))
    inputs = data.draw(st.sampled_from([1, 63, 64, 65, 129, 300, 700]))
    outputs = data.draw(st.sampled_from([1, 5, 66]))
    return values(
        data.draw(st.sampled_from(PRUNED)), batch, inputs, outputs, data.draw(st.integers(0, 99))
    )


@settings(max_examples=40)
@given(p=HIGH, data=st.data())
def test_norms_and_slopes(kernels: Kernels, p: float, data: st.DataObject) -> None:
    x, w = _operands(data)
    masks, threads = data.draw(some_masks(x, w)), data.draw(st.integers(0, 3))
    y = kernels.lp_forward(x, w, p, masks, threads=threads, pad=1)
    np.testing.assert_allclose(y, reference.lp_forward(x, w, np.float32(p), masks), rtol=2e-6)
    dy = np.random.default_rng(0).normal(size=y.shape).astype(np.float32)
    dy[:, ::3] = 0  # outputs without a gradient
    got = kernels.lp_backward(x, w, p, y, dy, masks, threads, 1)
    want = reference.lp_backward(x, w, np.float32(p), y, dy, masks)
    for slopes, exact, terms in zip(got, want, (len(w), len(x)), strict=True):
        np.testing.assert_allclose(
            slopes, exact, rtol=1e-6, atol=np.abs(dy).max() * terms * (4e-7 * p + 2e-7)
        )


@pytest.mark.parametrize("kind", PRUNED)
@settings(max_examples=4)
@given(p=HIGH)
def test_samples_do_not_depend_on_their_tile(kernels: Kernels, kind: str, p: float) -> None:
    """Nor on whether the rest of the tile can be pruned: the other samples change the searches."""
    x, w = values(kind, 70, 300, 70, 5)
    x[40:] = values("near", 30, 300, 70, 6)[0]
    dy = np.random.default_rng(0).normal(size=(70, 70)).astype(np.float32)
    y = kernels.lp_forward(x, w, p)
    dx, dw = kernels.lp_backward(x, w, p, y, dy)
    again = kernels.lp_backward(x, w, p, y, dy, threads=3)
    np.testing.assert_array_equal(again[0], dx)
    np.testing.assert_array_equal(again[1], dw)
    for cut in (1, 16, 33):
        for part in (slice(0, cut), slice(cut, None)):
            np.testing.assert_array_equal(kernels.lp_forward(x[part], w, p), y[part])
            got, _ = kernels.lp_backward(x[part], w, p, y[part], dy[part])
            np.testing.assert_array_equal(got, dx[part])


@pytest.mark.parametrize("p", [32.0, 64.0, 100.0])
@pytest.mark.parametrize("kind", ["normal", "near"])
def test_values_that_are_not_finite(kernels: Kernels, p: float, kind: str) -> None:
    """Neither dropped inputs nor a gradient that is not finite reach what they have no part in."""
    x, w = values(kind, 70, 200, 66, 7)
    keep = np.ones((3, 200), np.uint8)
    keep[:, 150] = 0
    masks = Masks(keep, None, 32)
    dy = np.ones((70, 66), np.float32)
    y = kernels.lp_forward(x, w, p, masks)
    dx, dw = kernels.lp_backward(x, w, p, y, dy, masks)
    x[3, 150] = np.nan  # dropped
    w[60, 150] = np.inf
    np.testing.assert_allclose(kernels.lp_forward(x, w, p, masks), y, rtol=2e-6)
    dy[5, 9] = np.nan
    got_dx, got_dw = kernels.lp_backward(x, w, p, y, dy, masks)
    assert np.isnan(got_dx[5, keep[0] == 1]).any() and np.isnan(got_dw[9, keep[0] == 1]).any()
    np.testing.assert_array_equal(got_dx[:, 150], 0)
    np.testing.assert_array_equal(got_dw[:, 150], 0)
    rows = [b for b in range(70) if b != 5]
    neurons = [o for o in range(66) if o != 9]
    slack = {"rtol": 1e-5, "atol": 66 * 4e-7 * p}
    np.testing.assert_allclose(got_dx[rows], dx[rows], **slack)
    np.testing.assert_allclose(got_dw[neurons], dw[neurons], **slack)


@given(p=st.floats(13.0, 3e7, width=32) | st.sampled_from([2.0**20, 2.0**24 - 1]))
@settings(max_examples=15)
def test_any_power_of_a_few_terms(kernels: Kernels, p: float) -> None:
    x = np.linspace(0.5, 1, 40, dtype=np.float32).reshape(2, 20)
    w = np.zeros((3, 20), np.float32)
    want = reference.lp_forward(x, w, np.float32(p))
    np.testing.assert_allclose(kernels.lp_forward(x, w, p), want, rtol=2e-6)
