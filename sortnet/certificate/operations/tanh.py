"""The hyperbolic tangent, whose accuracy hosts do not promise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..rounding import TANH_ERROR, Arithmetic, Array
from .elementwise import Elementwise


@dataclass(frozen=True, eq=False)
class Tanh(Elementwise):
    """y = tanh(x)."""

    def value(self, x: Array) -> Array:
        return np.tanh(x)

    def moves(self, moves: Array) -> Array:
        """1: no slope is larger."""
        return moves

    def range(self, low: Array, high: Array) -> tuple[Array, Array]:
        """tanh of both ends, 2^-40 outward."""
        return np.tanh(low) - 2.0**-40, np.tanh(high) + 2.0**-40

    def rounding(self, arithmetic: Arithmetic, magnitude: float, magnitude_in: float) -> float:
        """TANH_ERROR, which no host promises: a session measures it before it runs."""
        return TANH_ERROR
