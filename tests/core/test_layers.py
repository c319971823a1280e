import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from sortnet import nn as snn
from sortnet.nn import functional as F

shapes = st.tuples(st.integers(1, 7), st.integers(1, 9), st.integers(1, 6))


def layers(inputs: int, outputs: int, seed: int) -> list[nn.Module]:
    torch.manual_seed(seed)
    order = snn.OrderStatisticLinear(inputs, outputs, bias=True)
    with torch.no_grad():
        order.order_weight.normal_()
    piecewise = snn.PiecewiseLinear(inputs)
    with torch.no_grad():
        piecewise.slope.normal_()
    return [
        snn.SortLinear(inputs, outputs, keep=0.6, top_k=3, bias=True).eval(),
        snn.LInfDistLinear(inputs, outputs).eval(),
        order,
        snn.LipschitzLinear(inputs, outputs),
        snn.GroupSort(inputs),
        piecewise,
        snn.MeanShift(inputs).eval(),
        snn.Negate(),
    ]


@given(shapes, st.integers(0, 50))
def test_layers_are_one_lipschitz_and_within_their_bounds(
    shape: tuple[int, int, int], seed: int
) -> None:
    batch, inputs, outputs = shape
    for layer in layers(inputs, outputs, seed):
        x = torch.randn(batch, inputs)
        delta = torch.rand(batch, inputs) - 0.5
        y, z = layer(x), layer(x + delta)
        moved = (z - y).abs().amax(1)
        assert (moved <= delta.abs().amax(1) + 1e-5).all(), type(layer)
        low, high = layer.bounds(torch.minimum(x, x + delta), torch.maximum(x, x + delta))
        for inside in (y, z):
            assert (low <= inside + 1e-5).all(), type(layer)
            assert (inside <= high + 1e-5).all(), type(layer)


@given(st.integers(1, 12), st.integers(0, 99), st.sampled_from([1e-3, 1.0, 1e3, 1e30, 5e37]))
def test_projected_rows_obey_the_limit_exactly(columns: int, seed: int, scale: float) -> None:
    torch.manual_seed(seed)
    raw = torch.randn(5, columns) * scale
    rows = F.project_rows(raw)
    for row, original in zip(rows.tolist(), raw.tolist(), strict=True):
        total = sum(abs(Fraction(value)) for value in row)
        assert total <= 1
        if sum(abs(Fraction(v)) for v in original) > 1:
            assert total >= 1 - Fraction(1, 2**19)
    zero = torch.zeros(2, columns, requires_grad=True)
    assert F.project_rows(zero).sum().backward() is None
    assert zero.grad is not None and zero.grad.isfinite().all()


@given(st.integers(1, 3), st.integers(1, 2), st.integers(0, 2), st.integers(0, 9))
def test_convolution_is_the_linear_layer_on_every_patch(
    kernel: int, stride: int, padding: int, seed: int
) -> None:
    torch.manual_seed(seed)
    conv = snn.SortConv2d(2, 3, kernel, stride, padding, keep=0.7, top_k=4, bias=True).eval()
    x = torch.randn(2, 2, 5, 4)
    y = conv(x)
    padded = nn.functional.pad(x, (padding,) * 4)
    for row in range(y.shape[2]):
        for column in range(y.shape[3]):
            top, left = row * stride, column * stride
            patch = padded[:, :, top : top + kernel, left : left + kernel].flatten(1)
            expected = F.sort_linear(patch, conv.weight, conv.coefficients(), conv.bias)
            assert torch.equal(y[:, :, row, column], expected)
    assert y.shape == nn.Conv2d(2, 3, kernel, stride, padding)(x).shape
    low, high = conv.bounds(x - 0.1, x + 0.1)
    assert (low <= y).all() and (y <= high).all()


@given(
    st.integers(1, 3),
    st.lists(st.sampled_from([3, 5, 7]), min_size=1, max_size=3),
    st.sampled_from([(0.0, 1.0), (-0.81, 2.02), (-3.0, 0.0), (-0.1, 1e-3)]),
    st.integers(0, 99),
)
def test_morphology_is_the_extremes_of_windows_and_a_distance_layer(
    channels: int, windows: list[int], span: tuple[float, float], seed: int
) -> None:
    torch.manual_seed(seed)
    below, above = span
    layer = snn.Morphology2d(channels, windows, below, above)
    x = below + torch.rand(2, channels, 6, 5) * (above - below)
    x = torch.where(torch.rand_like(x) < 0.3, torch.tensor(below), x)  # ties with neutral terms
    x = torch.where(torch.rand_like(x) < 0.2, torch.tensor(above), x)
    y = layer.train()(x)
    for values in (x, x.double()):
        patches, grid = F.unfold_patches(values, *layer._patching)
        neurons = F.fold_outputs(F.lp_distance(patches, layer.weights(values)), grid)
        assert torch.equal(layer(values), neurons)
    assert not list(layer.parameters()) and not layer.state_dict()
    image, *maps = y.split(channels, 1)
    assert torch.equal(image, x - layer.low)
    for index, side in enumerate(windows):
        reach = side // 2
        for row in range(6):
            for column in range(5):
                rows = slice(max(0, row - reach), row + reach + 1)
                columns = slice(max(0, column - reach), column + reach + 1)
                seen = x[:, :, rows, columns].flatten(2)
                cut = row < reach or column < reach or row + reach > 5 or column + reach > 4
                largest, smallest = seen.amax(2), seen.amin(2)
                if cut:  # zeros lie around the image
                    largest, smallest = largest.clamp_min(0), smallest.clamp_max(0)
                assert torch.equal(maps[2 * index][:, :, row, column], largest - layer.low)
                assert torch.equal(maps[2 * index + 1][:, :, row, column], layer.high - smallest)


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 9))
def test_group_sort_against_sorting_each_group(group: int, groups: int, seed: int) -> None:
    torch.manual_seed(seed)
    x = torch.randn(3, group * groups).round(decimals=1)
    expected = [
        [v for g in range(groups) for v in sorted(row[g * group : (g + 1) * group], reverse=True)]
        for row in x.tolist()
    ]
    assert torch.equal(F.group_sort(x, group), torch.tensor(expected))


def test_training_is_the_distance_over_a_random_subset() -> None:
    torch.manual_seed(0)
    layer = snn.SortLinear(50, 4, keep=0.5)
    layer.p = math.inf
    x = torch.randn(64, 50)
    mask = layer.draw_mask(64)
    assert mask is not None and mask.shape == (2, 50)
    y = layer(x, mask)
    for sample in range(64):
        kept = mask[sample // 32]
        expected = (x[sample, kept] - layer.weight[:, kept]).abs().amax(1)
        assert torch.equal(y[sample], expected)
    assert snn.LInfDistLinear(5, 2).draw_mask(3) is None


def test_random_maximum_estimates_the_sorted_sum() -> None:
    """Dropout identity: sampled, 20,000 masks; the standard error is below 0.01."""
    torch.manual_seed(0)
    layer = snn.SortLinear(12, 3, keep=0.6, top_k=12)
    x = torch.randn(1, 12).expand(20_000, 12)
    layer.group = 1
    layer.p = math.inf
    estimate = layer(x).mean(0)
    a = (x[0] - layer.weight).abs().sort(descending=True)[0]
    series = torch.tensor([0.6 * 0.4**k for k in range(12)])
    assert torch.allclose(estimate, a @ series, atol=0.05)


def test_large_p_approaches_the_maximum() -> None:
    torch.manual_seed(0)
    x, w = torch.randn(5, 30), torch.randn(4, 30)
    exact = F.lp_distance(x, w)
    for p in (8.0, 64.0, 512.0):
        y = F.lp_distance(x, w, p)
        assert (y >= exact * (1 - 1e-6)).all()
        assert (y <= exact * 30 ** (1 / p) * (1 + 1e-6)).all()


def test_mean_shift_counts_only_computed_units() -> None:
    shift = snn.MeanShift(2, momentum=1.0)
    x = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 8.0]])
    mask = torch.tensor([[True, False], [False, True]])
    y = shift(x, mask, group=2)
    assert shift.running_mean.tolist() == [2.0, 8.0]
    assert y[:2, 0].tolist() == [-1.0, 1.0] and y[2, 1] == 0
    shift.eval()
    assert torch.equal(shift(x), x - torch.tensor([2.0, 8.0]))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 3e38])
def test_mean_shift_survives_a_batch_that_is_not_finite(bad: float) -> None:
    """The output shows it; the running mean of the units concerned stays, the others move."""
    shift = snn.MeanShift(3)
    good = torch.randn(16, 3)
    shift(good)
    before = shift.running_mean.clone()
    broken = good.clone()
    broken[:4, 1] = bad  # 4 x 3e38 overflows in the sum
    out = shift(broken)
    assert not out[:, 1].isfinite().all() and out[:, [0, 2]].isfinite().all()
    assert shift.running_mean[1] == before[1]
    assert (shift.running_mean[[0, 2]] != before[[0, 2]]).all()
    mask = torch.ones(1, 3, dtype=torch.bool)
    shift(broken, mask, 16)
    assert shift.running_mean.isfinite().all()
    before = shift.running_mean.clone()
    shift.start_estimate()
    shift(broken)
    with pytest.raises(FloatingPointError, match="1 of 3 units"):
        shift.finish_estimate()
    assert torch.equal(shift.running_mean, before)
    assert torch.equal(shift.eval()(good), good - before)  # and the estimation is over


def test_mean_shift_far_apart_means_do_not_overflow_the_state() -> None:
    shift = snn.MeanShift(1, momentum=1.0)
    shift.running_mean.fill_(3e38)
    shift(torch.tensor([[-3e38], [-1e37]]))  # the difference is infinite in float32
    assert shift.running_mean.item() == torch.tensor(3e38).item()


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1), (1, 3, 1, 1)])
def test_mean_shift_refuses_one_value_per_unit(shape: tuple[int, ...]) -> None:
    """Less its own mean it is 0 whatever it was; in evaluation it is welcome."""
    shift, x = snn.MeanShift(3), torch.randn(shape)
    with pytest.raises(ValueError, match="more than one value per unit"):
        shift(x)
    assert torch.equal(shift.running_mean, torch.zeros(3))
    shift.start_estimate()
    with pytest.raises(ValueError, match="more than one value per unit"):
        shift.eval()(x)
    shift.stop_estimate()
    assert torch.equal(shift(x), x)
    assert snn.MeanShift(3)(torch.randn(0, *shape[1:])).shape == (0, *shape[1:])
    assert snn.MeanShift(3)(torch.randn(2, *shape[1:])).abs().max() > 0


@pytest.mark.parametrize(
    ("mask", "group", "message"),
    [
        (torch.ones(1, 3, dtype=torch.bool), None, "group of samples"),
        (torch.ones(1, 3, dtype=torch.bool), 0, "group of samples"),
        (torch.ones(1, 3, dtype=torch.bool), 16, r"\[ceil\(20 / 16\), 3\]"),
        (torch.ones(2, 2, dtype=torch.bool), 16, r"\[ceil\(20 / 16\), 3\]"),
        (torch.ones(2, 3), 16, "float32"),
    ],
)
def test_mean_shift_refuses_masks_of_other_groups(
    mask: Tensor, group: int | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        snn.MeanShift(3)(torch.randn(20, 3), mask, group)


def test_mean_shift_estimate_over_batches() -> None:
    torch.manual_seed(0)
    shift = snn.MeanShift(3)
    batches = [torch.randn(n, 3) for n in (5, 2)]
    shift.start_estimate()
    for batch in batches:
        shift.eval()(batch)
    shift.finish_estimate()
    assert torch.allclose(shift.running_mean, torch.cat(batches).mean(0))
    with pytest.raises(RuntimeError, match="start_estimate"):
        shift.finish_estimate()


def test_float64_layers_agree_with_float32() -> None:
    torch.manual_seed(0)
    layer = snn.SortLinear(11, 6, bias=True).eval()
    x = torch.randn(2, 3, 11)
    single = layer(x)
    assert single.shape == (2, 3, 6)
    assert torch.allclose(single.double(), layer.double()(x.double()), atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: snn.SortLinear(0, 3), "in_features"),
        (lambda: snn.SortLinear(3, 3, keep=0.0), "keep must be in"),
        (lambda: snn.SortLinear(3, 3, keep=1.5), "keep must be in"),
        (lambda: snn.SortLinear(3, 3, top_k=0), "top_k"),
        (lambda: snn.SortConv2d(1, 2, 0), "kernel_size"),
        (lambda: snn.SortConv2d(1, 2, 3)(torch.zeros(1, 1, 2, 2)), "does not fit"),
        (lambda: snn.SortConv2d(1, 2, 3)(torch.zeros(1, 4)), "expected images"),
        (lambda: snn.Morphology2d(0, [3], 0, 1), "channels"),
        (lambda: snn.Morphology2d(1, [], 0, 1), "odd integers"),
        (lambda: snn.Morphology2d(1, [4], 0, 1), "odd integers"),
        (lambda: snn.Morphology2d(1, [3], 0.5, 1), "below <= 0 <= above"),
        (lambda: snn.Morphology2d(1, [3], 0, math.inf), "finite"),
        (lambda: snn.Morphology2d(1, [3], 0, 0), "not equal"),
        (lambda: snn.Morphology2d(1, 3, 0, 1), "odd integers"),
        (lambda: snn.Morphology2d(1, [3], -3e38, 3e38), "for float32"),
        (lambda: snn.Morphology2d(1, [3], -1e-46, 0), "for float32"),
        (lambda: snn.Morphology2d(1, [3], 0, 1)(torch.zeros(1, 4, 4)), "expected images"),
        (lambda: snn.Morphology2d(1, [3], 0, 1)(torch.zeros(1, 2, 4, 4)), "expected images"),
        (lambda: snn.Morphology2d(1, [3], 0, 1)(torch.zeros(1, 1, 0, 4)), "expected images"),
        (lambda: snn.OrderStatisticLinear(3, 2, 4), "at most in_features"),
        (lambda: snn.GroupSort(3)(torch.zeros(2, 7)), "does not divide 7 units"),
        (lambda: snn.SortLinear(3, 3)(torch.zeros(2, 4)), r"expected input \[..., 3\]"),
        (lambda: snn.MeanShift(3)(torch.zeros(2, 4)), "expected"),
        (lambda: snn.Normalize(0, 0), "std > 0"),
        (lambda: snn.PiecewiseLinear(2, knots=1), "at least 2 knots"),
        (lambda: F.lp_distance(torch.zeros(2, 3), torch.zeros(2, 3), p=0), "p must be"),
        (lambda: F.sort_linear(torch.zeros(2, 3), torch.zeros(2, 3), torch.ones(4)), "as many"),
    ],
)
def test_bad_arguments_are_named(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, w, c: F.lp_distance(x, w, 0.5), "p must be"),
        (lambda x, w, c: F.lp_distance(x, w, math.nan), "p must be"),
        (lambda x, w, c: F.lp_distance(x[:, 1:], w), "expected input"),
        (lambda x, w, c: F.lp_distance(x, w, 2.0, x > 0, None, 2), "in_mask must be bool"),
        (lambda x, w, c: F.lp_distance(x, w, 2.0, None, w > 0, 6), "out_mask must be bool"),
        (lambda x, w, c: F.lp_distance(x, w, 2.0, x[:1], None, 6), "in_mask must be bool"),
        (lambda x, w, c: F.lp_distance(x, w, 2.0, None, None, 0), "group must be"),
        (lambda x, w, c: F.lp_distance(x, w.half()), "one dtype"),
        (lambda x, w, c: F.sort_linear(x, w, c[:, :2].T), "coef must be"),
        (lambda x, w, c: F.sort_linear(x, w, torch.ones(9, dtype=x.dtype)), "as many"),
        (lambda x, w, c: F.sort_linear(x, w, c.half()), "one dtype"),
        (lambda x, w, c: F.lp_distance_bounds(x, x[1:], w), "one shape"),
        (lambda x, w, c: F.lp_distance_bounds(x, x, w, 0.5), "p must be"),
        (lambda x, w, c: F.lp_distance_bounds(x, x.half(), w), "one dtype"),
        (lambda x, w, c: F.sort_linear_bounds(x, x[1:], w, c), "one shape"),
        (lambda x, w, c: F.sort_linear_bounds(x, x, w, c[:, :2].T), "coef must be"),
        (lambda x, w, c: F.sort_linear_bounds(x, x, w, c[1:]), "coef must be"),
        (lambda x, w, c: F.sort_linear_bounds(x, x[:, 1:], w, c), "expected input"),
        (lambda x, w, c: F.sort_linear_bounds(x, x.bfloat16(), w, c), "one dtype"),
    ],
)
def test_both_precisions_make_the_same_checks(call, message: str, dtype: torch.dtype) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        call(*(torch.randn(n, 5, dtype=dtype) for n in (6, 3, 3)))


@given(st.integers(0, 99), st.sampled_from([1.0, 3.0, math.inf, None]))
def test_both_precisions_say_nothing_of_the_same_intervals(seed: int, p: float | None) -> None:
    torch.manual_seed(seed)
    lower, w, coef = torch.randn(4, 3), torch.randn(5, 3), torch.randn(5, 2)
    upper = lower + torch.rand(4, 3)
    for tensor in (lower, upper, w, coef):
        place = torch.rand_like(tensor)
        tensor[place < 0.06] = math.nan
        tensor[(place > 0.9) & (place < 0.94)] = -9.0  # an empty interval, where it is the upper
    wide = (value.double() for value in (lower, upper, w, coef))
    if p is None:
        single, double = F.sort_linear_bounds(lower, upper, w, coef), F.sort_linear_bounds(*wide)
    else:
        single = F.lp_distance_bounds(lower, upper, w, p)
        double = F.lp_distance_bounds(*list(wide)[:3], p)
    assert torch.equal(single[0].isneginf(), double[0].isneginf())
    assert torch.equal(single[1].isposinf(), double[1].isposinf())
    for ours, theirs in zip(single, double, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-5)


def test_no_samples_give_no_outputs() -> None:
    for layer in layers(6, 5, 0):
        for shape in ((0, 6), (0, 3, 6), (2, 0, 6)):
            if isinstance(layer, snn.MeanShift) and len(shape) == 3:
                continue
            x = torch.zeros(shape)
            outputs = 5 if layer(torch.zeros(1, 6)).shape[-1] == 5 else 6
            assert layer(x).shape == (*shape[:-1], outputs), type(layer)
    conv = snn.SortConv2d(2, 3, 2)
    for training in (True, False):
        assert conv.train(training)(torch.zeros(0, 2, 4, 4)).shape == (0, 3, 3, 3)
        assert snn.SortLinear(6, 5).train(training)(torch.zeros(0, 6)).shape == (0, 5)


def test_nan_stays_nan() -> None:
    x = torch.tensor([[math.nan, 1.0, 2.0], [0.0, 1.0, 2.0]])
    w = torch.zeros(2, 3)
    results: list[Tensor] = [
        F.lp_distance(x, w),
        F.lp_distance(x, w, 8.0),
        F.sort_linear(x, w, torch.tensor([0.5, 0.5])),
    ]
    for y in results:
        assert y[0].isnan().all() and y[1].isfinite().all()
