"""Adversarial search: gradient training tries to beat Theorems 3.5, 3.6 and the G^s bounds.

Networks of `sortnet.nn` are trained on the cyclic points (:func:`.boolean.cyclic_pairs`) for the
largest certified radius, or for the smallest error of an order statistic. Training is only the
way to find them: the figure that counts is computed afterwards in exact arithmetic, on the
network of fractions that the trained weights are (:mod:`.convert`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import ceil, floor

import torch
from torch import Tensor, nn

from sortnet.models import Abs, set_p
from sortnet.nn import (
    GroupSort,
    LInfDistLinear,
    LipschitzLinear,
    OrderStatisticLinear,
    PiecewiseLinear,
)

from ..objects.boolean import cyclic_pairs
from ..objects.convert import exact_network
from ..objects.exact import HALF, ONE, ZERO, check_integer, check_rank
from ..objects.networks import Network
from ..objects.results import Evidence, require
from ..theorems.boolean_impossibility import best_radius, bound
from ..theorems.order_statistics import bound as error_bound
from ..theorems.order_statistics import cyclic_error

FAMILIES = ("standard", "MaxMin", "l-inf distance", "SortNet")
_ACTIVATIONS: dict[str, Callable[[int], nn.Module]] = {
    "relu": lambda width: nn.ReLU(),
    "abs": lambda width: Abs(),
    "piecewise linear": PiecewiseLinear,
}


@dataclass(frozen=True)
class Shape:
    """A network to train: its family, how deep and wide, its activation.

    Args:
        family: one of FAMILIES.
        depth: number of affine or distance layers, >= 1.
        width: hidden units; even for MaxMin; 0 stands for d rounded up to even.
        activation: "relu", "abs" or "piecewise linear", for standard networks.

    Raises:
        ValueError: an unknown family or activation, a depth < 1 or an odd width for MaxMin.
    """

    family: str
    depth: int
    width: int
    activation: str = "abs"

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"expected a family among {FAMILIES}, got {self.family!r}")
        if self.activation not in _ACTIVATIONS:
            raise ValueError(f"expected one of {tuple(_ACTIVATIONS)}, got {self.activation!r}")
        check_integer("depth", self.depth, 1)
        check_integer("width", self.width, 0)
        if self.family == "MaxMin" and self.width % 2:
            raise ValueError(f"expected an even width for MaxMin, got {self.width}")

    @property
    def sorts(self) -> int:
        """Sorting layers."""
        return self.depth - 1 if self.family == "MaxMin" else 0

    @property
    def mass(self) -> Fraction | None:
        """What the mass lemma allows an output; None for families that escape."""
        if self.family == "standard":
            return ONE
        return Fraction(2) ** (self.depth - 1) if self.family == "MaxMin" else None

    @property
    def rate(self) -> float:
        """Learning rate: sorted groups of many units want smaller steps."""
        return 0.01 if self.family == "MaxMin" else 0.03

    def build(self, d: int, outputs: int) -> nn.Sequential:
        """A fresh network [N, d] -> [N, outputs] with torch's default generator."""
        layers: list[nn.Module] = []
        width, hidden = d, self.width or d + d % 2
        for i in range(self.depth):
            out = outputs if i == self.depth - 1 else hidden
            layers.append(self._layer(width, out))
            if i < self.depth - 1 and self.family == "MaxMin":
                layers.append(GroupSort(2))
            if i < self.depth - 1 and self.family == "standard":
                layers.append(_ACTIVATIONS[self.activation](out))
            width = out
        return nn.Sequential(*layers)

    def _layer(self, width: int, out: int) -> nn.Module:
        if self.family in ("standard", "MaxMin"):
            return LipschitzLinear(width, out)
        layer: LInfDistLinear | OrderStatisticLinear
        if self.family == "l-inf distance":
            layer = LInfDistLinear(width, out, bias=True)
        else:
            layer = OrderStatisticLinear(width, out, bias=True)
        with torch.no_grad():  # centres near the data, not the N(0, 1) of images
            layer.weight.uniform_(-0.5, 0.5)
            if isinstance(layer, OrderStatisticLinear):
                layer.order_weight[:, 0] += 1
        return layer


@dataclass(frozen=True)
class Found:
    """One trained network.

    Args:
        shape, d, k: what was trained, on which points.
        network: the trained weights, exactly.
        value: certified radius with the best biases, or error on the cyclic points.
    """

    shape: Shape
    d: int
    k: int
    network: Network
    value: Fraction


def _points(d: int, k: int) -> tuple[Tensor, Tensor]:
    pairs = cyclic_pairs(d, k)
    low = sorted({x for x, _ in pairs})
    high = sorted({y for _, y in pairs})
    return torch.tensor(low, dtype=torch.float32), torch.tensor(high, dtype=torch.float32)


def _train(model: nn.Module, loss: Callable[[float], Tensor], steps: int, rate: float) -> None:
    """Adam with a decaying rate; ``loss`` is given the sharpness of its soft maximum, and distance
    layers go from l_8 to l-inf. One thread: the tensors are too small to share."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        done = step / steps
        set_p(model, 8.0 * 125.0 ** (done / 0.7) if done < 0.7 else float("inf"))
        optimizer.zero_grad()
        torch.autograd.backward(loss(300**done))
        optimizer.step()
        schedule.step()
    model.eval()
    torch.set_num_threads(threads)


def _soft_max(values: Tensor, sharpness: float) -> Tensor:
    return torch.logsumexp(sharpness * values, 0) / sharpness


def search_radius(shape: Shape, d: int, k: int, *, steps: int, seed: int = 0) -> Found:
    """Train two logits for the largest certified radius on the cyclic points of jump k.

    Raises:
        ValueError: k is not in 1..d, or steps < 1.
    """
    check_rank(d, k)
    check_integer("steps", steps, 1)
    low, high = _points(d, k)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = shape.build(d, 2)
        points, ones = torch.cat([low, high]), len(high)

        def loss(sharpness: float) -> Tensor:
            logits = model(points)
            gap = d * (logits[:, 1] - logits[:, 0])
            s = sharpness / d if shape.mass is None else sharpness
            return _soft_max(gap[:-ones], s) + _soft_max(-gap[-ones:], s)

        _train(model, loss, steps, shape.rate)
    network = exact_network(model)
    return Found(shape, d, k, network, best_radius(network, cyclic_pairs(d, k)))


def search_error(shape: Shape, d: int, k: int, *, steps: int, seed: int = 0) -> Found:
    """Train one output for the smallest error of x_(k) on the cyclic points.

    Raises:
        ValueError: k is not in 1..d, or steps < 1.
    """
    check_rank(d, k)
    check_integer("steps", steps, 1)
    low, high = _points(d, k)
    target = torch.cat([torch.zeros(len(low)), torch.ones(len(high))])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = shape.build(d, 1)
        points = torch.cat([low, high])

        def loss(sharpness: float) -> Tensor:
            error = d * (model(points)[:, 0] - target)
            return _soft_max(torch.cat([error, -error]), 10 * sharpness / d)

        _train(model, loss, steps, shape.rate)
    network = exact_network(model)
    return Found(shape, d, k, network, cyclic_error(network, k))


# --- the searches of the report -----------------------------------------------------------------


def shapes(thorough: bool) -> tuple[Shape, ...]:
    """What is trained for every d."""
    few = (
        Shape("standard", 1, 0),
        Shape("standard", 2, 16, "piecewise linear"),
        Shape("standard", 3, 16, "relu"),
        Shape("MaxMin", 2, 0),
        Shape("MaxMin", 3, 0),
        Shape("l-inf distance", 1, 0),
        Shape("SortNet", 2, 16),
    )
    if not thorough:
        return few
    return (
        *few,
        *(Shape("standard", 2, 64, activation) for activation in _ACTIVATIONS),
        Shape("standard", 4, 32, "abs"),
        Shape("standard", 8, 16, "piecewise linear"),
        Shape("MaxMin", 4, 0),
        Shape("l-inf distance", 2, 32),
        Shape("SortNet", 1, 0),
    )


DIMENSIONS = (2, 4, 8, 16, 32, 64)


def _ranks(d: int, thorough: bool) -> tuple[int, ...]:
    """The jumps to train for. k = d is not among them: x -> 1 - x maps every family onto itself
    and the points of k = d onto those of k = 1 (for errors: x_(d) onto 1 - x_(1))."""
    return tuple(sorted({1, d // 2})) if thorough else (1,)


def _effort(thorough: bool) -> tuple[int, int]:
    """Steps and seeds of each search."""
    return (500, 2) if thorough else (150, 1)


@cache
def radii(family: str, thorough: bool = False) -> tuple[Found, ...]:
    """Networks of a family trained for the certified radius, one d of DIMENSIONS after the other.

    The jump of OR; with ``thorough`` also that of half the ones, more shapes, seeds and steps.
    """
    steps, seeds = _effort(thorough)
    return tuple(
        search_radius(shape, d, k, steps=steps, seed=seed)
        for d in DIMENSIONS
        for shape in shapes(thorough)
        if shape.family == family
        for k in _ranks(d, thorough)
        for seed in range(seeds)
    )


@cache
def errors(family: str, thorough: bool = False) -> tuple[Found, ...]:
    """Networks of a family trained for the error of max (``thorough``: also of the entry in the
    middle, every d of DIMENSIONS, more shapes, seeds and steps)."""
    steps, seeds = _effort(thorough)
    return tuple(
        search_error(shape, d, k, steps=steps, seed=seed)
        for d in (DIMENSIONS if thorough else DIMENSIONS[1::2])
        for shape in shapes(thorough)
        if shape.family == family
        for k in _ranks(d, thorough)
        for seed in range(seeds)
    )


def _span(found: Sequence[Found]) -> str:
    return f"d = {min(f.d for f in found)}..{max(f.d for f in found)}"


def within_radius_bound(family: str, thorough: bool) -> Evidence:
    """No trained network of a family with a mass bound crosses it.

    Raises:
        Refuted: one does.
    """
    found = radii(family, thorough)
    closest = ZERO
    for f in found:
        assert f.shape.mass is not None
        limit = bound(f.d, f.shape.mass)
        require(f.value <= limit, f"trained to a certified radius {f.value} > {limit}: {f}")
        closest = max(closest, f.value / limit)
    percent = floor(closest * 10_000) / 100  # rounded away from the bound
    reach = f"trained for the radius, {_span(found)}, up to {percent:.2f}% of the bound"
    return Evidence("exact", reach, len(found))


def within_error_bound(family: str, thorough: bool) -> Evidence:
    """No trained network of a family with a mass bound is nearer to x_(k) than it allows.

    Raises:
        Refuted: one is.
    """
    found = errors(family, thorough)
    ratios = []
    for f in found:
        assert f.shape.mass is not None
        limit = error_bound(f.d, f.k, f.shape.mass)
        require(f.value >= limit, f"trained to an error {f.value} < {limit}: {f}")
        if limit:
            ratios.append(f.value / limit)
    percent = ceil(min(ratios) * 10_000) / 100  # rounded away from the bound
    reach = f"trained for the error, {_span(found)}, down to {percent:.2f}% of the bound"
    return Evidence("exact", reach, len(found))


def crosses(family: str, thorough: bool) -> Evidence:
    """For every d >= 4 some trained network of the family is better than 1/(2d), and none is
    better than 1/2. (A run that ends below 1/(2d) proves nothing: it is repeated with new seeds.)

    Raises:
        Refuted: that is not so.
    """
    found = list(radii(family, thorough))
    for d in DIMENSIONS[1:]:
        for seed in range(3, 6):
            if max(f.value for f in found if f.d == d) > bound(d):
                break
            shape = [f.shape for f in found][-1]
            found.append(search_radius(shape, d, 1, steps=500, seed=seed))
        best = max(f.value for f in found if f.d == d)
        require(bound(d) < best <= HALF, f"{family} networks of d = {d} reach {float(best)} only")
    d = DIMENSIONS[-1]
    gain = float(max(f.value for f in found if f.d == d) / bound(d))
    reach = f"{family} networks trained for the radius, {_span(found)}, {gain:.1f}/(2d) at d = {d}"
    return Evidence("exact", reach, len(found))
