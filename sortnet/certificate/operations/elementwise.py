"""What operations on single units share: they hold no weights, and units do not mix."""

from __future__ import annotations

from ..rounding import Arithmetic
from .base import Operation, Shape, Travel


class Elementwise(Operation):
    """A function of each unit by itself: `value`, `moves`, `range` and `rounding` are its own."""

    def out_shape(self, shape: Shape) -> Shape:
        return shape

    @property
    def entries(self) -> int:
        return 0

    @property
    def spread(self) -> int:
        return 1

    @property
    def travel(self) -> Travel:
        return Travel.ROUNDED

    def pair_slack(self, arithmetic: Arithmetic, magnitude_in: float) -> float:
        return 0.0
