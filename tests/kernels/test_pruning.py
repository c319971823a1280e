"""Pruned order statistics, bit for bit against all terms, on data that is easy or hard to prune."""

import numpy as np
import numpy_kernels as reference
import pytest
from abi import Array, Kernels, Masks
from hypothesis import given, settings
from hypothesis import strategies as st

INF = float("inf")
KINDS = [
    "normal", "uniform", "ties", "equal", "zeros", "near", "outlier", "denormal", "huge",
    "overflow", "offset", "far",
]  # fmt: skip


def values(kind: str, batch: int, inputs: int, outputs: int, seed: int) -> tuple[Array, Array]:
    """Samples and weights of a kind."""
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(batch, inputs)), rng.normal(size=(outputs, inputs))
    if kind == "uniform":
        x = rng.random(x.shape)
    elif kind == "ties":
        x, w = np.round(x), np.round(w)
    elif kind == "equal":
        x, w = np.ones_like(x), np.full_like(w, -2.0)
    elif kind == "zeros":
        x, w = np.where(rng.random(x.shape) < 0.5, -0.0, 0.0), np.zeros_like(w)
    elif kind == "near":  # every bound reaches every maximum
        x, w = x * 1e-3, np.sign(w)
    elif kind == "outlier":
        w[rng.integers(outputs), rng.integers(inputs)] = 1e6
    elif kind == "denormal":
        x, w = x * 2.0**-140, w * 2.0**-140
    elif kind == "huge":
        x, w = x * 2.0**115, w * 2.0**115
    elif kind == "overflow":  # some differences are infinite
        x, w = np.sign(x) * 3e38, np.clip(w, -3, 3) * 1e38
    elif kind == "offset":
        x, w = x + 1e4, w + 1e4
    elif kind == "far":  # each neuron and sample differs in a few inputs only
        x, w = (
            np.where(rng.random(x.shape) < 0.01, 9.0, x),
            np.where(rng.random(w.shape) < 0.01, -9.0, w),
        )
    return x.astype(np.float32), w.astype(np.float32)


@st.composite
def operands(draw: st.DrawFn) -> tuple[Array, Array]:
    batch = draw(st.sampled_from([0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 70]))
    inputs = draw(st.integers(1, 70) | st.sampled_from([127, 128, 129, 400, 1000]))
    outputs = draw(st.integers(1, 20) | st.just(67))
    return values(draw(st.sampled_from(KINDS)), batch, inputs, outputs, draw(st.integers(0, 999)))


def terms(x: Array, w: Array, masks: Masks | None) -> Array:
    """[B, O, I] differences in float32; NaN at dropped inputs."""
    with np.errstate(over="ignore"):
        d = x[:, None] - w[None]
    if masks is not None and masks.inputs is not None:
        kept = np.repeat(masks.inputs, masks.group, 0)[: len(x)]
        d[np.broadcast_to(kept[:, None] == 0, d.shape)] = np.nan
    return d


def first_slopes(d: Array, y: Array, dy: Array) -> tuple[Array, Array]:
    """dx and dw: each output's gradient at the first difference as large as it."""
    hit = (np.abs(d) == y[..., None]) & (y > 0)[..., None]
    b, o, i = np.nonzero(hit & (hit.cumsum(-1) == 1))
    slope = (np.sign(d[b, o, i]) * dy[b, o]).astype(np.float32)
    dx = np.zeros((d.shape[0], d.shape[2]), np.float32)
    dw = np.zeros((d.shape[1], d.shape[2]), np.float32)
    np.add.at(dx, (b, i), slope)
    np.add.at(dw, (o, i), -slope)
    return dx, dw


@st.composite
def some_masks(draw: st.DrawFn, x: Array, w: Array) -> Masks | None:
    if draw(st.booleans()):
        return None
    group = draw(st.sampled_from([1, 5, 8, 16, 20, 32, 100]))
    rows = -(-len(x) // group)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    keep = draw(st.sampled_from([0.0, 0.3, 0.7, 1.0]))
    inputs, outputs = (
        (rng.random((rows, n)) < keep).astype(np.uint8) for n in (x.shape[1], len(w))
    )
    return Masks(inputs, draw(st.sampled_from([outputs, None])), group)


@settings(max_examples=60)
@given(data=st.data())
def test_maximum_and_its_gradient(kernels: Kernels, data: st.DataObject) -> None:
    x, w = data.draw(operands())
    masks = data.draw(some_masks(x, w))
    threads = data.draw(st.integers(0, 3))
    d = terms(x, w, masks)
    a = np.where(np.isnan(d), -1.0, np.abs(d)).astype(np.float32)
    want = np.maximum(a.max(2, initial=0.0), 0.0)
    if masks is not None and masks.outputs is not None:
        want[np.repeat(masks.outputs, masks.group, 0)[: len(x)] == 0] = 0.0
    y = kernels.lp_forward(x, w, INF, masks, threads=threads, pad=1)
    np.testing.assert_array_equal(y, want)
    # Gradients are whole numbers, whose sums are exact in any order.
    dy = np.random.default_rng(0).integers(-9, 10, y.shape).astype(np.float32)
    dx, dw = kernels.lp_backward(x, w, INF, y, dy, masks, threads, 1)
    want_dx, want_dw = first_slopes(d, y, dy)
    np.testing.assert_array_equal(dx, want_dx)
    np.testing.assert_array_equal(dw, want_dw)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_do_not_depend_on_their_tile(kernels: Kernels, kind: str) -> None:
    x, w = values(kind, 70, 300, 70, 5)
    y = kernels.lp_forward(x, w, INF)
    for cut in (1, 7, 8, 15, 16, 17, 33):
        for part in (slice(0, cut), slice(cut, None)):
            np.testing.assert_array_equal(kernels.lp_forward(x[part], w, INF), y[part])


def test_samples_and_neurons_that_are_not_finite(kernels: Kernels) -> None:
    x, w = values("normal", 40, 200, 70, 6)
    clean = kernels.lp_forward(x, w, INF)
    x[3, 7], x[20, 0], w[5, 9], w[69, 199] = np.nan, np.inf, -np.inf, np.nan
    x[32:] = np.nan
    y = kernels.lp_forward(x, w, INF)
    with np.errstate(invalid="ignore"):
        want = np.abs(x[:, None] - w[None]).max(2)
    np.testing.assert_array_equal(y, want)
    rest = np.ix_([b for b in range(32) if b not in (3, 20)], [o for o in range(69) if o != 5])
    np.testing.assert_array_equal(y[rest], clean[rest])
    dy = np.ones_like(y)
    with np.errstate(invalid="ignore"):
        want_dx, want_dw = first_slopes(x[:, None] - w[None], y, dy)
    dx, dw = kernels.lp_backward(x, w, INF, y, dy)
    np.testing.assert_array_equal(dx, want_dx)
    np.testing.assert_array_equal(dw, want_dw)


def widths(kind: str, shape: tuple[int, int], seed: int) -> Array:
    """Half widths of intervals, >= 0."""
    rng = np.random.default_rng(seed)
    if kind == "zero":
        return np.zeros(shape, np.float32)
    if kind == "one wide":  # each sample has one input that may be anything near
        wide = np.zeros(shape, np.float32)
        wide[:, rng.integers(shape[1])] = 50
        return wide
    return (float(kind) * rng.random(shape) * (rng.random(shape) < 0.8)).astype(np.float32)


def outward_maximum(lower: Array, upper: Array, w: Array) -> tuple[Array, Array]:
    """[B, O] maxima of the nearest and of the farthest terms in float32, one unit outward."""
    with np.errstate(over="ignore"):
        below, above = w[None] - lower[:, None], upper[:, None] - w[None]
    near = np.maximum(np.maximum(-below, -above).max(2, initial=0.0), 0)
    far = np.maximum(below, above).max(2, initial=0.0)
    zero, infinity = np.float32(0), np.float32(INF)
    low = np.where(near == 0, zero, np.nextafter(near, zero))
    return low, np.where(far == 0, zero, np.nextafter(far, infinity))


@settings(max_examples=60)
@given(
    xw=operands(),
    width=st.sampled_from(["zero", "one wide", "1e-6", "0.05", "3", "1e30"]),
    packed=st.booleans(),
    threads=st.integers(0, 3),
)
def test_bounds_of_the_maximum(
    kernels: Kernels, xw: tuple[Array, Array], width: str, packed: bool, threads: int
) -> None:
    x, w = xw
    half = widths(width, x.shape, 3)
    lower, upper = (np.clip(x + s * half, -3.4e38, 3.4e38).astype(np.float32) for s in (-1, 1))
    got = kernels.bounds(lower, upper, w, INF, kernels.pack(w) if packed else None, threads)
    for y, want in zip(got, outward_maximum(lower, upper, w), strict=True):
        np.testing.assert_array_equal(y, want)


@pytest.mark.parametrize("kind", ["normal", "ties", "near", "huge"])
def test_bounds_do_not_depend_on_the_batch(kernels: Kernels, kind: str) -> None:
    """Batches of 0 .. 40 samples, odd ones among them, against calls too small for a tile."""
    x, w = values(kind, 40, 200, 70, 7)
    half = widths("0.05", x.shape, 3)
    lower, upper = x - half, x + half
    lower[3, 150], upper[3, 150] = 2, 1
    upper[17, 0] = np.nan
    lower[18, 5], upper[18, 5] = -np.inf, np.inf
    upper[30:33, 199] = np.inf
    w[5, 9], w[69, 0] = np.nan, np.inf
    parts = [kernels.bounds(lower[b : b + 7], upper[b : b + 7], w, INF) for b in range(0, 40, 7)]
    want = [np.concatenate(ends) for ends in zip(*parts, strict=True)]
    assert np.isneginf(want[0][[3, 17]]).all() and np.isposinf(want[1][[3, 17]]).all()
    for batch in range(41):
        got = kernels.bounds(lower[:batch], upper[:batch], w, INF, threads=batch % 3)
        for y, y_want in zip(got, want, strict=True):
            np.testing.assert_array_equal(y, y_want[:batch])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 4, 7, 10, 16])
def test_sorted_sum(kernels: Kernels, kind: str, count: int) -> None:
    """Calls that prune, whole tiles and parts of them, against the reference."""
    x, w = values(kind, 37, 300, 67, 8)
    coef = np.random.default_rng(count).normal(size=count).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        want = reference.sort_forward(x, w, coef)
    for batch in (37, 33, 8, 9, 4):
        y = kernels.sort_forward(x[:batch], w, coef, threads=batch % 3, pad=1)
        np.testing.assert_array_equal(y, want[:batch])


@pytest.mark.parametrize("own", [False, True])
def test_sorted_sum_where_some_neurons_prune(kernels: Kernels, own: bool) -> None:
    """Few to all neurons are hard to prune; coefficients are shared or each neuron's own."""
    x, w = values("uniform", 70, 400, 140, 9)
    near = np.sign(np.random.default_rng(1).normal(size=w.shape)).astype(np.float32)
    coef = np.random.default_rng(2).normal(size=(140, 10) if own else 10).astype(np.float32)
    for hard in (0, 3, 40, 100, 140):
        mixed = w.copy()
        mixed[::-1][:hard] = near[:hard]
        mixed[:, :200] *= 0.1
        y = kernels.sort_forward(x, mixed, coef)
        np.testing.assert_array_equal(y, reference.sort_forward(x, mixed, coef))


def test_sorted_sum_of_samples_and_neurons_that_are_not_finite(kernels: Kernels) -> None:
    x, w = values("normal", 40, 200, 70, 6)
    coef = np.array([0.5, 0.25, 0.125], np.float32)
    clean = kernels.sort_forward(x, w, coef)
    x[3, 7], x[20, 0], w[5, 9], w[69, 199] = np.nan, np.inf, -np.inf, np.nan
    x[32:] = np.nan
    y = kernels.sort_forward(x, w, coef)
    assert np.isnan(y[[3, *range(32, 40)]]).all() and np.isnan(y[:, 69]).all()
    assert np.isinf(y[20, :69]).all() and np.isinf(y[:3, 5]).all()
    rest = np.ix_([b for b in range(32) if b not in (3, 20)], [o for o in range(69) if o != 5])
    np.testing.assert_array_equal(y[rest], clean[rest])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", ["zero", "one wide", "0.05", "3"])
@pytest.mark.parametrize("count", [1, 7, 16])
def test_sorted_bounds_do_not_depend_on_the_batch(
    kernels: Kernels, kind: str, width: str, count: int
) -> None:
    """Tiles that are pruned, odd intervals among them, against calls too small for a tile."""
    x, w = values(kind, 37, 300, 67, 7)
    half = widths(width, x.shape, 3)
    with np.errstate(over="ignore"):
        lower, upper = (np.clip(x + s * half, -3.4e38, 3.4e38).astype(np.float32) for s in (-1, 1))
    lower[3, 150], upper[3, 150] = 2, 1
    upper[17, 0] = np.nan
    w[5, 9] = np.nan
    coef = np.random.default_rng(count).normal(size=count).astype(np.float32)
    ones = [kernels.bounds(lower[b : b + 1], upper[b : b + 1], w, coef) for b in range(37)]
    want = [np.concatenate(ends) for ends in zip(*ones, strict=True)]
    for batch in (37, 33, 8, 9, 4):
        got = kernels.bounds(lower[:batch], upper[:batch], w, coef, threads=batch % 3)
        for y, y_want in zip(got, want, strict=True):
            np.testing.assert_array_equal(y, y_want[:batch])
