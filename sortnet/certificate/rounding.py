"""What floating-point arithmetic may do to one operation: units, hosts, sums, outward rounding.

Numbers here are float64 with every result pushed outward by more than its rounding error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sortnet.base.units import float32_up

Array: TypeAlias = npt.NDArray[Any]

UNIT = 2.0**-24
"""Half a unit in the last place of float32: the relative error of one rounding to nearest."""

UNIT64 = 2.0**-53

TINY = 2.0**-100
"""More than everything that underflow, flushed to zero or gradual, can add to one operation."""

TANH_ERROR = 2.0**-19
"""Largest absolute error of a float32 tanh that is accepted; hosts check it when they start."""

LARGEST = 2.0**100
"""Values whose bound exceeds this are refused: overflow cannot happen below it."""


@dataclass(frozen=True)
class Arithmetic:
    """How a host computes, as far as rounding depends on it.

    Everything but affine layers is float32 on every host.

    Attributes:
        sum_unit: relative error of one rounding in the sums of affine layers, taken in any order;
            their results are float32. Bounds of affine layers are computed likewise.
        largest_sum: what partial sums must stay below.
    """

    sum_unit: float
    largest_sum: float


FILE = Arithmetic(UNIT64, math.inf)
"""An exported file, whose affine layers are summed in float64."""

TORCH = Arithmetic(UNIT, LARGEST)
"""A torch model: affine layers in float32, without TF32 or half precision inside products."""


class BoundError(ValueError):
    """No bound can be given: values may overflow, or a constant is out of every proportion."""


def up(value: float) -> float:
    """More than the exact value of a non-negative formula of a few float64 operations."""
    return value * (1 + 2.0**-45)


def gamma(count: float, unit: float) -> float:
    """Relative error of ``count`` roundings in a row: (1 + unit)^count - 1, from above.

    Raises:
        BoundError: too many for the precision.
    """
    if count * unit >= 2.0**-4:
        raise BoundError(f"a sum of {count:.0f} terms is too long for its precision")
    return count * unit / (1 - count * unit)


def outward(low: Array, high: Array) -> tuple[Array, Array]:
    """Interval ends moved apart by one unit in the last place: more than one rounding."""
    return np.nextafter(low, -np.inf), np.nextafter(high, np.inf)


def ball_reach(eps: float) -> float:
    """A float32 e with fl(x - e) <= x - eps and, where not above 1, fl(x + e) >= x + eps.

    For every x in [0, 1]: below 1 one rounding moves a result by at most 2^-25.
    """
    return float32_up(Fraction(eps) + Fraction(2) ** -24)


def ball_reaches(eps: float, unit: Array, size: Array) -> Array:
    """The same for every feature: float32 e_i that covers eps unit_i for all |x_i| <= size_i.

    Exactly 0 where the unit is 0: there fl(x - 0) = x.

    Args:
        eps: a float32 > 0. unit, size: float32 >= 0, of one shape.
    """
    # The product of two float32 is exact; one rounding of a result within size moves it by at
    # most 2^-24 size. The factor is more than the roundings of this line.
    wanted = (eps * unit.astype(np.float64) + UNIT * size.astype(np.float64)) * (1 + 2.0**-45)
    with np.errstate(over="ignore"):  # an infinite reach is the whole box
        near = (wanted + TINY).astype(np.float32)
        above = np.where(near < wanted, np.nextafter(near, np.float32(np.inf)), near)
    return np.where(unit > 0, above, np.float32(0)).astype(np.float32)
