"""The absolute value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..rounding import TINY, Arithmetic, Array
from .elementwise import Elementwise


@dataclass(frozen=True, eq=False)
class Abs(Elementwise):
    """y = |x|."""

    def value(self, x: Array) -> Array:
        return np.abs(x)

    def moves(self, moves: Array) -> Array:
        """1: |x| moves no farther than x."""
        return moves

    def range(self, low: Array, high: Array) -> tuple[Array, Array]:
        """From max(0, low, -high) to max(-low, high)."""
        return np.maximum(0, np.maximum(low, -high)), np.maximum(-low, high)

    def rounding(self, arithmetic: Arithmetic, magnitude: float, magnitude_in: float) -> float:
        """TINY: exact, but for operands taken for 0."""
        return TINY
