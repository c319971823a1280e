"""Pixels to model units."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..rounding import TINY, UNIT, Arithmetic, Array, gamma, up
from .base import SpecError, scalar
from .elementwise import Elementwise


@dataclass(frozen=True, eq=False)
class Normalize(Elementwise):
    """y = (x - mean) / std with scalars; std >= 2^-20, so that 1 / std stays far from overflow."""

    mean: float
    std: float

    def __post_init__(self) -> None:
        scalar(self.mean, "Normalize mean")
        if not scalar(self.std, "Normalize std") >= 2**-20:
            raise SpecError(f"Normalize std must be at least 2^-20, got {self.std}")

    def value(self, x: Array) -> Array:
        return (x - self.mean) / self.std

    def moves(self, moves: Array) -> Array:
        return moves * math.nextafter(1 / self.std, math.inf)

    def range(self, low: Array, high: Array) -> tuple[Array, Array]:
        low = np.nextafter(low - self.mean, -np.inf)
        high = np.nextafter(high - self.mean, np.inf)
        return np.nextafter(low / self.std, -np.inf), np.nextafter(high / self.std, np.inf)

    def rounding(self, arithmetic: Arithmetic, magnitude: float, magnitude_in: float) -> float:
        # Subtraction and division, or a product with a rounded reciprocal.
        return up(gamma(4, UNIT) * magnitude + TINY)
