"""Certified facts survive casts, meta devices and pickles: they follow from the arguments."""

import copy
import io
import pickle
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from sortnet import nn as snn
from sortnet.models import ModelConfig, build_model, network_of
from sortnet.nn import functional as F

LAYERS = {
    "linear": lambda **kw: snn.SortLinear(7, 4, keep=0.55, top_k=7, **kw),
    "one": lambda **kw: snn.SortLinear(7, 4, keep=1.0, **kw),
    "conv 2d": lambda **kw: snn.SortConv2d(2, 3, 2, keep=0.8, top_k=6, **kw),
    "conv 1d": lambda **kw: snn.SortConv1d(2, 3, 3, keep=0.6, top_k=4, **kw),
}
CASTS = {
    "half": lambda layer: layer.half().float(),
    "bfloat16": lambda layer: layer.bfloat16().float(),
    "float8": lambda layer: layer.to(torch.float8_e4m3fn).float(),
    "double": lambda layer: layer.double(),
    "deepcopy": copy.deepcopy,
    "pickle": lambda layer: pickle.loads(pickle.dumps(layer)),
    "meta": lambda layer: layer.to("meta").to_empty(device="cpu"),
}


def coefficients_of(layer: snn.SortLinear) -> list[float]:
    return snn.SortLinear(layer.weight.shape[1], 1, layer.keep, layer.k).coefficients().tolist()


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("cast", CASTS)
def test_coefficients_survive(name, cast):
    layer = CASTS[cast](LAYERS[name]())
    coefficients = layer.coefficients()
    assert coefficients.tolist() == coefficients_of(layer)
    assert coefficients.dtype == layer.weight.dtype
    assert sum(map(Fraction, coefficients.tolist())) <= 1
    assert not list(layer.buffers()) and set(layer.state_dict()) == {"weight"}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_made_without_initialisation_load_their_weights(name):
    make = LAYERS[name]
    torch.manual_seed(0)
    source = make().eval()
    x = torch.randn(3, 7) if isinstance(source, snn.SortLinear) else torch.randn(3, 2, 5, 5)
    if isinstance(source, snn.SortConv1d):
        x = x[:, :, 0]
    with torch.device("meta"):
        assigned, emptied = make().eval(), make().eval()
    assigned.load_state_dict(source.state_dict(), assign=True)
    emptied.to_empty(device="cpu").load_state_dict(source.state_dict())
    arguments = {"in_features": 7, "out_features": 4, "keep": 0.55, "top_k": 7}
    skipped = nn.utils.skip_init(snn.SortLinear, **arguments)
    assert skipped.coefficients().tolist() == coefficients_of(skipped)
    for layer in (assigned, emptied):
        assert torch.equal(layer(x), source(x))
        for ours, theirs in zip(layer.bounds(x, x + 0.1), source.bounds(x, x + 0.1), strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("cast", CASTS)
@pytest.mark.parametrize("kind", [snn.Morphology1d, snn.Morphology2d])
def test_fixed_weights_survive(kind, cast):
    make = lambda: kind(2, [3, 5], -0.3, 0.9)  # noqa: E731
    layer, fresh = CASTS[cast](make()), make()
    assert torch.equal(layer.weights(), fresh.weights())
    assert not list(layer.buffers()) and not layer.state_dict()
    x = torch.rand(2, 2, *(6,) * (1 if kind is snn.Morphology1d else 2)) * 1.2 - 0.3
    assert torch.equal(layer(x), fresh(x))
    low, high = layer.bounds(x, x)
    assert (low <= layer(x)).all() and (layer(x) <= high).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_refused(dtype):
    """Rounded to half precision, rows and coefficients would exceed 1."""
    torch.manual_seed(0)
    vector, signal = torch.rand(2, 6, dtype=dtype), torch.rand(2, 2, 6, dtype=dtype)
    image = torch.rand(2, 2, 6, 6, dtype=dtype)
    cases = [
        (snn.SortLinear(6, 3), vector),
        (snn.LInfDistLinear(6, 3), vector),
        (snn.OrderStatisticLinear(6, 3), vector),
        (snn.LipschitzLinear(6, 3), vector),
        (snn.SortConv1d(2, 3, 3), signal),
        (snn.SortConv2d(2, 3, 3), image),
        (snn.Morphology1d(2, [3], 0, 1), signal),
        (snn.Morphology2d(2, [3], 0, 1), image),
    ]
    for layer, x in cases:
        for training in (True, False):
            with pytest.raises(ValueError, match="float32"):
                layer.to(dtype).train(training)(x)
    with pytest.raises(ValueError, match=f"float32.*{dtype}"):
        F.lp_distance(vector, torch.zeros(2, 6))
    with pytest.raises(ValueError, match="one dtype"):
        F.lp_distance(vector.double(), torch.zeros(2, 6))


def test_mixed_precision_computes_distances_in_float32():
    torch.manual_seed(0)
    layer, x = snn.SortLinear(40, 8).eval(), torch.rand(4, 40)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.float32 and torch.equal(y, layer(x))


def test_a_rounded_model_is_certified_as_it_is_now():
    torch.manual_seed(0)
    model = build_model(ModelConfig("sortnet", (1, 4, 4), 3, 3, 8, morphology=(3,)))
    rounded = copy.deepcopy(model).half().float()
    assert str(rounded) == str(model)
    before, after = network_of(model), network_of(rounded)
    for ours, theirs in zip(before.ops, after.ops, strict=True):
        if hasattr(ours, "coefficients"):
            assert np.array_equal(ours.coefficients, theirs.coefficients)
            assert np.array_equal(ours.W.astype(np.float16), theirs.W)


def test_layers_pickled_by_the_first_version_load():
    """It kept coefficients and fixed weights in buffers that were not saved."""
    layer = snn.SortLinear(5, 3, keep=0.6, top_k=3)
    state = {**vars(layer), "rho": layer.rho, "k": layer.k}
    del state["series"]
    state["_buffers"] = {"coefficients_buffer": torch.zeros(3)}
    state["_non_persistent_buffers_set"] = {"coefficients_buffer"}
    old = snn.SortLinear.__new__(snn.SortLinear)
    old.__setstate__(copy.deepcopy(state))
    assert old.coefficients().tolist() == layer.coefficients().tolist()
    assert not list(old.buffers())
    x = torch.rand(2, 5)
    assert torch.equal(old.eval()(x), layer.eval()(x))
    file = io.BytesIO()
    torch.save(old, file)
    file.seek(0)
    again = torch.load(file, weights_only=False)
    assert torch.equal(again(x), layer(x))
    morphology = snn.Morphology2d(1, [3], 0, 1)
    state = {**vars(morphology), "_buffers": {"weight": torch.zeros(3, 9)}}
    old = snn.Morphology2d.__new__(snn.Morphology2d)
    old.__setstate__(state)
    image = torch.rand(1, 1, 4, 4)
    assert torch.equal(old(image), morphology(image)) and not list(old.buffers())


@pytest.mark.parametrize("name", ["SortLinear", "SortConv2d", "Morphology2d", "LInfDistLinear"])
def test_the_old_home_of_the_layers_works_with_a_warning(name):
    from sortnet.nn import distance

    with pytest.warns(DeprecationWarning, match=f"is now sortnet.nn.{name}"):
        assert getattr(distance, name) is getattr(snn, name)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = distance.Nothing


@pytest.mark.parametrize("make", [np.int64, np.int32, np.uint8, torch.tensor, int])
def test_sizes_may_be_any_integer(make):
    n = make
    layers = [
        snn.SortLinear(n(5), n(3), top_k=n(2)),
        snn.LInfDistLinear(n(5), n(3)),
        snn.OrderStatisticLinear(n(5), n(3), n(2)),
        snn.LipschitzLinear(n(5), n(3)),
        snn.GroupSort(n(5)),
        snn.PiecewiseLinear(n(5), n(4)),
        snn.MeanShift(n(5)),
    ]
    for layer in layers:
        layer.eval()(torch.rand(2, 5))
        assert all(type(v) is int for k, v in vars(layer).items() if k.endswith("features")), layer
    conv = snn.SortConv2d(n(1), n(2), (n(2), n(3)), n(1), n(1))
    assert conv.kernel_size == (2, 3) and type(conv.stride[0]) is int
    assert snn.SortConv1d(n(1), n(2), n(3)).kernel_size == (3,)
    assert snn.Morphology2d(n(1), [n(3)], 0, 1).windows == (3,)


@pytest.mark.parametrize("bad", [True, False, np.True_, torch.tensor(True), 2.0, "3", None, 0, -1])
def test_sizes_that_are_no_positive_integers_are_refused(bad):
    for make in (
        lambda: snn.SortLinear(bad, 3),
        lambda: snn.SortLinear(3, bad),
        lambda: snn.SortLinear(3, 3, top_k=bad),
        lambda: snn.SortConv2d(1, 2, bad),
        lambda: snn.SortConv2d(1, 2, (2, bad)),
        lambda: snn.SortConv2d(1, 2, 2, stride=bad),
        lambda: snn.SortConv1d(bad, 2, 3),
        lambda: snn.Morphology2d(1, [bad], 0, 1),
        lambda: snn.Morphology1d(bad, [3], 0, 1),
        lambda: snn.GroupSort(bad),
        lambda: snn.MeanShift(bad),
        lambda: snn.PiecewiseLinear(bad),
        lambda: snn.LipschitzLinear(3, bad),
        lambda: snn.OrderStatisticLinear(bad, 3),
    ):
        with pytest.raises(ValueError):
            make()
    if bad not in (0, None, "3"):  # 0 is a padding, None and text are no numbers at all
        with pytest.raises(ValueError, match="padding"):
            snn.SortConv2d(1, 2, 2, padding=bad)
