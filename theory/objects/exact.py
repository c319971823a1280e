"""Exact numbers: vectors of fractions, and the l-inf distance between them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import product
from math import lcm
from typing import TypeAlias

Number: TypeAlias = int | float | Fraction
Vector: TypeAlias = tuple[Fraction, ...]

ZERO, ONE, HALF = Fraction(0), Fraction(1), Fraction(1, 2)


def fraction(value: Number) -> Fraction:
    """The rational number that ``value`` is: every finite float is one.

    Raises:
        ValueError: ``value`` is NaN, infinite or not a number.
    """
    if type(value) is Fraction:
        return value
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"expected a finite number, got {value}")
    try:
        return Fraction(value)
    except (TypeError, ValueError):
        raise ValueError(f"expected a finite number, got {value!r}") from None


def vector(values: Iterable[Number]) -> Vector:
    """``values`` as a tuple of fractions.

    Raises:
        ValueError: an entry is not a finite number.
    """
    return tuple(fraction(value) for value in values)


def distance(x: Vector, y: Vector) -> Fraction:
    """The l-inf distance of two vectors of equal length (0 for empty ones).

    Raises:
        ValueError: the lengths differ.
    """
    if len(x) != len(y):
        raise ValueError(f"expected vectors of equal length, got {len(x)} and {len(y)}")
    return max((abs(a - b) for a, b in zip(x, y, strict=True)), default=ZERO)


def absolute_sum(row: Iterable[Fraction]) -> Fraction:
    """The l1 norm of a row."""
    return sum((abs(value) for value in row), ZERO)


def common(values: Vector) -> tuple[list[int], int]:
    """Integers and one denominator: values[i] = integers[i] / denominator.

    Sums over integers are many times faster than over fractions, and as exact.
    """
    denominator = lcm(*(value.denominator for value in values))
    return [v.numerator * (denominator // v.denominator) for v in values], denominator


def dot(row: Vector, x: Vector) -> Fraction:
    """The inner product; zeros cost nothing."""
    return sum((w * v for w, v in zip(row, x, strict=True) if w and v), ZERO)


def vertices(d: int) -> Iterator[Vector]:
    """The 2^d points of {0,1}^d; entry 0 changes fastest, as in a truth table.

    Raises:
        ValueError: d < 1.
    """
    check_dimension(d)
    return (bits[::-1] for bits in product((ZERO, ONE), repeat=d))


def order_statistic(x: Vector, k: int) -> Fraction:
    """x_(k), the k-th largest entry: k = 1 is the maximum and k = len(x) the minimum.

    Raises:
        ValueError: k is not in 1..len(x).
    """
    check_rank(len(x), k)
    return sorted(x, reverse=True)[k - 1]


def check_integer(name: str, value: int, low: int, high: int | None = None) -> None:
    """Raise ValueError unless ``value`` is an integer (no bool, no float) in low..high."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        expected = f">= {low}" if high is None else f"in {low}..{high}"
        raise ValueError(f"expected an integer {name} {expected}, got {value!r}")


def check_dimension(d: int) -> None:
    """Raise ValueError unless d is an integer >= 1."""
    check_integer("d", d, 1)


def check_rank(d: int, k: int) -> None:
    """Raise ValueError unless d >= 1 and 1 <= k <= d, both integers."""
    check_dimension(d)
    check_integer("k", k, 1, d)


def not_negative(name: str, value: Number) -> Fraction:
    """``value`` as a fraction.

    Raises:
        ValueError: it is negative or no finite number.
    """
    number = fraction(value)
    if number < 0:
        raise ValueError(f"expected a {name} >= 0, got {number}")
    return number
