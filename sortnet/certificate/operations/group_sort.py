"""GroupSort."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..rounding import TINY, Arithmetic, Array
from .base import Operation, Shape, SpecError, Travel, flat


@dataclass(frozen=True, eq=False)
class GroupSort(Operation):
    """Sorts consecutive groups of ``size`` units, largest first. Size 2 is MaxMin."""

    size: int

    def __post_init__(self) -> None:
        if self.size < 2:
            raise SpecError(f"GroupSort size must be at least 2, got {self.size}")

    def out_shape(self, shape: Shape) -> Shape:
        if (units := flat(shape, "GroupSort")) % self.size:
            raise SpecError(f"GroupSort({self.size}) does not divide {units} units")
        return shape

    @property
    def entries(self) -> int:
        return 0

    def _sorted(self, units: Array) -> Array:
        groups = units.reshape(-1, self.size)
        return -np.sort(-groups, axis=1).reshape(units.shape)

    def value(self, x: Array) -> Array:
        return self._sorted(x)

    def moves(self, moves: Array) -> Array:
        """1: the largest move of each group."""
        return np.repeat(moves.reshape(-1, self.size).max(axis=1), self.size)

    @property
    def spread(self) -> int:
        return self.size

    def range(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Both ends, sorted: sorting is monotone."""
        return self._sorted(low), self._sorted(high)

    def rounding(self, arithmetic: Arithmetic, magnitude: float, magnitude_in: float) -> float:
        """TINY: exact, but for operands taken for 0."""
        return TINY

    @property
    def travel(self) -> Travel:
        return Travel.ROUNDED

    def pair_slack(self, arithmetic: Arithmetic, magnitude_in: float) -> float:
        return 0.0
