"""Learned piecewise-linear activations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..rounding import LARGEST, TINY, UNIT, UNIT64, Arithmetic, Array, BoundError, gamma, up
from .base import Operation, Shape, SpecError, Travel, constant, expect_units


@dataclass(frozen=True, eq=False)
class PiecewiseLinear(Operation):
    """A continuous piecewise-linear function of each unit, with its own slopes.

    With t_0 < ... < t_(K-1) and slopes s_0 .. s_K of a unit,
    y = s_0 (min(x, t_0) - t_0) + sum_j s_j (clamp(x, t_(j-1), t_j) - t_(j-1)) + s_K (max(x,
    t_(K-1)) - t_(K-1)): 0 at t_0, and every piece adds its own part.

    knots: [K], ascending; slopes: [D, K + 1].
    """

    knots: Array
    slopes: Array

    def __post_init__(self) -> None:
        knots = constant(self.knots, 1, "PiecewiseLinear knots")
        slopes = constant(self.slopes, 2, "PiecewiseLinear slopes")
        if not (np.diff(knots) > 0).all():
            raise SpecError("PiecewiseLinear knots must ascend")
        if slopes.shape[1] != len(knots) + 1:
            raise SpecError(f"{len(knots)} knots need {len(knots) + 1} slopes, got {slopes.shape}")
        object.__setattr__(self, "knots", knots)
        object.__setattr__(self, "slopes", slopes)

    @property
    def pieces(self) -> tuple[Array, Array, Array]:
        """Lower end, upper end and origin of each piece, [K + 1]; the outer ends are infinite."""
        infinity = np.array([np.inf], np.float32)
        low, high = np.append(-infinity, self.knots), np.append(self.knots, infinity)
        return low, high, np.append(self.knots[:1], self.knots)

    def out_shape(self, shape: Shape) -> Shape:
        expect_units(shape, len(self.slopes), "PiecewiseLinear")
        return shape

    @property
    def entries(self) -> int:
        return self.slopes.size + self.knots.size

    def value(self, x: Array) -> Array:
        """Any leading dimensions: [..., D] -> [..., D]."""
        low, high, origin = self.pieces
        y: Array = ((np.clip(x[..., None], low, high) - origin) * self.slopes).sum(axis=-1)
        return y

    def moves(self, moves: Array) -> Array:
        """Largest |slope| of the unit."""
        farthest: Array = np.abs(self.slopes).max(axis=1).astype(np.float64) * moves
        return farthest

    @property
    def spread(self) -> int:
        return 1

    def range(self, low: Array, high: Array) -> tuple[Array, Array]:
        """The extremes among both ends and the knots between them, widened by rounding."""
        # The extremes lie at the ends or at knots inside.
        knots = np.clip(self.knots.astype(np.float64)[:, None], low, high)
        values = self.value(np.concatenate([low[None], high[None], knots]))
        terms = self._terms(np.maximum(np.abs(low), np.abs(high)))
        slack = 2 * gamma(len(self.knots) + 8, UNIT64) * terms + TINY
        return values.min(axis=0) - slack, values.max(axis=0) + slack

    def rounding(self, arithmetic: Arithmetic, magnitude: float, magnitude_in: float) -> float:
        """gamma(K + 6) s (|x| + max |t|) + K 2^-125 (1 + s) + TINY, s the largest |slope|."""
        # Difference, product and a sum of K + 1 terms, of which all but the pieces between t_0 and
        # x are 0.
        terms = float(self._terms(np.full(len(self.slopes), magnitude_in)).max())
        if not max(terms, magnitude_in) < LARGEST:
            raise BoundError(f"a piecewise-linear function has terms of {terms:.3g} together")
        flushed = 2.0**-125 * len(self.knots) * (1 + float(np.abs(self.slopes).max()))
        return up(gamma(len(self.knots) + 6, UNIT) * terms + flushed + TINY)

    def _terms(self, size: Array) -> Array:
        """Absolute sum of the terms of each unit for |x| <= size, from above: [D]."""
        steepest = np.abs(self.slopes).max(axis=1).astype(np.float64)
        sizes: Array = steepest * (size + float(np.abs(self.knots).max())) * (1 + 2.0**-20)
        return sizes

    @property
    def travel(self) -> Travel:
        return Travel.ROUNDED

    def pair_slack(self, arithmetic: Arithmetic, magnitude_in: float) -> float:
        return 0.0
