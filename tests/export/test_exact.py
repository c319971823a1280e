"""Certificates, error bounds and interval bounds against exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from networks import F32, ZERO, Array, evaluate_exact, images, networks, start

from sortnet.base.units import float32_up
from sortnet.certificate.analysis import analyse, ball_reach
from sortnet.certificate.network import Network, SortConv, SortNeuron
from sortnet.export.graph import build_interval_model, build_model

FEW = settings(max_examples=25, deadline=None)


def rational(image: Array) -> list[Fraction]:
    return [Fraction(float(value)) for value in image.reshape(-1)]


def winner(logits: list[Fraction]) -> int:
    return max(range(len(logits)), key=lambda i: (logits[i], -i))


def corners(x: list[Fraction], radius: Fraction, count: int, seed: int) -> list[list[Fraction]]:
    """Corners of the ball clipped to the box: all of them, or ``count`` random ones."""
    moves: Any = product((-radius, radius), repeat=len(x))
    if 2 ** len(x) > count:
        signs = np.random.default_rng(seed).choice([-1, 1], size=(count, len(x)))
        moves = [[radius * int(s) for s in row] for row in signs]
    return [[min(max(a + d, ZERO), Fraction(1)) for a, d in zip(x, m, strict=True)] for m in moves]


@FEW
@given(networks(head=False), st.integers(0, 2**32 - 1), st.booleans())
def test_margin_certificates_hold_on_corners(network: Network, seed: int, library: bool) -> None:
    x = images(np.random.default_rng(seed), network, 3)
    analysis = analyse(network)
    data = build_model(network, analysis=analysis).SerializeToString()
    logits, label, radius = start(data, library).run(None, {"input": x})
    for i, image in enumerate(x):
        exact = evaluate_exact(network, rational(image))
        error = max(abs(Fraction(float(c)) - e) for c, e in zip(logits[i], exact, strict=True))
        assert error <= Fraction(analysis.error)
        if radius[i] == 0:
            continue
        assert winner(exact) == label[i]
        for corner in corners(rational(image), Fraction(float(radius[i])), 64, seed):
            assert winner(evaluate_exact(network, corner)) == label[i]


@FEW
@given(networks(head=False), st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([1e-3, 0.1]))
def test_interval_certificates_hold_on_corners(
    network: Network, seed: int, library: bool, eps: float
) -> None:
    x = images(np.random.default_rng(seed), network, 3)
    model = build_interval_model(network, analyse(network))
    radius = float32_up(eps)
    label = np.array([winner(evaluate_exact(network, rational(image))) for image in x])
    feed = {"input": x, "label": label, "reach": np.asarray(ball_reach(radius), F32)}
    (certified,) = start(model.SerializeToString(), library).run(None, feed)
    assume(certified.any())
    for image, own in zip(x[certified], label[certified], strict=True):
        for corner in corners(rational(image), Fraction(radius), 64, seed):
            assert winner(evaluate_exact(network, corner)) == own


@FEW
@given(networks(head=False), st.integers(0, 2**32 - 1))
def test_lipschitz_constants_and_ranges_are_upper_bounds(network: Network, seed: int) -> None:
    analysis = analyse(network)
    x, y = (rational(image) for image in images(np.random.default_rng(seed), network, 2))
    distance = max(abs(a - b) for a, b in zip(x, y, strict=True))
    at_x, at_y = evaluate_exact(network, x), evaluate_exact(network, y)
    for a, b in zip(at_x, at_y, strict=True):
        assert abs(a - b) <= Fraction(analysis.lipschitz) * distance
    last = analysis.steps[-1]
    assert Fraction(last.low) <= min(at_x) and max(at_x) <= Fraction(last.high)
    for op, step in zip(network.ops, analysis.steps, strict=True):
        if isinstance(op, SortNeuron | SortConv):
            neuron = op.neuron if isinstance(op, SortConv) else op
            exact = sum((Fraction(float(c)) for c in neuron.coefficients), ZERO)
            assert exact <= Fraction(step.lipschitz) and exact <= 1
