"""Certificates, error bounds and interval bounds against exact rational arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from networks import F32, ZERO, Array, any_networks, evaluate_exact, images, start

from sortnet.base.units import float32_up
from sortnet.certificate.analysis import TORCH, BoundError, analyse
from sortnet.certificate.network import InputSpec, Network
from sortnet.certificate.operations import Affine, Flatten, SortConv, SortNeuron
from sortnet.export.writer import build_interval_model, build_model
from sortnet.nn.twins import TorchNetwork

OUTPUTS = ["logits", "label", "radius"]
FEW = settings(max_examples=25, deadline=None)


def rational(image: Array) -> list[Fraction]:
    return [Fraction(float(value)) for value in image.reshape(-1)]


def winner(logits: list[Fraction]) -> int:
    return max(range(len(logits)), key=lambda i: (logits[i], -i))


def corners(
    x: list[Fraction], radius: Fraction, count: int, seed: int, spec: InputSpec
) -> list[list[Fraction]]:
    """Corners of the ball clipped to the box: all of them, or ``count`` random ones."""
    moves: Any = product((-radius, radius), repeat=len(x))
    if 2 ** len(x) > count:
        signs = np.random.default_rng(seed).choice([-1, 1], size=(count, len(x)))
        moves = [[radius * int(s) for s in row] for row in signs]
    low, high, unit = (rational(a) for a in (spec.low, spec.high, spec.unit))
    return [
        [min(max(a + d * u, lo), hi) for a, d, u, lo, hi in zip(x, m, unit, low, high, strict=True)]
        for m in moves
    ]


@FEW
@given(any_networks(head=False), st.integers(0, 2**32 - 1), st.booleans())
def test_margin_certificates_hold_on_corners(network: Network, seed: int, library: bool) -> None:
    x = images(np.random.default_rng(seed), network, 3)
    analysis = analyse(network)
    data = build_model(network, analysis=analysis).SerializeToString()
    logits, label, radius = start(data, library).run(OUTPUTS, {"input": x})
    for i, image in enumerate(x):
        exact = evaluate_exact(network, rational(image))
        error = max(abs(Fraction(float(c)) - e) for c, e in zip(logits[i], exact, strict=True))
        assert error <= Fraction(analysis.error)
        if radius[i] == 0:
            continue
        assert winner(exact) == label[i]
        for corner in corners(rational(image), Fraction(float(radius[i])), 64, seed, network.input):
            assert winner(evaluate_exact(network, corner)) == label[i]


@FEW
@given(
    any_networks(head=False), st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([1e-3, 0.1])
)
def test_interval_certificates_hold_on_corners(
    network: Network, seed: int, library: bool, eps: float
) -> None:
    x = images(np.random.default_rng(seed), network, 3)
    model = build_interval_model(network, analyse(network))
    radius = float32_up(eps)
    label = np.array([winner(evaluate_exact(network, rational(image))) for image in x])
    feed = {"input": x, "label": label, "reach": network.input.reach(radius)}
    (certified,) = start(model.SerializeToString(), library).run(None, feed)
    assume(certified.any())
    for image, own in zip(x[certified], label[certified], strict=True):
        for corner in corners(rational(image), Fraction(radius), 64, seed, network.input):
            assert winner(evaluate_exact(network, corner)) == own


@FEW
@given(any_networks(head=False), st.integers(0, 2**32 - 1))
def test_lipschitz_constants_and_ranges_are_upper_bounds(network: Network, seed: int) -> None:
    analysis = analyse(network)
    x, y = (rational(image) for image in images(np.random.default_rng(seed), network, 2))
    unit = rational(network.input.unit)
    x = [b if u == 0 else a for a, b, u in zip(x, y, unit, strict=True)]
    distance = max(abs(a - b) / u for a, b, u in zip(x, y, unit, strict=True) if u)
    at_x, at_y = evaluate_exact(network, x), evaluate_exact(network, y)
    for a, b in zip(at_x, at_y, strict=True):
        assert abs(a - b) <= Fraction(analysis.lipschitz) * distance
    last = analysis.steps[-1]
    assert Fraction(last.low) <= min(at_x) and max(at_x) <= Fraction(last.high)
    shapes = network.shapes
    for op, step, before in zip(network.ops, analysis.steps, shapes, strict=False):
        if isinstance(op, SortNeuron | SortConv):
            neuron = op.neuron if isinstance(op, SortConv) else op
            exact = sum((Fraction(float(c)) for c in neuron.coefficients), ZERO)
            still = isinstance(op, SortConv) and (op.patches == math.prod(before)).all()
            assert still or exact <= Fraction(step.lipschitz) <= 1 + Fraction(2) ** -50


@FEW
@given(any_networks(head=False), st.integers(0, 2**32 - 1))
def test_float32_sums_stay_within_the_torch_bound(network: Network, seed: int) -> None:
    x = images(np.random.default_rng(seed), network, 3)
    bound = Fraction(analyse(network, TORCH).error)
    assert bound >= Fraction(analyse(network).error)
    logits = TorchNetwork(network)(torch.from_numpy(x)).double().numpy()
    for image, computed in zip(x, logits, strict=True):
        for value, exact in zip(computed, evaluate_exact(network, rational(image)), strict=True):
            assert abs(Fraction(value) - exact) <= bound


def test_a_sum_in_the_worst_order_needs_the_torch_bound() -> None:
    """Term after term in float32, every sum rounds the same way: float64 sums are far better."""
    W = np.full((2, 4096), 0.1, F32)
    network = Network((1, 64, 64), (Flatten(), Affine(W, F32([0, 1]))))
    exact = Fraction(float(W[0, 0])) * 4096
    error = abs(Fraction(float(np.add.accumulate(W[0])[-1])) - exact)
    assert Fraction(analyse(network).error) < error <= Fraction(analyse(network, TORCH).error)


def test_what_float32_cannot_sum_is_refused() -> None:
    huge = Affine(np.full((2, 4), 2.0**99, F32), np.zeros(2, F32))
    with pytest.raises(BoundError, match="terms of"):
        analyse(Network((1, 2, 2), (Flatten(), huge)), TORCH)
