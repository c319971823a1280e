"""The positive part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..rounding import TINY, Arithmetic, Array
from .elementwise import Elementwise


@dataclass(frozen=True, eq=False)
class ReLU(Elementwise):
    """y = max(x, 0)."""

    def value(self, x: Array) -> Array:
        return np.maximum(x, 0)

    def moves(self, moves: Array) -> Array:
        """1: no slope is larger."""
        return moves

    def range(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Both ends, cut at 0 from below."""
        return np.maximum(low, 0), np.maximum(high, 0)

    def rounding(self, arithmetic: Arithmetic, magnitude: float, magnitude_in: float) -> float:
        """TINY: exact, but for operands taken for 0."""
        return TINY
