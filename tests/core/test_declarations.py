"""What layers say about themselves, against what they compute: every known layer is drawn."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sortnet import nn as snn
from sortnet.certificate.network import SpecError
from sortnet.models import ModelConfig, build_model
from sortnet.nn import functional as F
from sortnet.nn.known import (
    LAYERS,
    TORCH,
    layer_bounds,
    layer_lipschitz,
    layer_operations,
    layer_output_shape,
    layer_smoothed,
)


@st.composite
def drawn(draw: st.DrawFn, kind: type[nn.Module]) -> tuple[nn.Module, tuple[int, ...]]:
    """A layer of a kind with random parameters, and the shape of one sample."""
    torch.manual_seed(draw(st.integers(0, 999)))
    inputs, outputs = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    channels, window = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    stride, padding = draw(st.integers(1, 2)), draw(st.integers(0, 1))
    keep, k = draw(st.sampled_from([0.3, 0.8, 1.0])), draw(st.integers(1, 7))
    bias = draw(st.booleans())
    signal, image = (channels, draw(st.integers(3, 7))), (channels, 3, draw(st.integers(3, 5)))
    whatever = draw(st.sampled_from([(inputs,), signal, image]))
    match kind:
        case snn.SortLinear:
            return kind(inputs, outputs, keep, k, bias), (inputs,)
        case snn.LInfDistLinear:
            return kind(inputs, outputs, bias), (inputs,)
        case snn.OrderStatisticLinear:
            layer = kind(inputs, outputs, min(k, inputs), bias)
            layer.order_weight.data.normal_()
            return layer, (inputs,)
        case snn.LipschitzLinear | nn.Linear:
            return kind(inputs, outputs, bias), (inputs,)
        case snn.SortConv1d | snn.SortConv2d:
            shape = signal if kind is snn.SortConv1d else image
            return kind(channels, outputs, window, stride, padding, keep, k, bias), shape
        case snn.LInfDistConv1d | snn.LInfDistConv2d:
            shape = signal if kind is snn.LInfDistConv1d else image
            return kind(channels, outputs, window, stride, padding, bias), shape
        case snn.Morphology1d | snn.Morphology2d:
            windows = draw(st.lists(st.sampled_from([3, 5]), min_size=1, max_size=2))
            return kind(channels, windows, -2, 3), signal if kind is snn.Morphology1d else image
        case snn.WindowMinima2d:
            some = st.tuples(
                st.integers(0, channels - 1), st.sampled_from([1, 3, 5]), st.integers(1, 3)
            )
            return kind(channels, draw(st.lists(some, min_size=1, max_size=3))), image
        case snn.RankFilter1d:
            return kind(window, min(k, window), stride, padding), signal
        case snn.RankFilter2d:
            return kind(window, min(k, window**2), stride, padding), image
        case snn.GroupSort:
            return kind(draw(st.integers(1, 3))), (6,)
        case snn.MaxMin:
            return kind(), (6,)
        case snn.PiecewiseLinear:
            layer = kind(inputs, draw(st.integers(2, 5)))
            layer.slope.data.normal_()
            return layer, (inputs,)
        case snn.MeanShift:
            shape = draw(st.sampled_from([(inputs,), signal, image]))
            layer = kind(shape[0])
            layer.running_mean.normal_()
            return layer, shape
        case snn.Normalize:
            return kind(0.25, draw(st.sampled_from([0.5, 2.0]))), whatever
    return kind(), whatever


def evaluated(layer: nn.Module, shape: tuple[int, ...], x: Tensor) -> np.ndarray:
    """The operations' reference values: [N, units] in float64."""
    v = x.double().numpy()
    if isinstance(layer, snn.MeanShift):
        v = v.reshape(len(v), -1)  # on images it follows a layer whose operations are flat
    for op in layer_operations(layer, shape):
        v = op.value(v)
    return v.reshape(len(v), math.prod(v.shape[1:]))


@pytest.mark.parametrize("kind", (*LAYERS, *TORCH), ids=lambda kind: kind.__name__)
@settings(max_examples=15)
@given(data=st.data())
def test_layers_are_what_they_say(kind, data):
    layer, shape = data.draw(drawn(kind))
    layer.eval().requires_grad_(False)
    x = torch.rand(3, *shape) * 5 - 2
    wide = copy.deepcopy(layer).double()(x.double())
    assert layer_output_shape(layer, shape) == wide.shape[1:]
    # Projected rows are rounded in the precision that the layer has.
    projected = kind in (snn.LipschitzLinear, snn.OrderStatisticLinear)
    tolerance = 1e-5 if projected else 1e-12
    np.testing.assert_allclose(
        evaluated(layer, shape, x), wide.flatten(1).numpy(), rtol=tolerance, atol=tolerance
    )
    step = (torch.rand_like(x) - 0.5).clamp(-2 - x, 3 - x)
    y, z = layer(x), layer(x + step)
    moved = (z - y).abs().flatten(1).amax(1)
    allowed = layer_lipschitz(layer) * step.abs().flatten(1).amax(1)
    assert (moved <= allowed + 1e-4).all()
    ones = np.ones(shape if not isinstance(layer, snn.MeanShift) else math.prod(shape))
    for op in layer_operations(layer, shape):
        ones = op.moves(ones)
    assert ones.max(initial=0) <= layer_lipschitz(layer) * (1 + 2.0**-40)
    low, high = layer_bounds(layer, torch.minimum(x, x + step), torch.maximum(x, x + step))
    for inside in (y, z):
        assert (low <= inside + 1e-5).all() and (inside <= high + 1e-5).all()
    assert torch.equal(layer_smoothed(layer, x, 8.0), y)


@pytest.mark.parametrize("kind", LAYERS, ids=lambda kind: kind.__name__)
@settings(max_examples=5)
@given(data=st.data())
def test_layers_refuse_shapes_that_torch_would_read_otherwise(kind, data):
    """nn.Linear and its like act on the last dimension; the operations on one vector."""
    layer, shape = data.draw(drawn(kind))
    if len(shape) == 1 and kind not in (snn.Abs, snn.Negate, snn.Normalize):
        wrong = [(shape[0], 1), (2, *shape), (1, 1, *shape)]
        wrong += [] if kind in (snn.GroupSort, snn.MaxMin, snn.RankFilter1d) else [(shape[0] + 1,)]
    elif kind in (snn.SortConv1d, snn.SortConv2d, snn.Morphology1d, snn.Morphology2d):
        wrong = [(math.prod(shape),), (shape[0] + 1, *shape[1:]), (1, *shape)]
    else:
        return
    for bad in wrong:
        if kind is snn.MeanShift and bad[0] == layer.num_features:
            continue
        with pytest.raises(SpecError):
            list(layer_operations(layer, bad))


@given(
    st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.integers(1, 3), st.integers(0, 9)
)
def test_convolution_of_signals_is_the_linear_layer_on_every_window(
    kernel, stride, padding, channels, seed
):
    torch.manual_seed(seed)
    conv = snn.SortConv1d(channels, 3, kernel, stride, padding, keep=0.7, top_k=4, bias=True).eval()
    x = torch.randn(2, channels, 7)
    y = conv(x)
    assert y.shape == nn.Conv1d(channels, 3, kernel, stride, padding)(x).shape
    padded = nn.functional.pad(x, (padding, padding))
    for position in range(y.shape[2]):
        window = padded[:, :, position * stride : position * stride + kernel].flatten(1)
        expected = F.sort_linear(window, conv.weight, conv.coefficients(), conv.bias)
        assert torch.equal(y[:, :, position], expected)
    low, high = conv.bounds(x - 0.1, x + 0.1)
    assert (low <= y).all() and (y <= high).all()
    image = snn.SortConv2d(channels, 3, (1, kernel), (1, stride), (0, padding), 0.7, 4, True).eval()
    image.load_state_dict(conv.state_dict())
    assert torch.equal(image(x[:, :, None])[:, :, 0], y)
    set_of = conv.train().draw_mask(64)
    assert set_of is not None and set_of.shape == (2, channels * kernel)
    assert conv(x).shape == y.shape


@given(st.integers(1, 2), st.lists(st.sampled_from([3, 5, 7]), min_size=1, max_size=2))
def test_morphology_of_signals_is_the_running_extremes(channels, windows):
    layer = snn.Morphology1d(channels, windows, -1, 2)
    x = torch.rand(2, channels, 6) * 3 - 1
    y = layer(x)
    patches, grid = F.unfold_patches(x, *layer._patching)
    assert torch.equal(y, F.fold_outputs(F.lp_distance(patches, layer.weights()), grid))
    signal, *maps = y.split(channels, 1)
    assert torch.equal(signal, x - layer.low)
    for index, length in enumerate(windows):
        padded = nn.functional.pad(x, (length // 2, length // 2)).unfold(2, length, 1)
        assert torch.equal(maps[2 * index], padded.amax(3) - layer.low)
        assert torch.equal(maps[2 * index + 1], layer.high - padded.amin(3))


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ({"family": "sortnet"}, ["2.weight", "3.running_mean", "4.weight", "4.bias"]),
        (
            {"family": "sortnet", "hidden": 3},
            [
                *("2.weight", "3.running_mean", "4.weight", "5.running_mean"),
                *("6.weight", "6.bias", "8.weight", "8.bias"),
            ],
        ),
        (
            {"family": "sortnet", "morphology": (3,)},
            ["2.running_mean", "4.weight", "5.running_mean", "6.weight", "6.bias"],
        ),
        (
            {"family": "standard", "activation": "piecewise-linear"},
            ["2.weight", "2.bias", "3.slope", "3.knots", "4.weight", "4.bias"],
        ),
    ],
)
def test_the_names_in_run_folders_stay(change, keys):
    """Weights of older runs are read by these names."""
    model = build_model(ModelConfig(input_shape=(1, 3, 3), classes=2, depth=2, width=4, **change))
    assert list(model.state_dict()) == [f"layers.{key}" for key in keys]
