"""Rank filters: order statistics of windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..rounding import TINY, Arithmetic, Array
from .base import Operation, Shape, SpecError, Travel, expect_indices, indices


@dataclass(frozen=True, eq=False)
class RankFilter(Operation):
    """y_p = the k-th largest of x over patch p: [D] -> [P].

    patches: int64 [P, F], the input index of each entry of each patch; D stands for a zero that
    padding adds. 1 <= k <= F.
    """

    patches: Array
    k: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "patches", indices(self.patches, "RankFilter"))
        if not 1 <= self.k <= self.patches.shape[1]:
            raise SpecError(f"RankFilter k must be in [1, {self.patches.shape[1]}], got {self.k}")

    def out_shape(self, shape: Shape) -> Shape:
        expect_indices(shape, self.patches, "RankFilter")
        return (len(self.patches),)

    @property
    def entries(self) -> int:
        return self.patches.size

    def _select(self, units: Array) -> Array:
        """[..., D] -> [..., P]."""
        padded = np.concatenate([units, np.zeros((*units.shape[:-1], 1))], axis=-1)
        selected: Array = np.sort(padded[..., self.patches], axis=-1)[..., -self.k]
        return selected

    def value(self, x: Array) -> Array:
        return self._select(x)

    def moves(self, moves: Array) -> Array:
        """1: the largest move of each patch."""
        farthest: Array = np.append(moves, 0.0)[self.patches].max(axis=1)
        return farthest

    @property
    def spread(self) -> int:
        return int(self.patches.shape[1])

    def range(self, low: Array, high: Array) -> tuple[Array, Array]:
        """The k-th largest of the lower and of the upper ends: monotone in every input."""
        return self._select(low), self._select(high)

    def rounding(self, arithmetic: Arithmetic, magnitude: float, magnitude_in: float) -> float:
        """TINY: exact, but for operands taken for 0."""
        return TINY

    @property
    def travel(self) -> Travel:
        return Travel.ROUNDED

    def pair_slack(self, arithmetic: Arithmetic, magnitude_in: float) -> float:
        return 0.0
