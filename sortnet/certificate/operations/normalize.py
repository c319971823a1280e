"""Pixels or features to model units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..rounding import TINY, UNIT, Arithmetic, Array, BoundError, gamma, up
from .base import Shape, SpecError, constant, scalar
from .elementwise import Elementwise

_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Normalize(Elementwise):
    """y = (x - mean) / std, with scalars or with arrays of the input's shape.

    std >= 2^-20, so that 1 / std stays far from overflow; in arrays 2^-60 <= std <= 2^60.
    """

    mean: float | Array
    std: float | Array

    def __post_init__(self) -> None:
        if np.ndim(self.mean) or np.ndim(self.std):
            if np.shape(self.mean) != np.shape(self.std):
                raise SpecError(
                    f"Normalize mean and std differ in shape: {np.shape(self.mean)} and "
                    f"{np.shape(self.std)}"
                )
            for name in ("mean", "std"):
                value = constant(getattr(self, name), np.ndim(self.mean), f"Normalize {name}")
                object.__setattr__(self, name, value)
            if not (np.min(self.std) >= 2.0**-60 and np.max(self.std) <= 2.0**60):
                raise SpecError("Normalize std must be in [2^-60, 2^60] for every feature")
            return
        scalar(float(self.mean), "Normalize mean")
        if not scalar(float(self.std), "Normalize std") >= 2**-20:
            raise SpecError(f"Normalize std must be at least 2^-20, got {self.std}")

    @property
    def per_feature(self) -> bool:
        """Whether mean and std are arrays."""
        return np.ndim(self.std) > 0

    def out_shape(self, shape: Shape) -> Shape:
        if self.per_feature and np.shape(self.mean) != shape:
            raise SpecError(f"Normalize is for inputs {np.shape(self.mean)}, got {shape}")
        return shape

    def value(self, x: Array) -> Array:
        return (x - self.mean) / self.std

    def moves(self, moves: Array) -> Array:
        """1 / std, per feature."""
        return moves * np.nextafter(1 / np.asarray(self.std, np.float64), np.inf)

    def range(self, low: Array, high: Array) -> tuple[Array, Array]:
        """From (low - mean) / std to (high - mean) / std, rounded outward."""
        low = np.nextafter(low - self.mean, -np.inf)
        high = np.nextafter(high - self.mean, np.inf)
        return np.nextafter(low / self.std, -np.inf), np.nextafter(high / self.std, np.inf)

    def rounding(self, arithmetic: Arithmetic, magnitude: float, magnitude_in: float) -> float:
        """gamma(4) M + TINY; with arrays 2^-124 / min std more."""
        if not magnitude_in + float(np.max(np.abs(self.mean))) <= _MAX:
            raise BoundError("a difference from a mean may overflow")
        # Subtraction and division, or a product with a rounded reciprocal.
        underflow = TINY
        if self.per_feature:  # operands below 2^-126 taken for 0, before a small std enlarges them
            underflow += 2.0**-124 / float(np.min(self.std))
        return up(gamma(4, UNIT) * magnitude + underflow)
