"""One constant for each unit, subtracted."""

from __future__ import annotations

from dataclasses import dataclass

from ..rounding import Array, outward
from .per_unit import PerUnit


@dataclass(frozen=True, eq=False)
class Shift(PerUnit):
    """y = x - values, per unit (a running mean, for instance). values: [D]."""

    def value(self, x: Array) -> Array:
        return x - self.values

    def range(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Both ends less the constant, rounded outward."""
        return outward(low - self.values, high - self.values)
