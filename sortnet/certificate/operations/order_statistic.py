"""The general SortNet neuron: every neuron weighs its order statistics as it likes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..rounding import LARGEST, TINY, UNIT, UNIT64, Arithmetic, Array, BoundError, gamma, up
from .base import Operation, Shape, SpecError, Travel, constant, expect_units

_BLOCK = 2**22


@dataclass(frozen=True, eq=False)
class OrderStatistic(Operation):
    """y_o = sum_k c_ok |x - W_o|_(k), the general SortNet neuron (paper, section 1).

    W: [O, I]; coefficients: [O, K] of any sign, K <= I.
    """

    W: Array
    coefficients: Array

    def __post_init__(self) -> None:
        W = constant(self.W, 2, "OrderStatistic W")
        coefficients = constant(self.coefficients, 2, "OrderStatistic coefficients")
        if len(coefficients) != len(W) or coefficients.shape[1] > W.shape[1]:
            raise SpecError(
                f"OrderStatistic coefficients {coefficients.shape} do not fit W {W.shape}"
            )
        object.__setattr__(self, "W", W)
        object.__setattr__(self, "coefficients", coefficients)

    def out_shape(self, shape: Shape) -> Shape:
        expect_units(shape, self.W.shape[1], "OrderStatistic")
        return (self.W.shape[0],)

    @property
    def entries(self) -> int:
        return self.W.size + self.coefficients.size

    def value(self, x: Array) -> Array:
        distances = np.abs(x[:, None, :] - self.W.astype(np.float64))
        largest = -np.sort(-distances, axis=-1)[..., : self.coefficients.shape[1]]
        y: Array = (largest * self.coefficients).sum(axis=-1)
        return y

    def moves(self, moves: Array) -> Array:
        """Sum of the |c_ok| of the unit, times the largest move."""
        # Every order statistic is 1-Lipschitz; fsum rounds once.
        rows = np.abs(self.coefficients).astype(np.float64).tolist()
        sums = np.array([math.nextafter(math.fsum(row), math.inf) for row in rows])
        farthest: Array = sums * moves.max()
        return farthest

    @property
    def spread(self) -> int:
        return int(self.W.shape[1])

    def range(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Nearest distances where a coefficient is positive, farthest where it is negative; for the
        upper end the other way round; widened by the rounding of all terms.
        """
        # Order statistics of the nearest and of the farthest distances, each where the sign of its
        # coefficient asks for it; the roundings of all terms together.
        count = self.coefficients.shape[1]
        lower, upper = np.empty(len(self.W)), np.empty(len(self.W))
        rows = max(1, _BLOCK // self.W.shape[1])
        for start in range(0, len(self.W), rows):
            block = slice(start, start + rows)
            W = self.W[block].astype(np.float64)
            below, above = low - W, W - high
            near = _largest(np.maximum(0, np.maximum(below, above)), count)
            far = _largest(-np.minimum(below, above), count)
            positive = np.maximum(self.coefficients[block], 0)
            negative = np.minimum(self.coefficients[block], 0)
            terms = ((positive - negative) * far).sum(axis=1)
            slack = 2 * gamma(2 * count + 8, UNIT64) * terms + TINY
            lower[block] = (positive * near + negative * far).sum(axis=1) - slack
            upper[block] = (positive * far + negative * near).sum(axis=1) + slack
        return lower, upper

    def rounding(self, arithmetic: Arithmetic, magnitude: float, magnitude_in: float) -> float:
        """gamma(2 K + 6) t + K 2^-125 (d + 1) + TINY, with d = |x| + max |W|, t = sum |c| d."""
        # Difference, coefficient, product, and a sum of at most 2 K terms (bounds take both signs).
        # Terms may cancel, so their absolute sum counts; coefficients and terms below 2^-126 may be
        # taken for 0.
        count = self.coefficients.shape[1]
        distance = (magnitude_in + float(np.abs(self.W).max())) * (1 + 2.0**-20)
        weights = float(np.abs(self.coefficients).astype(np.float64).sum(axis=1).max())
        terms = weights * (1 + 2.0**-20) * distance
        if not max(terms, distance) < LARGEST:
            raise BoundError(f"a sum of order statistics has terms of {terms:.3g} together")
        return up(gamma(2 * count + 6, UNIT) * terms + count * 2.0**-125 * (distance + 1) + TINY)

    @property
    def travel(self) -> Travel:
        return Travel.ROUNDED

    def pair_slack(self, arithmetic: Arithmetic, magnitude_in: float) -> float:
        return 0.0


def _largest(values: Array, count: int) -> Array:
    """The ``count`` largest of each row, largest first."""
    largest: Array = -np.sort(-values, axis=1)[:, :count]
    return largest
