"""Checks of the arguments that several layers take."""

import operator
from collections.abc import Sequence
from typing import Any


def integer(value: Any) -> int | None:
    """A Python int, NumPy integer or anything else with `__index__`, but no bool; None if not."""
    # Booleans of NumPy and torch have an __index__ or not, depending on the version.
    if isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool"):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def positive(name: str, value: int) -> int:
    """`value` as an int of at least 1.

    Raises:
        ValueError: it is none.
    """
    number = integer(value)
    if number is None or number < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return number


def per_dimension(name: str, value: int | Sequence[int], count: int, least: int) -> tuple[int, ...]:
    """One integer for each of `count` dimensions; a single one stands for all.

    Raises:
        ValueError: another number of them, or one that is no integer of at least `least`.
    """
    single = integer(value)
    values: Sequence[Any] = value if isinstance(value, tuple | list) else ()
    numbers = (single,) * count if single is not None else tuple(map(integer, values))
    if len(numbers) != count or any(number is None or number < least for number in numbers):
        wanted = "an integer" if count == 1 else f"one or {count} integers"
        raise ValueError(f"{name} must be {wanted} of at least {least}, got {value!r}")
    return tuple(n for n in numbers if n is not None)
