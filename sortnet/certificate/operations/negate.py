"""The change of sign: a logit is a negated distance."""

from __future__ import annotations

from dataclasses import dataclass

from ..rounding import TINY, Arithmetic, Array
from .elementwise import Elementwise


@dataclass(frozen=True, eq=False)
class Negate(Elementwise):
    """y = -x."""

    def value(self, x: Array) -> Array:
        return -x

    def moves(self, moves: Array) -> Array:
        """1: a sign moves nothing farther."""
        return moves

    def range(self, low: Array, high: Array) -> tuple[Array, Array]:
        """From -high to -low."""
        return -high, -low

    def rounding(self, arithmetic: Arithmetic, magnitude: float, magnitude_in: float) -> float:
        """TINY: exact, but for operands taken for 0."""
        return TINY
