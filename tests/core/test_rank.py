"""Rank filters: against sorting every window, as layers, exported and attacked."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from sortnet import nn as snn
from sortnet.certificate.network import InputSpec, Network
from sortnet.certificate.operations import SpecError
from sortnet.export import CertifiedSession, export_model
from sortnet.models import network_of
from sortnet.nn.known import layer_smoothed
from sortnet.nn.twins import TorchNetwork


def expected(x: Tensor, layer: snn.RankFilter1d | snn.RankFilter2d) -> Tensor:
    """Window by window."""
    pads = [side for pad in reversed(layer.padding) for side in (pad, pad)]
    padded = nn.functional.pad(x, pads)
    grid = [
        range(0, size - kernel + 1, step)
        for size, kernel, step in zip(
            padded.shape[2:], layer.kernel_size, layer.stride, strict=True
        )
    ]
    y = x.new_empty(*x.shape[:2], *map(len, grid))
    for place in np.ndindex(*map(len, grid)):
        starts = [steps[i] for steps, i in zip(grid, place, strict=True)]
        spans = [slice(s, s + k) for s, k in zip(starts, layer.kernel_size, strict=True)]
        window = padded[(slice(None), slice(None), *spans)].flatten(2)
        y[(slice(None), slice(None), *place)] = window.sort(2, descending=True)[0][..., layer.k - 1]
    return y


@given(st.data(), st.booleans(), st.sampled_from([torch.float32, torch.float64]))
def test_every_window_is_sorted(data: st.DataObject, image: bool, dtype: torch.dtype) -> None:
    draw = data.draw
    count = 2 if image else 1
    kernel = [draw(st.integers(1, 3)) for _ in range(count)]
    stride = [draw(st.integers(1, 2)) for _ in range(count)]
    padding = [draw(st.integers(0, 2)) for _ in range(count)]
    k = draw(st.integers(1, math.prod(kernel)))
    layer = (snn.RankFilter2d if image else snn.RankFilter1d)(kernel, k, stride, padding)
    torch.manual_seed(draw(st.integers(0, 99)))
    shape = (3, *(4, 5)[:count])
    x = torch.randn(2, *shape, dtype=dtype).round(decimals=1)  # with ties
    y = layer(x)
    assert torch.equal(y, expected(x, layer)) and y.shape[1:] == layer.output_shape(shape)
    reach = torch.rand_like(x)
    low, high = layer.bounds(x - reach, x + reach)
    near = layer(x + reach * (2 * torch.rand_like(x) - 1))
    assert (low <= near).all() and (near <= high).all()
    assert ((near - y).abs() <= reach.max() + 1e-6).all()
    spec = InputSpec(shape, -10.0, 10.0)
    operations = tuple(layer.operations(shape))
    flat = Network(spec, (*operations, snn_affine(math.prod(y.shape[1:]))))
    twin = TorchNetwork(flat).layers[:-1]
    assert torch.equal(twin(x.float()), y.float().flatten(1))


def snn_affine(inputs: int):  # type: ignore[no-untyped-def]
    """Any two logits, for a network ends in some."""
    from sortnet.certificate.operations import Affine

    return Affine(np.ones((2, inputs), np.float32), np.zeros(2, np.float32))


def test_known_filters_are_ranks() -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 3, 6, 6)
    assert torch.equal(snn.RankFilter2d(3, 1, 2)(x), nn.functional.max_pool2d(x, 3, 2))
    assert torch.equal(snn.RankFilter2d(3, 9)(x), -nn.functional.max_pool2d(-x, 3, 1))
    median = x.unfold(2, 3, 1).unfold(3, 3, 1).flatten(4).median(4).values
    assert torch.equal(snn.RankFilter2d(3, 5)(x), median)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: snn.RankFilter2d(3, 0), "k must be an integer of at least 1"),
        (lambda: snn.RankFilter2d((2, 3), 7), "k must be at most the 6 entries"),
        (lambda: snn.RankFilter1d(0, 1), "kernel_size"),
        (lambda: snn.RankFilter1d((2, 2), 1), "kernel_size"),
        (lambda: snn.RankFilter2d(2, 1)(torch.rand(1, 2, 3)), "images"),
        (lambda: snn.RankFilter2d(9, 1)(torch.rand(1, 1, 3, 3)), "does not fit"),
    ],
)
def test_bad_arguments_are_named(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        make()


def test_a_network_with_ranks_is_exported_and_certifies(tmp_path: Path) -> None:
    torch.manual_seed(0)
    filtered = nn.Sequential(
        snn.RankFilter2d(3, 4, padding=1), nn.Flatten(), snn.SortLinear(50, 3), snn.Negate()
    ).eval()
    analysis = export_model(filtered, tmp_path / "rank.onnx", input_shape=(2, 5, 5))
    session = CertifiedSession(tmp_path / "rank.onnx")
    x = np.random.default_rng(0).random((40, 2, 5, 5), np.float32)
    prediction = session.predict(x)
    torch_logits = filtered(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(prediction.logits, torch_logits, atol=2 * analysis.error + 1e-6)
    assert (prediction.radius > 0).any() and session.certify(x, "1/1000").any()
    with pytest.raises(SpecError, match="RankFilter2d expects samples of 3 dimensions"):
        network_of(filtered, (50,))


def test_the_attack_sees_every_entry_of_a_window() -> None:
    x = torch.rand(1, 1, 3, 3, requires_grad=True)
    layer = snn.RankFilter2d(3, 2)
    y = layer_smoothed(layer, x, 8.0)
    assert torch.equal(y, layer(x))
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert (gradient > 0).all()
