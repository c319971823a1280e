"""The device code, run in the emulator, against NumPy: shapes, values and masks at random."""

from fractions import Fraction

import cuda_reference as reference
import numpy as np
import pytest
from cuda_emulated import POWERS, Gpu
from hypothesis import given, settings
from hypothesis import strategies as st

from sortnet.backend.native import Coefficients, Layer, Masks

Array = np.ndarray
SMALL = settings(max_examples=12)


def padded(rng: np.random.Generator, rows: int, columns: int, pad: int, grid: bool) -> Array:
    """A [rows, columns] view of a wider matrix whose other columns are NaN."""
    whole = np.full((rows, columns + pad), np.nan, dtype=np.float32)
    values = rng.standard_normal((rows, columns))
    # Values on a coarse grid make ties.
    whole[:, :columns] = np.round(values * 2) / 2 if grid else values
    return whole[:, :columns]


class Case:
    """Operands of one layer; a hidden margin around the results must stay as it was."""

    def __init__(self, sizes: tuple[int, int, int], pad: int, grid: bool, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.B, self.I, self.O = sizes
        self.pad = pad
        self.x = padded(self.rng, self.B, self.I, pad, grid)
        self.w = padded(self.rng, self.O, self.I, pad, grid)
        self.dy = padded(self.rng, self.B, self.O, pad, False)
        self.in_mask = self.out_mask = None
        self.group = 1

    def with_masks(self, group: int, which: str) -> "Case":
        rows = -(-self.B // group)
        self.group = group
        if "i" in which:
            self.in_mask = (self.rng.random((rows, self.I)) < 0.7).astype(np.uint8)
        if "o" in which:
            self.out_mask = (self.rng.random((rows, self.O)) < 0.7).astype(np.uint8)
        return self

    @property
    def layer(self) -> tuple:
        return (Layer, (base(self.w), stride(self.w), None, self.B, self.I, self.O))

    @property
    def masks(self) -> tuple | None:
        if self.in_mask is None and self.out_mask is None:
            return None
        return (Masks, (self.in_mask, self.out_mask, self.group))

    @property
    def keep_in(self) -> Array:
        return reference.expand(self.in_mask, self.group, (self.B, self.I))

    @property
    def keep_out(self) -> Array:
        return reference.expand(self.out_mask, self.group, (self.B, self.O))


def base(a: Array) -> Array:
    """The whole matrix of a view that `padded` made: what is sent to the worker."""
    return a if a.base is None else a.base


def stride(a: Array) -> int:
    return a.strides[0] // a.itemsize


def fresh(rows: int, columns: int) -> Array:
    return np.full((rows, columns + 3), 777.0, dtype=np.float32)


def result(a: Array | None) -> Array:
    assert a is not None
    assert (a[:, -3:] == 777.0).all(), "a kernel wrote beside its result"
    return a[:, :-3]


def forward(gpu: Gpu, case: Case, p: float) -> Array:
    y = fresh(case.B, case.O)
    arguments = (base(case.x), stride(case.x), y, y.shape[1], None)
    return result(gpu.call("lp_forward", case.layer, case.masks, p, *arguments)[5])


sizes = st.tuples(st.integers(1, 70), st.integers(1, 40), st.integers(1, 70))
sizes4 = st.tuples(st.integers(1, 70), st.integers(1, 10).map(lambda n: 4 * n), st.integers(1, 70))
cases = st.builds(
    Case, st.one_of(sizes, sizes4), st.sampled_from([0, 1, 4]), st.booleans(), st.integers(0, 999)
)
masked = st.one_of(
    cases,
    st.builds(
        Case.with_masks, cases, st.sampled_from([1, 3, 32, 100]), st.sampled_from(["i", "o", "io"])
    ),
)

# by the exponential, not by multiplications of a program of their own
powers = st.floats(1.125, 1000, width=32).filter(lambda p: p != int(p) or p > 64)


@SMALL
@given(case=masked)
def test_max_forward_is_exact(gpu: Gpu, case: Case) -> None:
    y = forward(gpu, case, np.inf)
    assert (y == reference.lp_forward(case.x, case.w, np.inf, case.keep_in, case.keep_out)).all()


@SMALL
@given(
    case=masked,
    p=st.one_of(st.sampled_from([8.0, 12.0]), powers),
    scale=st.sampled_from([1.0, 1e-30, 1e-12, 1e18, 1e36]),
)
def test_power_forward(gpu: Gpu, case: Case, p: float, scale: float) -> None:
    for operand in (case.x, case.w):
        operand *= np.float32(scale)
    y = forward(gpu, case, p)
    expected = reference.lp_forward(case.x, case.w, p, case.keep_in, case.keep_out)
    np.testing.assert_allclose(y, expected, rtol=2e-6)


def backward(gpu: Gpu, case: Case, p: float, y: Array) -> tuple[Array, Array]:
    dx, dw = fresh(case.B, case.I), fresh(case.O, case.I)
    arguments = (
        *(base(case.x), stride(case.x), y, case.O, base(case.dy), stride(case.dy)),
        *(dx, dx.shape[1], dw, dw.shape[1], None),
    )
    after = gpu.call("lp_backward", case.layer, case.masks, p, *arguments)
    return result(after[9]), result(after[11])


@settings(max_examples=9)
@given(case=masked, p=st.one_of(st.sampled_from([np.inf, 8.0, 12.0]), powers))
def test_gradients(gpu: Gpu, case: Case, p: float) -> None:
    y = reference.lp_forward(case.x, case.w, p, case.keep_in, case.keep_out).astype(np.float32)
    dx, dw = backward(gpu, case, p, y)
    g = reference.lp_gradient(case.x, case.w, p, y, case.keep_in)
    g = g * (case.dy * case.keep_out)[:, :, None]
    # Per term as the header states, and a rounding per addition.
    relative = 2e-6 if np.isinf(p) else p * 4e-7 + 5e-6
    allowed = relative * np.abs(g) + 2.0**-40 * np.abs(case.dy)[:, :, None]
    assert (np.abs(dx - g.sum(1)) <= allowed.sum(1) + 1e-30).all()
    assert (np.abs(dw + g.sum(0)) <= allowed.sum(0) + 1e-30).all()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("p", [*POWERS, 96, 128, 192, 768])
def test_every_whole_power(gpu_with_every_power: Gpu, p: int) -> None:
    """Powers 2^k and 3 * 2^k, those beyond 64 by the exponential: values and gradients."""
    gpu = gpu_with_every_power
    for seed, scale in enumerate((1.0, 1e-12, 1e18)):
        case = Case((35, 33, 20), 1, seed == 1, seed)
        for operand in (case.x, case.w):
            operand *= np.float32(scale)
        case.with_masks(32, "io")
        y = forward(gpu, case, p)
        expected = reference.lp_forward(case.x, case.w, p, case.keep_in, case.keep_out)
        np.testing.assert_allclose(y, expected, rtol=2e-6)
        dx, dw = backward(gpu, case, p, y.copy())
        g = reference.lp_gradient(case.x, case.w, p, y, case.keep_in)
        g = g * (case.dy * case.keep_out)[:, :, None]
        allowed = (p * 4e-7 + 5e-6) * np.abs(g) + 2.0**-40 * np.abs(case.dy)[:, :, None]
        assert (np.abs(dx - g.sum(1)) <= allowed.sum(1) + 1e-30).all()
        assert (np.abs(dw + g.sum(0)) <= allowed.sum(0) + 1e-30).all()


def test_gradients_of_a_batch_in_parts(gpu: Gpu) -> None:
    """More than 256 samples: dw is a sum over several launches."""
    case = Case((300, 6, 5), 0, False, 0).with_masks(32, "io")
    y = reference.lp_forward(case.x, case.w, 8.0, case.keep_in, case.keep_out).astype(np.float32)
    dx, dw = backward(gpu, case, 8.0, y)
    g = reference.lp_gradient(case.x, case.w, 8.0, y, case.keep_in)
    g = g * (case.dy * case.keep_out)[:, :, None]
    np.testing.assert_allclose(dx, g.sum(1), rtol=0, atol=2e-5)
    np.testing.assert_allclose(dw, -g.sum(0), rtol=0, atol=2e-4)


def test_a_sample_does_not_depend_on_its_batch(gpu: Gpu) -> None:
    """The launch shape changes, the bits do not."""
    case = Case((70, 40, 33), 0, False, 1)
    for p in (8.0, 17.3, np.inf):
        whole = forward(gpu, case, p)
        gradients, _ = backward(gpu, case, p, whole.copy())
        for rows in (slice(0, 1), slice(5, 40)):
            part = Case((1, 40, 33), 0, False, 1)
            part.x, part.w = case.x[rows].copy(), case.w
            part.B = part.x.shape[0]
            part.dy = case.dy[rows].copy()
            assert (forward(gpu, part, p) == whole[rows]).all()
            assert (backward(gpu, part, p, whole[rows].copy())[0] == gradients[rows]).all()


# 3 order statistics fit in registers. None, and more than 16, take the kernels for any number: one
# block per output, which the emulator is slow at.
tiny = st.builds(
    Case,
    st.tuples(st.integers(1, 4), st.integers(17, 24), st.integers(1, 4)),
    st.sampled_from([0, 3]),
    st.booleans(),
    st.integers(0, 999),
)
sort_cases = st.one_of(st.tuples(cases, st.just(3)), st.tuples(tiny, st.sampled_from([0, 3, 17])))


def sort_case(case: Case, count: int, shared: bool) -> tuple[Array, tuple]:
    if count > case.I:
        count = 0
    coef = case.rng.standard_normal((1 if shared else case.O, count)).astype(np.float32)
    return coef, (Coefficients, (coef, 0 if shared else count, count))


@SMALL
@given(drawn=sort_cases, shared=st.booleans(), hole=st.booleans())
def test_sort_forward_is_exact(gpu: Gpu, drawn: tuple[Case, int], shared: bool, hole: bool) -> None:
    case, count = drawn
    coef, coefficients = sort_case(case, count, shared)
    if hole:
        case.x[-1, -1] = np.nan
    y = fresh(case.B, case.O)
    arguments = (base(case.x), stride(case.x), y, y.shape[1], None)
    y = result(gpu.call("sort_forward", case.layer, coefficients, *arguments)[4])
    np.testing.assert_array_equal(y, reference.sort_forward(case.x, case.w, coef))


@SMALL
@given(drawn=sort_cases, shared=st.booleans())
def test_sort_gradients(gpu: Gpu, drawn: tuple[Case, int], shared: bool) -> None:
    case, count = drawn
    coef, coefficients = sort_case(case, count, shared)
    K = coef.shape[1]
    dx, dw = fresh(case.B, case.I), fresh(case.O, case.I)
    dcoef = np.full((case.O, K), np.nan, dtype=np.float32)
    arguments = (
        *(base(case.x), stride(case.x), base(case.dy), stride(case.dy)),
        *(dx, dx.shape[1], dw, dw.shape[1], dcoef, None),
    )
    after = gpu.call("sort_backward", case.layer, coefficients, *arguments)
    d = reference.differences(case.x, case.w).astype(np.float64)
    ranks = reference.sort_ranks(case.x, case.w, K)
    weight = np.broadcast_to(coef, (case.O, K))
    g = np.zeros_like(d)
    np.put_along_axis(g, ranks, np.broadcast_to(weight, ranks.shape).astype(np.float64), axis=2)
    g = g * np.sign(d) * case.dy[:, :, None]
    np.testing.assert_allclose(result(after[6]), g.sum(1), rtol=0, atol=1e-5)
    np.testing.assert_allclose(result(after[8]), -g.sum(0), rtol=0, atol=1e-5)
    a = np.take_along_axis(np.abs(d), ranks, axis=2)
    assert after[10] is not None
    np.testing.assert_allclose(after[10], (a * case.dy[:, :, None]).sum(0), rtol=0, atol=1e-4)


def exact_interval(low: float, high: float, w: float) -> tuple[Fraction, Fraction]:
    a, b = Fraction(low) - Fraction(w), Fraction(high) - Fraction(w)
    return max(a, -b, Fraction(0)), max(abs(a), abs(b))


def bounds(gpu: Gpu, name: str, case: Case, extra: object, lower: Array, upper: Array):  # type: ignore[no-untyped-def]
    y_lower, y_upper = fresh(case.B, case.O), fresh(case.B, case.O)
    arguments = (extra, lower, upper, case.I, y_lower, y_upper, y_lower.shape[1], None)
    after = gpu.call(name, case.layer, *arguments)
    return result(after[5]), result(after[6])


small = st.builds(
    Case,
    st.tuples(st.integers(1, 4), st.integers(1, 24), st.integers(1, 4)),
    st.just(0),
    st.booleans(),
    st.integers(0, 999),
)


@SMALL
@given(
    case=small,
    count=st.sampled_from([0, 3, 17]),
    shared=st.booleans(),
    power=st.sampled_from([np.inf, 1.0, 2.0]),
)
def test_bounds_enclose_exact_arithmetic(
    gpu: Gpu, case: Case, count: int, shared: bool, power: float
) -> None:
    lower = np.ascontiguousarray(case.x)
    width = np.abs(case.rng.standard_normal(lower.shape)) * case.rng.choice(
        [0, 1e-6, 1], lower.shape
    )
    upper = (lower + width).astype(np.float32)
    coef, coefficients = sort_case(case, count, shared)
    sorted_bounds = bounds(gpu, "sort_bounds", case, coefficients, lower, upper)
    norm_bounds = bounds(gpu, "lp_bounds", case, power, lower, upper)
    for b in range(case.B):
        for o in range(case.O):
            pairs = [
                exact_interval(*map(float, t))
                for t in zip(lower[b], upper[b], case.w[o], strict=True)
            ]
            low = sorted((p[0] for p in pairs), reverse=True)
            high = sorted((p[1] for p in pairs), reverse=True)
            row = [Fraction(float(c)) for c in coef[0 if shared else o]]
            exact = [
                sum(
                    (
                        c * (u if (c > 0) == side else v)
                        for c, u, v in zip(row, high, low, strict=False)
                    ),
                    Fraction(0),
                )
                for side in (False, True)
            ]
            size = sum((abs(c) * u for c, u in zip(row, high, strict=False)), Fraction(0))
            slack = size * (len(row) + 1) / 2**22
            assert exact[0] - slack <= Fraction(float(sorted_bounds[0][b, o])) <= exact[0]
            assert exact[1] <= Fraction(float(sorted_bounds[1][b, o])) <= exact[1] + slack
            for values, found, sign in ((low, norm_bounds[0], -1), (high, norm_bounds[1], 1)):
                y = Fraction(float(found[b, o]))
                tight = y * (1 - sign * Fraction(1, 2**22))
                if np.isinf(power):
                    norm, far, near = values[0], tight, y
                else:
                    whole = int(power)
                    norm = sum((v**whole for v in values), Fraction(0))
                    far, near = tight**whole, y**whole
                assert (far <= norm <= near) if sign > 0 else (near <= norm <= far)


def test_bounds_refuse_empty_intervals_and_nan(gpu: Gpu) -> None:
    case = Case((4, 5, 3), 0, False, 0)
    lower = np.ascontiguousarray(case.x)
    upper = lower + np.float32(1)
    upper[1, 2] = lower[1, 2] - 1
    lower[2, 0] = np.nan
    case.w[1, 4] = np.nan
    coef = np.ones((1, 3), dtype=np.float32)
    sort = ("sort_bounds", (Coefficients, (coef, 0, 3)))
    for name, extra in (sort, ("lp_bounds", np.inf), ("lp_bounds", 8.0)):
        low, high = bounds(gpu, name, case, extra, lower, upper)
        bad = np.zeros((4, 3), dtype=bool)
        bad[1:3] = True
        bad[:, 1] = True
        assert (np.isneginf(low) == bad).all() and (np.isposinf(high) == bad).all()
        assert np.isfinite(low[~bad]).all() and np.isfinite(high[~bad]).all()


@pytest.mark.parametrize("p", [np.inf, 8.0, 17.3])
def test_nan_and_infinity_come_through(gpu: Gpu, p: float) -> None:
    case = Case((3, 8, 3), 0, False, 0)
    case.x[1, 3] = np.nan
    case.w[2, 7] = np.inf
    y = forward(gpu, case, p)
    assert np.isnan(y[1]).all()
    assert np.isposinf(y[[0, 2], 2]).all()
    assert np.isfinite(y[np.ix_([0, 2], [0, 1])]).all()
