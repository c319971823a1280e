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
        return moves

    def range(self, low: Array, high: Array) -> tuple[Array, Array]:
        return -high, -low

    def rounding(self, arithmetic: Arithmetic, magnitude: float, magnitude_in: float) -> float:
        return TINY  # exact, but for a host that takes numbers below 2^-126 for 0
