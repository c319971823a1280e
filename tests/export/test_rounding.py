"""Rounding attacks: they break the naive margin / 2 certificate and never ours.

Inputs are placed by bisection just beside the decision boundary, where a few units in the last
place decide, and every perturbation is an exact float32 point of the closed ball. The weights are
chosen to round badly: large offsets that cancel, values around powers of two, deep chains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from fractions import Fraction

import numpy as np
import onnxruntime
import pytest
from networks import F32, Array, images, start

from sortnet.certificate.analysis import analyse
from sortnet.certificate.network import InputSpec, Network
from sortnet.certificate.operations import (
    Affine,
    Bias,
    Flatten,
    GroupSort,
    Normalize,
    Operation,
    OrderStatistic,
    PiecewiseLinear,
    Shift,
    SortNeuron,
    Tanh,
)
from sortnet.export.report import into_ball
from sortnet.export.writer import build_model

SHAPE = (1, 2, 2)
INPUTS = 4


def far(rng: np.random.Generator) -> list[Operation]:
    """Weights 1000 away from the data: differences lose 10 bits, and a bias brings them back."""
    W = (1000 + rng.normal(size=(2, INPUTS))).astype(F32)
    return [Flatten(), SortNeuron(W, float(F32(0.3)), 3), Bias(F32([-999.5, -999.5]))]


def powers(rng: np.random.Generator) -> list[Operation]:
    """Weights just beside powers of two, where the spacing of floats changes."""
    W = (2.0 ** rng.integers(3, 9, size=(8, INPUTS))).astype(F32)
    W = np.nextafter(W, rng.choice(F32([-np.inf, np.inf]), size=W.shape))
    V = (2.0 ** rng.integers(5, 9, size=(2, 8))).astype(F32)
    return [Flatten(), SortNeuron(W, 0.5, 4), Shift(W[:, 0]), SortNeuron(V, 0.25, 3)]


def deep(rng: np.random.Generator) -> list[Operation]:
    """Five layers, each with its own cancellation."""
    ops: list[Operation] = [Normalize(float(F32(0.1307)), float(F32(0.3081))), Flatten()]
    units = INPUTS
    for outputs in (6, 6, 6, 6, 2):
        W = (64 + 0.5 * rng.normal(size=(outputs, units))).astype(F32)
        ops += [SortNeuron(W, float(F32(0.2)), 2), Shift(np.full(outputs, 64, F32))]
        units = outputs
    return ops


def maximum(rng: np.random.Generator) -> list[Operation]:
    """l-inf-distance neurons at 4096: one rounding each, nothing but selection otherwise."""
    W = (4096 + rng.random((2, INPUTS))).astype(F32)
    return [Flatten(), SortNeuron(W, 0.0, 1), Shift(F32([4096, 4096]))]


def sorted_groups(rng: np.random.Generator) -> list[Operation]:
    """A MaxMin network with large opposite biases."""
    W = (rng.normal(size=(6, INPUTS)) / 8).astype(F32)
    b = F32([2**12] * 6)
    V = (rng.normal(size=(2, 6)) / 12).astype(F32)
    c = (-V.astype(np.float64).sum(axis=1) * 2**12).astype(F32)
    return [Flatten(), Affine(W, b), GroupSort(2), Affine(V, c)]


def tanh_head(rng: np.random.Generator) -> list[Operation]:
    """Distances far from 0, then a head."""
    W = (100 + rng.normal(size=(6, INPUTS))).astype(F32)
    head = Affine(rng.normal(size=(4, 6)).astype(F32), rng.normal(size=4).astype(F32))
    last = Affine(rng.normal(size=(2, 4)).astype(F32), np.zeros(2, F32))
    body = [Flatten(), SortNeuron(W, 0.5, 4), Shift(np.full(6, 99.5, F32))]
    return [*body, head, Tanh(), last]


def signed(rng: np.random.Generator) -> list[Operation]:
    """Order statistics far from the data, whose coefficients cancel."""
    W = (500 + rng.normal(size=(5, INPUTS))).astype(F32)
    coefficients = (rng.normal(size=(5, 3)) / 3).astype(F32)
    V = (64 + rng.normal(size=(2, 5))).astype(F32)
    last = OrderStatistic(V, F32([[0.7, -0.3], [0.6, -0.4]]))
    return [Flatten(), OrderStatistic(W, coefficients), last]


def bent(rng: np.random.Generator) -> list[Operation]:
    """Knots far from 0 between steep and falling pieces."""
    W = (256 + rng.normal(size=(4, INPUTS))).astype(F32)
    knots = F32(255 + np.arange(4) / 2)
    slopes = rng.uniform(-1, 1, (4, 5)).astype(F32)
    V = (rng.normal(size=(2, 4)) / 4).astype(F32)
    last = Affine(V, np.zeros(2, F32))
    return [Flatten(), SortNeuron(W, 0.5, 3), PiecewiseLinear(knots, slopes), last]


Family = Callable[[np.random.Generator], list[Operation]]
FAMILIES: list[Family] = [
    far,
    powers,
    deep,
    maximum,
    sorted_groups,
    tanh_head,
    signed,
    bent,
]


@dataclass
class Tally:
    naive_breaks: int = 0
    sound_breaks: int = 0
    tried: int = 0
    certified: int = 0


def features(rng: np.random.Generator) -> InputSpec:
    """Boxes and units of very different size, also far from 0; one feature stays as it is."""
    scale = 2.0 ** rng.integers(-8, 9, INPUTS)
    low = (rng.choice([0, 1, 1000], INPUTS) * scale).astype(F32)
    unit = (scale * (0.5 + rng.random(INPUTS))).astype(F32)
    unit[rng.integers(INPUTS)] = 0
    shaped = (v.reshape(SHAPE) for v in (low, (low + scale).astype(F32), unit))
    return InputSpec(SHAPE, *shaped)


def balanced(ops: list[Operation], rng: np.random.Generator, spec: InputSpec | None) -> Network:
    """With a last bias that puts the decision boundary through a random input."""
    if spec is not None:
        lead = Normalize(spec.low, np.maximum(spec.high - spec.low, F32(2.0**-20)))
        ops = [lead, *(op for op in ops if not isinstance(op, Normalize))]
    plain = Network(spec or SHAPE, tuple(ops))
    logits = plain.value(images(rng, plain, 1))[0]
    return Network(spec or SHAPE, (*ops, Bias(F32([0, logits[0] - logits[1]]))))


def beside_the_boundary(
    session: onnxruntime.InferenceSession, rng: np.random.Generator, count: int, network: Network
) -> Array:
    """Float32 inputs with the smallest margins and with the smallest radii, by bisection."""

    def bisect(inner: Array, outer: Array, inside: Callable[[Array], Array]) -> tuple[Array, Array]:
        for _ in range(30):
            middle = ((inner + outer) / 2).astype(F32)
            same = inside(middle)[:, None, None, None]
            inner, outer = np.where(same, middle, inner), np.where(same, outer, middle)
        return inner, outer

    start, other = images(rng, network, count), images(rng, network, count)
    here = session.run(["label"], {"input": start})[0]
    different = session.run(["label"], {"input": other})[0] != here
    start, other, here = start[different], other[different], here[different]
    a, b = bisect(start, other, lambda x: session.run(["label"], {"input": x})[0] == here)
    certified, _ = bisect(start, a, lambda x: session.run(["radius"], {"input": x})[0] > 0)
    return np.concatenate([a, b, certified])


def search(
    family: Family,
    seed: int,
    library: bool,
    eps: Fraction | None,
    count: int,
    each: int,
    tabular: bool = False,
) -> Tally:
    """Attack both certificates of one network at points beside its boundary.

    With eps the file certifies that radius by interval bounds, and only those are attacked.
    """
    rng = np.random.default_rng(seed)
    network = balanced(family(rng), rng, features(rng) if tabular else None)
    spec = network.input
    analysis = analyse(network)
    tally = Tally()
    data = build_model(network, eps, analysis=analysis).SerializeToString()
    # The claim also holds where one host certified and the other runs the perturbed input.
    session, other = start(data, library), start(data, not library)
    x = beside_the_boundary(session, rng, count, network)
    if not len(x):
        return tally
    logits, label, radius = session.run(["logits", "label", "radius"], {"input": x})
    top = np.sort(logits, axis=1)
    naive = ((top[:, -1] - top[:, -2]) / F32(2 * analysis.lipschitz)).astype(F32)
    for sound, radii in ((False, naive), (True, radius)):
        chosen = radii > 0
        if not chosen.any() or (not sound and eps is not None):
            continue  # older runtimes divide by zero on an empty batch, and the process dies
        points, own, reach = x[chosen], label[chosen], radii[chosen, None, None, None]
        breaks = np.zeros(len(points), np.bool_)
        for step in range(each):
            signs = rng.choice(F32([-1, 1]), size=points.shape)
            # Mostly corners of the ball; every fourth step lands anywhere inside.
            size = F32(1) if rng.random() < 0.75 else rng.random(points.shape).astype(F32)
            moved = into_ball(points + signs * size * reach * spec.unit, points, reach, spec)
            step_made = np.abs(moved.astype(np.float64) - points)
            assert (step_made <= reach.astype(np.float64) * spec.unit).all()
            host = other if sound and step % 2 else session
            breaks |= host.run(["label"], {"input": moved})[0] != own
        if sound:
            tally.sound_breaks += int(breaks.sum())
            tally.certified += len(points)
            tally.tried += len(points) * each
        else:
            tally.naive_breaks += int(breaks.sum())
    return tally


def run(seeds: range, count: int, each: int, tabular: bool = False) -> dict[str, Tally]:
    total = {}
    for family in FAMILIES:
        for eps in (None, Fraction(1, 50)):
            name = family.__name__ + (" (interval)" if eps else "")
            parts = [
                search(family, seed, library, eps, count, each, tabular)
                for seed in seeds
                for library in (True, False)
            ]
            total[name] = Tally(
                *(sum(getattr(part, entry.name) for part in parts) for entry in fields(Tally))
            )
    return total


def check(total: dict[str, Tally], tried: int) -> None:
    for name, tally in total.items():
        print(f"{name:24s} {tally}")
        assert tally.sound_breaks == 0, name
    assert sum(tally.naive_breaks for tally in total.values()) > 0
    assert sum(tally.tried for tally in total.values()) >= tried


def test_rounding_breaks_the_naive_certificate_only() -> None:
    check(run(range(3), count=150, each=16), tried=30_000)


def test_rounding_breaks_the_naive_certificate_of_features_only() -> None:
    check(run(range(2), count=120, each=12, tabular=True), tried=10_000)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_million_perturbations_of_features() -> None:
    check(run(range(8), count=600, each=64, tabular=True), tried=500_000)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_million_perturbations() -> None:
    check(run(range(8), count=600, each=64), tried=1_000_000)
