"""Radii as exact fractions of the pixel range [0, 1], and their one-sided roundings to float32."""

from __future__ import annotations

import math
import re
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from fractions import Fraction
from typing import Any

import numpy as np

_MAX = Fraction(float(np.finfo(np.float32).max))

# Three digits of exponent reach beyond every float64; more would only make huge integers.
_DECIMAL = r"[+-]?(?:\d{1,50}(?:\.\d{0,50})?|\.\d{1,50})(?:[eE][+-]?\d{1,3})?"
_RADIUS = re.compile(rf"\s*({_DECIMAL})\s*(?:/\s*({_DECIMAL})\s*)?", re.ASCII)


MAX_UNITS_OF_RADIUS = 2**20
"""Largest radius in multiples of the unit of a feature, where that is not a pixel."""


def parse_eps(text: str | float | np.floating[Any] | Fraction, most: int = 1) -> Fraction:
    """Read a radius exactly: ``"8/255"``, ``"2.2/255"``, ``"0.1"``, a fraction or a number.

    Text is one decimal number or one fraction of two, each with at most 50 digits on either side
    of the point and three in the exponent. A float of Python or NumPy stands for the decimal number
    it prints as, so ``0.1`` and ``np.float32(0.1)`` are one tenth.

    Args:
        most: the largest radius that makes sense; 1 for pixels in [0, 1].

    Returns:
        The radius in input units (pixels in [0, 1], or multiples of each feature's unit),
        0 < eps <= most.

    Raises:
        ValueError: not a number (nor is a bool), or outside (0, most].
    """
    try:
        if isinstance(text, str):
            match = _RADIUS.fullmatch(text)
            if match is None:
                raise ValueError(text)
            over, under = match.groups()
            eps = Fraction(over) / Fraction(under or 1)
        else:
            eps = _number(text)
    except (ValueError, TypeError, ZeroDivisionError, OverflowError):
        raise ValueError(
            "a radius is a decimal number or one fraction of two, such as 0.1, 1e-3 or 8/255, "
            f"got {_short(text)}"
        ) from None
    if not 0 < eps <= most:
        why = " (pixels are in [0, 1])" if most == 1 else ""
        raise ValueError(f"a radius must be above 0 and at most {most}{why}, got {_short(text)}")
    return eps


def _number(value: object) -> Fraction:
    if isinstance(value, bool | np.bool_):
        raise TypeError(value)
    if isinstance(value, float):  # np.float64 too
        return Fraction(repr(float(value)))
    if isinstance(value, np.floating):
        return Fraction(str(value))
    if isinstance(value, np.integer):
        return Fraction(int(value))
    return Fraction(value)  # type: ignore[call-overload, no-any-return]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"


def float32_up(value: Fraction | float) -> float:
    """The smallest float32 that is >= ``value``, as a Python float (inf above the finite ones)."""
    exact = _finite(value)
    if exact > _MAX:
        return math.inf
    near = np.float32(float(max(exact, -_MAX)))
    # The value went through float64 first, so a step either way may be needed.
    if Fraction(float(near)) < exact:
        return float(np.nextafter(near, np.float32(_MAX)))
    below = np.nextafter(near, np.float32(-_MAX))
    return float(below if Fraction(float(below)) >= exact else near)


def float32_down(value: Fraction | float) -> float:
    """The largest float32 that is <= ``value``, as a Python float (-inf below the finite ones)."""
    return -float32_up(-_finite(value))


def text_up(value: float, digits: int = 4) -> str:
    """A number in at most so many digits (1 to 15), not below it: for bounds that people read."""
    return _in_digits(value, digits, ROUND_CEILING)


def text_down(value: float, digits: int = 4) -> str:
    """A number in at most so many digits (1 to 15), not above it: for radii that people read."""
    return _in_digits(value, digits, ROUND_FLOOR)


def _in_digits(value: float, digits: int, rounding: str) -> str:
    # From the exact value; the nearest float64 of so few digits prints as these digits.
    rounded = Context(prec=digits, rounding=rounding).create_decimal_from_float(float(value))
    return f"{float(rounded) + 0.0:.{digits}g}"  # 0 has no sign


def eps_to_float(eps: str | float | np.floating[Any] | Fraction, most: int = 1) -> float:
    """The smallest float32 >= eps: the ball that is certified is never smaller than the one named.

    Args:
        eps, most: as for `parse_eps`.

    Raises:
        ValueError: as `parse_eps`.
    """
    return float32_up(parse_eps(eps, most))


def _finite(value: Fraction | float) -> Fraction:
    try:
        return Fraction(value)
    except (ValueError, OverflowError):
        raise ValueError(f"expected a finite number, got {value!r}") from None
