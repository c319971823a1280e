"""Images to vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..rounding import Arithmetic, Array
from .base import Shape
from .elementwise import Elementwise


@dataclass(frozen=True, eq=False)
class Flatten(Elementwise):
    """[C, H, W] -> [C*H*W] in row-major order; nothing on a flat input."""

    def out_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)

    def value(self, x: Array) -> Array:
        return x.reshape(len(x), math.prod(x.shape[1:]))

    def moves(self, moves: Array) -> Array:
        """1: the same numbers."""
        return moves.reshape(-1)

    def range(self, low: Array, high: Array) -> tuple[Array, Array]:
        """The same ends."""
        return low.reshape(-1), high.reshape(-1)

    def rounding(self, arithmetic: Arithmetic, magnitude: float, magnitude_in: float) -> float:
        """0: nothing is computed."""
        return 0.0
