"""What `theory/coq/float/HostSemantics.v` lets a host compute, as intervals of exact numbers.

Where the relation has finitely many answers (one rounding, flushed or not) the interval runs from
the least to the largest of them; for sums in any order it is the error bound of the standard model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from fractions import Fraction

import numpy as np

from sortnet.base.units import float32_down, float32_up
from sortnet.certificate.network import Network
from sortnet.certificate.operations import (
    Abs,
    Affine,
    Bias,
    Flatten,
    GroupSort,
    Negate,
    Normalize,
    Operation,
    OrderStatistic,
    PiecewiseLinear,
    RankFilter,
    ReLU,
    Shift,
    SortConv,
    SortNeuron,
    Tanh,
)

Interval = tuple[Fraction, Fraction]

KNOWN = (
    Abs,
    Affine,
    Bias,
    Flatten,
    GroupSort,
    Negate,
    Normalize,
    RankFilter,
    ReLU,
    Shift,
    SortConv,
    SortNeuron,
    Tanh,
)
"""The operations about which the proofs speak, bounds of them included."""


OF_MARGINS = (*KNOWN, OrderStatistic, PiecewiseLinear)
"""Those in margin files: all."""


def proved(network: Network) -> bool:
    return all(type(op) in KNOWN for op in network.ops)


def proved_margin(network: Network) -> bool:
    return all(type(op) in OF_MARGINS for op in network.ops)


UNIT = {24: Fraction(1, 2**24), 53: Fraction(1, 2**53)}
NORMAL = Fraction(1, 2**126)
COEFFICIENT = Fraction(1, 2**22) + Fraction(1, 2**38)
COEFFICIENT_TINY = Fraction(1, 2**125)
TANH = Fraction(1, 2**19)


def nearest(z: Fraction) -> Fraction:
    """The float32 next to z, ties to even."""
    low, high = Fraction(float32_down(z)), Fraction(float32_up(z))
    if low == high or z - low != high - z:
        return low if z - low < high - z else high
    # A float32 is even if it is a multiple of twice its spacing.
    return low if (low / (high - low)) % 2 == 0 else high


def operand(a: Fraction) -> set[Fraction]:
    return {a, Fraction(0)} if abs(a) < NORMAL else {a}


def rounds(z: Fraction) -> set[Fraction]:
    return {nearest(z), Fraction(0)} if abs(z) < NORMAL else {nearest(z)}


def rounded(
    operation: Callable[[Fraction, Fraction], Fraction], a: set[Fraction], b: set[Fraction]
) -> set[Fraction]:
    return {
        y
        for left in a
        for right in b
        for x in operand(left)
        for w in operand(right)
        for y in rounds(operation(x, w))
    }


def difference(a: set[Fraction], b: set[Fraction]) -> set[Fraction]:
    return rounded(lambda x, y: x - y, a, b)


def product(a: set[Fraction], b: set[Fraction]) -> set[Fraction]:
    return rounded(lambda x, y: x * y, a, b)


def hull(values: Iterable[Fraction]) -> Interval:
    listed = list(values)
    return min(listed), max(listed)


def any_order(low: Fraction, high: Fraction, size: Fraction, count: int, digits: int) -> Interval:
    """A sum of ``count`` products between ``low`` and ``high`` whose sizes add up to ``size``."""
    growth = (1 + UNIT[digits]) ** (count + 1)
    slack = size * (growth - 1) + 2 * count * growth * NORMAL
    return low - slack, high + slack


def neuron(v: list[Fraction], op: SortNeuron) -> list[Interval]:
    rho = Fraction(op.rho)
    total = sum((rho**j for j in range(op.k)), Fraction(0))
    coefficients = [rho**j / total for j in range(op.k)]
    result = []
    for row in op.W:
        distances = [
            hull(abs(d) for d in difference({x}, {Fraction(float(w))}))
            for x, w in zip(v, row, strict=True)
        ]
        low = sorted((d[0] for d in distances), reverse=True)[: op.k]
        high = sorted((d[1] for d in distances), reverse=True)[: op.k]
        least = most = Fraction(0)
        for c, below, above in zip(coefficients, low, high, strict=True):
            room = COEFFICIENT * c + COEFFICIENT_TINY
            least += (
                min(c - room, 0) * above
                if c < room
                else (c - room) * (below if below >= NORMAL else 0)
            )
            most += (c + room) * above
        result.append(any_order(least, most, most + NORMAL, op.k, 24))
    return result


def signed(v: list[Fraction], op: OrderStatistic) -> list[Interval]:
    count = op.coefficients.shape[1]
    result = []
    for row, table in zip(op.W, op.coefficients, strict=True):
        distances = [
            hull(abs(d) for d in difference({x}, {Fraction(float(w))}))
            for x, w in zip(v, row, strict=True)
        ]
        low = sorted((d[0] for d in distances), reverse=True)[:count]
        high = sorted((d[1] for d in distances), reverse=True)[:count]
        least = most = size = Fraction(0)
        for c, below, above in zip(table, low, high, strict=True):
            ends = [Fraction(float(c)) * below, Fraction(float(c)) * above]
            least, most = least + min(ends), most + max(ends)
            size += abs(ends[1])
        tiny = NORMAL * sum((1 + abs(Fraction(float(c))) + high[0] for c in table), Fraction(0))
        result.append(any_order(least - tiny, most + tiny, size + tiny, count, 24))
    return result


def pieces(v: list[Fraction], op: PiecewiseLinear) -> list[Interval]:
    knots = [Fraction(float(t)) for t in op.knots]
    result = []
    for x, row in zip(v, op.slopes, strict=True):
        least = most = size = Fraction(0)
        for j, slope in enumerate(row):
            clipped = max(x, knots[j - 1]) if j else x
            clipped = min(clipped, knots[j]) if j < len(knots) else clipped
            parts = difference(operand(clipped), {knots[max(j - 1, 0)]})
            ends = [Fraction(float(slope)) * part for part in parts]
            least, most = least + min(ends), most + max(ends)
            size += max(map(abs, ends))
        tiny = NORMAL * sum((4 + 4 * abs(Fraction(float(s))) + abs(x) for s in row), Fraction(0))
        result.append(any_order(least - tiny, most + tiny, size + tiny, len(row), 24))
    return result


def affine(v: list[Fraction], op: Affine) -> list[Interval]:
    result = []
    for row, b in zip(op.W, op.b, strict=True):
        w = [Fraction(float(value)) for value in row]
        bias = Fraction(float(b))
        value = bias + sum((x * y for x, y in zip(v, w, strict=True)), Fraction(0))
        size = abs(bias) + sum((abs(x * y) for x, y in zip(v, w, strict=True)), Fraction(0))
        tiny = NORMAL * (1 + sum((abs(x) + abs(y) for x, y in zip(v, w, strict=True)), Fraction(0)))
        low, high = any_order(value - tiny, value + tiny, size, len(w) + 1, 53)
        # Rounded to float32, or not where the next operation is float64 too.
        result.append(hull([low, high, *rounds(low), *rounds(high)]))
    return result


def tanh(x: Fraction) -> Interval:
    y = Fraction(math.tanh(float(x)))
    return y - TANH, y + TANH


def allowed(op: Operation, v: list[Fraction]) -> list[Interval]:
    """An interval for each unit of an operation, on the values ``v`` that a host has computed."""
    match op:
        case Normalize():
            means, stds = (np.broadcast_to(np.ravel(a), len(v)) for a in (op.mean, op.std))
            result = []
            for x, m, s in zip(v, means, stds, strict=True):
                mean, std = Fraction(float(m)), Fraction(float(s))
                centered = difference({x}, {mean})
                divided = rounded(lambda x, y: x / y, centered, {std})
                reciprocal = rounded(lambda x, y: x / y, {Fraction(1)}, {std})
                result.append(hull(divided | product(centered, reciprocal)))
            return result
        case Flatten():
            return [(x, x) for x in v]
        case SortNeuron():
            return neuron(v, op)
        case SortConv():
            padded = [*v, Fraction(0)]
            columns = [neuron([padded[i] for i in patch], op.neuron) for patch in op.patches]
            return [column[o] for o in range(len(op.neuron.W)) for column in columns]
        case Shift():
            return [
                hull(difference({x}, {Fraction(float(c))}))
                for x, c in zip(v, op.values, strict=True)
            ]
        case Bias():
            return [
                hull(rounded(lambda x, y: x + y, {x}, {Fraction(float(c))}))
                for x, c in zip(v, op.values, strict=True)
            ]
        case Negate():
            return [hull(-y for y in operand(x)) for x in v]
        case Affine():
            return affine(v, op)
        case GroupSort():
            groups = [v[i : i + op.size] for i in range(0, len(v), op.size)]
            return [hull(operand(x)) for group in groups for x in sorted(group, reverse=True)]
        case OrderStatistic():
            return signed(v, op)
        case PiecewiseLinear():
            return pieces(v, op)
        case RankFilter():
            padded = [*v, Fraction(0)]
            windows = [sorted((padded[i] for i in window), reverse=True) for window in op.patches]
            return [hull(operand(window[op.k - 1])) for window in windows]
        case ReLU():
            return [hull(max(y, Fraction(0)) for y in operand(x)) for x in v]
        case Abs():
            return [hull(abs(y) for y in operand(x)) for x in v]
        case Tanh():
            return [tanh(x) for x in v]
    raise AssertionError(op)


def radius(logits: list[Fraction], slack: float, scale: float) -> Interval:
    """The margin radius of an image in the box."""
    best, second = sorted(logits, reverse=True)[:2]
    margin = difference(operand(best), operand(second))
    sure = difference(margin, {Fraction(slack)})
    scaled = product(sure, {Fraction(scale)})
    return hull(max(y, Fraction(0)) for x in scaled for y in operand(x))
