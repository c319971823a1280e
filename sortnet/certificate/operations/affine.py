"""Affine layers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..rounding import TINY, UNIT, UNIT64, Arithmetic, Array, BoundError, gamma, up
from .base import Operation, Shape, SpecError, Travel, constant, expect_units


@dataclass(frozen=True, eq=False)
class Affine(Operation):
    """y = W x + b; W: [O, I], b: [O]. Files sum in float64, so that long sums stay exact enough."""

    W: Array
    b: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "W", constant(self.W, 2, "Affine W"))
        object.__setattr__(self, "b", constant(self.b, 1, "Affine b"))
        if len(self.b) != len(self.W):
            raise SpecError(f"Affine b must have {len(self.W)} entries, got {len(self.b)}")

    def out_shape(self, shape: Shape) -> Shape:
        expect_units(shape, self.W.shape[1], "Affine")
        return (self.W.shape[0],)

    @property
    def entries(self) -> int:
        return self.W.size

    def value(self, x: Array) -> Array:
        y: Array = x @ self.W.astype(np.float64).T + self.b
        return y

    def moves(self, moves: Array) -> Array:
        """Row sums of |W|: |W| moves."""
        # fsum rounds once, whatever the number of terms.
        terms = (np.abs(row).astype(np.float64) * moves for row in self.W)
        return np.array([math.nextafter(math.fsum(row), math.inf) for row in terms])

    @property
    def spread(self) -> int:
        return 1

    def range(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Each weight takes the end that its sign asks for; widened by the rounding of the sum."""
        W = self.W.astype(np.float64)
        positive, negative = np.maximum(W, 0), np.minimum(W, 0)
        size = (positive - negative) @ np.maximum(np.abs(low), np.abs(high)) + np.abs(self.b)
        slack = 2 * gamma(2 * W.shape[1] + 8, UNIT64) * size + TINY
        return (
            positive @ low + negative @ high + self.b - slack,
            positive @ high + negative @ low + self.b + slack,
        )

    def rounding(self, arithmetic: Arithmetic, magnitude: float, magnitude_in: float) -> float:
        """UNIT M + (1 + UNIT) g (|W| |x| + |b|) + TINY, with g = gamma(I + 4) of the host's sums.

        Files sum in float64, torch in float32; the terms must stay below the host's largest sum.
        """
        # A sum in any order, then one rounding to float32.
        largest = self._largest_terms(magnitude_in)
        if not largest < arithmetic.largest_sum:
            raise BoundError(f"an affine sum has terms of {largest:.3g} together")
        in_sum = gamma(self.W.shape[1] + 4, arithmetic.sum_unit) * largest
        return up(UNIT * (magnitude + in_sum) + in_sum + TINY)

    @property
    def travel(self) -> Travel:
        return Travel.WIDENED

    def pair_slack(self, arithmetic: Arithmetic, magnitude_in: float) -> float:
        # Differences of two rows are bounded: their sums round on top of those of the logits.
        count = self.W.shape[1] + 8
        return 4 * gamma(count, arithmetic.sum_unit) * self._largest_terms(magnitude_in)

    def _largest_terms(self, magnitude_in: float) -> float:
        """Largest sum of the absolute terms of one row: |W| |x| + |b|, from above."""
        rows = np.abs(self.W).astype(np.float64).sum(axis=1) * magnitude_in + np.abs(self.b)
        return float(rows.max()) * (1 + 2.0**-20)
