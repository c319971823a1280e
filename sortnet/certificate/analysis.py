"""How far a float32 run of a network can be from the network over the real numbers.

`analyse` walks the operations once and derives, from the weights and the input box alone, the
Lipschitz constant of every logit, the range of every unit, the error bound E of the margin
certificate and the slacks of the interval certificate. docs/certificates.md derives each rule; the
rule numbers in the comments below are its sections.

Arithmetic here is float64 with every result pushed outward by more than its rounding error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from sortnet.base.units import float32_down, float32_up

from .network import (
    Activation,
    Affine,
    Array,
    Bias,
    Flatten,
    GroupSort,
    Negate,
    Network,
    Normalize,
    Op,
    Shift,
    SortConv,
    SortNeuron,
)

UNIT = 2.0**-24
"""Half a unit in the last place of float32: the relative error of one rounding to nearest."""

UNIT64 = 2.0**-53

TINY = 2.0**-100
"""More than everything that underflow, flushed to zero or gradual, can add to one operation."""

TANH_ERROR = 2.0**-19
"""Largest absolute error of a float32 Tanh that is accepted; the runtime checks it at start."""

LARGEST = 2.0**100
"""Values whose bound exceeds this are refused: overflow cannot happen below it."""

LEAST = 2.0**-100
"""Lipschitz constants are not taken to be smaller: a product of tiny ones may underflow."""

ROOM = 2.0**-16
"""Relative room that files leave around every constant, for machines that sum in another order."""

_BLOCK = 2**22


class BoundError(ValueError):
    """No bound can be given: values may overflow, or a constant is out of every proportion."""


@dataclass(frozen=True)
class Step:
    """What one operation adds to the proof; one row of the verifier's table.

    Attributes:
        op: its name. lipschitz: its own constant (l-inf to l-inf). low, high: range of its exact
        output over the box. error: bound on |computed - exact| of its output.
        widen: how far interval bounds move outward before it (0: not at all).
    """

    op: str
    lipschitz: float
    low: float
    high: float
    error: float
    widen: float


@dataclass(frozen=True)
class Analysis:
    """The constants of both certificates; every number is rounded to the safe side.

    Attributes:
        lipschitz: L, of each logit from the input (pixels) in l-inf.
        error: E, the largest |computed - exact| of a logit over the box.
        margin_slack: float32 that the graph subtracts from the margin, >= 4 E.
        margin_scale: float32 that it multiplies with then, < 1 / (2 L).
        interval_slack: float32 by which interval bounds must be apart.
        steps: one row per operation.
    """

    lipschitz: float
    error: float
    margin_slack: float
    margin_scale: float
    interval_slack: float
    steps: tuple[Step, ...]


def ball_reach(eps: float) -> float:
    """A float32 e with fl(x - e) <= x - eps and, where not above 1, fl(x + e) >= x + eps.

    For every x in [0, 1]: below 1 one rounding moves a result by at most 2^-25.
    """
    return float32_up(Fraction(eps) + Fraction(2) ** -24)


def analyse(network: Network) -> Analysis:
    """Bounds of a network over the box [0, 1].

    Raises:
        BoundError: some value may exceed 2^100, or the Lipschitz constant may.
    """
    low = np.zeros(network.input_shape)
    high = np.ones(network.input_shape)
    lipschitz = 1.0
    # error: computed value against exact value. gap: how far the computed value may be outside
    # computed interval bounds. spill: how far those may be outside the exact interval bounds.
    error = gap = spill = 0.0
    magnitude_in = spill_in = 0.0
    steps = []
    for index, op in enumerate(network.ops):
        name = type(op).__name__
        magnitude_in = _magnitude(low, high)
        low, high = _range(op, low, high)
        magnitude = _magnitude(low, high)
        factor = _lipschitz(op)
        lipschitz = _up(max(lipschitz * factor, LEAST))
        widen = 0.0
        if isinstance(op, Affine):
            widen = float32_up(_up(gap + 2 * UNIT * (magnitude_in + spill + 2 * gap) + TINY))
            gap, spill = 0.0, _up(spill + 2 * widen * (1 + 4 * ROOM))
        spill_in = spill
        rounding = _rounding(op, magnitude + factor * error, magnitude_in + error)
        error = _up(factor * error + rounding)
        of_bounds = _rounding(op, magnitude + factor * spill, magnitude_in + spill)
        # SortNeuronBounds rounds outward: it adds nothing to the gap, a few roundings to the spill.
        inward = 0.0 if isinstance(op, SortNeuron | SortConv) else of_bounds
        gap = _up(factor * gap + rounding + inward)
        spill = _up(factor * spill + 16 * of_bounds)
        if not max(magnitude + error, magnitude + spill, lipschitz) < LARGEST:
            raise BoundError(
                f"operation {index} ({name}): values or Lipschitz constants up to "
                f"{max(magnitude + spill, lipschitz):.3g} cannot be kept clear of overflow"
            )
        steps.append(Step(name, factor, float(low.min()), float(high.max()), error, widen))
    spread = 2 * (_magnitude(low, high) + error)
    slack = _up(4 * error + 2 * UNIT * spread + lipschitz * TINY + TINY)
    # At most 2^24, so that the product with a margin cannot overflow.
    scale = min((1 - Fraction(2) ** -20) / (2 * Fraction(lipschitz)), Fraction(2) ** 24)
    return Analysis(
        lipschitz=lipschitz,
        error=error,
        margin_slack=float32_up(slack),
        margin_scale=float32_down(scale),
        interval_slack=float32_up(_interval_slack(network.ops[-1], gap, magnitude_in + spill_in)),
        steps=tuple(steps),
    )


def _interval_slack(last: Op, gap: float, magnitude_in: float) -> float:
    """By how much the bounds of two logits must be apart (section 6).

    A final affine layer is bounded on differences of its rows, in float64: their rounding comes on
    top of that of both logits, which the gap covers.
    """
    pairs = 0.0
    if isinstance(last, Affine):
        terms = last.W.shape[1] + 8
        pairs = 4 * _gamma(terms, UNIT64) * _largest_terms(last, magnitude_in)
    return _up(2 * gap + pairs + TINY)


def _largest_terms(op: Affine, magnitude_in: float) -> float:
    """Largest sum of the absolute terms of one row: |W| |x| + |b|, from above."""
    rows = np.abs(op.W).astype(np.float64).sum(axis=1) * magnitude_in + np.abs(op.b)
    return float(rows.max()) * (1 + 2.0**-20)


def _up(value: float) -> float:
    """More than the exact value of a non-negative formula of a few float64 operations."""
    return value * (1 + 2.0**-45)


def _gamma(count: float, unit: float) -> float:
    """Relative error of ``count`` roundings in a row: (1 + unit)^count - 1, from above."""
    if count * unit >= 2.0**-4:
        raise BoundError(f"a sum of {count:.0f} terms is too long for its precision")
    return count * unit / (1 - count * unit)


def _magnitude(low: Array, high: Array) -> float:
    return float(np.maximum(np.abs(low).max(), np.abs(high).max()))  # NaN where one is


def _lipschitz(op: Op) -> float:
    """An upper bound of the l-inf to l-inf Lipschitz constant of one operation (section 2)."""
    match op:
        case Normalize():
            return math.nextafter(1 / op.std, math.inf)
        case SortConv():
            return _lipschitz(op.neuron)
        case SortNeuron():
            exact = sum(map(Fraction, op.coefficients.tolist()), Fraction(0))
            return math.nextafter(float(exact), math.inf) if exact != 1 else 1.0
        case Affine():
            # fsum rounds once, whatever the number of terms.
            rows = (math.fsum(row) for row in np.abs(op.W).astype(np.float64))
            return math.nextafter(max(rows), math.inf)
        case Flatten() | Shift() | Bias() | Negate() | GroupSort() | Activation():
            return 1.0


def _rounding(op: Op, magnitude: float, magnitude_in: float) -> float:
    """Largest rounding error of one float32 operation (section 3).

    magnitude bounds what it computes in exact arithmetic, magnitude_in its float inputs.
    """
    match op:
        case Normalize():
            # Subtraction and division, or a product with a rounded reciprocal.
            return _up(_gamma(4, UNIT) * magnitude + TINY)
        case Shift() | Bias():
            return _up(UNIT * magnitude + TINY)
        case SortConv():
            return _rounding(op.neuron, magnitude, magnitude_in)
        case SortNeuron():
            # Difference 1, coefficient 2 (only the function fallback rounds it), product 1,
            # sum k - 1 in any order; selection is exact because rounding is monotone.
            return _up(_gamma(op.k + 5, UNIT) * magnitude + TINY)
        case Affine():
            # A float64 sum in any order, then one rounding to float32.
            terms = op.W.shape[1] + 4
            in_double = _gamma(terms, UNIT64) * _largest_terms(op, magnitude_in)
            return _up(UNIT * (magnitude + in_double) + in_double + TINY)
        case Activation(kind="tanh"):
            return TANH_ERROR
        case Negate() | GroupSort() | Activation():
            return TINY  # exact, but for a host that takes numbers below 2^-126 for 0
        case Flatten():
            return 0.0


def _range(op: Op, low: Array, high: Array) -> tuple[Array, Array]:
    """Float64 interval bounds of the exact output of one operation, rounded outward (section 4)."""
    match op:
        case Flatten():
            return low.reshape(-1), high.reshape(-1)
        case Normalize():
            low = np.nextafter(low - op.mean, -np.inf)
            high = np.nextafter(high - op.mean, np.inf)
            return np.nextafter(low / op.std, -np.inf), np.nextafter(high / op.std, np.inf)
        case Shift():
            return _outward(low - op.values, high - op.values)
        case Bias():
            return _outward(low + op.values, high + op.values)
        case Negate():
            return -high, -low
        case SortNeuron():
            return _sorted_range(op, low, high)
        case SortConv():
            # One interval for each entry of a patch that holds at every position.
            low = np.append(low, 0.0)[op.patches].min(axis=0)
            high = np.append(high, 0.0)[op.patches].max(axis=0)
            low, high = _sorted_range(op.neuron, low, high)
            positions = len(op.patches)
            return np.repeat(low, positions), np.repeat(high, positions)
        case Affine():
            W = op.W.astype(np.float64)
            positive, negative = np.maximum(W, 0), np.minimum(W, 0)
            size = (positive - negative) @ np.maximum(np.abs(low), np.abs(high)) + np.abs(op.b)
            slack = 2 * _gamma(2 * W.shape[1] + 8, UNIT64) * size + TINY
            return (
                positive @ low + negative @ high + op.b - slack,
                positive @ high + negative @ low + op.b + slack,
            )
        case GroupSort():
            groups = (-1, op.size)
            return (
                -np.sort(-low.reshape(groups), axis=1).reshape(-1),
                -np.sort(-high.reshape(groups), axis=1).reshape(-1),
            )
        case Activation(kind="relu"):
            return np.maximum(low, 0), np.maximum(high, 0)
        case Activation(kind="abs"):
            return np.maximum(0, np.maximum(low, -high)), np.maximum(-low, high)
        case Activation(kind="tanh"):
            return np.tanh(low) - 2.0**-40, np.tanh(high) + 2.0**-40
    raise AssertionError(op)


def _outward(low: Array, high: Array) -> tuple[Array, Array]:
    return np.nextafter(low, -np.inf), np.nextafter(high, np.inf)


def _sorted_range(op: SortNeuron, low: Array, high: Array) -> tuple[Array, Array]:
    outputs, inputs = op.W.shape
    coefficients = op.coefficients.astype(np.float64)
    # In float32, which is twice as fast on wide layers; relative errors of k + 4 roundings.
    low = np.nextafter(low.astype(np.float32), np.float32(-np.inf))
    high = np.nextafter(high.astype(np.float32), np.float32(np.inf))
    lower, upper = np.empty(outputs), np.empty(outputs)
    rows = max(1, _BLOCK // inputs)
    for start in range(0, outputs, rows):
        W = op.W[start : start + rows]
        below, above = low - W, W - high
        block = slice(start, start + len(W))
        lower[block] = _largest(np.maximum(0, np.maximum(below, above)), op.k) @ coefficients
        upper[block] = _largest(-np.minimum(below, above), op.k) @ coefficients
    slack = 2 * _gamma(op.k + 4, UNIT)
    return np.maximum(0, lower * (1 - slack) - TINY), upper * (1 + slack) + TINY


def _largest(values: Array, count: int) -> Array:
    """The ``count`` largest of each row, largest first."""
    if count == 1:
        return values.max(axis=1, keepdims=True)
    if count < values.shape[1]:
        values = np.partition(values, values.shape[1] - count, axis=1)[:, -count:]
    return -np.sort(-values, axis=1)
