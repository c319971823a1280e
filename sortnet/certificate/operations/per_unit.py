"""What operations with one constant for each unit share."""

from __future__ import annotations

from dataclasses import dataclass

from ..rounding import TINY, UNIT, Arithmetic, Array, up
from .base import Shape, constant, expect_units
from .elementwise import Elementwise


@dataclass(frozen=True, eq=False)
class PerUnit(Elementwise):
    """values: [D], D the number of units."""

    values: Array

    def __post_init__(self) -> None:
        name = type(self).__name__
        object.__setattr__(self, "values", constant(self.values, 1, f"{name} values"))

    def out_shape(self, shape: Shape) -> Shape:
        expect_units(shape, len(self.values), type(self).__name__)
        return shape

    def moves(self, moves: Array) -> Array:
        """1: a constant moves nothing."""
        return moves

    def rounding(self, arithmetic: Arithmetic, magnitude: float, magnitude_in: float) -> float:
        """UNIT M + TINY: one rounding."""
        return up(UNIT * magnitude + TINY)
