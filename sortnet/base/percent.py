"""Fractions of 1 as people read them."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Literal

_WAYS = {"nearest": ROUND_HALF_EVEN, "down": ROUND_FLOOR, "up": ROUND_CEILING}


def percent(
    fraction: float, digits: int = 2, rounding: Literal["nearest", "down", "up"] = "nearest"
) -> str:
    """A fraction of 1 as a percentage, such as "97.22%".

    What is certified is rounded down: no figure that is shown exceeds what was reached. A float
    stands for the decimal number it prints as, so 29 of 100 are 29.00% whichever way.

    Args:
        fraction: finite, as a rule in [0, 1]. digits: after the point.
        rounding: "down" for certified figures and lower ends of intervals, "up" for upper ends.
    """
    exact = Decimal(repr(float(fraction)))
    shown = exact.quantize(Decimal(1).scaleb(-digits - 2), _WAYS[rounding])
    return f"{100 * shown or abs(shown):.{digits}f}%"  # 0 has no sign


def certified_percent(fraction: float, digits: int = 2) -> str:
    """`percent` of what is certified: rounded down."""
    return percent(fraction, digits, "down")
