"""The SortNet neuron, which is an l-inf-distance neuron for k = 1."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from ..coefficients import geometric_coefficients
from ..rounding import TINY, UNIT, Arithmetic, Array, gamma, up
from .base import Operation, Shape, SpecError, Travel, constant, expect_units, scalar

_BLOCK = 2**22


@dataclass(frozen=True, eq=False)
class SortNeuron(Operation):
    """y_o = sum_k coef_k |x - W_o|_(k), the practical SortNet neuron (paper, section 1).

    W: [O, I]; rho in [0, 1), a float32; 1 <= k <= I. The coefficients are those of
    `sortnet.certificate.coefficients.geometric_coefficients`; their exact sum is at most 1.
    """

    W: Array
    rho: float
    k: int
    coefficients: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        W = constant(self.W, 2, "SortNeuron W")
        scalar(self.rho, "SortNeuron rho")
        if not 0 <= self.rho < 1:
            raise SpecError(f"SortNeuron rho must be in [0, 1), got {self.rho}")
        if not 1 <= self.k <= W.shape[1]:
            raise SpecError(f"SortNeuron k must be in [1, {W.shape[1]}], got {self.k}")
        object.__setattr__(self, "W", W)
        coefficients = np.asarray(geometric_coefficients(self.rho, self.k), dtype=np.float32)
        object.__setattr__(self, "coefficients", coefficients)

    def out_shape(self, shape: Shape) -> Shape:
        expect_units(shape, self.W.shape[1], "SortNeuron")
        return (self.W.shape[0],)

    @property
    def entries(self) -> int:
        return self.W.size

    def value(self, x: Array) -> Array:
        """Any leading dimensions: [..., I] -> [..., O]."""
        distances = np.abs(x[..., None, :] - self.W.astype(np.float64))
        largest = -np.sort(-distances, axis=-1)[..., : self.k]
        y: Array = largest @ self.coefficients.astype(np.float64)
        return y

    def moves(self, moves: Array) -> Array:
        """Sum of the coefficients, exact and at most 1, times the largest move."""
        return np.full(len(self.W), self.sum_of_coefficients() * moves.max())

    def sum_of_coefficients(self) -> float:
        """Exactly, rounded up; at most 1. Every order statistic is 1-Lipschitz."""
        exact = sum(map(Fraction, self.coefficients.tolist()), Fraction(0))
        return math.nextafter(float(exact), math.inf) if exact != 1 else 1.0

    @property
    def spread(self) -> int:
        return int(self.W.shape[1])

    def range(self, low: Array, high: Array) -> tuple[Array, Array]:
        """The neuron of the nearest distances, max(0, low - W, W - high), and that of the farthest,
        max(high - W, W - low); widened by rounding.
        """
        # |x - w| in [l, u] lies between max(0, l - w, w - u) and max(u - w, w - l); order
        # statistics are monotone. In float32, which is twice as fast on wide layers; relative
        # errors of k + 4 roundings.
        coefficients = self.coefficients.astype(np.float64)
        low = np.nextafter(low.astype(np.float32), np.float32(-np.inf))
        high = np.nextafter(high.astype(np.float32), np.float32(np.inf))
        outputs, inputs = self.W.shape
        lower, upper = np.empty(outputs), np.empty(outputs)
        rows = max(1, _BLOCK // inputs)
        for start in range(0, outputs, rows):
            W = self.W[start : start + rows]
            below, above = low - W, W - high
            block = slice(start, start + len(W))
            lower[block] = _largest(np.maximum(0, np.maximum(below, above)), self.k) @ coefficients
            upper[block] = _largest(-np.minimum(below, above), self.k) @ coefficients
        slack = 2 * gamma(self.k + 4, UNIT)
        return np.maximum(0, lower * (1 - slack) - TINY), upper * (1 + slack) + TINY

    def rounding(self, arithmetic: Arithmetic, magnitude: float, magnitude_in: float) -> float:
        """gamma(k + 5) M + TINY."""
        # Difference 1, coefficient 2 (only the function fallback rounds it), product 1,
        # sum k - 1 in any order; selection is exact because rounding is monotone.
        return up(gamma(self.k + 5, UNIT) * magnitude + TINY)

    @property
    def travel(self) -> Travel:
        return Travel.OUTWARD

    def pair_slack(self, arithmetic: Arithmetic, magnitude_in: float) -> float:
        return 0.0


def _largest(values: Array, count: int) -> Array:
    """The ``count`` largest of each row, largest first."""
    if count == 1:
        top: Array = values.max(axis=1, keepdims=True)
        return top
    if count < values.shape[1]:
        values = np.partition(values, values.shape[1] - count, axis=1)[:, -count:]
    return -np.sort(-values, axis=1)
