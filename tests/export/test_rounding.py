"""Rounding attacks: they break the naive margin / 2 certificate and never ours.

Inputs are placed by bisection just beside the decision boundary, where a few units in the last
place decide, and every perturbation is an exact float32 point of the closed ball. The weights are
chosen to round badly: large offsets that cancel, values around powers of two, deep chains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnxruntime
import pytest
from networks import F32, Array, evaluate, neuron, start

from sortnet.export.certify import into_ball
from sortnet.export.error_bound import analyse
from sortnet.export.graph import build_model
from sortnet.export.spec import (
    Activation,
    Affine,
    Bias,
    Flatten,
    GroupSort,
    Negate,
    Network,
    Normalize,
    Op,
    Shift,
    SortNeuron,
)

SHAPE = (1, 2, 2)
INPUTS = 4


def far(rng: np.random.Generator) -> list[Op]:
    """Weights 1000 away from the data: differences lose 10 bits, and a bias brings them back."""
    W = (1000 + rng.normal(size=(2, INPUTS))).astype(F32)
    return [Flatten(), SortNeuron(W, float(F32(0.3)), 3), Bias(F32([-999.5, -999.5]))]


def powers(rng: np.random.Generator) -> list[Op]:
    """Weights just beside powers of two, where the spacing of floats changes."""
    W = (2.0 ** rng.integers(3, 9, size=(8, INPUTS))).astype(F32)
    W = np.nextafter(W, rng.choice(F32([-np.inf, np.inf]), size=W.shape))
    V = (2.0 ** rng.integers(5, 9, size=(2, 8))).astype(F32)
    return [Flatten(), SortNeuron(W, 0.5, 4), Shift(W[:, 0]), SortNeuron(V, 0.25, 3)]


def deep(rng: np.random.Generator) -> list[Op]:
    """Twelve layers, each with its own cancellation."""
    ops: list[Op] = [Normalize(float(F32(0.1307)), float(F32(0.3081))), Flatten()]
    units = INPUTS
    for _ in range(11):
        ops += [neuron(rng, units, 6, 3, 0.4), Shift(rng.normal(size=6).astype(F32) * 4)]
        units = 6
    return [*ops, neuron(rng, units, 2, 4, 0.4), Bias(F32([0.5, 0.25])), Negate()]


def maximum(rng: np.random.Generator) -> list[Op]:
    """l-inf-distance neurons at 4096: one rounding each, nothing but selection otherwise."""
    W = (4096 + rng.random((2, INPUTS))).astype(F32)
    return [Flatten(), SortNeuron(W, 0.0, 1), Shift(F32([4096, 4096]))]


def sorted_groups(rng: np.random.Generator) -> list[Op]:
    """A MaxMin network with large opposite biases."""
    W = (rng.normal(size=(6, INPUTS)) / 8).astype(F32)
    b = F32([2**12] * 6)
    V = (rng.normal(size=(2, 6)) / 12).astype(F32)
    c = (-V.astype(np.float64).sum(axis=1) * 2**12).astype(F32)
    return [Flatten(), Affine(W, b), GroupSort(2), Affine(V, c)]


def tanh_head(rng: np.random.Generator) -> list[Op]:
    """Distances far from 0, then a head."""
    W = (100 + rng.normal(size=(6, INPUTS))).astype(F32)
    head = Affine(rng.normal(size=(4, 6)).astype(F32), rng.normal(size=4).astype(F32))
    last = Affine(rng.normal(size=(2, 4)).astype(F32), np.zeros(2, F32))
    body = [Flatten(), SortNeuron(W, 0.5, 4), Shift(np.full(6, 99.5, F32))]
    return [*body, head, Activation("tanh"), last]


FAMILIES: list[Callable[[np.random.Generator], list[Op]]] = [
    far,
    powers,
    deep,
    maximum,
    sorted_groups,
    tanh_head,
]


@dataclass
class Tally:
    naive_breaks: int = 0
    sound_breaks: int = 0
    tried: int = 0
    certified: int = 0


def balanced(ops: list[Op], rng: np.random.Generator) -> Network:
    """With a last bias that puts the decision boundary through a random input."""
    x = rng.random((1, *SHAPE))
    logits = evaluate(Network(SHAPE, tuple(ops)), x)[0]
    return Network(SHAPE, (*ops, Bias(F32([0, logits[0] - logits[1]]))))


def beside_the_boundary(
    session: onnxruntime.InferenceSession, rng: np.random.Generator, count: int
) -> Array:
    """Float32 inputs with the smallest margins and with the smallest radii, by bisection."""

    def bisect(inner: Array, outer: Array, inside: Callable[[Array], Array]) -> tuple[Array, Array]:
        for _ in range(30):
            middle = ((inner + outer) / 2).astype(F32)
            same = inside(middle)[:, None, None, None]
            inner, outer = np.where(same, middle, inner), np.where(same, outer, middle)
        return inner, outer

    start = rng.random((count, *SHAPE)).astype(F32)
    other = rng.random((count, *SHAPE)).astype(F32)
    here = session.run(["label"], {"input": start})[0]
    different = session.run(["label"], {"input": other})[0] != here
    start, other, here = start[different], other[different], here[different]
    a, b = bisect(start, other, lambda x: session.run(["label"], {"input": x})[0] == here)
    certified, _ = bisect(start, a, lambda x: session.run(["radius"], {"input": x})[0] > 0)
    return np.concatenate([a, b, certified])


def search(ops: list[Op], library: bool, rng: np.random.Generator, count: int, each: int) -> Tally:
    """Attack both certificates of one network at points beside its boundary."""
    network = balanced(ops, rng)
    analysis = analyse(network)
    tally = Tally()
    data = build_model(network, analysis=analysis).SerializeToString()
    # The claim also holds where one host certified and the other runs the perturbed input.
    session, other = start(data, library), start(data, not library)
    x = beside_the_boundary(session, rng, count)
    if not len(x):
        return tally
    logits, label, radius = session.run(None, {"input": x})
    top = np.sort(logits, axis=1)
    naive = ((top[:, -1] - top[:, -2]) / F32(2 * analysis.lipschitz)).astype(F32)
    for which, radii in (("naive", naive), ("sound", radius)):
        chosen = radii > 0
        points, own, reach = x[chosen], label[chosen], radii[chosen, None, None, None]
        if which == "sound":
            tally.certified += int(chosen.sum())
        breaks = np.zeros(len(points), np.bool_)
        for step in range(each):
            signs = rng.choice(F32([-1, 1]), size=points.shape)
            # Mostly corners of the ball; every fourth step lands anywhere inside.
            size = F32(1) if rng.random() < 0.75 else rng.random(points.shape).astype(F32)
            moved = into_ball(points + signs * size * reach, points, reach)
            assert (np.abs(moved.astype(np.float64) - points) <= reach).all()
            host = other if which == "sound" and step % 2 else session
            breaks |= host.run(["label"], {"input": moved})[0] != own
            if which == "sound":
                tally.tried += len(points)
        if which == "naive":
            tally.naive_breaks += int(breaks.sum())
        else:
            tally.sound_breaks += int(breaks.sum())
    return tally


def run(seeds: range, count: int, each: int) -> dict[str, Tally]:
    total = {family.__name__: Tally() for family in FAMILIES}
    for seed in seeds:
        for family in FAMILIES:
            rng = np.random.default_rng(seed)
            ops = family(rng)
            for library in (True, False):
                tally, part = total[family.__name__], search(ops, library, rng, count, each)
                tally.naive_breaks += part.naive_breaks
                tally.sound_breaks += part.sound_breaks
                tally.tried += part.tried
                tally.certified += part.certified
    return total


def check(total: dict[str, Tally], tried: int) -> None:
    for name, tally in total.items():
        print(f"{name:14s} {tally}")
        assert tally.sound_breaks == 0, name
    assert sum(tally.naive_breaks for tally in total.values()) > 0
    assert sum(tally.tried for tally in total.values()) >= tried


def test_rounding_breaks_the_naive_certificate_only() -> None:
    check(run(range(4), count=200, each=24), tried=30_000)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_million_perturbations() -> None:
    check(run(range(12), count=600, each=64), tried=1_000_000)
